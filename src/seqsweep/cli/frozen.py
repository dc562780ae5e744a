"""FrozenConf: the configuration files of a study as they were when it began.

Trials compose from the copy alone, so editing a file changes nothing under way.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra.types import RunMode

from seqsweep import paths
from seqsweep.cli.loader import FixedLoader

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from omegaconf import DictConfig

RESULTS = ("multirun", "outputs", "mlartifacts")
"""Folders in which no configuration is looked for: results are kept there."""


@dataclass(frozen=True)
class _Source:
    """One entry of Hydra's search path."""

    provider: str
    path: str
    """As Hydra writes it, with its scheme."""
    copy: str | None = None
    """The folder of its copy; None for what is registered by code and has no files to copy."""

    @property
    def files(self) -> Traversable | None:
        """Where its files are, if it has any of its own."""
        scheme, _, path = self.path.partition("://")
        if scheme == "file":
            return Path(path)
        if scheme == "pkg" and path.partition(".")[0] not in ("", "hydra", "hydra_plugins"):
            return resources.files(path)
        return None


class FrozenConf:
    """The copy: one numbered folder for each entry of Hydra's search path, in order, and an index."""

    def __init__(self, study_folder: Path) -> None:
        self.folder = study_folder / paths.STATE / "conf"
        self._index = self.folder / "index.json"

    @property
    def exists(self) -> bool:
        """Whether the study has begun."""
        return self._index.is_file()

    def write(self, live: DictConfig, *, extend: bool = False) -> None:
        """Copy the files that `live` was composed from; a kill leaves none of them or all.

        With `extend` the copies that are there stay; what is added are files that had
        no copy, and the study's own file is renewed.
        """
        before = self._sources() if extend and self.exists else []
        part = self.folder.with_name("conf.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        sources = [_copied(i, source, part) for i, source in enumerate(_live(live))]
        for old, new in ((old, new) for old in before for new in sources if old.path == new.path):
            if old.copy and new.copy:
                shutil.copytree(self.folder / old.copy, part / new.copy, dirs_exist_ok=True)
                _copy_study_file(live, [new], part / new.copy)
        index = {
            "config_name": live.hydra.job.config_name,
            "overrides": {kind: list(live.hydra.overrides[kind]) for kind in ("hydra", "task")},
            "versions": {name: metadata.version(name) for name in ("hydra-core", "omegaconf")},
            "sources": [asdict(source) for source in sources],
        }
        (part / self._index.name).write_text(json.dumps(index, indent=1), encoding="utf-8")
        shutil.rmtree(self.folder, ignore_errors=True)
        part.replace(self.folder)

    def loader(self) -> FixedLoader:
        """What composes from the copy."""
        return _loader(self._held())

    def compose(self) -> DictConfig:
        """The study's configuration as it was when the study began."""
        index = self._read()
        overrides = [*index["overrides"]["hydra"], *index["overrides"]["task"]]
        return _compose(self.loader(), index["config_name"], overrides)

    def recompose(self, live: DictConfig) -> DictConfig:
        """The configuration of the study's own file and overrides as they are now, all else from the copy.

        Files that were not there when the study began are read as they are.
        """
        with tempfile.TemporaryDirectory() as folder:
            sources = _live(live)
            _copy_study_file(live, sources, Path(folder))
            own = _Source("main", f"file://{folder}")
            new = [source for source in sources if source.files is not None]
            *held, schema = self._held()  # Hydra wants its schemas last
            loader = _loader([own, *held, *new, schema])
            overrides = [*live.hydra.overrides.hydra, *live.hydra.overrides.task]
            return _compose(loader, live.hydra.job.config_name, overrides)

    def edited(self, live: DictConfig) -> list[str]:
        """The files that differ from their copies by now, the study's own left out."""
        own = f"{live.hydra.job.config_name}.yaml"
        found = []
        for source in self._sources():
            if source.copy is None or source.files is None or not source.files.is_dir():
                continue
            for name, file in _walk(source.files):
                copy = self.folder / source.copy / name
                if name != own and copy.is_file() and copy.read_bytes() != file.read_bytes():
                    found.append(str(file))
        return found

    def origin(self, folder: Path) -> Path:
        """What `folder` is the copy of; itself if it is none of ours."""
        for source in self._sources() if self.exists and folder.parent == self.folder else ():
            if source.copy == folder.name:
                return Path(source.path.partition("://")[2])
        return folder

    def _held(self) -> list[_Source]:
        return [
            replace(source, path=f"file://{self.folder / source.copy}") if source.copy else source
            for source in self._sources()
        ]

    def _sources(self) -> list[_Source]:
        return [_Source(**source) for source in self._read()["sources"]]

    def _read(self) -> dict[str, Any]:
        index: dict[str, Any] = json.loads(self._index.read_text(encoding="utf-8"))
        return index


def live_loader(live: DictConfig) -> FixedLoader:
    """What composes from the files that `live` was composed from, each of them read once."""
    return _loader(_live(live))


def _loader(sources: list[_Source]) -> FixedLoader:
    """What composes from a search path in which ``hydra.searchpath`` is expanded already."""
    path = ConfigSearchPathImpl()
    for source in sources:
        path.append(source.provider, source.path)
    return FixedLoader(path)


def _compose(loader: FixedLoader, name: str | None, overrides: list[str]) -> DictConfig:
    return loader.load_configuration(name, overrides, RunMode.MULTIRUN)


def _live(config: DictConfig) -> list[_Source]:
    """The search path that `config` was composed from, ``hydra.searchpath`` included."""
    infos = config.hydra.runtime.config_sources
    return [_Source(info.provider, f"{info.schema}://{info.path}") for info in infos]


def _copied(number: int, source: _Source, folder: Path) -> _Source:
    files = source.files
    if files is None or not files.is_dir():
        return source
    copy = f"{number:02}"
    (folder / copy).mkdir()
    for name, file in _walk(files):
        target = folder / copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    return replace(source, copy=copy)


def _copy_study_file(live: DictConfig, sources: list[_Source], folder: Path) -> None:
    """Copy the file that the study is written in, if it is a file, from the first source that has it."""
    if live.hydra.job.config_name is None:
        return
    name = f"{live.hydra.job.config_name}.yaml"
    for source in sources:
        files = source.files
        if files is not None and files.joinpath(name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(files.joinpath(name).read_bytes())
            return


def _walk(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    """Every ``*.yaml`` below, by its path from `folder`; hidden folders and results are passed over."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            if entry.name not in RESULTS and not entry.name.startswith("."):
                yield from _walk(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".yaml"):
            yield f"{prefix}{entry.name}", entry
