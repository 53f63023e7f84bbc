"""Coordinate descent for ½‖A − H Hᵀ‖² + ρ Σ ⟨h_i, h_l⟩ over H ≥ 0, with the last sum over pairs (i, l).

In one row h of H, with G′ = Hᵀ H − h hᵀ and p = Σ_{l≠i} a_il h_l of the other rows, the objective is

    ½ (a_ii − ‖h‖²)² + h G′ hᵀ − 2 p·h + ρ c·h + constant,     c = the sum of the excluded rows,

so in one entry a quartic, whose least value over v ≥ 0 a cubic equation gives (Vandaele, Gillis, Lei, Zhong &
Dhillon 2016). Rows move one after the other and each sees those before it, so the objective never rises.
A row is swept `INNER` times while p is at hand: p is what costs.
"""

from __future__ import annotations

import numpy as np

from nonneg.kernels.jit import kernel, part

__all__ = ["least_quartic", "sweep_dense", "sweep_sparse"]

INNER = 2


@part
def least_quartic(a, b):
    """Return the v ≥ 0 with the least ¼ v⁴ + ½ a v² + b v."""
    if a >= 0 and b >= 0:
        return 0.0
    third, half = a / 3.0, -0.5 * b
    inside = half * half + third * third * third
    if inside >= 0:
        root = np.sqrt(inside)
        u = np.cbrt(half + root if half >= 0 else half - root)
        v = u - third / u if u != 0 else 0.0
    else:
        size = np.sqrt(-third)
        v = 2.0 * size * np.cos(np.arccos(max(-1.0, min(1.0, half / (size * size * size)))) / 3.0)
    if v <= 0:
        return 0.0
    for _ in range(2):  # Newton: Cardano's formula cancels where a is large
        slope = 3.0 * v * v + a
        if slope > 0:
            v = max(v - (v * v * v + a * v + b) / slope, 0.0)
    return v if v * (0.25 * v * v * v + 0.5 * a * v + b) < 0 else 0.0


@part
def _move(h, p, G, own):
    """Sweep over the entries of one row, and bring G = Hᵀ H up to date; `own` is a_ii."""
    k = h.shape[0]
    for i in range(k):
        for j in range(k):
            G[i, j] -= h[i] * h[j]
    squares = 0.0
    for j in range(k):
        squares += h[j] * h[j]
    for _ in range(INNER):
        for j in range(k):
            slope = -p[j]
            for q in range(k):
                slope += G[j, q] * h[q]
            slope -= G[j, j] * h[j]
            rest = squares - h[j] * h[j]
            v = least_quartic(rest - own + G[j, j], slope)
            squares = rest + v * v
            h[j] = v
    for i in range(k):
        for j in range(k):
            G[i, j] += h[i] * h[j]


@part
def _exclude(p, H, apart, starts, i, weight):
    """Take ½ ρ c from p; `weight` is ½ ρ."""
    for at in range(starts[i], starts[i + 1]):
        for j in range(p.shape[0]):
            p[j] -= weight * H[apart[at], j]


@kernel
def sweep_dense(X, P, H, G, first, apart, starts, weight):
    """Move the rows of H that belong to the rows ``first, first + 1, …`` of A, given as X (b, n), in place.

    Parameters
    ----------
    X, P : ndarray of shapes (b, n) and (b, k)
        Rows of A, and X H.
    H, G : ndarray of shapes (n, k) and (k, k), float64
        H and Hᵀ H, both kept up to date.
    first : int
    apart, starts : ndarray of int
        Indices and row pointers (CSR) of the rows that exclude each other.
    weight : float
        ½ ρ.
    """
    b, k = P.shape
    moved = np.zeros((b, k))
    p = np.empty(k)
    for r in range(b):
        i = first + r
        own = float(X[r, i])
        for j in range(k):
            p[j] = P[r, j] - own * H[i, j]
        for before in range(r):
            value = X[r, first + before]
            if value != 0:
                for j in range(k):
                    p[j] += value * moved[before, j]
        _exclude(p, H, apart, starts, i, weight)
        for j in range(k):
            moved[r, j] = -H[i, j]
        _move(H[i], p, G, own)
        for j in range(k):
            moved[r, j] += H[i, j]


@kernel
def sweep_sparse(data, indices, indptr, H, G, first, apart, starts, weight):
    """As `sweep_dense`, for rows of A as CSR."""
    k = H.shape[1]
    p = np.empty(k)
    for r in range(indptr.shape[0] - 1):
        i = first + r
        own = 0.0
        for j in range(k):
            p[j] = 0.0
        for at in range(indptr[r], indptr[r + 1]):
            if indices[at] == i:
                own += float(data[at])
            else:
                for j in range(k):
                    p[j] += data[at] * H[indices[at], j]
        _exclude(p, H, apart, starts, i, weight)
        _move(H[i], p, G, own)
