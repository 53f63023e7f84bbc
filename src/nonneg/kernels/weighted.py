"""Coordinate descent for least squares with cell weights or missing cells: one Gram matrix per row.

The problem, for every row w of W on its own:

    minimise  ½ Σ_j m_j (x_j − w h_j)² + ½ Σ_k ridge_k w_k² + lin·w   subject to  lo ≤ w ≤ hi

With G = Σ_j m_j h_j h_jᵀ + diag(ridge) and p = Σ_j m_j x_j h_j − lin this is the problem of `hals`, but G differs from
row to row, and making it is what costs: k²/2 multiply-adds a cell. It is made from as few cells as possible: where
most weights equal `offset`, from G = base + Σ (m_j − offset) h_j h_jᵀ over the others (a mask with 5 % of the cells
missing costs 5 %). The sweeps themselves cost k² and are nearly free beside it.

A difference can cancel. A diagonal entry that is no larger than its rounding errors is zero: its row and column of G
are cleared, and the coordinate follows its slope (the rule of `hals`). Where the kernel chose the difference itself
and too much cancels, it makes G from the observed cells after all.

Sums over many cells are made in blocks of 256, so that float32 stays accurate.
"""

from __future__ import annotations

import numpy as np

from nonneg.kernels.jit import kernel, part

__all__ = [
    "kkt_rows_weighted",
    "kkt_rows_weighted_csr",
    "loss_weighted",
    "loss_weighted_csr",
    "sweep_rows_grams",
    "sweep_rows_weighted",
    "sweep_rows_weighted_csr",
]

BLOCK = 256


@part
def _add_gram(G, part, Ht, cells, extra, count):
    """G ← G + Σ_t extra_t h_t h_tᵀ (lower triangle), four cells at a time."""
    K = G.shape[0]
    zero = G.dtype.type(0)
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        for a in range(K):
            row = part[a]
            for b in range(a + 1):
                row[b] = zero
        t = start
        while t < stop:
            s, u, v = min(t + 1, stop - 1), min(t + 2, stop - 1), min(t + 3, stop - 1)
            e0, h0 = extra[t], Ht[cells[t]]
            e1, h1 = extra[s] if t + 1 < stop else zero, Ht[cells[s]]
            e2, h2 = extra[u] if t + 2 < stop else zero, Ht[cells[u]]
            e3, h3 = extra[v] if t + 3 < stop else zero, Ht[cells[v]]
            for a in range(K):
                c0, c1, c2, c3 = e0 * h0[a], e1 * h1[a], e2 * h2[a], e3 * h3[a]
                row = part[a]
                for b in range(a + 1):
                    row[b] += c0 * h0[b] + c1 * h1[b] + c2 * h2[b] + c3 * h3[b]
            t += 4
        for a in range(K):
            row, target = part[a], G[a]
            for b in range(a + 1):
                target[b] += row[b]


@part
def _add_rows(p, part, Ht, cells, weight, count):
    """P ← p + Σ_t weight_t h_t."""
    K = p.shape[0]
    for start in range(0, count, BLOCK):
        part[:] = p.dtype.type(0)
        for t in range(start, min(start + BLOCK, count)):
            h = Ht[cells[t]]
            a = weight[t]
            for k in range(K):
                part[k] += a * h[k]
        for k in range(K):
            p[k] += part[k]


@part
def _finish(G, size, ridge):
    """Mirror the triangle, clear what is rounding error, add the ridge. `size` bounds what was summed for G_kk."""
    K = G.shape[0]
    rounding = G.dtype.type(16) * G.dtype.type(np.finfo(G.dtype).eps)
    for a in range(K):
        for b in range(a):
            G[b, a] = G[a, b]
    for a in range(K):
        if not G[a, a] > rounding * size[a]:
            for b in range(K):
                G[a, b] = 0
                G[b, a] = 0
    for a in range(K):
        G[a, a] += ridge[a]


