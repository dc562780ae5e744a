"""Trials of one network that differ in seed and learning rate: bare loops, in turn or not, and one stack."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speed import works
from speed.spools import epochs_of, seconds_a_step, step_losses

if TYPE_CHECKING:
    from speed.workers import Worker

BEGUN = 20
"""Steps that are compared where what comes of them is chaos."""


def configurations(overrides: list[str], members: int) -> list[dict[str, Any]]:
    """Learning rates from 0.0003 to 0.003, a seed each."""
    config = works.configuration(overrides)
    rates = [3e-4 * 10 ** (number / max(1, members - 1)) for number in range(members)]
    return [works.member(config, seed=number, lr=lr) for number, lr in enumerate(rates)]


def bare(
    overrides: list[str], members: int, device: str, place: int = 0, processes: int = 1
) -> dict[str, Any]:
    """Seconds a step of all, with their validations and without; losses, steps, when it began and ended.

    With `processes` only those are trained whose turn it is: the `place`th, and each so manieth after it.
    """
    import torch

    from seqsweep.training import build
    from speed.plain import fit

    configs = configurations(overrides, members)[place::processes]
    made = [(config, *works.plainly(build(config), device)) for config in configs]
    losses, steps, training, began = [], 0, 0.0, time.time()
    for config, learner, feed in made:
        optimizer = torch.optim.Adam(learner.parameters(), lr=config["optimizer"]["lr"])
        epochs, clip = config["trainer"]["max_epochs"], config["trainer"]["gradient_clip_val"]
        history = fit(learner, feed.batches, feed.val, epochs=epochs, optimizer=optimizer, clip=clip)
        training += sum(epoch["seconds"] for epoch in history)
        losses.append([epoch["val/loss"] for epoch in history])
        steps = epochs * len(feed)
    ended = time.time()
    times = {"seconds": (ended - began) / steps, "training": training / steps}
    return {"losses": losses, "steps": steps, "began": began, "ended": ended, **times}


def ready(overrides: list[str], device: str) -> None:
    """Import, build, and have the device start what it starts once."""
    from seqsweep.training import build

    learner, feed = works.plainly(build(configurations(overrides, 1)[0]), device)
    learner.loss(feed.val[0]).backward()


def shared(workers: Sequence[Worker], **order: Any) -> dict[str, Any]:
    """The same by all these processes at once; from the first one's first step to the last one's last."""
    for place, worker in enumerate(workers):
        worker.begin("speed.members:bare", place=place, processes=len(workers), **order)
    told = [worker.answer("speed.members:bare") for worker in workers]
    span = max(each["ended"] for each in told) - min(each["began"] for each in told)
    losses = [told[n % len(told)]["losses"][n // len(told)] for n in range(order["members"])]
    training = max(each["training"] for each in told)
    return {"seconds": span / told[0]["steps"], "training": training, "losses": losses}


def stacked(overrides: list[str], members: int, device: str) -> dict[str, Any]:
    """The same of one stack, from what its members record."""
    from seqsweep.stacking.jobs import run
    from seqsweep.stacking.stack import TrialStack

    training, step = 0.0, TrialStack.step

    def timed(stack: TrialStack) -> None:
        nonlocal training
        _wait_for(device)
        began = time.perf_counter()
        step(stack)
        _wait_for(device)
        training += time.perf_counter() - began

    TrialStack.step = timed  # type: ignore[method-assign]
    try:
        told = _recorded(overrides, members, run)
    finally:
        TrialStack.step = step  # type: ignore[method-assign]
    return {**told, "training": training / told["steps"]}


def _wait_for(device: str) -> None:
    """Until the device has done what it was given."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def alone(overrides: list[str], members: int, device: str) -> dict[str, Any]:
    """The same of our own runs, one after another."""
    from seqsweep.training.jobs import run

    def each(payloads: list[Any], contexts: list[Any]) -> Iterator[tuple[int, Any]]:
        for place, (payload, context) in enumerate(zip(payloads, contexts, strict=True)):
            yield place, run(payload, context)

    return _recorded(overrides, members, each, separately=True)


def _recorded(
    overrides: list[str], members: int, run: Callable[..., Any], separately: bool = False
) -> dict[str, Any]:
    """Run them; from what they record, seconds a step of all, each one's losses, and the steps.

    ``losses`` are those of the validations, ``begun`` those of the first steps.
    """
    import torch

    from seqsweep.protocol import Complete, LocalContext

    torch.set_num_threads(1)
    payloads = [
        {"config": config, "goal": {"metric": "val/loss", "direction": "minimize", "test": False}}
        for config in configurations(overrides, members)
    ]
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / str(number) for number in range(members)]
        for folder in folders:
            folder.mkdir()
        contexts = [LocalContext(folder, trial=number) for number, folder in enumerate(folders)]
        for place, outcome in run(payloads, contexts):
            assert isinstance(outcome, Complete), f"member {place}: {outcome}"
        losses = [[epoch.metrics["val/loss"] for epoch in epochs_of(folder)] for folder in folders]
        groups = [[folder] for folder in folders] if separately else [folders]
        return {
            "seconds": sum(map(seconds_a_step, groups)),
            "losses": losses,
            "begun": [step_losses(folder)[:BEGUN] for folder in folders],
            "steps": epochs_of(folders[0])[-1].step,
        }
