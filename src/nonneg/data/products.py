"""X times a thin matrix, from either side, over blocks of rows in order: for models that need no more of X than that.

Cells of weight 0 count as 0 here; row weights multiply the rows of the left factor only where a model asks for them.
"""

from __future__ import annotations

import numpy as np

from .source import Source
from .threads import Workers

__all__ = ["Products"]


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

    def right(self, B: np.ndarray) -> np.ndarray:
        """X B of shape (n, p), for B of shape (m, p)."""
        out = np.empty((self.source.shape[0], B.shape[1]), self.source.float_dtype)

        def work(cut: tuple[int, int]) -> None:
            block = self.source.block(*cut)
            out[block.rows] = block.X @ B

        for _ in self.pool.map(work, self.source.bounds()):
            pass
        return out

    def left(self, A: np.ndarray) -> np.ndarray:
        """Xᵀ A of shape (m, p), for A of shape (n, p)."""

        def work(cut: tuple[int, int]) -> np.ndarray:
            block = self.source.block(*cut)
            return block.X.T @ A[block.rows]

        out = np.zeros((self.source.shape[1], A.shape[1]), self.source.float_dtype)
        for part in self.pool.map(work, self.source.bounds()):
            out += part
        return out

    def both(self, B: np.ndarray) -> np.ndarray:
        """Xᵀ (X B) of shape (m, p), each block read once."""

        def work(cut: tuple[int, int]) -> np.ndarray:
            X = self.source.block(*cut).X
            return X.T @ (X @ B)

        out = np.zeros((self.source.shape[1], B.shape[1]), self.source.float_dtype)
        for part in self.pool.map(work, self.source.bounds()):
            out += part
        return out
