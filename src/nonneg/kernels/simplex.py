"""Exact least squares on the simplex by an active set, for many rows that share one Gram matrix.

For a row with right-hand side p the optimality conditions of min ½ w G wᵀ − p·w, w ≥ 0, Σ w = 1 are

    y = wG − p,   y_j = θ where w_j > 0,   y_j ≥ θ elsewhere.

With the support F fixed, w_F = G_FF⁻¹ (p_F + θ 1) and θ follows from the sum (Wolfe 1976, Finding the nearest point in
a polytope, Math. Program. 11). An entry that would become negative ends the step and leaves F; when none does, the
entry with the smallest y enters. The objective falls with every step, so no support comes twice and the search is
finite. The Cholesky factor of G_FF grows and shrinks with F; it is in float64 whatever the dtype of the arrays.

A constant added to all of G or to a row of P changes nothing on the simplex: G is shifted so that affinely independent
points suffice for a definite G_FF. An entry whose point depends on those of F does not enter.
"""

from __future__ import annotations

import numpy as np

from nonneg.kernels.jit import kernel, part

__all__ = ["coupled", "shifted", "solve"]

DEPENDENT = 1e-13  # of a diagonal entry: a smaller pivot is rounding
SCRATCH = 6


@part
def _grow(G, p, L, scratch, members, first, s):
    """Rows ``first:s`` of L, L⁻¹ p and L⁻¹ 1; return how many members do not depend on those before."""
    inverse, zp, z1 = scratch[0], scratch[1], scratch[2]
    for c in range(first, s):
        jc = members[c]
        diagonal = G[jc, jc]
        tp = np.float64(p[jc])
        t1 = 1.0
        for a in range(c):
            t = G[jc, members[a]]
            for b in range(a):
                t -= L[c, b] * L[a, b]
            t *= inverse[a]
            L[c, a] = t
            diagonal -= t * t
            tp -= t * zp[a]
            t1 -= t * z1[a]
        if not diagonal > DEPENDENT * G[jc, jc]:
            return c
        inverse[c] = 1.0 / np.sqrt(diagonal)
        zp[c] = tp * inverse[c]
        z1[c] = t1 * inverse[c]
    return s


@part
def _row(G, p, w, L, scratch, members, eps, most):
    """Solve for one row `w`, whose positive entries are the first guess; return whether it ended by itself."""
    k = p.shape[0]
    inverse, zp, z1, x, alpha, rest = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4], scratch[5]
    s, best, total = 0, 0, 0.0
    size = 0.0
    for j in range(k):
        size = max(size, abs(np.float64(p[j])), G[j, j])
        if 0.5 * G[j, j] - p[j] < 0.5 * G[best, best] - p[best]:
            best = j
        if w[j] > 0:
            members[s] = j
            x[s] = w[j]
            total += w[j]
            s += 1
    if s == 0:
        members[0] = best
        x[0] = total = 1.0
        s = 1
    for c in range(s):
        x[c] /= total
    valid, done = 0, False
    for _ in range(most):
        good = _grow(G, p, L, scratch, members, valid, s)
        if good < s:  # a dependent member leaves; its share goes to the others
            share = x[good]
            for c in range(good, s - 1):
                members[c] = members[c + 1]
                x[c] = x[c + 1]
            s -= 1
            valid = good
            for c in range(s):
                x[c] /= 1.0 - share
            if share == 0.0 and good == s:  # it had just entered
                done = True
                break
            continue
        valid = s
        dot, ones = 0.0, 0.0
        for c in range(s):
            dot += z1[c] * zp[c]
            ones += z1[c] * z1[c]
        theta = (1.0 - dot) / ones
        for c in range(s):
            rest[c] = zp[c] + theta * z1[c]
        ratio, leaves = 1.0, -1
        for c in range(s - 1, -1, -1):
            alpha[c] = rest[c] * inverse[c]
            for a in range(c):
                rest[a] -= L[c, a] * alpha[c]
            if alpha[c] <= 0.0:
                reach = x[c] / (x[c] - alpha[c]) if x[c] > 0.0 else 0.0
                if reach < ratio or leaves < 0:
                    ratio, leaves = reach, c
        if leaves >= 0:
            entered = x[leaves] == 0.0
            valid = leaves
            for c in range(s):
                x[c] = max(x[c] + ratio * (alpha[c] - x[c]), 0.0)
            for c in range(leaves, s - 1):
                members[c] = members[c + 1]
                x[c] = x[c + 1]
            s -= 1
            if entered:  # nothing but rounding made it enter
                done = True
                break
            continue
        for c in range(s):
            x[c] = alpha[c]
        low, enters = theta - 8.0 * eps * size, -1
        for j in range(k):
            y = -np.float64(p[j])
            for c in range(s):
                y += x[c] * G[j, members[c]]
            if y < low:
                inside = False
                for c in range(s):
                    inside |= members[c] == j
                if not inside:
                    low, enters = y, j
        if enters < 0:
            done = True
            break
        members[s] = enters
        x[s] = 0.0
        s += 1
    total = 0.0
    for c in range(s):
        total += x[c]
    for j in range(k):
        w[j] = 0.0
    for c in range(s):
        w[members[c]] = x[c] / total
    return done


