"""Starts of models whose parts are extreme rows: indices of rows that lie far apart from each other.

All three begin with the row farthest from the mean and depend on the values of the rows, not on their order; a row of
weight 0 is not picked.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..data.centred import Centred

__all__ = ["EXTREMES", "furthest_first", "furthest_from_hull", "furthest_sum"]

EXCHANGES = 10


def _farthest(score: np.ndarray, X: Centred, apart: np.ndarray, picked: list[int]) -> int:
    """The row with the largest score of those that count and are ``apart`` (squared) from what is picked."""
    eps = float(np.finfo(X.source.float_dtype).eps)
    able = (X.weights > 0) & (apart > 64 * eps * X.squares.max())
    if able.any():
        return int(np.argmax(np.where(able, score, -np.inf)))
    # there are fewer different rows: one comes again
    return picked[len(picked) // 2] if picked else int(np.flatnonzero(X.weights > 0)[0])


def _distances(X: Centred, row: int) -> np.ndarray:
    return X.distances(X.take(np.array([row]))[0])


def furthest_sum(X: Centred, k: int) -> list[int]:
    """The row with the largest sum of distances to those picked, k times; then the oldest is picked anew, ten times.

    Mørup & Hansen (2012), Archetypal analysis for machine learning and data mining, Neurocomputing 80 (FurthestSum).
    """
    picked = [_farthest(X.squares, X, X.squares, [])]
    far = [_distances(X, picked[0])]
    for turn in range(k - 1 + (EXCHANGES if k > 1 else 0)):
        if turn >= k - 1:
            del picked[0], far[0]
        picked.append(_farthest(np.sum(far, axis=0), X, np.min(far, axis=0) ** 2, picked))
        far.append(_distances(X, picked[-1]))
    return picked


def furthest_first(X: Centred, k: int) -> list[int]:
    """The row whose nearest picked row is farthest (Gonzalez 1985)."""
    picked = [_farthest(X.squares, X, X.squares, [])]
    nearest = _distances(X, picked[0])
    while len(picked) < k:
        picked.append(_farthest(nearest, X, nearest**2, picked))
        nearest = np.minimum(nearest, _distances(X, picked[-1]))
    return picked


def furthest_from_hull(X: Centred, k: int) -> list[int]:
    """The row farthest from the convex hull of those picked."""
    from ..kernels import simplex

    picked = [_farthest(X.squares, X, X.squares, [])]
    W, P = np.zeros((len(X.squares), 0)), None
    while len(picked) < k:
        V = X.take(np.array(picked))
        G, column = V @ V.T, X.right(V[-1:].T)
        P = column if P is None else np.hstack([P, column])
        W = np.hstack([W, np.zeros_like(column)])
        simplex.solve(G, P, W)
        gap = X.squares - np.einsum("ij,ij->i", W, 2 * P - W @ G)
        picked.append(_farthest(gap, X, gap, picked))
    return picked


EXTREMES: dict[str, Callable[[Centred, int], list[int]]] = {
    "furthest_sum": furthest_sum,
    "furthest_first": furthest_first,
    "furthest_from_hull": furthest_from_hull,
}