@part
def _descend(w, G, p, g, lo, hi, n_sweeps, frozen):
    """Cyclic coordinate descent for one row; g is kept equal to w G − p."""
    K = w.shape[0]
    zero = w.dtype.type(0)
    tiny = w.dtype.type(4) * w.dtype.type(np.finfo(w.dtype).tiny)
    for k in range(K):
        g[k] = -p[k]
    for a in range(K):
        v = w[a]
        if v != zero:
            row = G[a]
            for k in range(K):
                g[k] += v * row[k]
    for _ in range(n_sweeps):
        moved = False
        for a in range(K):
            if frozen[a]:
                continue
            old = w[a]
            new = old
            if G[a, a] > tiny:
                new = old - g[a] / G[a, a]
            elif g[a] > zero:
                new = lo
            elif g[a] < zero and hi < np.inf:
                new = hi
            new = min(max(new, lo), hi)
            if new != old:
                moved = True
                w[a] = new
                step = new - old
                row = G[a]
                for k in range(K):
                    g[k] += step * row[k]
        if not moved:
            break


@part
def _change(w, old):
    total = 0.0
    for k in range(w.shape[0]):
        step = float(w[k]) - float(old[k])
        total += step * step
    return total


@kernel
def _rows_dense(W, Ht, base, X, M, ridge, lin, lo, hi, n_sweeps, frozen):
    n, m = X.shape
    K = W.shape[1]
    F = W.dtype.type
    zero, one = F(0), F(1)
    G, part = np.zeros((K, K), W.dtype), np.zeros((K, K), W.dtype)
    p, g, size, old = np.zeros(K, W.dtype), np.zeros(K, W.dtype), np.zeros(K, W.dtype), np.zeros(K, W.dtype)
    cells, others = np.empty(m, np.int64), np.empty(m, np.int64)
    weight, extra, value = np.empty(m, W.dtype), np.empty(m, W.dtype), np.empty(m, W.dtype)
    total = 0.0
    for i in range(n):
        w = W[i]
        seen, different = 0, 0
        for j in range(m):
            a = M[i, j]
            if a > zero:  # X is not read where the weight is zero: it may hold NaN there
                cells[seen] = j
                weight[seen] = a
                value[seen] = a * X[i, j]
                seen += 1
            if a != one:
                others[different] = j
                extra[different] = a - one
                different += 1
        for k in range(K):
            old[k] = w[k]
            p[k] = -lin[k]
            size[k] = zero
        _add_rows(p, g, Ht, cells, value, seen)
        direct = seen <= different
        if not direct:
            G[:] = base
            _add_gram(G, part, Ht, others, extra, different)
            for k in range(K):
                direct = direct or G[k, k] < F(0.01) * base[k, k]
        if direct:
            G[:] = zero
            _add_gram(G, part, Ht, cells, weight, seen)
        _finish(G, size, ridge)
        _descend(w, G, p, g, lo, hi, n_sweeps, frozen)
        total += _change(w, old)
    return total


@kernel
def _rows_csr(W, Ht, base, offset, data, indices, indptr, weights, ridge, lin, lo, hi, n_sweeps, frozen):
    n, K = W.shape
    zero = W.dtype.type(0)
    G, part = np.zeros((K, K), W.dtype), np.zeros((K, K), W.dtype)
    p, g, size, old = np.zeros(K, W.dtype), np.zeros(K, W.dtype), np.zeros(K, W.dtype), np.zeros(K, W.dtype)
    wide = 1
    for i in range(n):
        wide = max(wide, indptr[i + 1] - indptr[i])
    cells, extra, value = np.empty(wide, np.int64), np.empty(wide, W.dtype), np.empty(wide, W.dtype)
    total = 0.0
    for i in range(n):
        w = W[i]
        count = 0
        for q in range(indptr[i], indptr[i + 1]):
            a = weights[q]
            cells[count] = indices[q]
            extra[count] = a - offset
            value[count] = a * data[q] if a > zero else zero
            count += 1
        for k in range(K):
            old[k] = w[k]
            p[k] = -lin[k]
            size[k] = base[k, k]
        _add_rows(p, g, Ht, cells, value, count)
        kept = 0
        for t in range(count):  # cells whose weight is the offset add nothing to G
            if extra[t] != zero:
                cells[kept] = cells[t]
                extra[kept] = extra[t]
                kept += 1
        G[:] = base
        _add_gram(G, part, Ht, cells, extra, kept)
        _finish(G, size, ridge)
        _descend(w, G, p, g, lo, hi, n_sweeps, frozen)
        total += _change(w, old)
    return total


