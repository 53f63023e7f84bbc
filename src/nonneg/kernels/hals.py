"""Coordinate descent for non-negative (box-constrained) least squares that share one Gram matrix.

The problem, for every row w of W on its own (G = H Hᵀ, P = X Hᵀ; penalties are folded into G and P by the caller):

    minimise  ½ w G wᵀ − p·w   subject to  lo ≤ w ≤ hi

and, for every column h of H, the same with A = Wᵀ W and b = Wᵀ x. Cyclic coordinate descent sets

    w_j ← clip(w_j + (p_j − (w G)_j) / G_jj, lo, hi),

which is one sweep of HALS (Cichocki & Phan 2009; Gillis & Glineur 2012 for several sweeps per data product).

How it is fast: 128 rows form a tile, transposed so that one coordinate of 128 rows is contiguous; four coordinates
share every load of the tile, as in a matrix product, and the coupling between the four is resolved afterwards. A
lane never looks at another lane, so the answer for a row does not depend on its neighbours, bit for bit. Everything
here is one compiled function (`_tiles`) behind plain Python fronts: it is compiled once per dtype.

Coordinates with a zero diagonal (G_jj ≤ 4 × the smallest normal number) have a linear objective with slope
g = (wG − p)_j: g > 0 moves them to `lo`, g < 0 to `hi` if that is finite; otherwise they stay where they are.
"""

from __future__ import annotations

import numpy as np

from nonneg.kernels.jit import kernel

__all__ = ["inner", "kkt_columns", "kkt_rows", "solve_rows", "sweep_columns", "sweep_rows", "sweep_rows_kkt"]

LANES = 128  # rows of a tile; a compile-time constant, so that the inner loops have no remainder


@kernel
def _tiles(V, P, G, S, max_sweeps, tol, by_columns, residual):
    """Sweep tile by tile over the rows of V (or its columns), then measure what is left.

    `G` (kp, kp) is padded with zeros to a multiple of four. `S` (6, kp) has for every coordinate: the step of a sweep
    (0 where it does not move), lower and upper bound, scale d_j (0: frozen or padding), 1 / d_j (likewise), and the
    step of the closing measurement. With ``tol >= 0`` a lane stops once its largest scaled step is at most
    tol · max_j p_j / d_j. `residual` (one entry a lane, or one, or none) asks for the measurement
    max_j d_j |clip(v_j − step_j ∇_j) − v_j|. Returns Σ ΔV², the largest measurement, the largest p_j / d_j and the
    number of lane sweeps.
    """
    k = V.shape[0] if by_columns else V.shape[1]
    n = V.shape[1] if by_columns else V.shape[0]
    kp = G.shape[0]
    zero = V.dtype.type(0)
    # Scratch made here, not by the caller, is known not to overlap, which is worth a third of the time; all of one
    # kind, because every kind of array is compiled.
    T = np.empty((kp, LANES), V.dtype)
    Q = np.empty((kp, LANES), V.dtype)
    A = np.empty((4, LANES), V.dtype)
    moved = np.empty((1, LANES), V.dtype)
    scale = np.empty((1, LANES), V.dtype)
    active = np.empty((1, LANES), V.dtype)
    for j in range(k, kp):
        for r in range(LANES):
            T[j, r] = zero
            Q[j, r] = zero
    measure = residual.shape[0] > 0
    change = 0.0
    worst = zero
    largest = zero
    total = 0
    for start in range(0, n, LANES):
        count = min(LANES, n - start)
        if by_columns:
            for j in range(k):
                for r in range(count):
                    T[j, r] = V[j, start + r]
                    Q[j, r] = P[j, start + r]
        else:
            for r in range(count):
                for j in range(k):
                    T[j, r] = V[start + r, j]
                    Q[j, r] = P[start + r, j]
        if count < LANES:
            for j in range(k):
                for r in range(count, LANES):
                    T[j, r] = zero
                    Q[j, r] = zero
        if tol >= zero or measure:
            for r in range(LANES):
                scale[0, r] = zero
            for j in range(k):
                inverse = S[4, j]
                for r in range(LANES):
                    scale[0, r] = max(scale[0, r], Q[j, r] * inverse)
            for r in range(count):
                largest = max(largest, scale[0, r])
        for r in range(LANES):
            active[0, r] = r < count
        running = count
        for sweep in range(max_sweeps + measure):
            if sweep == max_sweeps or running == 0:
                if not measure:
                    break
                for r in range(LANES):
                    active[0, r] = zero
                running = 0
            total += running
            side = 5 if running == 0 else 0
            for r in range(LANES):
                moved[0, r] = zero
            for j in range(0, kp, 4):
                for a in range(4):
                    for r in range(LANES):
                        A[a, r] = Q[j + a, r]
                for i in range(0, kp, 4):
                    g00 = G[j, i]
                    g01 = G[j, i + 1]
                    g02 = G[j, i + 2]
                    g03 = G[j, i + 3]
                    g10 = G[j + 1, i]
                    g11 = G[j + 1, i + 1]
                    g12 = G[j + 1, i + 2]
                    g13 = G[j + 1, i + 3]
                    g20 = G[j + 2, i]
                    g21 = G[j + 2, i + 1]
                    g22 = G[j + 2, i + 2]
                    g23 = G[j + 2, i + 3]
                    g30 = G[j + 3, i]
                    g31 = G[j + 3, i + 1]
                    g32 = G[j + 3, i + 2]
                    g33 = G[j + 3, i + 3]
                    for r in range(LANES):
                        t0 = T[i, r]
                        t1 = T[i + 1, r]
                        t2 = T[i + 2, r]
                        t3 = T[i + 3, r]
                        A[0, r] -= g00 * t0 + g01 * t1 + g02 * t2 + g03 * t3
                        A[1, r] -= g10 * t0 + g11 * t1 + g12 * t2 + g13 * t3
                        A[2, r] -= g20 * t0 + g21 * t1 + g22 * t2 + g23 * t3
                        A[3, r] -= g30 * t0 + g31 * t1 + g32 * t2 + g33 * t3
                # A[a] is p − wG with the moves of the coordinates j … j + a − 1 still to be accounted for
                for a in range(4):
                    c0 = G[j + a, j] if a > 0 else zero
                    c1 = G[j + a, j + 1] if a > 1 else zero
                    c2 = G[j + a, j + 2] if a > 2 else zero
                    v = S[side, j + a]
                    low = S[1, j + a]
                    high = S[2, j + a]
                    d = S[3, j + a]
                    for r in range(LANES):
                        old = T[j + a, r]
                        g = A[a, r] - c0 * A[0, r] - c1 * A[1, r] - c2 * A[2, r]
                        new = min(max(old + g * v, low), high)
                        moved[0, r] = max(moved[0, r], abs(new - old) * d)
                        new = new if active[0, r] > zero else old
                        A[a, r] = new - old
                        T[j + a, r] = new
            if running == 0:
                break
            if tol >= zero:
                running = 0
                for r in range(LANES):
                    if active[0, r] > zero:
                        if moved[0, r] <= tol * scale[0, r]:
                            active[0, r] = zero
                        else:
                            running += 1
        if measure:
            for r in range(count):
                worst = max(worst, moved[0, r])
                left = moved[0, r] / scale[0, r] if scale[0, r] > zero else moved[0, r]
                residual[min(start + r, residual.shape[0] - 1)] = left
        if max_sweeps > 0:
            if by_columns:
                for j in range(k):
                    if S[3, j] > zero:
                        for r in range(count):
                            delta = np.float64(T[j, r] - V[j, start + r])
                            change += delta * delta
                            V[j, start + r] = T[j, r]
            else:
                for r in range(count):
                    for j in range(k):
                        delta = np.float64(T[j, r] - V[start + r, j])
                        change += delta * delta
                        V[start + r, j] = T[j, r]
    return change, float(worst), float(largest), total


