"""Exact Euclidean projections of the rows of a matrix: onto the simplex, the sphere, and Hoyer's sparsity cone.

Arrays in, arrays out: every function takes Y (r, d), projects each row by itself, and returns a new float64
array. All are sorts and cumulative sums over whole matrices, so no Python loop runs over rows. Rows are
shifted by their maximum first where the answer does not depend on a shift: sums then keep their digits, and
1e300 does not overflow.
"""

from __future__ import annotations

import math

import numpy as np

from nonneg.penalties.base import Array


def project_simplex(Y: Array, total: float = 1.0) -> Array:
    """Nearest point of {u >= 0, Σ u = total} to each row.

    Parameters
    ----------
    Y : ndarray of shape (r, d)
        Rows of any sign.
    total : float > 0
        The sum that each row gets.

    References
    ----------
    Held, Wolfe & Crowder (1974), Validation of subgradient optimization, Math. Program. 6; Duchi,
    Shalev-Shwartz, Singer & Chandra (2008), Efficient projections onto the l1-ball for learning in high
    dimensions, ICML, figure 1.
    """
    with np.errstate(over="ignore"):
        Z = Y.astype(np.float64) - Y.max(axis=1, keepdims=True).astype(np.float64)
    # θ >= −total below, so what lies lower is zero anyway, and must not overflow the sums
    Z = np.maximum(Z, -total)
    ordered = -np.sort(-Z, axis=1)
    # u = max(z − θ, 0) with θ = (Σ of the p largest − total) / p for the largest p whose p-th entry exceeds θ
    theta = (np.cumsum(ordered, axis=1) - total) / np.arange(1, Z.shape[1] + 1)
    p = np.count_nonzero(ordered > theta, axis=1)
    U = np.maximum(Z - theta[np.arange(len(Z)), np.maximum(p, 1) - 1][:, None], 0.0)
    # the sum is exact up to rounding already; a second division leaves no drift when this runs a thousand times
    return U * (total / U.sum(axis=1, keepdims=True))


def project_sphere(Y: Array, radius: float = 1.0) -> Array:
    """Nearest point of {u >= 0, ‖u‖₂ = radius} to each row.

    With a positive entry that is the positive part, rescaled. Otherwise every unit vector costs something,
    and the cheapest is the one at the largest entry. When the largest entry is zero, all directions among the
    zeros are equally near, and their diagonal is taken, so that no cell is preferred.
    """
    top = Y.max(axis=1, keepdims=True).astype(np.float64)
    scale = np.where(top > 0, top, 1.0)
    # divided by the largest entry first: squares of 1e300 or 1e-300 would not be numbers
    U = np.maximum(Y.astype(np.float64) / scale, 0.0)
    U = np.where(top == 0, (Y == 0).astype(np.float64), U)
    negative = np.flatnonzero(top[:, 0] < 0)
    U[negative, Y[negative].argmax(axis=1)] = 1.0
    return U * (radius / np.sqrt(np.square(U).sum(axis=1, keepdims=True)))


def hoyer_sum(level: float, d: int) -> float:
    """‖u‖₁ of a unit vector of length d with Hoyer sparsity `level`: √d − level (√d − 1)."""
    return math.sqrt(d) - level * (math.sqrt(d) - 1.0)


def project_hoyer(Y: Array, level: float) -> Array:
    """Nearest point of the cone {u >= 0, (√d − ‖u‖₁/‖u‖₂) / (√d − 1) = level} to each row; d >= 2.

    The set is a cone, so the nearest point is ⟨û, y⟩₊ û, where û maximises ⟨u, y⟩ over its unit vectors,
    those with Σ u = c, c = √d − level (√d − 1). Stationarity gives û ∝ max(y − τ, 0), and the τ that makes
    the sum equal c has a closed form once the number p of positive entries is known:

        τ = mean_p − c √(SS_p / (p (p − c²))),   SS_p = Σ (y_i − mean_p)² over the p largest.

    p is found from the ratio ‖·‖₁/‖·‖₂ of max(y − y_(q), 0), which only grows with q. When several largest
    entries tie and c is too small for all of them, any admissible vector on the tie is optimal; the first
    index gets the large value.

    References
    ----------
    Hoyer (2004), Non-negative matrix factorization with sparseness constraints, JMLR 5, section 3,
    which finds the same point by alternating projections with the norm kept; Theis, Stadlthanner & Tanaka
    (2005), First results on uniqueness of sparse non-negative matrix factorization, EUSIPCO.
    """
    d = Y.shape[1]
    c = hoyer_sum(level, d)
    Y = Y.astype(np.float64)
    magnitude = np.abs(Y).max(axis=1, keepdims=True)
    Y = Y / np.where(magnitude > 0, magnitude, 1.0)
    Z = Y - Y.max(axis=1, keepdims=True)
    p = _support_size(Z, c)
    U, tied = _shifted(Z, p, c)
    U[tied] = _on_ties(Z[tied], p[tied], c)
    U /= np.sqrt(np.square(U).sum(axis=1, keepdims=True))
    return U * (np.maximum((U * Y).sum(axis=1, keepdims=True), 0.0) * magnitude)


def _support_size(Z: Array, c: float) -> Array:
    """Number of positive entries of max(z − τ, 0) at the τ where its ‖·‖₁/‖·‖₂ is c, for each row."""
    ordered = -np.sort(-Z, axis=1)
    count = np.arange(1, Z.shape[1] + 1)
    sums, squares = np.cumsum(ordered, axis=1), np.cumsum(np.square(ordered), axis=1)
    one = sums - count * ordered
    two = np.sqrt(np.maximum(squares - 2 * ordered * sums + count * np.square(ordered), 0.0))
    ratio = np.divide(one, two, out=np.zeros_like(one), where=(two > 0) & (one > 0))
    return np.count_nonzero(ratio < c, axis=1)


def _shifted(Z: Array, p: Array, c: float) -> tuple[Array, Array]:
    """max(z − τ, 0) for each row, and the indices of the rows where no τ exists: a tie, or all entries equal."""
    rank = np.argsort(np.argsort(-Z, axis=1, kind="stable"), axis=1)
    inside = rank < p[:, None]
    mean = np.where(inside, Z, 0.0).sum(axis=1) / p
    spread = np.square(np.where(inside, Z - mean[:, None], 0.0)).sum(axis=1)
    room = p * (p - c * c)
    tied = (spread == 0) | (p * (1.0 - 1e-12) <= c * c)
    tau = mean - c * np.sqrt(np.divide(spread, room, out=np.zeros_like(spread), where=~tied))
    return np.maximum(Z - tau[:, None], 0.0), np.flatnonzero(tied)


def _on_ties(Z: Array, p: Array, c: float) -> Array:
    """A unit vector with sum c on the t largest entries of each row: one value a, t − 1 values b <= a."""
    # a sum of c needs c² entries; rounding may have counted one too few
    t = np.maximum(p, math.ceil(c * c - 1e-9)).astype(np.float64)
    # a + (t − 1) b = c and a² + (t − 1) b² = 1
    a = (c + np.sqrt(np.maximum((t - 1.0) * (t - c * c), 0.0))) / t
    b = np.divide(c - a, t - 1.0, out=np.zeros_like(a), where=t > 1)
    rank = np.argsort(np.argsort(-Z, axis=1, kind="stable"), axis=1)
    U = np.where(rank < t[:, None], np.maximum(b, 0.0)[:, None], 0.0)
    U[rank == 0] = a
    return U
