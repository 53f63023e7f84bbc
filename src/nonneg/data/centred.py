"""X − 1 μᵀ, μ the weighted mean row or 0, through products with X alone: a sparse X stays sparse.

What depends on differences of rows only (distances, convex hulls) loses no digits to a mean far from zero. All of it
is in float64, a block at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from .source import Source
from .threads import Workers

__all__ = ["Centred"]


class Centred:
    """The products of the centred rows of a source.

    Parameters
    ----------
    source : Source
    pool : Workers
    centred : bool, default=True
        False takes μ = 0: the rows as they are, in float64.

    Attributes
    ----------
    weights : ndarray of shape (n,)
        s, the weights of the rows; 1 where the source has none.
    mean : ndarray of shape (m,)
        μ = Σ s_i x_i / Σ s_i, float64.
    squares : ndarray of shape (n,)
        ‖x_i − μ‖², float64.
    total : float
        Σ s_i ‖x_i − μ‖²; 0 where that is nothing but rounding.
    """

    def __init__(self, source: Source, pool: Workers, *, centred: bool = True) -> None:
        self.source, self.pool = source, pool
        given = source.row_weights
        self.weights = np.ones(source.shape[0]) if given is None else given.astype(np.float64)
        cuts = source.bounds()
        self.mean = np.zeros(source.shape[1])
        if centred:
            sums = pool.map(lambda cut: self.weights[slice(*cut)] @ self._rows(cut), cuts)
            self.mean = sum(sums, self.mean) / self.weights.sum()
        self.squares = np.concatenate(list(pool.map(self._squares, cuts)))
        self.total = float(self.weights @ self.squares)
        noise = 4 * float(np.finfo(source.float_dtype).eps) ** 2 * float(self.mean @ self.mean)
        if self.total <= noise * self.weights.sum():
            self.total = 0.0

    def _rows(self, cut: tuple[int, int]) -> Any:
        return self.source.read(*cut).astype(np.float64, copy=False)

    def _squares(self, cut: tuple[int, int]) -> np.ndarray:
        X = self._rows(cut)
        if sp.issparse(X):
            found = X.multiply(X).sum(axis=1) - 2 * (X @ self.mean) + self.mean @ self.mean
            return np.maximum(found, 0.0)
        gap = X - self.mean
        return np.einsum("ij,ij->i", gap, gap)

    def right(self, B: np.ndarray) -> np.ndarray:
        """(X − 1 μᵀ) B of shape (n, p), for B of shape (m, p)."""
        out = np.empty((self.source.shape[0], B.shape[1]))

        def work(cut: tuple[int, int]) -> None:
            out[slice(*cut)] = self._rows(cut) @ B

        for _ in self.pool.map(work, self.source.bounds()):
            pass
        out -= self.mean @ B
        return out

    def left(self, A: np.ndarray) -> np.ndarray:
        """Aᵀ (X − 1 μᵀ) of shape (p, m), for A of shape (n, p)."""
        parts = self.pool.map(lambda cut: self._rows(cut).T @ A[slice(*cut)], self.source.bounds())
        return sum(parts, np.zeros((self.source.shape[1], A.shape[1]))).T - np.outer(A.sum(axis=0), self.mean)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """The centred rows with these indices, dense."""
        return self.source.take(rows) - self.mean

    def distances(self, row: np.ndarray) -> np.ndarray:
        """Euclidean distance of every row of X to a centred ``row`` (m,)."""
        found = self.squares - 2 * self.right(row[:, None])[:, 0] + row @ row
        return np.sqrt(np.maximum(found, 0.0))
