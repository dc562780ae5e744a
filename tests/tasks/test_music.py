from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch import Trainer
from torch.nn import functional as F
from torch.optim import Adam

from models.model_cases import generator
from seqsweep.data import Batch, Batches, Examples
from seqsweep.errors import ConfigError
from seqsweep.models import GRU
from seqsweep.spec import DataSpec
from seqsweep.tasks import Classification, Music

SPEC = DataSpec(name="tunes", kind="music", per_step=True, input_size=5, output_size=5)
LENGTHS = torch.tensor([6, 3, 1, 2])


def task() -> Music:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Music(GRU(SPEC, hidden_size=4), SPEC, Adam)


def batch() -> Batch:
    frames = (torch.rand(4, 7, 5, generator=generator()) < 0.4).long()
    return Batch(frames[:, :-1].float(), frames[:, 1:], LENGTHS, LENGTHS)


def loss(made: Music, given: Batch) -> float:
    return made.loss(*made.tensors(), given, None, None)[0].item()


def test_a_frames_nll_by_hand() -> None:
    made, given = task(), batch()
    shares = made.loss(*made.tensors(), given, None, None)[2].sigmoid()
    frames = [
        sum(
            -math.log(p if on else 1 - p)
            for p, on in zip(shares[row, step].tolist(), given.targets[row, step].tolist(), strict=True)
        )
        for row, length in enumerate(LENGTHS)
        for step in range(int(length))
    ]
    assert len(frames) == 12
    assert loss(made, given) == pytest.approx(sum(frames) / 12, rel=1e-5)
    measures = made.make_measures()
    made.measure(measures, given)
    assert measures["nll"].compute().item() == pytest.approx(sum(frames) / 12, rel=1e-5)
    assert {f"val/{name}" for name in measures.keys() - made.kept} == set(Music.metrics)


def test_a_model_that_knows_nothing_has_the_logarithm_of_two_a_key() -> None:
    made = task()
    zeros = {name: torch.zeros_like(value) for name, value in made.tensors()[0].items()}
    found, _, _ = made.loss(zeros, {}, batch(), None, None)
    assert found.item() == pytest.approx(5 * math.log(2))


@given(padding=st.integers(0, 4), order=st.permutations(range(4)), cut=st.integers(1, 3))
@settings(deadline=None, max_examples=15)
def test_padding_order_and_parts_change_nothing(padding: int, order: list[int], cut: int) -> None:
    made, whole = task(), batch()
    expected = loss(made, whole)
    padded = replace(
        whole,
        inputs=F.pad(whole.inputs, (0, 0, 0, padding), value=1.0),
        targets=F.pad(whole.targets, (0, 0, 0, padding), value=1),
    )
    assert loss(made, padded) == pytest.approx(expected, rel=1e-5)
    permuted = Batch(whole.inputs[order], whole.targets[order], LENGTHS[order], LENGTHS[order])
    assert loss(made, permuted) == pytest.approx(expected, rel=1e-5)
    measures = made.make_measures()
    for rows in (slice(cut), slice(cut, 4)):
        made.measure(measures, Batch(whole.inputs[rows], whole.targets[rows], LENGTHS[rows], LENGTHS[rows]))
    for name in ("loss", "nll"):
        assert measures[name].compute().item() == pytest.approx(expected, rel=1e-5)


def test_probabilities_of_true_frames_only() -> None:
    made, given = task(), batch()
    said = made.predictions(given)
    assert [len(piece) for piece in said] == LENGTHS.tolist()
    logits = made.loss(*made.tensors(), given, None, None)[2]
    assert said[1][2] == pytest.approx(logits[1, 2].sigmoid().tolist())


def test_a_picture_of_the_first_piece(tmp_path: Any) -> None:
    made, given = task(), batch()
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        default_root_dir=tmp_path,
    )
    examples = Examples(given.inputs, given.targets, LENGTHS, LENGTHS)
    trainer.test(made, Batches(examples, 2), verbose=False)
    predicted, true = made.tested["first"]
    assert torch.equal(true.long(), given.targets[0])
    assert predicted.shape == (6, 5)
    made.pictures()["piano_roll"].savefig(tmp_path / "a.png")
    trainer.test(made, Batches(examples.between(1, 4), 3), verbose=False)
    assert made.tested["first"].shape == (2, 3, 5)


def test_other_tasks_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected task=music"):
        Classification(GRU(SPEC, hidden_size=4), SPEC, Adam)
