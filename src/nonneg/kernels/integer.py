"""Integer least squares in a box, row by row: min ½ w G wᵀ − p·w over w ∈ {0, 1, …, high}^k.

With G = RᵀR and the real answer c = G⁻¹p the objective is ½ ‖R (w − c)‖² and a constant, and the sum over the last
coordinates alone bounds it from below: depth-first search, in every coordinate the nearest integer first, with the best
answer so far as the radius (Schnorr and Euchner 1994; Agrell, Eriksson, Vardy and Zeger 2002). The first answers are
cyclic coordinate descent from the given w and from the rounded c. A row that needs more than ``max_nodes`` keeps the
best answer met.
"""

from __future__ import annotations

import numpy as np

from nonneg.kernels.jit import kernel, part

__all__ = ["solve"]

RIDGE = 1e-10  # of the largest diagonal entry, so that G has a factor
SWEEPS = 100


@part
def _descend(G, p, w, high, sweeps):
    """Move one coordinate after another to its best integer, in place; return ½ w G wᵀ − p·w."""
    k = w.shape[0]
    for _ in range(sweeps):
        moved = False
        for j in range(k):
            if G[j, j] > 0:
                slope = p[j]
                for i in range(k):
                    slope -= G[j, i] * w[i]
                new = min(max(np.rint(w[j] + slope / G[j, j]), 0.0), high)
                # only what lowers the objective by more than rounding
                step = new - w[j]
                if step != 0.0 and step * (0.5 * step * G[j, j] - slope) < -1e-12 * abs(step * slope):
                    w[j] = new
                    moved = True
        if not moved:
            break
    value = 0.0
    for j in range(k):
        row = 0.0
        for i in range(k):
            row += G[j, i] * w[i]
        value += w[j] * (0.5 * row - p[j])
    return value


@kernel
def _solve(G, R, C, P, W, high, sweeps, max_nodes):
    """`R` (k, k) upper triangular, `C` (n, k) real answers, `W` (n, k) integers as floats, updated in place."""
    n, k = P.shape
    best = np.empty(k)
    w = np.empty(k)
    centre = np.empty(k)
    below = np.empty(k)  # the next integers on either side
    above = np.empty(k)
    part = np.empty(k + 1)
    unfinished = 0
    for i in range(n):
        p, c = P[i], C[i]
        for j in range(k):
            best[j] = W[i, j]
            w[j] = min(max(np.rint(c[j]), 0.0), high)
        value = _descend(G, p, best, high, sweeps)
        other = _descend(G, p, w, high, sweeps)
        if other < value - 1e-12 * abs(value):
            value = other
            best[:] = w
        for j in range(k):
            W[i, j] = best[j]
        radius = 0.0
        for j in range(k):
            gap = 0.0
            for a in range(j, k):
                gap += R[j, a] * (best[a] - c[a])
            radius += gap * gap
        nodes = 0
        j = k - 1
        part[k] = 0.0
        entering = True
        while j < k:
            if entering:
                gap = 0.0
                for a in range(j + 1, k):
                    gap += R[j, a] * (w[a] - c[a])
                centre[j] = c[j] - gap / R[j, j]
                first = min(max(np.rint(centre[j]), 0.0), high)
                below[j] = first
                above[j] = first + 1.0
                entering = False
            # the nearer of the two next integers that the box allows
            down = below[j] >= 0.0
            up = above[j] <= high
            if (not down and not up) or nodes >= max_nodes:
                if nodes >= max_nodes:
                    break
                j += 1
                continue
            if down and (not up or centre[j] - below[j] <= above[j] - centre[j]):
                w[j] = below[j]
                below[j] -= 1.0
            else:
                w[j] = above[j]
                above[j] += 1.0
            nodes += 1
            gap = R[j, j] * (w[j] - centre[j])
            part[j] = part[j + 1] + gap * gap
            if part[j] >= radius * (1.0 - 1e-12):
                j += 1  # the others are farther still
            elif j == 0:
                radius = part[0]
                best[:] = w
            else:
                j -= 1
                entering = True
        if nodes >= max_nodes:
            unfinished += 1
        found = _descend(G, p, best, high, 0)
        if found < value - 1e-12 * abs(value):
            for j in range(k):
                W[i, j] = best[j]
    return unfinished


def solve(G, P, W, high=np.inf, max_nodes=10_000):
    """Integer least squares in a box for every row, in place; an answer is never worse than the row it found.

    Parameters
    ----------
    G : (k, k) array
        H Hᵀ. Where it is singular, 1e-10 of its largest diagonal entry is added in the search, not in the objective.
    P : (n, k) array
        X Hᵀ.
    W : (n, k) array of float64
        Integers between 0 and `high`, as floats.
    high : float, default=inf
        The largest integer allowed.
    max_nodes : int, default=10_000
        Most nodes of the search of a row; 0: coordinate descent alone.

    Returns
    -------
    int
        Rows whose search did not end: all others have the best integers there are.
    """
    G, P = np.ascontiguousarray(G, np.float64), np.ascontiguousarray(P, np.float64)
    ridged = G + RIDGE * (G.diagonal().max(initial=0.0) or 1.0) * np.eye(len(G))
    R = np.ascontiguousarray(np.linalg.cholesky(ridged).T)
    C = np.linalg.solve(ridged, P.T).T
    return _solve(G, R, np.ascontiguousarray(C), P, W, float(high), SWEEPS, int(max_nodes))
