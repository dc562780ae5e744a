"""Drawing parts of a data set: functions of the seed alone, independent of any global generator."""

from __future__ import annotations

import numpy as np

from seqsweep.errors import ConfigError


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
    """`size` shared out in proportion to `counts`, by largest remainder."""
    shares = counts * size  # in units of 1/total, so that everything is a whole number
    quotas, remainders = np.divmod(shares, max(int(counts.sum()), 1))
    left = size - int(quotas.sum())
    quotas[np.argsort(-remainders, kind="stable")[:left]] += 1
    return quotas
