"""What is said of trials that cannot be trained as one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from seqsweep.cli.stacks import Stacks
from seqsweep.launching import make_slots
from seqsweep.protocol import Job
from training.tiny import config


def said(*configs: dict[str, Any]) -> list[str]:
    """Of trials with these models, or other parts."""
    lines: list[str] = []
    executor: Any = SimpleNamespace(slots=lambda: make_slots((), cores=1, seats=4))
    stacks = Stacks(executor, lines.append)
    for trial, parts in enumerate(configs):
        stacks.seated(Job(trial, "an:entry", {"config": config(**parts)}, "."))
    return lines


def gru(size: int, **parts: Any) -> dict[str, Any]:
    return {"model": {"_target_": "seqsweep.models.GRU", "_partial_": True, "hidden_size": size}, **parts}


def test_what_keeps_the_first_ones_apart() -> None:
    sgd = {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.1}
    assert said(gru(4), gru(5), gru(6, optimizer=sgd), gru(7), gru(8)) == [
        "no two of trials 0, 1, 2, 3 can be trained as one: they differ in model.hidden_size, optimizer"
    ]


def test_nothing_where_two_are_alike_or_too_few_have_come() -> None:
    assert said(gru(4), gru(5), gru(6)) == []
    assert said(gru(4), gru(5), gru(4, seed=3), gru(6), gru(7), gru(8), gru(9)) == []


def test_those_that_run_alone_anyway_are_not_among_them() -> None:
    lstm = {"model": {"_target_": "seqsweep.models.LSTM", "_partial_": True, "hidden_size": 4}}
    lines = said(gru(4), lstm, gru(5), lstm, gru(6), gru(7))
    assert [line.split(":")[0] for line in lines] == [
        "trial 1 runs alone",
        "no two of trials 0, 2, 4, 5 can be trained as one",
    ]
