"""Who ran where and when, out of what a study's drivers left in its store."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import optuna
    from optuna.trial import FrozenTrial

KEY = "seqsweep.timeline."
"""Begins the names of the attributes that `seqsweep.sweeping.timeline` writes."""

_PAUSE = 60.0
"""Seconds in which nobody was there that are left out of the picture."""

Span = tuple[float, float]
"""Begin and end, in seconds since 1970."""


@dataclass(frozen=True)
class Attempt:
    """One attempt at one trial."""

    trial: int
    attempt: int
    lane: str
    """Where it ran."""
    begin: float
    end: float
    how: str
    """The trial's state, if the attempt ended it; else interrupted, lost, crowded, running or cut off."""
    seat: int = 0
    """Which of its lane's rows it is in: those that ran there at one time are in rows of their own."""


@dataclass(frozen=True)
class Timeline:
    """All attempts of a study."""

    attempts: tuple[Attempt, ...] = ()
    lanes: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()
    """When there was a driver, or something ran; none overlaps another."""
    recorded: bool = False
    """Whether the store says where trials ran; else a lane is only what runs at one time."""
    offered: float = 0.0
    """Seconds that there were slots for, all slots together."""

    @property
    def seats(self) -> Mapping[str, int]:
        """How many attempts were in each lane at one time, at most; 1 if none ever was."""
        most = dict.fromkeys(self.lanes, 1)
        for attempt in self.attempts:
            most[attempt.lane] = max(most[attempt.lane], attempt.seat + 1)
        return most

    @property
    def busy(self) -> float | None:
        """The share of the slots' time in which something ran; None where that is not known."""
        if not self.offered:
            return None
        return min(sum(_length(lane) for lane in self._by_lane().values()) / self.offered, 1.0)

    def _by_lane(self) -> Mapping[str, list[Span]]:
        lanes = defaultdict[str, list[Span]](list)
        for attempt in self.attempts:
            lanes[attempt.lane].append((attempt.begin, attempt.end))
        return lanes

    def elapsed(self, moment: float) -> float:
        """Seconds from the beginning to `moment`, longer pauses left out."""
        return sum(min(moment, end) - begin for begin, end in self.spans if begin < moment)


def read(study: optuna.Study, trials: Sequence[FrozenTrial]) -> Timeline:
    """The attempts at `trials`; those that no driver recorded have the times of the trial itself."""
    parts = _parts(study.user_attrs)
    recorded = _recorded(parts, {trial.number for trial in trials if trial.state.name == "RUNNING"})
    known = {attempt.trial for attempt in recorded}
    trained = _trained(trials) if recorded else trials
    others = _unrecorded([trial for trial in trained if trial.number not in known], bool(recorded))
    attempts = tuple(_seated([*recorded, *others]))
    sessions = _sessions(parts)
    spans = _merged([*(span for span, _ in sessions), *((each.begin, each.end) for each in attempts)])
    return Timeline(
        attempts,
        tuple(sorted({attempt.lane for attempt in attempts} | _lanes(parts), key=_in_order)),
        tuple(spans),
        bool(recorded),
        _offered(sessions, others, bool(recorded)),
    )


