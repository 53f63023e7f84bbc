"""X with something in its missing cells, block by block: for starts that know no weights."""

from __future__ import annotations

import numpy as np

from .block import Block
from .source import Source

__all__ = ["Filled", "column_means"]


def column_means(source: Source) -> np.ndarray:
    """Weighted means of the observed cells of every column, (m,) in float64; 0 where there are none."""
    sums, counts = np.zeros((2, source.shape[1]))
    for block in source.blocks():
        s = np.ones(block.X.shape[0]) if block.row_weights is None else block.row_weights.astype(np.float64)
        if block.is_sparse:
            block = block.dense() if block.weights is None else block
        if block.weights is None:
            sums += s @ block.X
            counts += s.sum()
        elif not block.is_sparse:  # cells that a sparse block leaves out stay 0, see `Filled`
            sums += s @ (block.X * block.weights)
            counts += s @ block.weights
    return np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)


class Filled(Source):
    """Rows of another source, complete: missing cells hold a value of their column.

    Cells that a sparse X does not store, where these are missing, hold 0: it stays sparse.

    Parameters
    ----------
    source : Source
    values : ndarray of shape (n_features,)
    """

    in_memory = False

    def __init__(self, source: Source, values: np.ndarray) -> None:
        self.source, self.values = source, values.astype(source.float_dtype)
        self.shape, self.dtype, self.is_sparse = source.shape, source.float_dtype, source.is_sparse
        self.row_weights = source.row_weights

    def bounds(self) -> list[tuple[int, int]]:
        """Bounds of the blocks of the other source."""
        return self.source.bounds()

    def block(self, start: int, stop: int) -> Block:
        """Return a block of the other source, filled, without weights of cells."""
        found = self.source.block(start, stop)
        X = found.X
        if found.weights is not None and not found.is_sparse:
            X = np.where(found.weights > 0, X, self.values)
        return Block(start, stop, X, None, found.row_weights)

    def _read(self, rows: slice | np.ndarray) -> np.ndarray:
        raise TypeError("filled rows are read by blocks")
