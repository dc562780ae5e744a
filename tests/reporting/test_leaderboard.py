from __future__ import annotations

import io
import math

import optuna
import pytest
from optuna.trial import TrialState, create_trial
from rich.console import Console

from seqsweep.reporting.leaderboard import Row, leaderboard, print_leaderboard, varying

SPACE = {
    "model": optuna.distributions.CategoricalDistribution(["rnn", "lstm", "gru"]),
    "model.hidden_size": optuna.distributions.CategoricalDistribution([32, 64]),
    "optimizer.lr": optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True),
    "data.batch_size": optuna.distributions.IntDistribution(8, 64),
}


def given(number: int) -> dict[str, object]:
    model = ("rnn", "lstm", "gru")[number % 3]
    return {
        "model": model,
        "model.hidden_size": 64,
        "optimizer.lr": 0.000123456 * (number + 1),
        "data.batch_size": 16,
    }


@pytest.fixture
def study() -> optuna.Study:
    study = optuna.create_study(direction="maximize")
    trials = [
        create_trial(params=given(0), distributions=SPACE, value=0.9, user_attrs={"seqsweep.seconds": 75.4}),
        create_trial(
            params=given(1),
            distributions=SPACE,
            state=TrialState.PRUNED,
            intermediate_values={1: 0.8, 2: 0.3},
            user_attrs={"seqsweep.state": "pruned", "seqsweep.best": 0.8},
        ),
        create_trial(
            params=given(2),
            distributions=SPACE,
            state=TrialState.FAIL,
            user_attrs={"seqsweep.state": "failed", "seqsweep.error": "ValueError: [bold]odd\nTraceback"},
        ),
        create_trial(
            params=given(3),
            distributions=SPACE,
            state=TrialState.PRUNED,
            user_attrs={"seqsweep.state": "infeasible", "seqsweep.error": "out of memory"},
        ),
        create_trial(params=given(4), distributions=SPACE, value=0.95),
        create_trial(params=given(5), distributions=SPACE, state=TrialState.RUNNING),
    ]
    study.add_trials(trials)
    return study


def printed(
    rows: list[Row],
    width: int = 80,
    most: int | None = 30,
    terminal: bool = False,
    metrics: tuple[str, ...] = ("val/accuracy",),
) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)
    print_leaderboard(rows, metrics, console, most)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_best_first_then_the_others_by_state(study: optuna.Study) -> None:
    rows = leaderboard(study)
    assert [(row.trial, row.state) for row in rows] == [
        (4, "complete"),
        (0, "complete"),
        (1, "pruned"),
        (3, "infeasible"),
        (2, "failed"),
        (5, "running"),
    ]
    assert [row.value for row in rows] == [0.95, 0.9, 0.8, None, None, None]
    assert rows[1].seconds == 75.4


def test_minimizing_turns_the_order() -> None:
    study = optuna.create_study()
    study.add_trials([create_trial(value=value) for value in (3.0, 1.0, 2.0)])
    assert [row.value for row in leaderboard(study)] == [1.0, 2.0, 3.0]


def test_with_several_objectives_the_front_comes_first() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    values = [(0.9, 5.0), (0.8, 1.0), (0.7, 3.0), (0.95, 9.0)]
    study.add_trials([create_trial(values=list(pair)) for pair in values])
    rows = leaderboard(study)
    assert [(row.trial, row.leads) for row in rows] == [(3, True), (0, True), (1, True), (2, False)]
    lines = printed(rows, metrics=("val/accuracy", "system/seconds")).splitlines()
    assert lines[0].split()[:4] == ["#", "state", "val/accuracy", "system/seconds"]
    assert lines[2].split()[:4] == ["3", "complete", "0.95", "9"]
    assert lines[-1] == "Pareto front: trials 3, 0, 1"


def test_trials_of_a_foreign_study_have_states_and_values_too() -> None:
    study = optuna.create_study()
    study.add_trials(
        [
            create_trial(state=TrialState.FAIL),
            create_trial(state=TrialState.PRUNED, intermediate_values={0: 2.0}),
            create_trial(state=TrialState.PRUNED, intermediate_values={0: math.nan}),
        ]
    )
    assert [(row.trial, row.state) for row in leaderboard(study)] == [
        (1, "pruned"),
        (2, "pruned"),
        (0, "failed"),
    ]


def test_parameters_that_never_differ_are_left_out(study: optuna.Study) -> None:
    rows = leaderboard(study)
    assert varying(rows) == ["model", "optimizer.lr"]
    assert varying(rows[:1]) == ["model", "model.hidden_size", "optimizer.lr", "data.batch_size"]


def test_a_table_of_eighty_columns(study: optuna.Study) -> None:
    text = printed(leaderboard(study))
    lines = text.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].split() == ["#", "state", "val/accuracy", "model", "lr", "time"]
    assert lines[2].split() == ["4", "complete", "0.95", "lstm", "0.000617", "-"]
    assert lines[3].split() == ["0", "complete", "0.9", "rnn", "0.000123", "1:15"]
    assert "trial 2 failed: ValueError: [bold]odd" in text
    assert "trial 3 infeasible: out of memory" in text
    assert "Traceback" not in text


def test_the_demo_fits_eighty_columns() -> None:
    rows = [
        Row(
            number,
            "infeasible",
            0.98123,
            {**given(number), "model.hidden_size": size, "data.batch_size": size},
            13.5,
        )
        for number, size in enumerate((32, 64, 128))
    ]
    head = printed(rows).splitlines()[0].split()
    assert head == ["#", "state", "val/accuracy", "model", "hidden_size", "lr", "batch_size", "time"]


def test_where_room_is_short_parameters_share_a_column(study: optuna.Study) -> None:
    lines = printed(leaderboard(study), width=46).splitlines()
    assert all(len(line) <= 46 for line in lines if not line.startswith("trial"))
    assert lines[0].split() == ["#", "state", "val/accuracy", "parameters", "time"]


def test_long_tables_are_cut_and_say_so() -> None:
    rows = [Row(number, "complete", float(number), {"x": number}) for number in range(50)]
    text = printed(rows, most=10)
    assert "... and 40 more" in text
    assert len(text.splitlines()) == 13


def test_no_trials() -> None:
    assert printed([]).strip() == "no trials yet"


def test_another_programs_values_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    row = Row(0, "complete", 0.5, {"act[bold]": "[/x]", "layer": "[relu]"}, values=(0.5,))
    print_leaderboard([row], ["loss"], Console(width=200, force_terminal=False))
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("act[bold]", "[/x]", "[relu]"))
