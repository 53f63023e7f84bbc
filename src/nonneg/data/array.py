"""Data in memory: a dense array of any real dtype and layout, or CSR. X is never copied whole."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from .source import Source
from .store import rows_of

__all__ = ["ArraySource", "SparseSource"]


class ArraySource(Source):
    """A two-dimensional ndarray (uint8 stays uint8; a block is converted when it is used)."""

    def __init__(self, X: np.ndarray, *, weights: np.ndarray | None = None) -> None:
        self.X = X
        self.shape = X.shape  # type: ignore[assignment]
        self.dtype = X.dtype
        self.weights = weights

    def _read(self, rows: slice | np.ndarray) -> np.ndarray:
        return self.X[rows]

    def columns(self) -> ArraySource:
        """Xᵀ as a view."""
        turned = ArraySource(self.X.T, weights=None if self.weights is None else self.weights.T)
        turned.scale, turned.nan_is_missing, turned.floor = self.scale, self.nan_is_missing, self.floor
        turned.weight_power = self.weight_power
        return turned


class SparseSource(Source):
    """A CSR array; ``weights`` beside its stored cells mean that unstored cells are missing.

    Parameters
    ----------
    X : csr_array of shape (n_samples, n_features)
    weights : ndarray of shape (nnz,) or (n_samples, n_features), or None
        Of the stored cells (the others are missing), or of all cells.
    """

    is_sparse = True

    def __init__(self, X: sp.csr_array, *, weights: np.ndarray | None = None) -> None:
        self.X = X
        self.shape = X.shape
        self.dtype = X.dtype
        self.weights = weights

    def _stored_per_row(self) -> int:
        return -(-self.X.nnz // max(1, self.shape[0]))

    def _read(self, rows: slice | np.ndarray) -> sp.csr_array:
        if not isinstance(rows, slice):
            return self.X[rows]
        return rows_of(self.X, rows.start, rows.stop)

    def _read_weights(self, rows: slice | np.ndarray) -> np.ndarray | None:
        if self.weights is None or self.weights.ndim == 2:
            return super()._read_weights(rows)
        if not isinstance(rows, slice):
            return sp.csr_array((self.weights, self.X.indices, self.X.indptr), shape=self.shape)[rows].data
        return self.weights[self.X.indptr[rows.start] : self.X.indptr[rows.stop]]

    @cached_property
    def _turned(self) -> tuple[sp.csr_array, Any]:
        """One column-ordered copy of X (and of weights), made at the first use."""
        X = self.X.T.tocsr()
        weights = self.weights
        if weights is not None and weights.ndim == 2:
            return X, weights.T
        if weights is not None:
            places = sp.csr_array((np.arange(self.X.nnz), self.X.indices, self.X.indptr), shape=self.X.shape)
            weights = weights[places.T.tocsr().data]
        return X, weights

    def columns(self) -> SparseSource:
        """Xᵀ as CSR."""
        X, weights = self._turned
        turned = SparseSource(X, weights=weights)
        turned.scale, turned.nan_is_missing, turned.floor = self.scale, self.nan_is_missing, self.floor
        turned.weight_power = self.weight_power
        return turned
