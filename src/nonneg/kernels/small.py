"""Frobenius NMF of a small dense matrix: many iterations in one call.

The algorithm is that of ``solvers.hals``: W moves by sweeps of coordinate descent from the extrapolated H_y, H moves
from WᵀW and WᵀX, the loss of the pair follows without another product, and

    accepted (it fell):  H_y ← max(0, H + μ (H − H_before)),  μ grows;      otherwise:  H_y ← H,  μ ← μ / 2.

What is different is the cost of an iteration. On a few ten thousand cells the general loop spends more time between
the array operations than in them; here one compiled function does a factor's whole half of an iteration (Gram matrix,
data product, sweeps, KKT residual, loss), and the same function serves W and H. Everything lives transposed and padded
in tiles of 64: W and H as (tile, component, lane), X twice as (tile, other index, lane), so that every inner loop runs
over 64 contiguous lanes, and the product is in 4 × 4 register blocks, which for few components is faster than BLAS.
"""

from __future__ import annotations

import numpy as np

from nonneg.kernels.jit import aligned, kernel

__all__ = ["fit_small"]

LANES = 64  # width of a tile; a compile-time constant, so that the inner loops have no remainder
GROWTH, CEILING_GROWTH, DECAY = 1.1, 1.01, 2.0
PATIENCE = 10  # iterations without a measurable fall
NOISE = 1.0  # rounding of the Gram form of the loss, in eps ΣX² (measured: 0.07 to 0.25)


@kernel
def _half(fixed, data, moving, d, held, squares, tiny, first, n_sweeps):
    """Move one factor: min ½ tr(Vᵀ G V) − ⟨Q, V⟩ over V ≥ 0, G = F Fᵀ, Q = F D, for V = `moving`, F = `fixed`.

    Returns the largest |min(V d, ∇/d)| before (0 unless `first` is 0) and after, the largest Q / d, and the value of
    the quadratic; `squares` receives Σ V² of every component.
    """
    k = fixed.shape[1]
    whole = k // 4 * 4
    F = fixed.dtype.type
    zero, one = F(0), F(1)
    # scratch made here, not by the caller, is known not to overlap with the rest
    G = np.empty((k, k), fixed.dtype)
    Q = np.empty((k, LANES), fixed.dtype)
    acc = np.empty((4, LANES), fixed.dtype)
    worst = np.empty((2, LANES), fixed.dtype)
    for r in range(LANES):
        worst[0, r] = zero
        worst[1, r] = zero
    for j in range(k):
        squares[j] = 0.0
    largest, value = zero, 0.0
    for i in range(k):
        for j in range(i + 1):
            total = zero
            for t in range(fixed.shape[0]):
                for r in range(LANES):
                    total += fixed[t, i, r] * fixed[t, j, r]
            G[i, j] = total
            G[j, i] = total
    for t in range(data.shape[0]):
        for j in range(
            0, k, 4
        ):  # the product, four components at a time: acc stays where it is in every loop
            j1, j2, j3 = min(j + 1, k - 1), min(j + 2, k - 1), min(j + 3, k - 1)
            for a in range(4):
                for r in range(LANES):
                    acc[a, r] = zero
            for i in range(0, data.shape[1], 4):
                u, b = i // LANES, i % LANES
                a00 = fixed[u, j, b]
                a01 = fixed[u, j, b + 1]
                a02 = fixed[u, j, b + 2]
                a03 = fixed[u, j, b + 3]
                a10 = fixed[u, j1, b]
                a11 = fixed[u, j1, b + 1]
                a12 = fixed[u, j1, b + 2]
                a13 = fixed[u, j1, b + 3]
                a20 = fixed[u, j2, b]
                a21 = fixed[u, j2, b + 1]
                a22 = fixed[u, j2, b + 2]
                a23 = fixed[u, j2, b + 3]
                a30 = fixed[u, j3, b]
                a31 = fixed[u, j3, b + 1]
                a32 = fixed[u, j3, b + 2]
                a33 = fixed[u, j3, b + 3]
                for r in range(LANES):
                    s0 = data[t, i, r]
                    s1 = data[t, i + 1, r]
                    s2 = data[t, i + 2, r]
                    s3 = data[t, i + 3, r]
                    acc[0, r] += a00 * s0 + a01 * s1 + a02 * s2 + a03 * s3
                    acc[1, r] += a10 * s0 + a11 * s1 + a12 * s2 + a13 * s3
                    acc[2, r] += a20 * s0 + a21 * s1 + a22 * s2 + a23 * s3
                    acc[3, r] += a30 * s0 + a31 * s1 + a32 * s2 + a33 * s3
            for a in range(min(4, k - j)):
                for r in range(LANES):
                    Q[j + a, r] = acc[a, r]
        for sweep in range(first, n_sweeps + 2):  # the first and the last only measure
            measure = sweep == 0 or sweep == n_sweeps + 1
            side = 0 if sweep == 0 else 1
            for j in range(k):
                if held[j] and sweep <= n_sweeps:
                    continue
                for r in range(LANES):
                    acc[0, r] = Q[j, r]
                for i in range(0, whole, 4):
                    g0 = G[j, i]
                    g1 = G[j, i + 1]
                    g2 = G[j, i + 2]
                    g3 = G[j, i + 3]
                    for r in range(LANES):
                        v0 = moving[t, i, r]
                        v1 = moving[t, i + 1, r]
                        v2 = moving[t, i + 2, r]
                        v3 = moving[t, i + 3, r]
                        acc[0, r] -= g0 * v0 + g1 * v1 + g2 * v2 + g3 * v3
                for i in range(whole, k):
                    g = G[j, i]
                    for r in range(LANES):
                        acc[0, r] -= g * moving[t, i, r]
                if measure:
                    scale = d[j]
                    step = one / d[j]
                    total = zero
                    square = zero
                    for r in range(LANES):
                        v = moving[t, j, r]
                        total += v * (Q[j, r] + acc[0, r])
                        square += v * v
                        acc[1, r] = abs(v * scale - max(v * scale + acc[0, r] * step, zero))
                    if side == 1:
                        value -= 0.5 * np.float64(total)
                        squares[j] += np.float64(square)
                    if not held[j]:
                        for r in range(LANES):
                            worst[side, r] = max(worst[side, r], acc[1, r])
                            largest = max(largest, Q[j, r] * step)
                elif G[j, j] > tiny:
                    step = one / G[j, j]
                    for r in range(LANES):
                        moving[t, j, r] = max(moving[t, j, r] + acc[0, r] * step, zero)
    before, after = zero, zero
    for r in range(LANES):
        before = max(before, worst[0, r])
        after = max(after, worst[1, r])
    return float(before), float(after), float(largest), value


