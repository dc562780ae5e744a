"""Timeline: which slot ran which attempt and when, kept in the study's own store.

An attribute a trial would be one commit more for each. So the attempts are gathered,
and a few hundred of them at a time are one attribute of the study, which is written
every half minute while something happens, and at the end. What a killed driver had
not written is lost; what ran when it last wrote is known to have run until then.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import optuna

from seqsweep.protocol import Slot

KEY = "seqsweep.timeline."
"""Begins the names of the attributes; a number follows."""

INTERVAL = 30.0
"""Seconds between writes."""
_MOST = 200
"""Attempts in one attribute: 15 kB or so."""


class Timeline:
    """The attempts of one driver; used in its own thread.

    Each attribute holds ``began`` (when the driver did; the same in all of its own),
    ``seen`` (when it was written), ``slots`` ([id, devices]) and ``attempts``: [trial,
    attempt, slot's id, begin, end or null, how]. Times are seconds since 1970; `how` is
    the trial's state where the attempt ended it, else interrupted, lost or crowded.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self._part = sum(key.startswith(KEY) for key in study.user_attrs)
        self._began = self._saved = time.time()
        self._slots: dict[int, list[Any]] = {}
        self._running: dict[int, list[Any]] = {}
        self._ended: list[list[Any]] = []
        self._changed = False

    def offered(self, slots: Sequence[Slot]) -> None:
        """Slots that there are, busy or not."""
        for slot in slots:
            self._slots.setdefault(slot.id, [slot.id, ",".join(slot.devices)])

    def begun(self, trial: int, attempt: int, slot: Slot) -> None:
        """An attempt begins now."""
        self._running[trial] = [trial, attempt, slot.id, _now(), None, ""]
        self._changed = True

    def ended(self, trial: int, how: str) -> None:
        """A trial's attempt ended just now."""
        attempt = self._running.pop(trial)
        attempt[4:] = [_now(), how]
        self._ended.append(attempt)
        if len(self._ended) >= _MOST:
            self.save()

    def save_if_due(self) -> None:
        """Write what is new, unless that was done a moment ago."""
        if time.time() - self._saved >= INTERVAL:
            self.save()

    def save(self) -> None:
        """Write what is new."""
        if not self._changed:
            return
        part = {
            "began": round(self._began, 3),
            "seen": _now(),
            "slots": list(self._slots.values()),
            "attempts": [*self._ended, *self._running.values()],
        }
        self._study.set_user_attr(f"{KEY}{self._part}", part)
        self._saved = time.time()
        if len(self._ended) >= _MOST:  # what runs on goes into the next, too: there it will end
            self._part += 1
            self._ended = []
        self._changed = bool(self._running)


def _now() -> float:
    return round(time.time(), 3)