@kernel
def _rows_grams(W, packed, P, lo, hi, n_sweeps, frozen, slopes):
    n, K = W.shape
    G, g = np.zeros((K, K), W.dtype), np.zeros(K, W.dtype)
    for i in range(n):
        t = 0
        for a in range(K):
            for b in range(a + 1):
                G[a, b] = packed[i, t]
                G[b, a] = packed[i, t]
                t += 1
        _descend(W[i], G, P[i], g, lo, hi, n_sweeps, frozen)
        for k in range(K):
            slopes[i, k] = g[k]


@part
def _violation(w, gradient, force, d, lo, hi, frozen):
    worst, scale = 0.0, 0.0
    for k in range(w.shape[0]):
        if not frozen[k]:
            v, g = w[k] * d[k], gradient[k] / d[k]
            worst = max(worst, abs(min(max(g, v - hi * d[k]), v - lo * d[k])))
            scale = max(scale, force[k] / d[k])
    return worst, scale


@kernel
def _kkt_dense(W, Ht, X, M, ridge, lin, d, lo, hi, frozen):
    """Gradients by residuals, w H at the observed cells, without Gram matrices."""
    K = W.shape[1]
    force, gradient = np.zeros(K), np.zeros(K)
    worst, scale = 0.0, 0.0
    for i in range(W.shape[0]):
        w = W[i]
        for k in range(K):
            force[k] = -lin[k]
            gradient[k] = ridge[k] * w[k] + lin[k]
        for j in range(X.shape[1]):
            a = M[i, j]
            if a > 0:
                h = Ht[j]
                y = W.dtype.type(0)
                for k in range(K):
                    y += w[k] * h[k]
                f, e = float(a * X[i, j]), float(a * (y - X[i, j]))
                for k in range(K):
                    force[k] += f * h[k]
                    gradient[k] += e * h[k]
        one = _violation(w, gradient, force, d, lo, hi, frozen)
        worst, scale = max(worst, one[0]), max(scale, one[1])
    return worst, scale


@kernel
def _kkt_csr(W, Ht, base, offset, data, indices, indptr, weights, ridge, lin, d, lo, hi, frozen):
    K = W.shape[1]
    force, gradient = np.zeros(K), np.zeros(K)
    worst, scale = 0.0, 0.0
    for i in range(W.shape[0]):
        w = W[i]
        for k in range(K):
            force[k] = -lin[k]
            gradient[k] = ridge[k] * w[k] + lin[k]
        for a in range(K):
            for k in range(K):
                gradient[k] += float(w[a]) * float(base[a, k])
        for p in range(indptr[i], indptr[i + 1]):
            h = Ht[indices[p]]
            y = W.dtype.type(0)
            for k in range(K):
                y += w[k] * h[k]
            f = float(weights[p] * data[p]) if weights[p] > 0 else 0.0
            e = float((weights[p] - offset) * y) - f
            for k in range(K):
                force[k] += f * h[k]
                gradient[k] += e * h[k]
        one = _violation(w, gradient, force, d, lo, hi, frozen)
        worst, scale = max(worst, one[0]), max(scale, one[1])
    return worst, scale


@kernel
def _loss_dense(W, Ht, X, M):
    total = 0.0
    for i in range(W.shape[0]):
        w = W[i]
        for j in range(X.shape[1]):
            if M[i, j] > 0:
                h = Ht[j]
                y = W.dtype.type(0)
                for k in range(W.shape[1]):
                    y += w[k] * h[k]
                e = float(X[i, j]) - float(y)
                total += float(M[i, j]) * e * e
    return 0.5 * total


@kernel
def _loss_csr(W, Ht, data, indices, indptr, weights):
    total = 0.0
    for i in range(W.shape[0]):
        w = W[i]
        for p in range(indptr[i], indptr[i + 1]):
            if weights[p] > 0:
                h = Ht[indices[p]]
                y = W.dtype.type(0)
                for k in range(W.shape[1]):
                    y += w[k] * h[k]
                e = float(data[p]) - float(y)
                total += float(weights[p]) * e * e
    return 0.5 * total


