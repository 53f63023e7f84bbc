"""What starts ask of blocks that are tensors; see `data.by_place`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data.block import Block
from ..data.device import as_array, there

__all__ = ["codes_of", "image"]


def codes_of(block: Block, basis: np.ndarray) -> np.ndarray:
    """X B."""
    return as_array(block.X @ there(basis, block.X))


def image(block: Block, basis: np.ndarray) -> np.ndarray:
    """Xᵀ S X B."""
    codes: Any = block.X @ there(basis, block.X)
    if block.row_weights is not None:
        codes = codes * block.row_weights[:, None]
    return as_array(block.X.T @ codes)
