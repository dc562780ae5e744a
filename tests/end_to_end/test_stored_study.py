"""The best run of a study, used again by its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from end_to_end.driving import run

pytestmark = pytest.mark.real


def test_a_studys_best_is_tested_and_can_be_tested_again(isolated_home: Path) -> None:
    study = ["hydra.sweeper.n_trials=2", "hydra.launcher.workers=1", "trainer.max_epochs=1", "threads=1"]
    swept = run(isolated_home, "sweep", "digits", *study)
    assert swept.returncode == 0, swept.stderr
    (pictures,) = isolated_home.glob("multirun/digits/*/pictures")
    assert {path.parents[1].name for path in isolated_home.glob("mlartifacts/*/*/artifacts/pictures")} == {
        path.parents[1].name
        for path in isolated_home.glob("mlartifacts/*/*/artifacts/config.yaml")
        if (pictures.parent / "config.yaml").read_text() == path.read_text()
    }
    tested = run(isolated_home, "evaluate", "digits/best", "--json")
    document = json.loads(tested.stdout)
    assert (document["name"], document["same"]) == (f"digits/{pictures.parent.name}", True)
    assert run(isolated_home, "evaluate", f"digits/{pictures.parent.name}", "--json").stdout == tested.stdout

    other = run(isolated_home, "evaluate", f"digits/{1 - int(pictures.parent.name)}")
    assert "recorded: nothing, the run was not tested before" in other.stdout
