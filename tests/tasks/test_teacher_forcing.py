"""How often the true token is fed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch import Trainer
from torch.optim import Adam

from models.model_cases import PAIRS, pairs
from seqsweep.errors import ConfigError
from seqsweep.models import Seq2Seq as Model
from seqsweep.tasks import Seq2Seq
from seqsweep.tasks.teacher_forcing import SCHEDULES, TeacherForcing
from training.pairs import Copying

shares = st.floats(0.01, 1)


@given(shares, shares, st.sampled_from(SCHEDULES), st.floats(0, 1), st.floats(0, 1))
def test_from_start_to_end_without_turning_back(
    start: float, end: float, schedule: str, one: float, other: float
) -> None:
    forcing = TeacherForcing(start, end, schedule)
    assert forcing.at(0) == pytest.approx(start)
    assert forcing.at(1) == pytest.approx(end)
    assert forcing.at(1.2) == forcing.at(1)  # accumulated gradients make a run's length an estimate
    first, second = (forcing.at(progress) for progress in sorted((one, other)))
    assert (second - first) * (end - start) >= -1e-9
    assert 0 <= first <= 1


def test_half_way() -> None:
    assert TeacherForcing(1.0, 0.0).at(0.5) == pytest.approx(0.5)
    assert TeacherForcing(1.0, 0.01, "exponential").at(0.5) == pytest.approx(0.1)
    assert TeacherForcing(1.0, 0.0, "inverse_sigmoid").at(0.5) == pytest.approx(0.5)
    assert TeacherForcing(1.0, 0.0, "inverse_sigmoid").at(0.1) > 0.97
    assert TeacherForcing(0.8).at(0.5) == 0.8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"teacher_forcing_end": 1.5}, "teacher_forcing_end=1.5: expected a number from 0 to 1"),
        (
            {"teacher_forcing_schedule": "cubic", "teacher_forcing_end": 0.5},
            "teacher_forcing_schedule=cubic: expected one of",
        ),
        (
            {"teacher_forcing_schedule": "exponential"},
            "expected linear, the default, with teacher_forcing_end=null",
        ),
        (
            {"teacher_forcing_schedule": "exponential", "teacher_forcing_end": 0},
            "teacher_forcing_end=0: expected a number above 0",
        ),
    ],
)
def test_wrong_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Seq2Seq(Model(PAIRS, hidden_size=4), PAIRS, Adam, **options)


class Noting(Model):
    """Notes how often it is to be fed the true token."""

    def draw_masks(self, batch: Any, generator: Any, teacher_forcing: float = 1.0) -> Any:
        self.noted = [*getattr(self, "noted", []), teacher_forcing]
        return super().draw_masks(batch, generator, teacher_forcing)


@pytest.mark.parametrize(
    ("accumulated", "expected"), [(1, [1.0, 0.9, 0.8, 0.7, 0.6]), (2, [1.0, 1.0, 0.8, 0.8, 0.6])]
)
def test_a_run_asks_by_its_place_in_it(accumulated: int, expected: list[float]) -> None:
    data = Copying(batch_size=32)
    made = Seq2Seq(Noting(data.spec, hidden_size=4), data.spec, Adam, teacher_forcing_end=0.0)
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        accumulate_grad_batches=accumulated,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(made, datamodule=data)
    noted: Any = made.model.noted
    assert len(noted) == 10
    assert noted[:5] == pytest.approx(expected)
    assert made.draw_masks(pairs()).forced.sum() == 0  # when all is done
