"""A memory-mapped array: read block by block into ordinary memory, so that mapped pages do not pile up."""

from __future__ import annotations

import numpy as np

from .source import Source

__all__ = ["MappedSource"]


class MappedSource(Source):
    """An ``np.memmap`` of two dimensions. It has no column blocks: its data are not in memory."""

    in_memory = False

    def __init__(self, X: np.memmap) -> None:
        self.X = X
        self.shape = X.shape  # type: ignore[assignment]
        self.dtype = X.dtype

    def _read(self, rows: slice | np.ndarray) -> np.ndarray:
        return np.array(self.X[rows])  # a copy: the kernel may drop the mapped pages at once
