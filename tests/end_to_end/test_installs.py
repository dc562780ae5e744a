"""Installed as a wheel into an empty environment, and editable: found from any folder, both ways."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

pytestmark = [pytest.mark.real, pytest.mark.timeout(1500)]

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that holds the lock's packages and our wheel, nothing else."""
    folder = tmp_path_factory.mktemp("install")
    source = folder / "source"
    ignored = shutil.ignore_patterns(
        ".git", ".venv", "multirun", "outputs", "mlartifacts", "*.db*", "__pycache__"
    )
    shutil.copytree(REPOSITORY, source, ignore=ignored)
    call(
        sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, source
    )
    shutil.rmtree(source)
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    call(python, "-m", "pip", "install", "-q", "-r", REPOSITORY / "requirements.lock")
    (wheel,) = folder.glob("seqsweep-*.whl")
    call(python, "-m", "pip", "install", "-q", "--no-deps", wheel)
    call(python, "-m", "pip", "check")
    return python.parent


def call(*words: object, cwd: Path | None = None) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check(seqsweep: Path, folder: Path) -> None:
    """conf, sweeps and plugins are found from a folder that has nothing to do with the installation."""
    folder.mkdir()
    assert call(seqsweep, "sweep", "digits", "--dry-run", cwd=folder).startswith("trial 0: ")
    assert "hydra_plugins.seqsweep" in call(seqsweep, "train", "--info", "plugins", cwd=folder)
    assert "model:" in call(seqsweep, "train", "--cfg", "job", "model=lstm", cwd=folder)
    assert list(folder.glob("*.db")) == []
    call(seqsweep, "train", "trainer.max_epochs=1", cwd=folder)
    assert (folder / "mlflow.db").is_file()
    call(seqsweep, "sweep", "digits", "hydra.sweeper.n_trials=2", "trainer.max_epochs=1", cwd=folder)
    assert "digits" in call(seqsweep, "list", cwd=folder)


def test_the_wheel(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEQSWEEP_HOME")
    check(installed / "seqsweep", tmp_path / "elsewhere")


def test_editable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEQSWEEP_HOME")
    script = Path(sys.executable).parent / "seqsweep"
    assert script.is_file(), "make sets up an editable installation"
    check(script, tmp_path / "elsewhere")


def test_a_foreign_hydra_application_beside_the_wheel(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text("x: 1\n")
    (tmp_path / "app.py").write_text(
        "import hydra\n"
        "@hydra.main(version_base='1.3', config_path='conf', config_name='config')\n"
        "def app(config):\n    print(config)\n"
        "if __name__ == '__main__':\n    app()\n"
    )
    python = installed / "python"
    assert call(python, "app.py", cwd=tmp_path) == "{'x': 1}\n"
    assert "seqsweep" not in call(python, "app.py", "--info", "searchpath", cwd=tmp_path)
