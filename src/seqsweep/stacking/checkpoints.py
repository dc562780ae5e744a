"""Checkpoints of a stack's members, in the form that Lightning writes those of a run alone.

So a member's weights load into the plain model, and either way of training goes on where the other was left.
"""

from __future__ import annotations

import pickle
from functools import cache
from typing import TYPE_CHECKING, Any

import lightning
import torch
from lightning.fabric.utilities import move_data_to_device
from torch import Tensor
from torch.utils._pytree import tree_map

from seqsweep.errors import ConfigError
from seqsweep.training import folder
from seqsweep.training.arguments import make_trainer
from seqsweep.training.callback import TrialCallback
from seqsweep.training.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

    from seqsweep.stacking.member import Member

OURS = TrialCallback.__qualname__


def write(member: Member, *, best: bool) -> None:
    """Write a member's checkpoint into its folder, as its best one too if it is."""
    made: dict[str, Any] = {
        "epoch": member.epoch + member.epoch_over,
        "global_step": member.steps,
        "pytorch-lightning_version": lightning.__version__,
        "state_dict": on_cpu(member.task.state_dict()),
        "loops": _loops(member),
        "seqsweep": member.carried,
        "callbacks": {OURS: member.state()},
        "optimizer_states": [on_cpu(member.optimizer.state_dict())],
        "lr_schedulers": [] if member.schedule is None else [member.schedule.state_dict()],
    }
    last = member.context.directory / folder.LAST
    # best.ckpt first, so that last.ckpt never speaks of a best that is not there
    with folder.replacing(last, before=last.with_name(folder.BEST) if best else None) as part:
        torch.save(made, part)


def load(member: Member, path: Path) -> None:
    """Let a member be where a checkpoint was written.

    Raises:
        ConfigError: it is that of a run with another configuration.

    """
    kept = torch.load(path, map_location="cpu", weights_only=True)
    if not folder.same_run(kept["seqsweep"]["config"], member.built.config):
        raise ConfigError(
            f"{path}: left by a run with another configuration; delete it or choose another folder"
        )
    member.task.load_state_dict(kept["state_dict"])
    member.optimizer.load_state_dict(kept["optimizer_states"][0])
    if member.schedule is not None:
        member.schedule.load_state_dict(kept["lr_schedulers"][0])
    state = kept["callbacks"][OURS]
    member.progress = Progress.from_state(state["progress"])
    [generators] = state["generators"]
    member.task.generator.set_state(generators["masks"])  # type: ignore[union-attr]
    member.steps = int(kept["global_step"])
    loops = kept["loops"]["fit_loop"]
    member.epoch = int(loops["epoch_progress"]["current"]["completed"])
    [place] = loops["state_dict"]["combined_loader"]
    if place["epoch"] == member.epoch:  # within an epoch
        member.loader.load_state_dict(place)
        member.place = int(place["batches"])
        member.task.carried = move_data_to_device(generators["carried"], member.device)
        member.measured = [] if state["losses"] is None else list(state["losses"].to(member.device))


def on_cpu(tree: Any) -> Any:
    """The tree with a copy of each tensor: a view would be saved with all that it is a view of."""
    return tree_map(lambda part: part.detach().cpu().clone() if isinstance(part, Tensor) else part, tree)


@cache
def _fresh() -> bytes:
    """The loops' states of a Trainer that has not begun, in the form that is quickest to copy."""
    trainer = make_trainer({"max_epochs": 1, "accelerator": "cpu", "devices": 1})
    loops = ("fit_loop", "validate_loop", "test_loop", "predict_loop")
    return pickle.dumps({name: getattr(trainer, name).state_dict() for name in loops})


def _loops(member: Member) -> dict[str, Any]:
    """The loops' states of a Trainer that has come as far as the member."""
    loops: dict[str, Any] = pickle.loads(_fresh())
    fit, within = loops["fit_loop"], not member.epoch_over
    epochs = member.epoch + member.epoch_over
    _count(fit["epoch_progress"], epochs + within, epochs + within, done=epochs)
    fit["state_dict"] = {"combined_loader": [{"epoch": member.epoch, "batches": member.place}]}
    # Lightning's callbacks, and with them its checkpoints, come before a batch counts as completed
    fit["epoch_loop.state_dict"] = {"_batches_that_stepped": member.steps - within}
    batches = fit["epoch_loop.batch_progress"]
    _count(batches, member.steps, member.place)
    for counts in (batches["total"], batches["current"]):
        counts["completed"] -= within
    batches["is_last_batch"] = not within
    optimizer = fit["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]
    for counts in optimizer.values():
        _count(counts, member.steps, member.place)
    if member.schedule is not None:
        stepped = (member.steps, member.place) if member.by_step else (epochs, int(not within))
        _count(fit["epoch_loop.scheduler_progress"], *stepped)
    return loops


def _count(progress: dict[str, Any], total: int, current: int, done: int | None = None) -> None:
    """Set a loop's counts: as many have been completed as begun, or `done`."""
    for counts, number in ((progress["total"], total), (progress["current"], current)):
        for name in counts:
            counts[name] = number if done is None or name in ("ready", "started") else done