def sweep_rows_weighted(W, H, X, M, ridge, lin, lo, hi, n_sweeps, frozen):
    """Coordinate descent on every row of W, in place: min ½ Σ_j m_j (x_j − w h_j)² + ½ Σ ridge w² + lin·w.

    Parameters
    ----------
    W : (n, k) array, updated in place
    H : (k, m) array
    X, M : (n, m) arrays
        Data and weights, M ≥ 0. X is not read where M is zero.
    ridge, lin : (k,) arrays
        Quadratic and linear penalty of every component.
    lo, hi : float
        Bounds of every entry.
    n_sweeps : int
        Sweeps over the k coordinates.
    frozen : (k,) array of bool
        Columns of W that stay as they are, bit for bit.

    Returns
    -------
    float
        Σ (W_new − W_old)², summed in float64.

    Notes
    -----
    The H step is the same function on the transposed problem: ``sweep_rows_weighted(Ht, Wt, Xt, Mt, …)``.
    """
    F = W.dtype.type
    Ht = np.ascontiguousarray(H.T)
    base = np.ascontiguousarray(H @ H.T)
    return _rows_dense(W, Ht, base, X, M, ridge, lin, F(lo), F(hi), int(n_sweeps), frozen)


def sweep_rows_weighted_csr(
    W, Ht, base, offset, data, indices, indptr, weights, ridge, lin, lo, hi, n_sweeps, frozen
):
    """`sweep_rows_weighted` for the stored cells of a CSR matrix: G = base + Σ_stored (m − offset) h hᵀ + diag(ridge).

    Cells that are not stored are missing with base = 0 and offset = 0; they are zeros of weight one with base = H Hᵀ
    and offset = 1. The data of a cell of weight zero are not used.

    Parameters
    ----------
    W : (n, k) array, updated in place
    Ht : (m, k) array
    base : (k, k) array
    offset : float
    data, indices, indptr, weights : arrays
        Stored cells; `indptr` may be a slice of a longer one with the others whole.
    ridge, lin, lo, hi, n_sweeps, frozen
        As for `sweep_rows_weighted`.

    Returns
    -------
    float
        Σ (W_new − W_old)², summed in float64.
    """
    F = W.dtype.type
    box = F(lo), F(hi)
    return _rows_csr(
        W, Ht, base, F(offset), data, indices, indptr, weights, ridge, lin, *box, int(n_sweeps), frozen
    )


def sweep_rows_grams(W, packed, P, lo, hi, n_sweeps, frozen):
    """Coordinate descent on every row of W, in place, from Gram matrices that are there: min ½ w G_i w − p_i·w.

    Parameters
    ----------
    W : (n, k) array, updated in place
    packed : (n, k (k + 1) / 2) array
        The lower triangles of all G_i, row after row.
    P : (n, k) array
    lo, hi, n_sweeps, frozen
        As for `sweep_rows_weighted`; no sweeps give the slopes alone.

    Returns
    -------
    (n, k) array
        w G_i − p_i of every row afterwards.
    """
    F, slopes = W.dtype.type, np.empty_like(W)
    _rows_grams(W, packed, P, F(lo), F(hi), int(n_sweeps), frozen, slopes)
    return slopes


def kkt_rows_weighted(W, H, X, M, ridge, lin, d, lo, hi, frozen):
    """Largest violation of the optimality conditions over the rows of W, after scaling column j by d_j.

    As `hals.kkt_rows`, with ∇ = (M∘(WH − X)) Hᵀ + W diag(ridge) + lin; the scale is max (M∘X) Hᵀ − lin over d. Frozen
    columns do not count.

    Parameters
    ----------
    W, H, X, M, ridge, lin, lo, hi, frozen
        As for `sweep_rows_weighted`.
    d : (k,) array, positive
        Scaling that balances the columns of W against the rows of H.

    Returns
    -------
    violation, scale : float
    """
    Ht = np.ascontiguousarray(H.T)
    return _kkt_dense(W, Ht, X, M, ridge, lin, d, float(lo), float(hi), frozen)


def kkt_rows_weighted_csr(W, Ht, base, offset, data, indices, indptr, weights, ridge, lin, d, lo, hi, frozen):
    """`kkt_rows_weighted` for the problem of `sweep_rows_weighted_csr`."""
    F = W.dtype.type
    box = float(lo), float(hi)
    return _kkt_csr(W, Ht, base, F(offset), data, indices, indptr, weights, ridge, lin, d, *box, frozen)


def loss_weighted(W, H, X, M):
    """½ Σ_ij m (x − w h)² over the cells of positive weight, in float64."""
    return _loss_dense(W, np.ascontiguousarray(H.T), X, M)


def loss_weighted_csr(W, Ht, data, indices, indptr, weights):
    """½ Σ_stored m (x − w h)² over the stored cells of positive weight, in float64."""
    return _loss_csr(W, Ht, data, indices, indptr, weights)
