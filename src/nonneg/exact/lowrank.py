"""Factors in closed form: X of rank at most 2, and factors from corners that are known."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

__all__ = ["from_corners", "of_rank_one", "of_rank_two", "relative_residual"]


def relative_residual(X: np.ndarray, W: np.ndarray, H: np.ndarray) -> float:
    """‖X − W H‖ / ‖X‖; 0 for X = W H = 0."""
    size = float(np.linalg.norm(X))
    return float(np.linalg.norm(X - W @ H)) / size if size > 0 else float(np.any(W @ H))


def of_rank_one(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """W (n, 1) and H (1, m): the leading singular pair, the best approximation of rank 1 (Perron, Frobenius)."""
    left, size, right = np.linalg.svd(X, full_matrices=False)
    return np.abs(left[:, :1]) * size[0], np.abs(right[:1])


def of_rank_two(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """W (n, 2) and H (2, m) of a matrix whose rank is at most 2: the non-negative rank is the rank then.

    Rows divided by their sums lie on a segment, and its two ends are rows: H. A row at share t of the way from one to
    the other is (1 − t, t) of them times its sum. At rank 1 the segment is a point, and one component is zero.
    """
    sums = X.sum(axis=1)
    seen = sums > 0
    W, H = np.zeros((len(X), 2)), np.zeros((2, X.shape[1]))
    if not seen.any():
        return W, H
    points = X[seen] / sums[seen, None]
    spread = points - points[sums[seen].argmax()]
    along = spread @ spread[np.einsum("ij,ij->i", spread, spread).argmax()]
    first, last = along.argmin(), along.argmax()
    H[0] = points[first]
    length = along[last] - along[first]
    share = (along - along[first]) / length if length > 1e-30 else np.zeros(len(along))
    if length > 1e-30:
        H[1] = points[last]
    W[seen] = sums[seen, None] * np.stack([1 - share, share], axis=1)
    return W, H


def from_corners(X: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """W and the best H ≥ 0 for it, column by column (Lawson and Hanson 1974)."""
    return W, np.stack([nnls(W, column)[0] for column in X.T], axis=1)
