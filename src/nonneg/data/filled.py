"""X with something in its missing cells, block by block: for starts that know no weights.

A cell of little weight is missing in part: it holds u x + (1 − u) f, u = min(1, w / w̄), with what stands for missing
cells, f, and the mean w̄ of the weights of observed cells.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .block import Block
from .products import like
from .source import Source

__all__ = ["Filled", "column_means", "filled", "mean_weight"]


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


def mean_weight(source: Source) -> float:
    """Mean weight of the observed cells, each row counted as often as its weight says."""
    if source.weights is None:
        return 1.0
    total = count = 0.0
    for block in source.blocks():
        if block.weights is None:
            return 1.0
        seen = Block(block.start, block.stop, block.X, block.weights > 0, block.row_weights)
        total, count = total + block.total_weight(), count + seen.total_weight()
    return total / count if count > 0 else 1.0


def filled(block: Block, values: np.ndarray | float, mean: float) -> Any:
    """X of a block with ``values``, of each column or one for all, where cells are missing or count little.

    Cells that a sparse X does not store are 0, also where these are missing: a dense copy would be n × m.
    """
    X = block.X
    if block.weights is None:
        return X
    share = np.minimum(1, block.weights / X.dtype.type(mean))
    if block.is_sparse:
        return like(X, X.data * share)
    return X * share + (1 - share) * np.asarray(values, X.dtype)


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
        self.row_weights, self.mean = source.row_weights, mean_weight(source)

    def bounds(self) -> list[tuple[int, int]]:
        """Bounds of the blocks of the other source."""
        return self.source.bounds()

    def block(self, start: int, stop: int) -> Block:
        """Return a block of the other source, filled, without weights of cells."""
        found = self.source.block(start, stop)
        return Block(start, stop, filled(found, self.values, self.mean), None, found.row_weights)

    def _read(self, rows: slice | np.ndarray) -> np.ndarray:
        raise TypeError("filled rows are read by blocks")
