"""A study's copy of its configuration files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from seqsweep.cli.frozen import FrozenConf

FILES = {
    "app/config.yaml": "defaults: [model: small, extra: none, _self_]\nlr: 0.1\nhydra: {searchpath: [file://SHARED, pkg://frozen_package.conf]}\n",
    "app/model/small.yaml": "size: 1\n",
    "app/model/large.yaml": "size: 9\n",
    "app/multirun/old/.hydra/config.yaml": "not: copied\n",
    "shared/model/small.yaml": "size: never seen, the first source wins\n",
    "shared/model/huge.yaml": "size: 99\n",
    "shared/extra/none.yaml": "{}\n",
    "frozen_package/__init__.py": "",
    "frozen_package/conf/__init__.py": "",
    "frozen_package/conf/extra/packed.yaml": "from_package: true\n",
}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("SHARED", str(tmp_path / "shared")))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("frozen_package")]:
        del sys.modules[name]


def live(files: Path, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(files / "app"), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        return loader.load_configuration("config", list(overrides), RunMode.MULTIRUN)


def task(config: DictConfig) -> dict[str, Any]:
    return {key: config[key] for key in config if key != "hydra"}


@pytest.fixture
def frozen(files: Path) -> FrozenConf:
    copy = FrozenConf(files / "study")
    copy.write(live(files, "model=large", "lr=0.2"))
    return copy


def trial(frozen: FrozenConf, *overrides: str) -> dict[str, Any]:
    return task(frozen.loader().load_sweep_config(frozen.compose(), list(overrides)))


def test_it_composes_what_the_files_did(frozen: FrozenConf) -> None:
    assert task(frozen.compose()) == {"model": {"size": 9}, "extra": {}, "lr": 0.2}
    assert trial(frozen, "model=huge", "extra=packed", "lr=3") == {
        "model": {"size": 99},
        "extra": {"from_package": True},
        "lr": 3,
    }


def test_edited_and_removed_files_change_nothing(files: Path, frozen: FrozenConf) -> None:
    (files / "app/model/small.yaml").write_text("size: 2\n")
    (files / "shared/model/huge.yaml").unlink()
    (files / "app/config.yaml").write_text("lr: 7\n")
    assert trial(frozen, "model=small") == {"model": {"size": 1}, "extra": {}, "lr": 0.1}
    assert trial(frozen, "model=huge")["model"] == {"size": 99}


def test_results_are_not_copied(frozen: FrozenConf) -> None:
    assert not [path for path in frozen.folder.rglob("*") if "multirun" in path.parts[-3:]]


def test_a_file_added_later_is_not_seen_by_trials(files: Path, frozen: FrozenConf) -> None:
    (files / "app/model/new.yaml").write_text("size: 5\n")
    with pytest.raises(HydraException):
        trial(frozen, "model=new")


def test_recomposed_it_has_the_study_file_of_now_and_all_else_of_then(
    files: Path, frozen: FrozenConf
) -> None:
    (files / "app/model/large.yaml").write_text("size: 10\n")
    (files / "app/model/new.yaml").write_text("size: 5\n")
    (files / "app/config.yaml").write_text(
        FILES["app/config.yaml"].replace("SHARED", f"{files}/shared") + "more: 1\n"
    )
    now = live(files, "model=large")
    assert task(now)["model"] == {"size": 10}
    assert task(frozen.recompose(now)) == {"model": {"size": 9}, "extra": {}, "lr": 0.1, "more": 1}
    assert task(frozen.recompose(live(files, "model=new")))["model"] == {"size": 5}
    assert frozen.edited(now) == [str(files / "app/model/large.yaml")]


def test_extended_it_takes_the_study_file_and_what_is_new(files: Path, frozen: FrozenConf) -> None:
    (files / "app/model/large.yaml").write_text("size: 10\n")
    (files / "app/model/new.yaml").write_text("size: 5\n")
    (files / "app/config.yaml").write_text(
        FILES["app/config.yaml"].replace("SHARED", f"{files}/shared") + "more: 1\n"
    )
    frozen.write(live(files, "model=large"), extend=True)
    assert task(frozen.compose()) == {"model": {"size": 9}, "extra": {}, "lr": 0.1, "more": 1}
    assert trial(frozen, "model=new")["model"] == {"size": 5}
