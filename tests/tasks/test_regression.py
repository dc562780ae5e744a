from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch import Trainer
from matplotlib.figure import Figure
from torch.nn import functional as F
from torch.optim import Adam

from models.model_cases import NUMBERS, generator, numbers
from seqsweep.data import Batch, Batches, Examples
from seqsweep.errors import ConfigError
from seqsweep.models import GRU
from seqsweep.tasks import Regression, RemainingUsefulLife
from seqsweep.tasks.regression import CmapssScore

SPEC = replace(
    NUMBERS,
    kind="regression",
    output_size=2,
    class_names=(),
    target_names=("a", "b"),
    target_means=(10.0, -5.0),
    target_scales=(2.0, 3.0),
)
LENGTHS = torch.tensor([6, 3, 1, 2, 6, 5])


def task(kind: Any = Regression, **options: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return kind(GRU(SPEC, hidden_size=4), SPEC, Adam, **options)


def batch(size: int = 6) -> Batch:
    return Batch(numbers(size), torch.randn(size, 2, generator=generator()), LENGTHS[:size])


def loss(made: Any, given: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    found, _, outputs = made.loss(*made.tensors(), given, None, None)
    return found, outputs


@pytest.mark.parametrize(
    ("name", "penalty"),
    [
        ("mse", torch.square),
        ("mae", torch.abs),
        ("huber", lambda d: torch.where(d.abs() < 1, d**2 / 2, d.abs() - 0.5)),
    ],
)
def test_the_loss_is_on_standardised_targets(name: str, penalty: Any) -> None:
    found, outputs = loss(task(loss=name), batch())
    assert outputs.shape == (6, 2)
    torch.testing.assert_close(found, penalty(outputs - batch().targets).mean())


@given(padding=st.integers(0, 4), order=st.permutations(range(6)), cut=st.integers(1, 5))
@settings(deadline=None, max_examples=15)
def test_padding_order_and_parts_change_nothing(padding: int, order: list[int], cut: int) -> None:
    made, whole = task(), batch()
    expected, outputs = loss(made, whole)
    padded = replace(whole, inputs=F.pad(whole.inputs, (0, 0, 0, padding), value=7.0))
    torch.testing.assert_close(loss(made, padded)[0], expected)
    permuted = Batch(whole.inputs[order], whole.targets[order], LENGTHS[order])
    torch.testing.assert_close(loss(made, permuted)[1], outputs[order])
    torch.testing.assert_close(loss(made, permuted)[0], expected)
    parts = [
        Batch(whole.inputs[rows], whole.targets[rows], LENGTHS[rows]) for rows in (slice(cut), slice(cut, 6))
    ]
    mean = sum(loss(made, part)[0] * len(part) for part in parts) / 6
    torch.testing.assert_close(mean, expected)
    measures = made.make_measures()
    for part in parts:
        made.measure(measures, part)
    torch.testing.assert_close(measures["loss"].compute(), expected)


def test_measures_by_hand_in_own_units() -> None:
    made, whole = task(RemainingUsefulLife), batch()
    measures = made.make_measures()
    made.measure(measures, whole)
    outputs = loss(made, whole)[1]
    off = (outputs - whole.targets) * torch.tensor([2.0, 3.0])
    assert measures["rmse"].compute().item() == pytest.approx(off.square().mean().sqrt().item(), rel=1e-5)
    assert measures["mae"].compute().item() == pytest.approx(off.abs().mean().item(), rel=1e-5)
    score = sum(math.exp(-d / 13) - 1 if d < 0 else math.exp(d / 10) - 1 for d in off.flatten().tolist())
    assert measures["cmapss_score"].compute().item() == pytest.approx(score, rel=1e-4)
    predicted = torch.tensor(made.predictions(whole))
    torch.testing.assert_close(predicted, outputs * torch.tensor([2.0, 3.0]) + torch.tensor([10.0, -5.0]))
    for kind in (Regression, RemainingUsefulLife):
        logged = kind.make_measures(made).keys() - kind.kept
        assert {f"val/{name}" for name in logged} == set(kind.metrics)
        assert kind.monitor == ("val/rmse", "minimize")


def test_the_cmapss_score_by_hand() -> None:
    score = CmapssScore()
    score.update(torch.tensor([[110.0], [87.0]]), torch.tensor([[100.0], [100.0]]))
    assert score.compute().item() == pytest.approx((math.e - 1) + (math.e - 1), rel=1e-6)
    score.update(torch.tensor([[50.0]]), torch.tensor([[50.0]]))
    assert score.compute().item() == pytest.approx(2 * (math.e - 1), rel=1e-6)
    late, early = CmapssScore(), CmapssScore()
    late.update(torch.tensor([20.0]), torch.tensor([0.0]))
    early.update(torch.tensor([0.0]), torch.tensor([20.0]))
    assert late.compute() > early.compute()


def test_without_means_and_scales_nothing_is_changed() -> None:
    spec = replace(SPEC, target_means=(), target_scales=(), target_names=())
    made = Regression(GRU(spec, hidden_size=4), spec, Adam)
    values = torch.randn(3, 2)
    assert torch.equal(made.in_own_units(values), values)
    assert list(made.state_dict()) == list(task().state_dict())


def test_a_picture_of_the_last_test(tmp_path: Any) -> None:
    made = task()
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        default_root_dir=tmp_path,
    )
    examples = Examples(batch().inputs, batch().targets, LENGTHS)
    trainer.test(made, Batches(examples, 4), verbose=False)
    [figure] = made.pictures().values()
    assert isinstance(figure, Figure)
    assert [axes.get_xlabel() for axes in figure.axes] == ["true a", "true b"]
    assert len(made.tested["pairs"]) == 6
    figure.savefig(tmp_path / "a.png")


def test_wrong_options() -> None:
    with pytest.raises(
        ConfigError, match="loss=hubert: expected one of mse, mae, huber; did you mean 'huber'"
    ):
        task(loss="hubert")
    with pytest.raises(ConfigError, match="expected task=classification"):
        Regression(GRU(NUMBERS, hidden_size=4), NUMBERS, Adam)
