"""Boolean products: rows of zeros and ones as unions of other rows, chosen exactly.

(W ∘ H)_ij = 1 where some component has W_ik = H_kj = 1. Given H, a row of W chooses which rows of H to unite; given W,
a column of H chooses columns of W. The wrong cells of every choice of up to eight components come from one product with
their 2⁸ unions, and the best choice is taken; with more components, eight at a time move while the others stay.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..data import Source
from ..data.threads import Workers

__all__ = ["Ones", "choose_columns", "choose_rows", "choose_rows_anew", "covered", "dense", "wrong_cells"]

TOGETHER = 8
TURNS = 6  # of the groups, for rows that have no choice yet
DENSE = 1 << 21  # cells of W ∘ H at once


class Ones:
    """The cells of a source that are above a threshold, block by block, as 1.0 in float32 (dense or CSR)."""

    def __init__(self, source: Source, threshold: float, pool: Workers) -> None:
        self.source, self.threshold, self.pool = source, threshold, pool
        # blocks of rows with few stored cells are long, and W ∘ H is dense
        step = max(1, DENSE // source.shape[1])
        self.cuts = [
            (begin, min(begin + step, stop))
            for start, stop in source.bounds()
            for begin in range(start, stop, step)
        ]

    def map(self, function: Callable[[Any, np.ndarray, slice], Any]) -> Iterator[Any]:
        """``function(X, s, rows)`` of every block in order, s the weights of its rows."""

        def work(cut: tuple[int, int]) -> Any:
            block = self.source.block(*cut)
            if block.is_sparse:
                X = block.X.copy()
                X.data = (X.data > self.threshold).astype(np.float32)
                X.eliminate_zeros()
            else:
                X = np.greater(block.X, self.threshold).astype(np.float32)
            s = block.row_weights
            return function(X, np.ones(X.shape[0]) if s is None else s.astype(np.float64), block.rows)

        return self.pool.map(work, self.cuts)


@functools.cache
def _choices(t: int) -> np.ndarray:
    """All subsets of t things, (2^t, t) of zeros and ones, small subsets first: ties go to fewer."""
    every = (np.arange(2**t)[:, None] >> np.arange(t)) & 1
    return every[np.argsort(every.sum(axis=1), kind="stable")]


def _groups(k: int, turn: int) -> list[np.ndarray]:
    """Components that move together, other ones in every turn."""
    order = np.arange(k) if k <= TOGETHER else np.random.default_rng(turn).permutation(k)
    return [order[a : a + TOGETHER] for a in range(0, k, TOGETHER)]


def dense(X: Any) -> np.ndarray:
    """A block as an array."""
    return X.toarray() if hasattr(X, "toarray") else X


def covered(W: np.ndarray, H: np.ndarray) -> np.ndarray:
    """W ∘ H as 0.0 and 1.0 in float32."""
    return ((W.astype(np.float32) @ H.astype(np.float32)) > 0).astype(np.float32)


def _uncovered(X: Any, W: np.ndarray, H: np.ndarray, group: np.ndarray) -> tuple[Any, np.ndarray | None]:
    """X and 1 where the components outside the group cover nothing; (X, None) where all are in it."""
    others = np.ones(len(H), bool)
    others[group] = False
    if not others.any():
        return X, None
    free = 1 - covered(W[:, others], H[others])
    return dense(X) * free, free


def choose_rows(X: Any, W: np.ndarray, H: np.ndarray, turn: int = 0) -> None:
    """Move rows of W (b, k) in place: the best choice of every group of components, one group after another."""
    for group in _groups(len(H), turn):
        choices = _choices(len(group))
        unions = covered(choices, H[group])
        ones, free = _uncovered(X, W, H, group)
        # Σ |x − u| over free cells is a constant plus Σ u (1 − 2 x)
        cost = (unions.sum(axis=1) if free is None else free @ unions.T) - 2 * (ones @ unions.T)
        W[:, group] = choices[cost.argmin(axis=1)]


def choose_rows_anew(X: Any, H: np.ndarray) -> np.ndarray:
    """W for rows that have none yet: the best choice, with more than 8 components a good one."""
    W = np.zeros((X.shape[0], len(H)), np.int64)
    if len(H) <= TOGETHER:
        choose_rows(X, W, H)
        return W
    X = dense(X)
    for _ in range(len(H)):  # one component more, the one that mends most
        free = 1 - covered(W, H)
        gain = (2 * X * free - free) @ H.T.astype(np.float32)
        best = gain.argmax(axis=1)
        mended = np.flatnonzero(gain.max(axis=1) > 0)
        if not len(mended):
            break
        W[mended, best[mended]] = 1
    for turn in range(TURNS):
        choose_rows(X, W, H, turn)
    return W


def choose_columns(ones: Ones, W: np.ndarray, H: np.ndarray, turn: int = 0) -> np.ndarray:
    """H moved: the best choice of every column and group of components."""
    H = H.copy()
    for group in _groups(len(H), turn):
        choices = _choices(len(group))

        def work(X: Any, s: np.ndarray, rows: slice, group: Any = group, choices: Any = choices) -> Any:
            unions = covered(W[rows][:, group], choices.T) * s[:, None]
            part, free = _uncovered(X, W[rows], H, group)
            each = unions.sum(axis=0)[:, None] if free is None else unions.T @ free
            return each - 2 * (part.T @ unions).T

        cost = functools.reduce(np.add, ones.map(work))
        H[group] = choices[cost.argmin(axis=0)].T
    return H


def wrong_cells(X: Any, W: np.ndarray, H: np.ndarray) -> np.ndarray:
    """The number of cells of each row in which X and W ∘ H differ."""
    product = covered(W, H)
    both = X.multiply(product).sum(axis=1) if hasattr(X, "multiply") else np.einsum("ij,ij->i", X, product)
    return np.asarray(X.sum(axis=1)).ravel() + product.sum(axis=1) - 2.0 * np.asarray(both).ravel()
