"""What every holder of X offers: shape, dtype, blocks of rows in a fixed order, one summary pass.

The bounds of the blocks depend on the data alone, never on the number of threads, and statistics are added in
block order: the result does not depend on who computed it.

A source knows cell weights and row weights as well (see `Block`), and a power of two by which it multiplies what
it hands out (``scale``), so that 1e-300 and 1e300 fit like 1.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from .block import Block
from .by_place import by_place
from .threads import workers

__all__ = ["Source", "Summary", "float_dtype_of"]

_TO_FLOAT32 = {"float32", "float16", "bool", "uint8", "int8", "int16", "uint16"}
BLOCK_BYTES = 1 << 21  # of float data: a block and its factors stay in a core's cache
ALIGN = 64  # rows; kernels work on tiles of 64


@functools.cache
def float_dtype_of(dtype: Any) -> np.dtype:
    """Return the dtype in which data of ``dtype`` are computed: float32 where it holds every value."""
    return np.dtype(np.float32 if np.dtype(dtype).name in _TO_FLOAT32 else np.float64)


@dataclass(frozen=True)
class Summary:
    """What one pass over the observed cells of X finds (weights 0 excluded).

    ``total_weight`` is the sum of the weights; ``sum`` and ``squares`` are weighted sums of the cells and of their
    squares.
    """

    minimum: float
    maximum: float
    sum: float
    squares: float
    total_weight: float
    n_zero_rows: int

    @property
    def mean(self) -> float:
        """Weighted mean of the observed cells (0 when nothing is observed)."""
        return self.sum / self.total_weight if self.total_weight > 0 else 0.0


class Source(ABC):
    """Rows of X, block by block.

    Subclasses give ``shape``, ``dtype`` and `_read`; everything else is here.
    """

    shape: tuple[int, int]
    dtype: np.dtype
    is_sparse: bool = False
    in_memory: bool = True  # offers `columns`
    weights: Any = None  # (n, m) dense, or (nnz,) beside the stored cells of a sparse X
    weight_power: int = 0  # the user's weights of cells are ``weights`` · 2^weight_power
    row_weights: np.ndarray | None = None
    scale: float = 1.0
    nan_is_missing: bool = False
    floor: float = 0.0  # smaller cells are handed out as 0
    names: list[str] | None = None  # of the columns, for messages
    client: Any = None  # of Dask, whose workers make the passes
    device: str | None = None  # where torch makes the passes, and X lies
    spread: bool = False  # whether blocks may be elsewhere, and are too many for one process

    @property
    def float_dtype(self) -> np.dtype:
        """Float32 or float64: the dtype of blocks and factors."""
        return float_dtype_of(self.dtype)

    @property
    def is_masked(self) -> bool:
        """Whether any cell may have a weight other than 1."""
        return self.weights is not None or self.nan_is_missing

    @property
    def block_rows(self) -> int:
        """Rows of a block."""
        n, m = self.shape
        row_bytes = max(1, m) * self.float_dtype.itemsize
        if self.is_sparse and not self.is_masked:
            row_bytes = max(1, self._stored_per_row()) * (self.float_dtype.itemsize + 4)
        rows = max(ALIGN, BLOCK_BYTES // row_bytes // ALIGN * ALIGN)
        return min(rows, max(1, n))

    def _stored_per_row(self) -> int:
        return self.shape[1]

    def bounds(self) -> list[tuple[int, int]]:
        """Bounds ``(start, stop)`` of the blocks, in order, all rows once."""
        n, step = self.shape[0], self.block_rows
        return [(start, min(start + step, n)) for start in range(0, n, step)]

    def only(self, cuts: Sequence[tuple[int, int]]) -> Source:
        """The same source for someone who reads these blocks alone, in this order: itself, if it does not matter."""
        return self

    def root(self, start: int, stop: int) -> tuple[Source, tuple[int, int]]:
        """The source that a block is read from, and its bounds there: itself, but for views of other sources."""
        return self, (start, stop)

    def pieces(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Bounds of what a block is worked on in, where that may be in pieces: those that fit the cache."""
        root, (first, last) = self.root(start, stop)
        if root is self:
            return [(start, stop)]
        return [(a + start - first, b + start - first) for a, b in root.pieces(first, last)]

    @abstractmethod
    def _read(self, rows: slice | np.ndarray) -> Any:
        """Rows as stored, or as floats: whatever costs nothing. A slice may give a view."""

    def _read_weights(self, rows: slice | np.ndarray) -> np.ndarray | None:
        return None if self.weights is None else self.weights[rows]

    def columns(self) -> Source:
        """Return the source of Xᵀ (its rows are columns of X); only where `in_memory` is true."""
        raise TypeError(f"{type(self).__name__} has no column blocks: its data are not in memory")

    def read(self, start: int, stop: int) -> np.ndarray | sp.csr_array:
        """Rows ``start:stop`` as native, aligned, C-ordered, writable floats; missing cells as they are."""
        return self._as_float(self._read(slice(start, stop)))

    def take(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the rows with these indices as a dense float array, missing cells as they are."""
        found = self._as_float(self._read(np.asarray(rows)))
        return found.toarray() if sp.issparse(found) else found

    def _as_float(self, found: Any) -> Any:
        dtype = self.float_dtype
        if sp.issparse(found):
            if self.scale == 1.0:
                data = np.require(found.data, dtype, ["C", "A", "W"])
            else:
                data = np.multiply(found.data, self.scale, dtype=np.float64).astype(dtype)
            if data is found.data:
                return found
            return sp.csr_array((data, found.indices, found.indptr), shape=found.shape)
        if self.scale == 1.0:
            return np.require(found, dtype, ["C", "A", "W"])
        # float64 first where the stored values overflow the factor's dtype: the product is exact and in range
        return np.multiply(found, self.scale, dtype=np.float64).astype(dtype, order="C")

    def block(self, start: int, stop: int) -> Block:
        """Rows ``start:stop`` with their weights."""
        return self._block(slice(start, stop), start, stop)

    def some(self, rows: np.ndarray) -> Block:
        """Any rows, by their numbers, with their weights: batches; ``start`` and ``stop`` only count them."""
        return self._block(rows, 0, len(rows))

    def _block(self, rows: slice | np.ndarray, start: int, stop: int) -> Block:
        X = self._as_float(self._read(rows))
        if self.floor:
            X = _floored(X, self.floor)
        weights = self._read_weights(rows)
        row_weights = None if self.row_weights is None else self.row_weights[rows]
        if self.nan_is_missing:
            X, weights = _mask_nan(X, weights)
        if weights is not None:
            X, weights = _hide_unobserved(X, weights)
        return Block(start, stop, X, weights, row_weights)

    def blocks(self):
        """Yield all blocks in order."""
        for start, stop in self.bounds():
            yield self.block(start, stop)

    def summary(self) -> Summary:
        """Find minimum, maximum, sums and zero rows of the observed cells, in one pass."""
        low, high, totals = math.inf, -math.inf, np.zeros(4)
        with workers(self) as pool:
            for found in pool.over(self, _summarize):
                low, high, totals = min(low, found[0]), max(high, found[1]), totals + found[2]
        total, squares, weight, zero_rows = map(float, totals)
        return Summary(low, high, total, squares, weight, int(zero_rows))


def _floored(X: Any, floor: float) -> Any:
    values = X.data if sp.issparse(X) else X
    with np.errstate(invalid="ignore"):
        small = (values > 0) & (values < floor)
    if not small.any():
        return X
    data = np.where(small, values.dtype.type(0), values)
    return sp.csr_array((data, X.indices, X.indptr), shape=X.shape) if sp.issparse(X) else data


def _mask_nan(X: Any, weights: np.ndarray | None) -> tuple[Any, np.ndarray | None]:
    """NaN cells get weight 0. A sparse X becomes dense unless it has weights beside its stored cells."""
    if sp.issparse(X) and weights is not None and weights.ndim == 2:
        X = X.toarray()
    values = X.data if sp.issparse(X) else X
    missing = np.isnan(values)
    if not missing.any():
        return X, weights
    if sp.issparse(X) and weights is None:
        X = X.toarray()
        missing = np.isnan(X)
    if weights is None:
        return X, np.where(missing, 0, 1).astype(X.dtype)
    return X, np.where(missing, 0, weights).astype(X.dtype)


def _hide_unobserved(X: Any, weights: np.ndarray) -> tuple[Any, np.ndarray]:
    """Cells of weight 0 hold 0, so that whatever stands there cannot spread."""
    weights = np.require(weights, X.dtype, ["C", "A", "W"])
    if sp.issparse(X) and weights.ndim == 2:  # weights for the unstored zeros too
        X = X.toarray()
    hidden = weights == 0
    if sp.issparse(X):
        data = np.where(hidden, X.dtype.type(0), X.data)
        return sp.csr_array((data, X.indices, X.indptr), shape=X.shape), weights
    return (np.where(hidden, X.dtype.type(0), X) if hidden.any() else X), weights


@by_place
def _summarize(block: Block) -> tuple[float, float, np.ndarray]:
    """Minimum, maximum and [sum, sum of squares, weight, zero rows] of a block."""
    X, weights = block.X, block.weights
    values = X.data if block.is_sparse else X
    seen = values if weights is None else values[weights > 0]
    low = float(seen.min()) if seen.size else math.inf
    high = float(seen.max()) if seen.size else -math.inf
    if block.is_sparse and weights is None and X.nnz < X.shape[0] * X.shape[1]:
        low, high = min(low, 0.0), max(high, 0.0)
    first, second = _moments(block)
    zero_rows = np.count_nonzero(first == 0)
    if block.row_weights is not None:
        first, second = first * block.row_weights, second * block.row_weights
    return (
        low,
        high,
        np.array(
            [first.sum(dtype=np.float64), second.sum(dtype=np.float64), block.total_weight(), zero_rows]
        ),
    )


def _moments(block: Block) -> tuple[np.ndarray, np.ndarray]:
    """Σ_j w_ij x_ij and Σ_j w_ij x_ij² of every row."""
    X, weights = block.X, block.weights
    if not block.is_sparse:
        if weights is None:
            return X @ np.ones(X.shape[1], X.dtype), np.einsum("ij,ij->i", X, X)
        weighted = X * weights
        return weighted.sum(axis=1), np.einsum("ij,ij->i", weighted, X)
    first = X.data if weights is None else X.data * weights
    starts, filled = X.indptr[:-1], np.diff(X.indptr) > 0
    return (
        np.where(filled, np.add.reduceat(np.append(first, 0), starts), 0),
        np.where(filled, np.add.reduceat(np.append(first * X.data, 0), starts), 0),  # which may be infinite
    )
