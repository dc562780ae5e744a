from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "lightning", "mlflow", "optuna"}


def modules_after(*arguments: str, cwd: Path) -> tuple[str, set[str]]:
    """What a command printed, and which modules it had imported by its end."""
    code = (
        "import sys\n"
        "from seqsweep.cli import main\n"
        "try:\n    status = main(sys.argv[1:])\n"
        "except SystemExit as stop:\n    status = stop.code\n"
        "assert not status, status\n"
        "print('MODULES', *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, cwd=cwd
    )
    printed, _, modules = done.stdout.rpartition("MODULES")
    return printed, set(modules.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        *(
            [name, "--help"]
            for name in (
                "train",
                "sweep",
                "list",
                "rm",
                "ui",
                "evaluate",
                "predict",
                "reproduce",
                "data",
                "doctor",
            )
        ),
    ],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    printed, modules = modules_after(*arguments, cwd=tmp_path)
    assert printed.startswith("usage: seqsweep")
    assert modules & HEAVY == set()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["data", "list"], ["doctor", "--json"]], ids=" ".join)
def test_looking_around_imports_no_torch(arguments: list[str], tmp_path: Path) -> None:
    _, modules = modules_after(*arguments, cwd=tmp_path)
    assert modules & {"torch", "lightning", "mlflow"} == set()


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    from seqsweep.cli import main

    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"seqsweep {version('seqsweep')}\n"


def test_the_driver_of_a_sweep_never_imports_torch(tmp_path: Path) -> None:
    _, modules = modules_after("sweep", "digits", "--dry-run", cwd=tmp_path)
    assert modules & {"torch", "lightning", "mlflow"} == set()


def test_the_package_is_light(tmp_path: Path) -> None:
    code = "import seqsweep, sys; seqsweep.load_study, seqsweep.load_run; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert set(done.stdout.split()) & (HEAVY | {"pandas", "hydra"}) == set()


APP = """
import hydra
import sys

@hydra.main(version_base="1.3", config_path=None, config_name="config")
def app(config):
    print(config.hydra_free if "hydra_free" in config else "plain")
    print("MODULES", *(set(sys.modules) & {"torch", "lightning", "mlflow", "optuna", "seqsweep"}))

from hydra.core.config_store import ConfigStore
ConfigStore.instance().store(name="config", node={"hydra_free": "untouched"})

if __name__ == "__main__":
    app()
"""


def test_an_unrelated_hydra_application_is_unchanged(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    done = subprocess.run(
        [sys.executable, "app.py"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.split() == ["untouched", "MODULES"]
    info = subprocess.run(
        [sys.executable, "app.py", "--info", "searchpath"],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert "seqsweep" not in info.stdout
