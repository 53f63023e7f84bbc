"""A block: some consecutive rows of X as floats, with what is known about their cells.

Solvers and losses see blocks only. A block is one of three things:

====================  ==========================  =============================================
``X``                 ``weights``                 observed cells
====================  ==========================  =============================================
dense (b, m)          None                        all, weight 1
dense (b, m)          (b, m)                      where the weight is positive
CSR (b, m)            None                        all, also the zeros that are not stored
CSR (b, m)            (nnz,), beside ``X.data``   the stored cells with a positive weight
====================  ==========================  =============================================

Cells of weight 0 hold 0 in ``X``, whatever the user's data hold there (NaN and inf included).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

__all__ = ["Block"]


@dataclass(frozen=True, slots=True)
class Block:
    """Rows ``start:stop`` of X.

    Parameters
    ----------
    start, stop : int
        The rows.
    X : ndarray or csr_array of shape (stop - start, n_features)
        Their values; C-ordered, aligned, native float32 or float64.
    weights : ndarray or None
        Weights of the cells; see the module's table.
    row_weights : ndarray of shape (stop - start,) or None
        Weights of the rows (``sample_weight``): factors of the loss, without influence on a row's own W.
    """

    start: int
    stop: int
    X: Any
    weights: np.ndarray | None = None
    row_weights: np.ndarray | None = None

    @property
    def rows(self) -> slice:
        """The rows as a slice."""
        return slice(self.start, self.stop)

    @property
    def is_sparse(self) -> bool:
        """Whether X is CSR."""
        return sp.issparse(self.X)

    @property
    def is_masked(self) -> bool:
        """Whether cells have weights."""
        return self.weights is not None

    def dense(self) -> Block:
        """Return the same block with a dense X (and dense weights, where there are any)."""
        if not self.is_sparse:
            return self
        weights = None
        if self.weights is not None:
            weights = np.zeros(self.X.shape, self.X.dtype)
            rows = np.repeat(np.arange(self.X.shape[0]), np.diff(self.X.indptr))
            weights[rows, self.X.indices] = self.weights
        return Block(self.start, self.stop, self.X.toarray(), weights, self.row_weights)

    def some(self, rows: np.ndarray) -> Block:
        """Return a block of some of its rows, by their places in this one; ``start`` and ``stop`` only count them."""
        weights = self.weights
        if weights is not None and self.is_sparse:
            weights = sp.csr_array((weights, self.X.indices, self.X.indptr), shape=self.X.shape)[rows].data
        elif weights is not None:
            weights = weights[rows]
        row_weights = None if self.row_weights is None else self.row_weights[rows]
        return Block(0, len(rows), self.X[rows], weights, row_weights)

    def total_weight(self) -> float:
        """Sum of the weights of all cells, each times the weight of its row."""
        b, m = self.X.shape
        if self.weights is None:
            return float(m * (b if self.row_weights is None else self.row_weights.sum(dtype=np.float64)))
        if self.row_weights is None:
            return float(self.weights.sum(dtype=np.float64))
        if self.is_sparse:
            per_cell = np.repeat(self.row_weights, np.diff(self.X.indptr))
            return float(np.dot(self.weights.astype(np.float64), per_cell))
        return float(np.dot(self.weights.sum(axis=1, dtype=np.float64), self.row_weights))
