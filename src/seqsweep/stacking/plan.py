"""Which trials can be trained as one, and where that pays; decided from configurations, without torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ENTRY = "seqsweep.stacking.jobs:run"
"""What executors run for trials of one key; see `seqsweep.protocol.Stacking`."""

MODELS = {f"seqsweep.models.{name}": name.lower() for name in ("RNN", "LSTM", "GRU")}
TASKS = tuple(
    f"seqsweep.tasks.{name}"
    for name in ("Classification", "Regression", "RemainingUsefulLife", "LanguageModelling", "Music")
)
_ADAM = ("lr", "weight_decay", "betas", "eps")
OPTIMIZERS = {
    "torch.optim.SGD": ("lr", "weight_decay", "momentum", "dampening", "nesterov"),
    "torch.optim.Adam": _ADAM,
    "torch.optim.AdamW": _ADAM,
    "torch.optim.RMSprop": ("lr", "weight_decay", "alpha", "eps", "momentum"),
}
"""What a stack knows of each optimiser; members may differ in it."""
OF_NODE = ("_target_", "_partial_", "_convert_", "fused", "foreach")
"""Keys of an optimiser that change nothing in its steps."""

OWN_OF_MODEL = (
    "dropout",
    "recurrent_dropout",
    "embedding_dropout",
    "embedding_std",
    "recurrent_init",
    "forget_bias",
    "explicit_loop",
)
"""What members' models may differ in: initial values, and what is dropped."""
TRAINER: dict[str, tuple[object, ...]] = {
    "accumulate_grad_batches": (None, 1),
    "callbacks": (None, [], {}),
    "gradient_clip_algorithm": (None, "norm"),
    "precision": (None, "32-true", "32", 32),
    "enable_progress_bar": (None, False),
    "compile": (None, False),
}
"""Settings that a stack knows one value of."""
OWN_OF_TRAINER = (
    "max_epochs",
    "min_epochs",
    "patience",
    "gradient_clip_val",
    "check_val_every_n_epoch",
    "log_every_n_steps",
    "enable_model_summary",
    "devices",
    "matmul_precision",
)
"""What members' trainers may differ in, or have in common; see `_key`."""

CPU_HIDDEN_SIZE = 160
"""The largest hidden size up to which a stack is the faster one on a processor (benchmarks/results)."""


@dataclass(frozen=True)
class Verdict:
    """Whether a trial may share a stack: exactly one of the two is set."""

    key: str | None = None
    """Trials of the same key may be trained as one."""
    reason: str | None = None
    """Why it runs alone, as the end of the sentence "runs alone: ..."."""


def verdict(config: Mapping[str, Any], *, cpu: bool) -> Verdict:
    """Whether a trial may be trained with others as one.

    Args:
        config: the trial's, resolved.
        cpu: whether it will run on a processor.

    """
    reason = next(_reasons(config, cpu), None)
    return Verdict(reason=reason) if reason else Verdict(key=_key(config))


def _reasons(config: Mapping[str, Any], cpu: bool) -> Iterator[str]:
    model, trainer = config["model"], config["trainer"]
    for group, known in (("model", MODELS), ("task", TASKS), ("optimizer", OPTIMIZERS)):
        target = config[group].get("_target_")
        if target not in known:
            yield f"{group}._target_={target} has no stacked form"
            return
    for name, value in trainer.items():
        if (name in TRAINER and value not in TRAINER[name]) or (
            name not in TRAINER and name not in OWN_OF_TRAINER and name != "accelerator" and value is not None
        ):
            yield f"trainer.{name}={value} is not for a stack"
    optimizer = config["optimizer"]
    for name, value in optimizer.items():
        if name not in (*OPTIMIZERS[optimizer["_target_"]], *OF_NODE) and value not in (None, False):
            yield f"optimizer.{name}={value} is not for a stack"
    if (config.get("tracking") or {}).get("gradient_flow"):
        yield "tracking.gradient_flow=true is not for a stack"
    if cpu:
        yield from _no_gain(model)


def _no_gain(model: Mapping[str, Any]) -> Iterator[str]:
    """Where a processor trains trials as fast one by one."""
    name = MODELS[model["_target_"]]
    if name == "lstm":
        yield "on a processor a stack of model=lstm is slower than one after the other"
    if model.get("layer_norm") or model.get("reset_after") is False:
        option = "layer_norm=true" if model.get("layer_norm") else "reset_after=false"
        yield f"on a processor a stack with model.{option} is slower than one after the other"
    if int(model.get("hidden_size", 0)) > CPU_HIDDEN_SIZE:
        yield f"on a processor model.hidden_size={model['hidden_size']} is as fast one after the other"


def _key(config: Mapping[str, Any]) -> str:
    """What members have in common, as text."""
    common = {
        "data": _without(config["data"], ("seed",)),
        "model": _without(config["model"], OWN_OF_MODEL),
        "task": dict(config["task"]),
        "optimizer": config["optimizer"]["_target_"],
        "accelerator": config["trainer"].get("accelerator"),
        "threads": config.get("threads"),
        "matmul_precision": config["trainer"].get("matmul_precision"),
    }
    return json.dumps(common, sort_keys=True, default=str)


def apart(keys: Iterable[str]) -> list[str]:
    """The settings in which trials of these keys differ, and so cannot be trained as one."""
    settings = [dict(_flat(json.loads(key), "")) for key in keys]
    names = dict.fromkeys(name for each in settings for name in each)
    return [name for name in names if len({repr(each.get(name, ...)) for each in settings}) > 1]


def _flat(node: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Each setting by its dotted name; a class by that of its group."""
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from _flat(value, name if key == "_target_" else f"{name}.{key}".removeprefix("."))
    else:
        yield name, node


def _without(node: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in node.items() if name not in names}
