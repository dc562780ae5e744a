"""Checks of single values, so that every constructor refuses in the same words.

Each returns the checked value and raises `ConfigError` with the value given and
what was expected.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable

from seqsweep.errors import ConfigError


def positive_int(name: str, value: object) -> int:
    """`value` as an integer of at least 1."""
    return int_at_least(1, name, value)


def int_at_least(least: int, name: str, value: object) -> int:
    """`value` as an integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name}={value}: expected an integer of at least {least}")
    return value


def finite_float(name: str, value: object) -> float:
    """`value` as a finite number."""
    return _number(name, value, "a number")


def positive_float(name: str, value: object) -> float:
    """`value` as a finite number above 0."""
    number = _number(name, value, "a number above 0")
    if not number > 0:
        raise ConfigError(f"{name}={value}: expected a number above 0")
    return number


def non_negative_float(name: str, value: object) -> float:
    """`value` as a finite number of at least 0."""
    number = _number(name, value, "a number of at least 0")
    if number < 0:
        raise ConfigError(f"{name}={value}: expected a number of at least 0")
    return number


def probability(name: str, value: object) -> float:
    """`value` as a probability that leaves something over: 0 <= value < 1."""
    number = _number(name, value, "a number from 0 up to, not including, 1")
    if not 0 <= number < 1:
        raise ConfigError(f"{name}={value}: expected a number from 0 up to, not including, 1")
    return number


def one_of(name: str, value: str, options: Iterable[str]) -> str:
    """`value`, which must be one of `options`."""
    known = list(options)
    if value not in known:
        expected = ", ".join(known)
        raise ConfigError(f"{name}={value}: expected one of {expected}{nearest(str(value), known)}")
    return value


def nearest(word: str, options: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the option closest to `word`, else nothing."""
    close = difflib.get_close_matches(word, list(options), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""


def _number(name: str, value: object, expected: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{name}={value}: expected {expected}")
    return float(value)
