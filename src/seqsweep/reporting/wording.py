"""How numbers, durations and parameter names are written for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def number(value: object, digits: int = 4) -> str:
    """A value in so many significant digits; what is no float, as it is, None as in YAML."""
    if value is None:
        return "null"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """``4.2 s``, ``3:07`` or ``2:03:07``."""
    if seconds < 59.95:  # from there on it would read 60.0
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Each name's shortest end that no other name shares: ``lr`` for ``optimizer.lr``."""
    known = list(names)
    return {name: _shortest(name, known) for name in known}


def parameters(params: Mapping[str, Any], names: Mapping[str, str] | None = None) -> str:
    """``model=gru hidden_size=64 lr=0.00213``."""
    short = names or short_names(params)
    return " ".join(f"{short.get(name, name)}={number(value, 3)}" for name, value in params.items())


def first_line(text: str) -> str:
    """The first line of a longer text."""
    return next(iter(text.strip().splitlines()), "")


def _shortest(name: str, known: list[str]) -> str:
    parts = name.split(".")
    for count in range(1, len(parts)):
        end = ".".join(parts[-count:])
        if sum(other == end or other.endswith("." + end) for other in known) == 1:
            return end
    return name
