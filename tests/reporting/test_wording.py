from __future__ import annotations

import pytest

from seqsweep.reporting import wording


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.0 s"), (4.24, "4.2 s"), (187, "3:07"), (7387, "2:03:07"), (59.99, "1:00")]
)
def test_duration(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text


def test_names_are_as_short_as_they_can_be() -> None:
    names = ["model", "model.hidden_size", "optimizer.lr", "scheduler.lr", "model.decoder.hidden_size"]
    assert list(wording.short_names(names).values()) == [
        "model",
        "model.hidden_size",
        "optimizer.lr",
        "scheduler.lr",
        "decoder.hidden_size",
    ]
    assert wording.short_names(["optimizer.lr"]) == {"optimizer.lr": "lr"}


def test_parameters() -> None:
    assert wording.parameters({"model": "gru", "optimizer.lr": 0.0012345, "n": 3, "flag": None}) == (
        "model=gru lr=0.00123 n=3 flag=null"
    )