@kernel
def _rows(G, P, W, L, scratch, members, eps, most):
    unfinished = 0
    for i in range(P.shape[0]):
        if not _row(G, P[i], W[i], L, scratch, members, eps, most):
            unfinished += 1
    return unfinished


@kernel
def _coupled(M, K, shifted, B, C, L, scratch, members, p, CK, cycles, eps, most):
    k, points = B.shape
    for _ in range(cycles):
        for j in range(k):
            if M[j, j] <= 0.0:
                continue
            for i in range(points):
                p[i] = B[j, i]
            for a in range(k):
                if a != j and M[j, a] != 0.0:
                    for i in range(points):
                        p[i] -= M[j, a] * CK[a, i]
            for i in range(points):
                p[i] /= M[j, j]
            _row(shifted, p, C[j], L, scratch, members, eps, most)
            for i in range(points):
                CK[j, i] = 0.0
            for a in range(points):
                c = C[j, a]
                if c > 0.0:
                    for i in range(points):
                        CK[j, i] += c * K[a, i]


def shifted(G):
    """G in float64, with its mean diagonal entry added to all of it: definite where points are affinely independent."""
    G = G.astype(np.float64)
    level = float(np.trace(G)) / len(G)
    return G + (level if level > 0 else 1.0)


def _workspace(k):
    return np.zeros((k + 1, k + 1)), np.zeros((SCRATCH, k + 1)), np.zeros(k + 1, np.int64)


def solve(G, P, W):
    """Solve min ½ w G wᵀ − p·w over w ≥ 0, Σ w = 1 for every row, exactly, in place.

    Parameters
    ----------
    G : (k, k) array
        Inner products of the points to be mixed; they may be affinely dependent.
    P : (n, k) array
        Inner products of each row with the points.
    W : (n, k) array, overwritten
        Its positive entries are the first guess of the supports (a row of zeros: the best single point).

    Returns
    -------
    int
        Rows that ran out of steps; they are feasible, and no worse than their start.
    """
    k = len(G)
    eps = float(np.finfo(W.dtype).eps)
    return _rows(shifted(G), P, W, *_workspace(k), eps, 20 * k + 50)


def coupled(M, K, B, C, cycles):
    """Cycle over the rows of C in min ½ tr(M C K Cᵀ) − ⟨B, C⟩, each row on the simplex and solved exactly, in place.

    Parameters
    ----------
    M : (k, k) float64 array
        Couples the rows; a row with M_jj = 0 stays as it is.
    K : (p, p) float64 array
        Inner products of the points that are mixed.
    B, C : (k, p) float64 arrays
    cycles : int
    """
    p = len(K)
    eps = float(np.finfo(C.dtype).eps)
    _coupled(M, K, shifted(K), B, C, *_workspace(p), np.zeros(p), C @ K, cycles, eps, 20 * p + 50)
