"""Standardisation, learnt from the training part alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

SCALES = ("standard", "minmax", "none")
"""Values of `scale`: mean 0 and standard deviation 1 for each feature, from 0 to 1, or as they are."""


def learn_scale(rows: np.ndarray, scale: str = "standard") -> dict[str, Any]:
    """What to take from each feature of `rows` (rows x features), ``means``, and to divide by, ``scales``.

    For a constant feature the scale is 1; with ``scale="none"`` all are 0 and 1, so that nothing is changed.
    """
    if scale == "none":
        return {"means": [0.0] * rows.shape[1], "scales": [1.0] * rows.shape[1]}
    low, high = rows.min(axis=0).astype(np.float64), rows.max(axis=0).astype(np.float64)
    if scale == "minmax":
        means, scales = low, high - low
    else:
        means, scales = rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64)
    # not by the deviation, since rounding leaves a constant some
    varies = (high > low) & (scales > 0)
    return {"means": means.tolist(), "scales": np.where(varies, scales, 1.0).tolist()}


def standardised(rows: np.ndarray, fitted: Mapping[str, Any]) -> np.ndarray:
    """`rows` (rows x features) as float32, by what `learn_scale` gave."""
    means, scales = np.asarray(fitted["means"]), np.asarray(fitted["scales"])
    result: np.ndarray = rows - means
    result /= scales
    return result.astype(np.float32)
