"""Rows that are drawn to each other along the edges of a graph: coordinate descent, row after row."""

from __future__ import annotations

import numpy as np

from .jit import kernel

__all__ = ["settle", "sweep"]


@kernel
def _rows(W, G, P, ridge, data, indices, indptr, most, tol):
    n, k = W.shape
    F = W.dtype.type
    zero = F(0)
    p = np.zeros(k, W.dtype)
    for i in range(n):
        w = W[i]
        largest = zero
        for a in range(k):
            p[a] = P[i, a]
        for e in range(indptr[i], indptr[i + 1]):
            other, weight = W[indices[e]], data[e]
            for a in range(k):
                p[a] += weight * other[a]
        for a in range(k):
            largest = max(largest, abs(p[a]))
        for _ in range(most):
            moved = zero
            for a in range(k):
                curvature = G[a, a] + ridge[i]
                if not curvature > zero:
                    continue
                slope = ridge[i] * w[a] - p[a]
                for b in range(k):
                    slope += G[a, b] * w[b]
                new = max(w[a] - slope / curvature, zero)
                moved = max(moved, abs(new - w[a]) * curvature)
                w[a] = new
            if moved <= tol * largest:
                break


def sweep(W, G, P, ridge, edges, n_sweeps=1):
    """Lower Σ_i (½ w_i (G + d_i I) w_iᵀ − p_i · w_i) − ½ Σ_ij e_ij w_i · w_j over W ≥ 0, in place.

    A row sees those before it as they have become.

    Parameters
    ----------
    W : (n, k) array, updated in place
    G : (k, k) array
    P : (n, k) array
    ridge : (n,) array
        d.
    edges : csr_array of shape (n, n)
        e, symmetric and without a diagonal, of W's dtype.
    n_sweeps : int, default=1
        Sweeps over the coordinates of a row before the next row moves.
    """
    _rows(W, G, P, ridge, edges.data, edges.indices, edges.indptr, int(n_sweeps), W.dtype.type(0))


def settle(W, G, P, ridge, most, tol):
    """Solve the problem of `sweep` without edges: rows on their own, each until its steps are ``tol`` of its p.

    Parameters
    ----------
    W, G, P, ridge
        As for `sweep`.
    most : int
        Sweeps, at most.
    tol : float
    """
    none = np.zeros(0, W.dtype), np.zeros(0, np.int32), np.zeros(len(W) + 1, np.int32)
    _rows(W, G, P, ridge, *none, int(most), W.dtype.type(tol))
