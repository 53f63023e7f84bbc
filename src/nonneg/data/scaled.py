"""X with every row and every column multiplied by a factor, block by block; weights of cells stay what they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from .array import SparseSource
from .block import Block
from .source import Source

__all__ = ["Scaled", "scaled", "times_columns", "times_rows"]


def scaled(source: Source, rows: np.ndarray, columns: np.ndarray) -> Source:
    """Return the source of diag(rows) X diag(columns); of complete CSR in memory one more ``data`` array.

    Parameters
    ----------
    source : Source
    rows, columns : ndarray of shapes (n_samples,) and (n_features,)
        In ``source.float_dtype``.
    """
    lazy = Scaled(source, rows, columns)
    if not isinstance(source, SparseSource) or source.is_masked:
        return lazy
    data = np.concatenate([block.X.data for block in lazy.blocks()])
    kept = SparseSource(sp.csr_array((data, source.X.indices, source.X.indptr), shape=source.shape))
    kept.row_weights = source.row_weights
    return kept


def times_rows(X: Any, factors: np.ndarray) -> Any:
    """diag(factors) X, dense or CSR."""
    if not sp.issparse(X):
        return X * factors[:, None]
    return _with_data(X, X.data * np.repeat(factors, np.diff(X.indptr)))


def times_columns(X: Any, factors: np.ndarray) -> Any:
    """X diag(factors), dense or CSR."""
    if not sp.issparse(X):
        return X * factors
    return _with_data(X, X.data * factors[X.indices])


def _with_data(X: Any, data: np.ndarray) -> sp.csr_array:
    return sp.csr_array((data, X.indices, X.indptr), shape=X.shape)


class Scaled(Source):
    """Rows of another source, scaled when they are read; see `scaled`."""

    in_memory = False

    def __init__(self, source: Source, rows: np.ndarray, columns: np.ndarray) -> None:
        self.source, self.rows, self.columns_by = source, rows, columns
        self.shape, self.dtype, self.is_sparse = source.shape, source.float_dtype, source.is_sparse
        self.row_weights = source.row_weights
        self.nan_is_missing = source.is_masked  # its blocks come with their weights
        self.in_memory = source.is_masked and source.in_memory  # only there columns are asked for

    def bounds(self) -> list[tuple[int, int]]:
        """Bounds of the blocks of the other source."""
        return self.source.bounds()

    def block(self, start: int, stop: int) -> Block:
        """Return a block of the other source, scaled."""
        found = self.source.block(start, stop)
        X = times_columns(times_rows(found.X, self.rows[start:stop]), self.columns_by)
        return Block(start, stop, X, found.weights, found.row_weights)

    def columns(self) -> Scaled:
        """Return the columns of the other source, scaled."""
        return Scaled(self.source.columns(), self.columns_by, self.rows)

    def take(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return rows as a dense array."""
        return self.source.take(rows) * self.rows[np.asarray(rows)][:, None] * self.columns_by

    def _read(self, rows: slice | np.ndarray) -> np.ndarray:
        return self.take(np.arange(self.shape[0])[rows])
