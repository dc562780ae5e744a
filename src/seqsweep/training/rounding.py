"""``trainer.matmul_precision``: how a GPU rounds float32 numbers before it multiplies them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

PRECISIONS = ("highest", "high", "medium")
"""As `torch.set_float32_matmul_precision` has them."""


@contextmanager
def rounded(precision: str | None) -> Iterator[None]:
    """Within the body products of float32 matrices are as precise as that; None leaves them as they are.

    cuDNN's recurrent kernels go by a flag of their own, which is on unless it is turned off: it follows
    here, so that ``highest`` is float32 throughout. PyTorch's older setters are used for both, since its
    newer ones (``fp32_precision``) make these raise where the two have come to say different things.
    """
    if precision is None:
        yield
        return
    before, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.allow_tf32 = precision != "highest"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        torch.backends.cudnn.allow_tf32 = cudnn
