"""Exact non-negative least squares by block principal pivoting, for many rows that share one Gram matrix.

For a row with right-hand side p the optimality conditions of min ½ w G wᵀ − p·w, w ≥ 0 are

    w ≥ 0,   y = wG − p ≥ 0,   w_j y_j = 0.

A passive set F fixes w outside F to zero and solves G_FF w_F = p_F; the coordinates that then violate a sign change
sides, all at once while that helps, one at a time (the largest index: Murty's rule, which is finite) when it does not
(Kim & Park 2011, Algorithm 2). The rows need not share passive sets: every row factorises its own small G_FF by
Cholesky in float64, whatever the dtype of the arrays. When G is singular to working precision (dependent rows of H),
1e-10 of its largest diagonal entry (more in float32) is added to the diagonal, which picks the shortest of the
solutions and changes the objective by that share of ‖w‖²; a coordinate with a zero diagonal stays at zero.
"""

from __future__ import annotations

import numpy as np

from nonneg.kernels.jit import kernel

__all__ = ["solve"]


@kernel
def _solve(G, P, W, U, scratch, passive, members, eps, max_pivots):
    """`U` (k, k + 1): Cholesky factor of G_FF, upper triangle, with p_F as its last column; the rest is scratch."""
    n = P.shape[0]
    k = P.shape[1]
    inverse = scratch[0]
    solution = scratch[1]
    x = scratch[2]
    y = scratch[3]
    unfinished = 0
    for i in range(n):
        size_p = 0.0
        for j in range(k):
            passive[j] = W[i, j] > 0 and G[j, j] > 0
            size_p = max(size_p, abs(np.float64(P[i, j])))
        fewest = k + 1
        patience = 3
        done = False
        for _ in range(max_pivots):
            s = 0
            for j in range(k):
                x[j] = 0.0
                if passive[j]:
                    members[s] = j
                    s += 1
            for a in range(s):
                ja = members[a]
                for c in range(a, s):
                    U[a, c] = G[ja, members[c]]
                U[a, s] = P[i, ja]
            for start in range(0, s, 4):  # four pivots at a time, as one update of the rows below
                stop = min(start + 4, s)
                for a in range(start, stop):
                    smallest = 1e-15 * G[members[a], members[a]]
                    for c in range(start, a):
                        f = U[c, a]
                        for col in range(a, s + 1):
                            U[a, col] -= f * U[c, col]
                    inverse[a] = 1.0 / np.sqrt(max(U[a, a], smallest))
                    for col in range(a, s + 1):
                        U[a, col] *= inverse[a]
                for a in range(stop, s):
                    f0 = U[start, a]
                    f1 = U[start + 1, a]
                    f2 = U[start + 2, a]
                    f3 = U[start + 3, a]
                    for col in range(a, s + 1):
                        U[a, col] -= (
                            f0 * U[start, col]
                            + f1 * U[start + 1, col]
                            + f2 * U[start + 2, col]
                            + f3 * U[start + 3, col]
                        )
            for a in range(s - 1, -1, -1):
                t = U[a, s]
                for c in range(a + 1, s):
                    t -= U[a, c] * solution[c]
                solution[a] = t * inverse[a]
                x[members[a]] = solution[a]
            for j in range(k):
                y[j] = -np.float64(P[i, j])
            for a in range(s):
                value, ja = solution[a], members[a]
                for j in range(k):
                    y[j] += value * G[ja, j]
            size_x = 0.0
            for j in range(k):
                size_x = max(size_x, abs(x[j]))
            wrong, last = 0, -1
            for j in range(k):
                if passive[j]:
                    bad = x[j] < -eps * size_x
                else:
                    bad = y[j] < -4 * eps * size_p and G[j, j] > 0
                y[j] = bad
                if bad:
                    wrong += 1
                    last = j
            if wrong == 0:
                done = True
                break
            if wrong < fewest:
                fewest, patience = wrong, 3
            elif patience > 0:
                patience -= 1
            else:
                for j in range(k):
                    y[j] = j == last
            for j in range(k):
                if y[j] != 0.0:
                    passive[j] = not passive[j]
        if not done:  # rounding made it cycle: coordinate descent from the last guess
            unfinished += 1
            for j in range(k):
                x[j] = max(x[j], 0.0)
            for _ in range(200):
                for j in range(k):
                    if G[j, j] > 0:
                        t = np.float64(P[i, j])
                        for a in range(k):
                            t -= G[j, a] * x[a]
                        x[j] = max(x[j] + t / G[j, j], 0.0)
        for j in range(k):
            W[i, j] = max(x[j], 0.0)
    return unfinished


def solve(G, P, W, max_pivots=500):
    """Solve min ½ w G wᵀ − p·w over w ≥ 0 for every row, exactly, in place.

    Parameters
    ----------
    G : (k, k) array
        H Hᵀ, with quadratic penalties on the diagonal; may be singular if the rows of P lie in its range.
    P : (n, k) array
        X Hᵀ minus linear penalties.
    W : (n, k) array, overwritten
        Its zero pattern is the first guess of the passive sets (all zeros for a cold start): after a few sweeps of
        coordinate descent the guess is nearly right and one or two factorisations are enough.
    max_pivots : int, default=500
        Most exchanges for a row.

    Returns
    -------
    int
        Rows that ran out of exchanges and were finished by coordinate descent instead.
    """
    rounding = float(np.finfo(G.dtype).eps)  # of the products that made G: it may be indefinite by that much
    G = G.astype(np.float64)
    diagonal = G.diagonal().max(initial=0.0)
    if diagonal > 0:
        used = np.flatnonzero(G.diagonal() > 0)
        smallest = np.linalg.eigvalsh(G[np.ix_(used, used)])[0]
        if smallest < max(1e-11, rounding) * diagonal:
            G[used, used] += max(1e-10, 4 * rounding) * diagonal + max(0.0, -smallest)
    k = len(G)
    scratch, eps = np.zeros((4, k)), float(np.finfo(W.dtype).eps)
    passive, members = np.zeros(k, bool), np.zeros(k, np.int64)
    return _solve(G, P, W, np.zeros((k, k + 1)), scratch, passive, members, eps, int(max_pivots))
