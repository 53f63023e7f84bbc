"""Coordinate descent for ½ Σ s_i ‖x_i − x_i V Vᵀ‖² over V = Hᵀ ≥ 0, one row of V (column of X) at a time.

With Y = X V, A = Vᵀ V, C = Yᵀ S Y, r = Yᵀ S x_j and q = x_jᵀ S x_j of feature j, whose row of V is v, a step d of v_c
changes the objective by

    d [(A r)_c + (C v)_c − 2 r_c] + d² [½ (q A_cc + C_cc) + v·r + v_c r_c − q] + d³ (q v_c + r_c) + d⁴ q / 2,

which is least at a root of a cubic or where v_c becomes 0. Y, A and C follow each step, so the objective never rises.
"""

from __future__ import annotations

import numpy as np

from nonneg.kernels.jit import kernel, part

__all__ = ["least_step", "sweep_dense", "sweep_sparse"]

INNER = 2  # sweeps over a row of V while r is at hand


@part
def least_step(a, b, c, e, low):
    """Return the d ≥ low ≤ 0 with the least a d + b d² + c d³ + e d⁴, for e > 0."""
    shift = c / (4.0 * e)  # the slope is 4 e (x³ + p x + w) in x = d + shift
    p = b / (2.0 * e) - 3.0 * shift * shift
    w = a / (4.0 * e) - b * shift / (2.0 * e) + 2.0 * shift * shift * shift
    third, half = p / 3.0, -0.5 * w
    inside = half * half + third * third * third
    best, value = 0.0, 0.0
    for which in range(3):
        if which == 2:
            d = low
        elif inside >= 0:
            root = np.sqrt(inside)
            u = np.cbrt(half + root if half >= 0 else half - root)
            d = (u - third / u if u != 0 else 0.0) - shift
        else:
            size = np.sqrt(-third)
            angle = np.arccos(max(-1.0, min(1.0, half / (size * size * size))))
            d = 2.0 * size * np.cos((angle + 2.0 * np.pi * which) / 3.0) - shift
        if which < 2:
            for _ in range(2):  # Newton: the formulas cancel
                bend = 2.0 * b + d * (6.0 * c + 12.0 * e * d)
                if bend > 0:
                    d -= (a + d * (2.0 * b + d * (3.0 * c + 4.0 * e * d))) / bend
        d = max(d, low)
        found = d * (a + d * (b + d * (c + e * d)))
        if found < value:
            best, value = d, found
    return best


@part
def _move(v, r, q, A, C):
    """Sweep over one row of V; r, A and C follow."""
    k = v.shape[0]
    for _ in range(INNER):
        for c in range(k):
            slope = -2.0 * r[c]
            inner = 0.0
            for j in range(k):
                slope += A[c, j] * r[j] + C[c, j] * v[j]
                inner += v[j] * r[j]
            bend = 0.5 * (q * A[c, c] + C[c, c]) + inner + v[c] * r[c] - q
            d = least_step(slope, bend, q * v[c] + r[c], 0.5 * q, -v[c])
            if d == 0:
                continue
            for j in range(k):
                A[c, j] += d * v[j]
                A[j, c] += d * v[j]
                C[c, j] += d * r[j]
                C[j, c] += d * r[j]
            A[c, c] += d * d
            C[c, c] += d * d * q
            v[c] += d
            r[c] += d * q


@kernel
def sweep_dense(X, s, V, Y, A, C, first):
    """Move the rows of V of the features ``first, first + 1, …``, given as rows of X (b, n), in place.

    Parameters
    ----------
    X : ndarray of shape (b, n)
        Columns of the data.
    s : ndarray of shape (n,)
        Row weights.
    V, Y, A, C : ndarray of shapes (m, k), (n, k), (k, k) and (k, k), float64
        As above; all are kept up to date.
    first : int
    """
    k, n = V.shape[1], Y.shape[0]
    r, old = np.empty(k), np.empty(k)
    for at in range(X.shape[0]):
        q = 0.0
        r[:] = 0.0
        for i in range(n):
            if X[at, i] != 0:
                x = s[i] * X[at, i]
                q += x * X[at, i]
                for c in range(k):
                    r[c] += x * Y[i, c]
        v = V[first + at]
        if not q > 0:
            continue
        old[:] = v
        _move(v, r, q, A, C)
        for i in range(n):
            if X[at, i] != 0:
                for c in range(k):
                    Y[i, c] += X[at, i] * (v[c] - old[c])


@kernel
def sweep_sparse(data, indices, indptr, s, V, Y, A, C, first):
    """As `sweep_dense`, for columns of the data as CSR."""
    k = V.shape[1]
    r, old = np.empty(k), np.empty(k)
    for at in range(indptr.shape[0] - 1):
        q = 0.0
        r[:] = 0.0
        for p in range(indptr[at], indptr[at + 1]):
            x = s[indices[p]] * data[p]
            q += x * data[p]
            for c in range(k):
                r[c] += x * Y[indices[p], c]
        v = V[first + at]
        if not q > 0:
            continue
        old[:] = v
        _move(v, r, q, A, C)
        for p in range(indptr[at], indptr[at + 1]):
            for c in range(k):
                Y[indices[p], c] += data[p] * (v[c] - old[c])
