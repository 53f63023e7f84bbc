"""The Boolean rank: how few rectangles cover the positive cells of X and no other cell."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from sklearn.utils._param_validation import validate_params

from ..models.inputs import draw_seed
from .certificates import Antichain, Certificate, FoolingSet, RectangleCover, RectangleWeights
from .factors import SEARCH
from .matrix import matrix_of, pattern_of
from .patterns import distinct_lines
from .rank import RankInterval
from .unions import choose_rows, wrong_cells

__all__ = ["boolean_rank"]

KICKS = 300


@validate_params(SEARCH, prefer_skip_nested_validation=True)
def boolean_rank(
    X: Any,
    *,
    tol: float = 1e-8,
    n_starts: int = 200,
    max_time: float | None = None,
    random_state: Any = None,
) -> RankInterval:
    """The smallest k for which the positive cells of X are those of W ∘ H, W and H of zeros and ones, as an interval.

    It is the smallest number of rectangles of positive cells that cover them all, and a lower bound on the non-negative
    rank. Lower bounds: fooling sets, antichains of supports, fractional and integer covers; upper bounds: the distinct
    rows or columns, integer covers, and a local search that gives a row another choice, lets all columns and then all
    rows choose anew, and keeps what is not worse.

    Parameters
    ----------
    X : array-like, sparse, DataFrame or path, (n, m)
    tol : float, default=1e-8
        Cells of at most ``tol`` times the largest count as 0, in units in which rows and columns have one size.
    n_starts : int, default=200
        Starts of the search for each k, of 300 kicks each.
    max_time : float, optional
        Seconds of the search for each k.
    random_state : int, RandomState, Generator or None

    Returns
    -------
    RankInterval
        With W and H of zeros and ones.

    Examples
    --------
    >>> import numpy as np
    >>> from nonneg.exact import boolean_rank
    >>> boolean_rank(1 - np.eye(6), random_state=0).upper
    4
    """
    cells, _ = matrix_of(X, "boolean_rank")
    pattern = pattern_of(cells, tol)
    if not pattern.any():
        empty = np.zeros((len(pattern), 0), np.int64), np.zeros((0, pattern.shape[1]), np.int64)
        return RankInterval(0, 0, [], *empty)
    proofs: list[Certificate] = [FoolingSet.of(cells, tol), Antichain.of(cells, tol)]
    if (weights := RectangleWeights.of(cells, tol)) is not None:
        proofs.append(weights)
    lower, (W, H) = max(proof.bound for proof in proofs), _from_distinct(pattern)
    rng, done, k = np.random.default_rng(draw_seed(random_state)), 0, lower
    while k < W.shape[1]:
        found, starts = _search(pattern, k, n_starts, max_time, rng)
        done += starts
        if found is not None:
            W, H = found
        elif k == lower and (cover := RectangleCover.of(cells, tol)) is not None:
            proofs.append(cover)
            lower = max(lower, cover.bound)
            if len(cover.rows) < W.shape[1]:
                W, H = cover.rows.T.astype(np.int64), cover.columns.astype(np.int64)
        k += 1
    proofs.sort(key=lambda proof: -proof.bound)
    return RankInterval(lower, W.shape[1], proofs, W, H, done)


def _from_distinct(pattern: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One component for every distinct row, or column."""
    rows, columns = distinct_lines(pattern)
    if len(columns) < len(rows):
        H, W = _from_distinct(pattern.T)
        return W.T, H.T
    H = pattern[rows].astype(np.int64)
    return (pattern[:, None, :] == pattern[rows]).all(axis=2).astype(np.int64), H


def _search(
    pattern: np.ndarray, k: int, n_starts: int, max_time: float | None, rng: np.random.Generator
) -> tuple[tuple[np.ndarray, np.ndarray] | None, int]:
    """W and H without a wrong cell, or None; and how many starts were made."""
    rows, columns = distinct_lines(pattern)
    X, began = pattern[np.ix_(rows, columns)].astype(np.float32), time.perf_counter()
    n, m = X.shape
    for start in range(1, n_starts + 1):
        bits = rng.random((n, k))
        if start % 2:  # as many components in every row: incomparable choices for incomparable rows
            first = (bits.argsort(axis=1) < rng.integers(1, k + 1)).astype(np.int64)
        else:
            first = (bits < 0.5).astype(np.int64)
        W, H = _chosen(X, first, np.zeros((k, m), np.int64))
        wrong = wrong_cells(X, W, H)
        for _ in range(KICKS):
            if not wrong.any():
                break
            new_W, new_H = _chosen(X, _kicked(W, wrong, rng), H)
            new_wrong = wrong_cells(X, new_W, new_H)
            if new_wrong.sum() <= wrong.sum():
                W, H, wrong = new_W, new_H, new_wrong
        if not wrong.any():
            return _spread(pattern, H, columns), start
        if max_time is not None and time.perf_counter() - began >= max_time:
            return None, start
    return None, n_starts


def _kicked(W: np.ndarray, wrong: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """W with another choice for a row, mostly a wrong one: mostly as many components as some other row has."""
    n, k = W.shape
    W = W.copy()
    row = rng.choice(np.flatnonzero(wrong)) if rng.random() < 0.8 else rng.integers(n)
    W[row] = rng.integers(0, 2, k) if rng.random() < 0.1 else W[rng.integers(n), rng.permutation(k)]
    return W


def _chosen(X: np.ndarray, W: np.ndarray, H: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns of H choose, then rows of W."""
    Ht, W = np.ascontiguousarray(H.T), W.copy()
    choose_rows(X.T, Ht, W.T)
    choose_rows(X, W, Ht.T)
    return W, Ht.T


def _spread(pattern: np.ndarray, H: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Factors of the whole pattern: rectangles with all rows that allow their columns, and all columns these share."""
    chosen = np.zeros((len(H), pattern.shape[1]), bool)
    chosen[:, columns] = H > 0
    rows = (chosen.astype(np.int64) @ ~pattern.T) == 0
    whole = (rows.astype(np.int64) @ ~pattern) == 0
    return rows.T.astype(np.int64), whole.astype(np.int64)
