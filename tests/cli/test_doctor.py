from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import optuna
import pytest

from seqsweep import paths
from seqsweep.catalogue import SETS
from seqsweep.cli import main
from seqsweep.tracking.mlflow_store import connect


@pytest.fixture(autouse=True)
def elsewhere(isolated_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(isolated_home)


def ask(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict[str, str]]]:
    status = main(["doctor", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] == (status == 0)
    return status, {finding["subject"]: finding for finding in document["findings"]}


def test_all_is_well_and_nothing_is_written(isolated_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = ask(capsys)
    assert status == 0
    assert found["torch"]["detail"].startswith("2.")
    assert "not made yet" in found["tracking"]["detail"]
    assert int(found["cores"]["detail"]) >= 1
    assert not list(isolated_home.iterdir())
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.endswith("nothing is wrong\n")


def test_it_imports_nothing_heavy(isolated_home: Path) -> None:
    program = (
        "import sys; from seqsweep.cli import main; status = main(['doctor']);"
        "assert not {'torch', 'lightning', 'mlflow', 'optuna'} & set(sys.modules); sys.exit(status)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


def test_stores_that_are_there(isolated_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    connect(paths.tracking_uri())
    optuna.create_study(study_name="x", storage=paths.study_storage())
    status, found = ask(capsys)
    assert status == 0
    assert found["tracking"]["detail"].endswith("mlflow.db, 0 runs")
    assert found["studies"]["detail"].endswith("optuna.db, 1 studies")


OLDER, NEWER = "451aebb31d03", "abcdef"


@pytest.mark.parametrize(
    ("schema", "mend"), [(OLDER, "mlflow db upgrade sqlite:///"), (NEWER, "install the MLflow that")]
)
def test_a_store_of_another_schema(
    isolated_home: Path, capsys: pytest.CaptureFixture[str], schema: str, mend: str
) -> None:
    import sqlite3
    from contextlib import closing

    connect(paths.tracking_uri())
    with closing(sqlite3.connect(isolated_home / "mlflow.db")) as store:
        store.execute(f"UPDATE alembic_version SET version_num = '{schema}'")
        store.commit()
    status, found = ask(capsys)
    assert status == 1
    assert mend in found["tracking"]["mend"]


def test_broken_stores_and_leftovers(isolated_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (isolated_home / "optuna.db").write_text("no database")
    (isolated_home / "mlartifacts").write_text("no folder")
    (isolated_home / "mlruns" / "0").mkdir(parents=True)
    (isolated_home / "mlruns" / "0" / "meta.yaml").write_text("")
    status, found = ask(capsys)
    assert status == 1
    assert "move it away" in found["studies"]["mend"]
    assert "is a file, not a folder" in found["artifacts"]["mend"]
    assert found["leftover"]["mend"].endswith("mlruns.old")
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "to mend" in out
    assert "! leftover" in out


def test_a_server_that_is_away(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    status, found = ask(capsys)
    assert status == 1
    assert "does not answer" in found["tracking"]["mend"]


def test_packages_that_are_missing_old_or_malicious(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    versions = {"lightning": "2.6.3", "optuna": "4.0.0"}
    real = metadata.version

    def version(package: str) -> str:
        if package == "mlflow":
            raise metadata.PackageNotFoundError
        return versions.get(package) or real(package)

    def requires(package: str) -> list[str]:
        return ["lightning>=2.6.6", "mlflow<3.18,>=3.17", "optuna>=5", "pytest>=8; extra == 'dev'"]

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(metadata, "requires", requires)
    status, found = ask(capsys)
    assert status == 1
    assert "malware" in found["lightning"]["mend"]
    assert found["optuna"]["mend"] == "pip install 'optuna>=5'"
    assert found["mlflow"]["detail"] == "missing"


def test_data(isolated_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = isolated_home / "data" / "mnist"
    folder.mkdir(parents=True)
    assert ask(capsys)[1]["others"]["detail"] == "17 named sets are not there: seqsweep data list"
    first, *others = (file.name for file in SETS["mnist"].files)
    (folder / f"{first}.gz").write_text("")
    assert ask(capsys)[1]["mnist"]["detail"] == f"lacks {', '.join(others)}"
    for name in others:
        (folder / name).write_text("")
    assert ask(capsys)[1]["mnist"]["detail"] == str(folder)


def test_gpus_are_listed_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho '0, Some GPU, 1000 MiB, 10 MiB, 500.1'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=":")
    assert ask(capsys)[1]["gpu"]["detail"].startswith("0, Some GPU")