@kernel
def _inner(P, W):
    total = 0.0
    for i in range(P.shape[0]):
        for j in range(P.shape[1]):
            total += np.float64(P[i, j]) * np.float64(W[i, j])
    return total


def _call(V, G, P, d, lo, hi, max_sweeps, tol, frozen, by_columns, residual):
    """Lay out what `_tiles` reads, with scalars of V's dtype, so that it is compiled once per dtype."""
    F, k = V.dtype.type, len(G)
    diagonal, curved = G.diagonal(), G.diagonal() > 4 * np.finfo(V.dtype).tiny
    free = np.ones(k, bool) if frozen is None else ~frozen
    if max_sweeps > 0 and not curved.all():
        _follow_slopes(V, G, P, lo, hi, np.flatnonzero(free & ~curved), by_columns)
    kp = -(-k // 4) * 4
    padded = np.zeros((kp, kp), V.dtype)
    padded[:k, :k] = G
    S = np.zeros((6, kp), V.dtype)
    S[1], S[2] = -np.inf, np.inf
    if d is None:  # the scale under which every coordinate has curvature one
        d = np.where(curved, np.sqrt(np.maximum(diagonal, 0)), 1).astype(V.dtype)
    np.divide(1, diagonal, out=S[0, :k], where=free & curved)
    S[1, :k][free], S[2, :k][free], S[3, :k][free] = lo, hi, d[free]
    np.divide(1, d, out=S[4, :k], where=free)
    np.multiply(S[4], S[4], out=S[5])
    if residual is None:
        residual = np.empty(0, V.dtype)
    return _tiles(V, P, padded, S, int(max_sweeps), F(tol), bool(by_columns), residual)


def _follow_slopes(V, G, P, lo, hi, flat, by_columns):
    """Coordinates without curvature go to the bound their slope points at, if there is one."""
    for j in flat:
        slope = G[j] @ V - P[j] if by_columns else V @ G[j] - P[:, j]
        entries = V[j] if by_columns else V[:, j]
        entries[slope > 0] = lo
        if np.isfinite(hi):
            entries[slope < 0] = hi


def sweep_rows(W, G, P, lo=0.0, hi=np.inf, n_sweeps=1):
    """Cyclic coordinate descent on every row of W, in place: min ½ w G wᵀ − p·w over lo ≤ w ≤ hi.

    Parameters
    ----------
    W : (n, k) array, updated in place
    G : (k, k) array
        H Hᵀ, with quadratic penalties on the diagonal.
    P : (n, k) array
        X Hᵀ minus linear penalties.
    lo, hi : float, default=0.0, inf
        Bounds of every entry.
    n_sweeps : int, default=1
        Sweeps over the k coordinates.

    Returns
    -------
    float
        Σ (W_new − W_old)², summed in float64.
    """
    return _call(W, G, P, None, lo, hi, n_sweeps, -1.0, None, False, None)[0]


def sweep_rows_kkt(W, G, P, d, lo=0.0, hi=np.inf, n_sweeps=1):
    """`sweep_rows`, then `kkt_rows` while the tile is in cache.

    Parameters
    ----------
    W, G, P, lo, hi, n_sweeps
        As for `sweep_rows`.
    d : (k,) array, positive
        As for `kkt_rows`.

    Returns
    -------
    change, violation, scale : float
    """
    return _call(W, G, P, d, lo, hi, n_sweeps, -1.0, None, False, np.empty(1, W.dtype))[:3]


def solve_rows(W, G, P, lo, hi, max_sweeps, tol, residual):
    """Solve the problem of `sweep_rows` to tolerance, each row stopping on its own.

    A row stops after the sweep whose largest scaled step max_j |Δw_j| d_j (the projected gradient met on the way,
    d_j = √G_jj) is at most tol · max_j p_j / d_j; it is then frozen, so that its answer does not depend on the rows
    beside it. Rows that need more than `max_sweeps` are best finished exactly by `bpp.solve`.

    Parameters
    ----------
    W, G, P, lo, hi
        As for `sweep_rows`.
    max_sweeps : int
        Most sweeps for a row.
    tol : float
        Relative tolerance of the stopping rule.
    residual : (n,) array, overwritten
        max_j |v_j − clip(v_j − ∇_j)| / max_j (p_j / d_j)⁺ of every row at the end, with v_j = w_j d_j and ∇_j the
        gradient divided by d_j; not divided where no p_j is positive.

    Returns
    -------
    int
        Row sweeps done, summed over the rows.
    """
    return _call(W, G, P, None, lo, hi, max_sweeps, tol, None, False, residual)[3]


def sweep_columns(H, A, B, lo=0.0, hi=np.inf, n_sweeps=1, frozen=None):
    """Cyclic coordinate descent on every column of H, in place: min ½ hᵀ A h − b·h over lo ≤ h ≤ hi.

    Parameters
    ----------
    H : (k, m) array, updated in place
    A : (k, k) array
        Wᵀ W, with quadratic penalties on the diagonal.
    B : (k, m) array
        Wᵀ X minus linear penalties.
    lo, hi : float, default=0.0, inf
        Bounds of every entry.
    n_sweeps : int, default=1
        Sweeps over the k coordinates.
    frozen : (k,) array of bool, optional
        Rows of H that stay as they are, bit for bit.

    Returns
    -------
    float
        Σ (H_new − H_old)², summed in float64.
    """
    return _call(H, A, B, None, lo, hi, n_sweeps, -1.0, frozen, True, None)[0]


def kkt_rows(W, G, P, d, lo=0.0, hi=np.inf):
    """Largest violation of the optimality conditions over the rows of W, after scaling column j by d_j.

    With V = W diag(d) and ∇ = (W G − P) diag(1/d), the violation is max |V − clip(V − ∇, lo d, hi d)|, which is
    max |min(V, ∇)| for W ≥ 0, and the scale to compare it with is max ∇⁻ = max (P_ij / d_j)⁺.

    Parameters
    ----------
    W, G, P, lo, hi
        As for `sweep_rows`.
    d : (k,) array, positive
        Scaling that balances the columns of W against the rows of H.

    Returns
    -------
    violation, scale : float
    """
    return _call(W, G, P, d, lo, hi, 0, -1.0, None, False, np.empty(1, W.dtype))[1:3]


def kkt_columns(H, A, B, d, lo=0.0, hi=np.inf, frozen=None):
    """`kkt_rows` for the columns of H: V = diag(d) H, ∇ = diag(1/d) (A H − B); frozen rows do not count.

    Parameters
    ----------
    H, A, B, lo, hi, frozen
        As for `sweep_columns`.
    d : (k,) array, positive
        Scaling that balances the rows of H against the columns of W.

    Returns
    -------
    violation, scale : float
    """
    return _call(H, A, B, d, lo, hi, 0, -1.0, frozen, True, np.empty(1, H.dtype))[1:3]


def inner(P, W):
    """Σ_ij P_ij W_ij in float64: with it ½‖X − WH‖² = ½‖X‖² − inner(XHᵀ, W) + ½ inner(WᵀW, HHᵀ).

    Parameters
    ----------
    P, W : (n, k) arrays

    Returns
    -------
    float
    """
    return _inner(P, W)