def _parts(attributes: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    keys = [key for key in attributes if key.startswith(KEY) and key.removeprefix(KEY).isdecimal()]
    return [attributes[key] for key in sorted(keys, key=lambda key: int(key.removeprefix(KEY)))]


def _recorded(parts: Iterable[Mapping[str, Any]], running: set[int]) -> list[Attempt]:
    found: dict[tuple[float, int, int], Attempt] = {}
    for part in parts:
        names = {number: _lane(number, devices) for number, devices in part["slots"]}
        for trial, number, slot, begin, end, how in part["attempts"]:
            found[part["began"], trial, number] = Attempt(
                trial, number, names.get(slot, _lane(slot, "")), begin, end or part["seen"], how or "cut off"
            )
    attempts = sorted(found.values(), key=lambda attempt: attempt.begin)
    latest = {attempt.trial: attempt for attempt in attempts}
    return [
        replace(each, how="running")
        if each.how == "cut off" and each.trial in running and latest[each.trial] is each
        else each
        for each in attempts
    ]


def _trained(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that took time: not those that copied an earlier one's values."""
    seen: set[str] = set()
    trained = []
    for trial in trials:
        key = repr(sorted(trial.params.items()))
        copied = trial.state.name == "COMPLETE" and bool(trial.params) and key in seen
        if trial.state.name == "COMPLETE":
            seen.add(key)
        if not copied:
            trained.append(trial)
    return trained


def _unrecorded(trials: Sequence[FrozenTrial], beside: bool) -> list[Attempt]:
    """The trials' own times, those that overlap in lanes of their own."""
    free: list[float] = []
    attempts = []
    for begin, end, trial in sorted(_times(trials), key=lambda each: each[:2]):
        lane = _take_row(free, begin, end)
        name = f"unknown {lane + 1}" if beside else f"row {lane + 1}"
        infeasible = trial.user_attrs.get("seqsweep.state") == "infeasible"
        state = (
            "infeasible" if infeasible else {"FAIL": "failed"}.get(trial.state.name, trial.state.name.lower())
        )
        attempts.append(Attempt(trial.number, 1, name, begin, end, state))
    return attempts


def _seated(attempts: Sequence[Attempt]) -> list[Attempt]:
    """The attempts, those that overlap in a lane in rows of it."""
    free = defaultdict[str, list[float]](list)
    seats = {
        id(each): _take_row(free[each.lane], each.begin, each.end)
        for each in sorted(attempts, key=lambda each: each.begin)
    }
    return [replace(each, seat=seats[id(each)]) for each in attempts]


def _take_row(free: list[float], begin: float, end: float) -> int:
    """The first row that is free at `begin`, or a new one; `free` says until when each is taken."""
    row = next((place for place, until in enumerate(free) if until <= begin), len(free))
    free[row:] = [end, *free[row + 1 :]]
    return row


def _times(trials: Iterable[FrozenTrial]) -> Iterator[tuple[float, float, FrozenTrial]]:
    for trial in trials:
        if trial.datetime_start and trial.datetime_complete:
            yield trial.datetime_start.timestamp(), trial.datetime_complete.timestamp(), trial


def _sessions(parts: Iterable[Mapping[str, Any]]) -> list[tuple[Span, int]]:
    """Each driver's time, and how many slots it had."""
    sessions: dict[float, tuple[float, set[int]]] = {}
    for part in parts:
        seen, slots = sessions.get(part["began"], (0.0, set[int]()))
        slots |= {number for number, _ in part["slots"]}
        sessions[part["began"]] = max(seen, part["seen"]), slots
    return [((began, seen), len(slots)) for began, (seen, slots) in sessions.items()]


def _offered(sessions: Iterable[tuple[Span, int]], others: Sequence[Attempt], recorded: bool) -> float:
    """What was recorded decides; without it, as many lanes as were ever in use at one time."""
    if recorded:
        where_known = sum((end - begin) * slots for (begin, end), slots in sessions)
        return where_known + _length((each.begin, each.end) for each in others)
    lanes = len({each.lane for each in others})
    return lanes * sum(end - begin for begin, end in _merged((each.begin, each.end) for each in others))


def _merged(spans: Iterable[Span]) -> list[Span]:
    """The spans in order, those that are no more than a short pause apart as one."""
    merged: list[Span] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1] + _PAUSE:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((begin, end))
    return merged


def _length(spans: Iterable[Span]) -> float:
    """Seconds that the spans cover."""
    total, until = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(end - max(begin, until), 0.0)
        until = max(until, end)
    return total


def _lanes(parts: Iterable[Mapping[str, Any]]) -> set[str]:
    return {_lane(number, devices) for part in parts for number, devices in part["slots"]}


def _lane(number: int, devices: str) -> str:
    return f"slot {number}, GPU {devices}" if devices else f"slot {number}"


def _in_order(lane: str) -> tuple[str, int, str]:
    kind, _, rest = lane.partition(" ")
    digits = rest.partition(",")[0]
    return kind, int(digits) if digits.isdecimal() else 0, rest
