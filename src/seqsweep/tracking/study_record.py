"""What is recorded of a study as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from seqsweep import paths


@dataclass(frozen=True)
class StudyRecord:
    """What the parent Run of a study holds.

    `uid` tells the study from all others, one of the same name included: by it the
    parent Run and the trials' are found again. With `metric` and `searched` MLflow's
    table of the study shows the value, best first, and the parameters that vary.
    """

    name: str
    uid: str
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, object] = field(default_factory=dict)
    directory: Path | None = None
    """Where the study's own records wait; `paths.study_folder` of its name by default."""
    metric: str | None = None
    """What a trial's value is logged as, ``best/val/loss`` for one."""
    direction: Literal["minimize", "maximize"] = "minimize"
    searched: tuple[str, ...] = ()
    """The parameters that differ between trials."""
    others: tuple[str, ...] = ()
    """What the values of further objectives are logged as."""
    begun: int | None = None
    """How many trials there were before, so that later ones need not be looked for; None if unknown."""
    files: tuple[Path, ...] = ()
    """Kept with the parent Run, as they are whenever something new comes to the study."""

    @property
    def folder(self) -> Path:
        """Where the study's own records wait."""
        return (self.directory or paths.study_folder(self.name)).absolute()