def fit_small(
    X, W, H, push, sizes, scalars, squares, frozen, unit, cancels, max_iter, tol, n_sweeps, history
):
    """Up to `max_iter` iterations of HALS with extrapolated H on a small dense X, in place.

    Parameters
    ----------
    X : (n, m) array
    W : (n, k) array, updated in place
    H : (k, m) array, updated in place
        The last accepted pair.
    push : (k, m) array, updated in place
        The extrapolated H from which the next iteration starts; H itself at the start.
    sizes : (k,) float64 array, updated in place
        Σ_i W_ij² of the accepted pair; carried along, so that where a call ends leaves no trace in the last bits.
    scalars : (5,) float64 array, updated in place
        Momentum, its ceiling, the loss of the accepted pair, whether losses are summed from the residual by now, and
        the iterations since the last measurable fall; (0.7, 1, inf, 0, 0) at the start.
    squares : float
        Σ X².
    frozen : (k,) array of bool
        Rows of H that stay as they are, bit for bit.
    unit : float
        Mean cell of X, the unit of the KKT residual.
    cancels : float
        Below this share of `squares` the loss is summed from the residual, not from Gram matrices.
    max_iter : int
        Most iterations of this call.
    tol : float
        Stop at this KKT residual.
    n_sweeps : int
        Sweeps for each data product.
    history : (max_iter, 3) float64 array, overwritten
        Loss, KKT residual and relative change of W of every iteration.

    Returns
    -------
    done : int
        Iterations done: the filled rows of `history`.
    status : int
        0: `max_iter`; 1: KKT residual at most `tol`; 2: ten iterations without a measurable fall.
    """
    n, m = X.shape
    F = X.dtype.type
    columns, rows = _tiles(_deepened(X.T)), _tiles(_deepened(X))
    V, U, start = _tiles(W.T), _tiles(H), _tiles(push)
    free, k = ~frozen, len(H)
    moves_all, ignored = np.zeros(k, np.bool_), np.empty(k)
    momentum, ceiling, best, exact, still = (float(scalar) for scalar in scalars)
    of_V = sizes.copy()
    eps, tiny = float(np.finfo(X.dtype).eps), 4 * np.finfo(X.dtype).tiny
    done, status, plain = 0, 0, False
    while done < max_iter:
        V_new, U_new = V.copy(), start.copy()
        lengths = np.einsum("tjr,tjr->j", start, start, dtype=np.float64)
        usable = (lengths > 0) & (of_V > 0)
        balance = np.where(usable, np.sqrt(unit * np.sqrt(lengths / np.where(usable, of_V, 1))), unit)
        of_W, of_H = balance.astype(X.dtype), (unit / balance).astype(X.dtype)
        new_sizes = np.empty(k)
        _, violation, scale, _ = _half(U_new, columns, V_new, of_W, moves_all, new_sizes, tiny, 1, n_sweeps)
        before, _, scale_H, value = _half(V_new, rows, U_new, of_H, frozen, ignored, tiny, 0, n_sweeps)
        loss = 0.5 * squares + value
        if not exact and (loss < cancels * squares or abs(best - loss) < NOISE * eps * squares):
            # from here on the difference of nearly equal numbers says nothing: sum the residuals themselves
            exact, best = 1.0, _residual_loss(X, V, U) if best < np.inf else best
        if exact:
            loss = _residual_loss(X, V_new, U_new)
        if loss > best and not plain:
            ceiling, momentum, start, plain = momentum, momentum / DECAY, U, True
            continue
        plain, change = False, 0.0
        if loss > best:  # a plain step rises by rounding alone: the last accepted point stands
            loss, start = best, U
        else:
            gap = V_new - V
            change = float(np.sqrt(np.vdot(gap, gap) / new_sizes.sum())) if new_sizes.any() else 0.0
            start = np.maximum(U_new + F(momentum if best < np.inf else 0.0) * (U_new - U), 0)
            start[:, frozen] = U_new[:, frozen]
            ceiling = min(1.0, CEILING_GROWTH * ceiling)
            momentum = min(ceiling, GROWTH * momentum)
            V, U, of_V = V_new, U_new, new_sizes
        violation, scale = max(violation, before), max(scale, scale_H)
        kkt = violation / scale if scale > 0 else violation
        history[done] = loss, kkt, change
        done += 1
        still = still + 1 if best - loss <= 4 * eps * abs(loss) else 0
        best = loss
        if kkt <= tol or still >= PATIENCE:
            status = 1 if kkt <= tol else 2
            break
    scalars[:] = momentum, ceiling, best, exact, still
    sizes[:] = of_V
    W[...] = _matrix(V, n).T
    H[free] = _matrix(U, m)[free]
    push[free] = _matrix(start, m)[free]
    return done, status


def _residual_loss(X, V, U):
    """½ Σ (X − WH)² from the cells, summed in float64."""
    gap = X - _matrix(V, len(X)).T @ _matrix(U, X.shape[1])
    return 0.5 * float(np.einsum("ij,ij->", gap, gap, dtype=np.float64))


def _tiles(M):
    """(a, b) → (tiles of b, a, lanes), zero beyond the edge."""
    a, b = M.shape
    count = -(-b // LANES)
    padded = np.zeros((a, count * LANES), M.dtype)
    padded[:, :b] = M
    tiles = aligned((count, a, LANES), M.dtype)
    tiles[...] = padded.reshape(a, count, LANES).transpose(1, 0, 2)
    return tiles


def _deepened(M):
    """Rows of zeros up to a multiple of four: the depth of a register block."""
    return np.pad(M, ((0, -len(M) % 4), (0, 0)))


def _matrix(T, b):
    """Undo `_tiles`."""
    return T.transpose(1, 0, 2).reshape(T.shape[1], -1)[:, :b]
