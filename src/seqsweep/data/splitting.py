"""Drawing parts of a data set: functions of the seed alone, independent of any global generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seqsweep.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seqsweep.data.records import Records


def holdout(count: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw `size` of `count` examples: the indices kept and those held out, each ascending.

    Every example is in exactly one of the two. ValueError unless 0 <= size <= count.
    """
    if not 0 <= size <= count:
        raise ValueError(f"cannot hold out {size} of {count}")
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[size:]), np.sort(order[:size])


def stratified_holdout(labels: np.ndarray, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """As `holdout` over ``len(labels)`` examples, with each class's share kept to within one example.

    `labels` (examples,) are integers of at least 0.
    """
    if not 0 <= size <= len(labels):
        raise ValueError(f"cannot hold out {size} of {len(labels)}")
    random = np.random.default_rng(seed)
    held = np.zeros(len(labels), dtype=bool)
    for label, quota in enumerate(_quotas(np.bincount(labels), size)):
        members = np.flatnonzero(labels == label)
        held[random.permutation(members)[:quota]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def check_held_out(available: int, **sizes: int) -> None:
    """ConfigError unless the parts of the given sizes leave an example of `available` to train on.

    The keys are the options' names: ``check_held_out(1797, validation_size=300)``.
    """
    others = available
    for name, size in sizes.items():
        if size >= others:
            raise ConfigError(
                f"{name}={size}: expected fewer than the {others} examples that there are to draw from"
            )
        others -= size


def _quotas(counts: np.ndarray, size: int) -> np.ndarray:
    """`size` shared out in proportion to `counts`, by largest remainder.

    A class's last example stays where it is, unless there are not enough others.
    """
    room = np.maximum(counts - 1, 0)
    if room.sum() < size:
        room = counts
    shares = counts * size  # in units of 1/total, so that everything is a whole number
    quotas: np.ndarray
    quotas, remainders = np.divmod(shares, max(int(counts.sum()), 1))
    quotas = np.minimum(quotas, room)
    ranked = np.argsort(-remainders, kind="stable")
    while (left := size - int(quotas.sum())) > 0:
        quotas[ranked[quotas[ranked] < room[ranked]][:left]] += 1
    return quotas


def divide(
    records: Records, shares: Mapping[str, float], *, by: str = "row", seed: int = 0
) -> dict[str, np.ndarray]:
    """Hold parts out of `records`: the indices of each part, ascending, and of ``train``, the rest.

    Every record is in exactly one part. A part is its share of all, rounded, and at least one.

    Args:
        records: what is divided.
        shares: of each part, in the order they are held out in.
        by: ``row`` draws records, each class in proportion; ``group`` draws whole groups;
            ``time`` takes the last records, the first part the very last ones.
        seed: of the draw.

    Raises:
        ValueError: there are too few records or groups for so many parts, or no groups at all.

    """
    groups = records.grouped() if by == "group" else None
    if by == "group" and groups is None:
        raise ValueError("split_by=group: expected groups, and nothing here says what they are")
    units = len(records) if groups is None else int(groups.max()) + 1
    sizes = {part: max(1, round(share * units)) for part, share in shares.items()}
    if sum(sizes.values()) >= units:
        what = "examples" if groups is None else "groups"
        raise ValueError(
            f"{units} {what} are too few to hold out {', '.join(f'{n} for {p}' for p, n in sizes.items())}"
        )
    strata = records.strata() if by == "row" else None
    parts, rest = {}, np.arange(units, dtype=np.int32 if units < 2**31 else np.int64)
    for part, size in sizes.items():
        if by == "time":
            parts[part], rest = rest[len(rest) - size :], rest[: len(rest) - size]
            continue
        if strata is not None:
            kept, held = stratified_holdout(strata[rest], size, seed)
        else:
            kept, held = holdout(len(rest), size, seed)
        parts[part], rest = rest[held], rest[kept]
    parts["train"] = rest
    if groups is None:
        return parts
    return {part: np.flatnonzero(np.isin(groups, own)) for part, own in parts.items()}
