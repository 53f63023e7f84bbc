"""X times a thin matrix, from either side, over blocks of rows in order: for models that need no more of X than that.

Cells of weight 0 count as 0 in `Products`, and others as if of weight 1; row weights multiply the rows of the left
factor only where a model asks for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from .block import Block
from .source import BLOCK_BYTES, Source
from .threads import Workers

__all__ = ["CellProducts", "Products", "half_squares", "like", "values"]


def half_squares(source: Source, predicted: Callable[[slice], np.ndarray]) -> float:
    """½ Σ s_i w_ij (x_ij − x̂_ij)² in float64, from the residual itself.

    Parameters
    ----------
    source : Source
    predicted : callable
        From some rows to their X̂, in the units of ``source``.
    """
    total, (n, m) = 0.0, source.shape
    step = max(1, BLOCK_BYTES // (8 * m))  # also where X is sparse: few rows are dense at a time
    for start in range(0, n, step):
        dense = source.block(start, min(start + step, n)).dense()
        gap = (dense.X - predicted(dense.rows)).astype(np.float64) ** 2
        rows = (gap if dense.weights is None else gap * dense.weights).sum(axis=1)
        total += float(rows.sum() if dense.row_weights is None else rows @ dense.row_weights)
    return 0.5 * total


class Products:
    """The products of a source.

    Parameters
    ----------
    source : Source
    pool : Workers
        Threads; the results do not depend on how many.
    """

    def __init__(self, source: Source, pool: Workers) -> None:
        self.source, self.pool = source, pool

    def _matrix(self, block: Block) -> Any:
        return block.X

    def right(self, B: np.ndarray) -> np.ndarray:
        """X B of shape (n, p), for B of shape (m, p)."""
        out = np.empty((self.source.shape[0], B.shape[1]), self.source.float_dtype)

        def work(cut: tuple[int, int]) -> None:
            block = self.source.block(*cut)
            out[block.rows] = self._matrix(block) @ B

        for _ in self.pool.map(work, self.source.bounds()):
            pass
        return out

    def left(self, A: np.ndarray) -> np.ndarray:
        """Xᵀ A of shape (m, p), for A of shape (n, p)."""

        def work(cut: tuple[int, int]) -> np.ndarray:
            block = self.source.block(*cut)
            return self._matrix(block).T @ A[block.rows]

        out = np.zeros((self.source.shape[1], A.shape[1]), self.source.float_dtype)
        for part in self.pool.map(work, self.source.bounds()):
            out += part
        return out

    def both(self, B: np.ndarray) -> np.ndarray:
        """Xᵀ (X B) of shape (m, p), each block read once."""

        def work(cut: tuple[int, int]) -> np.ndarray:
            X = self._matrix(self.source.block(*cut))
            return X.T @ (X @ B)

        out = np.zeros((self.source.shape[1], B.shape[1]), self.source.float_dtype)
        for part in self.pool.map(work, self.source.bounds()):
            out += part
        return out


class CellProducts(Products):
    """The products of w ∘ X, and of the weights w alone with squares: what least squares on half-lines needs.

    Without weights they are those of `Products`, and sums of squares.
    """

    def _matrix(self, block: Block) -> Any:
        return block.X if block.weights is None else like(block.X, values(block.X) * block.weights)

    def right_squares(self, B: np.ndarray) -> np.ndarray:
        """Σ_j w_ij b_jk² of shape (n, p); (p,) where every cell weighs 1."""
        if not self.source.is_masked:
            return np.einsum("ij,ij->j", B, B, dtype=np.float64)
        return _Weights(self.source, self.pool).right(B**2)

    def left_squares(self, A: np.ndarray, row_weights: np.ndarray | None = None) -> np.ndarray:
        """Σ_i s_i w_ij a_ik² of shape (m, p); (p,) where every cell weighs 1."""
        weighted = A if row_weights is None else A * row_weights[:, None]
        if not self.source.is_masked:
            return np.einsum("ij,ij->j", weighted, A, dtype=np.float64)
        return _Weights(self.source, self.pool).left((weighted * A).astype(A.dtype))


class _Weights(Products):
    """The products of w."""

    def _matrix(self, block: Block) -> Any:
        if block.weights is None:  # a block without a missing cell: those that CSR does not store count too
            return np.ones(block.X.shape, block.X.dtype)
        return like(block.X, block.weights)


def values(X: Any) -> np.ndarray:
    """The cells of a dense array, or those that CSR stores."""
    return X.data if sp.issparse(X) else X


def like(X: Any, cells: np.ndarray) -> Any:
    """An array of the kind of X with other `values`."""
    return sp.csr_array((cells, X.indices, X.indptr), shape=X.shape) if sp.issparse(X) else cells
