"""Compiled rows of the generalized Kullback–Leibler divergence; `scd` has the fronts that call them.

The problem, for every row w of W on its own (z = m ∘ x: data times cell weights; weights are 1 unless given):

    minimise  Σ_j m_j (y_j − x_j log y_j) + l1·w + ½ Σ_k l2_k w_k²,   y = w H,   subject to  lo ≤ w ≤ hi

Only cells with z_j > 0 need y: the rest of the data term is linear, with coefficients lin_k = Σ_j m_j h_kj. They are
gathered once a row into a small contiguous scratch, and every sweep is SIMD over them.

One coordinate. Along w_k + t the gradient is L + l2 t − Σ_j z_j h_kj / (y_j + t h_kj), L = lin_k + l1_k + l2_k w_k.
With S = Σ z h / y and c = Σ z h² / y² at t = 0, the sum is S · E[1 / (1 + tρ)], where ρ = h/y is distributed with
weights z h / y and has mean r = c / S. As 1 / (1 + tρ) is convex in ρ,

- it is at least S / (1 + t r): the root t of (L + l2 t)(1 + t r) = S never lies beyond the minimiser when it goes up,
  so that the step is monotone without a test, and longer than Newton's (by S / L for l2 = 0);
- it is at most S (1 − r w) + S r w / (1 + t / w), because ρ ≤ 1 / w: going down, w + t ≥ θ w with
  θ = c w / (c w + 2 g), g = L − S, c including l2, ends where the gradient is at least −g. The gradient is concave in
  t, so the objective at the end is no larger than at the start: again monotone without a test.

A step to the bound itself that the second rule does not cover is taken only after the gradient there was computed and
found non-negative. A coordinate at the bound is skipped while its gradient is non-negative and moves as soon as it is
not: nothing is locked. Newton's step on one coordinate at a time is due to Hsieh & Dhillon (KDD 2011), and to Lin &
Boutros (BMC Bioinformatics 2020) for KL with penalties; the two bounds are derived here.

A cell with z_j > 0 and y_j = 0 makes the objective infinite: such rows are lifted first (`_mend`), by an amount whose
cost is less than what the cells gain. A row whose scale is off is then put right along the ray α w, in closed form.

What is compiled is paid for by the first fit: every callee by itself and again where it is called, and every kind of
argument and of `max` again. Hence constants as an array (`edge`), scratch from the caller and scalars in float64
throughout. Only what the loops over cells write is made here, so that it is known not to overlap.
"""

from __future__ import annotations

import math

import numpy as np

from nonneg.kernels.jit import kernel, part

__all__ = ["rows_csr", "rows_dense"]

SCALED = 0.01  # a row whose scale is off by less is left to the sweeps
ROUND = 4  # sweeps between two recomputations of y and of all gradients
NOTHING, HUGE, CANCELS, TINY = 0, 1, 2, 3  # places in `edge`: see `scd`


@part
def _look_cells(w, Ht, cells, z, y, part, pull, bare, count, edge):
    """Y ← w H and pull ← H (z / y) on the listed cells; lists and counts the cells that have (almost) no y."""
    K = w.shape[0]
    zero = w.dtype.type(0)
    for k in range(K):
        pull[k] = 0.0
    found = 0
    for start in range(0, count, 256):
        for k in range(K):  # short sums in the dtype of the data, long ones in float64
            part[k] = zero
        for t in range(start, count if count < start + 256 else start + 256):
            h = Ht[cells[t]]
            v = zero
            for k in range(K):
                v += w[k] * h[k]
            if z[t] == zero:  # forgotten
                v = edge[HUGE]
            y[t] = v
            least = edge[NOTHING] * z[t]
            if not v > least:
                bare[found] = t
                found += 1
                v = least
            q = z[t] / v
            for k in range(K):
                part[k] += q * h[k]
        for k in range(K):
            pull[k] += part[k]
    return found


@part
def _look_dense(w, H, z, y, q, pull, bare, edge):
    """The same over a whole dense row; cells without data get a huge y, so that they weigh nothing in any sum."""
    K, m = H.shape
    zero = w.dtype.type(0)
    far = edge[HUGE]
    floor = edge[NOTHING]
    for j in range(m):
        y[j] = zero if z[j] > zero else far
    for k in range(K):
        a = w[k]
        if a != zero:
            h = H[k]
            for j in range(m):
                y[j] += a * h[j]
    short = 0
    for j in range(m):
        least = floor * z[j]
        short += not y[j] > least
        q[j] = z[j] / (y[j] if y[j] > least else least)
    found = 0
    if short > 0:
        for j in range(m):
            if not y[j] > floor * z[j]:
                bare[found] = j
                found += 1
    for k in range(K):
        h = H[k]
        total = zero
        for j in range(m):
            total += q[j] * h[j]
        pull[k] = total
    return found


@part
def _mend(w, H, cells, z, bare, found, lin, l2, d, hi, users, lift):
    """Give the `found` cells of `bare`, which have (almost) no y, a share; or forget them.

    With U = Σ z over the cells that some movable row of H reaches, and K' such rows, each of them gets a weight of
    cost at most U / K', so that the lift costs at most U; a cell gains z log(y_after / y_before).
    """
    K = w.shape[0]
    if not lift:
        for b in range(found):
            z[bare[b]] = w.dtype.type(0)
        return
    for k in range(K):
        users[k] = 0
    missing = 0.0
    for b in range(found):
        cell = cells[bare[b]]
        reached = False
        for k in range(K):
            if H[k, cell] > 0 and w[k] < hi and lin[k] > 0 and d[k] > 0:
                users[k] = 1
                reached = True
        if reached:
            missing += z[bare[b]]
    n_users = 0
    for k in range(K):
        n_users += users[k]
    for k in range(K):
        if users[k] > 0:
            share = missing / n_users
            step = share / lin[k]
            if l2[k] > 0:
                step = min(step, math.sqrt(share / l2[k]))
            w[k] = min(w[k] + step, hi)


@part
def _step(value, total, curve, lin, ridge, lo, hi):
    """Where the coordinate w_k = value goes, and whether the gradient at `lo` should be asked first."""
    linear = lin + ridge * value
    g = linear - total
    if not total > 0:  # no data: linear or quadratic
        if linear > 0 or ridge > 0:
            return min(max(-lin / ridge if ridge > 0 else lo, lo), hi), False
        return (hi if linear < 0 and hi < math.inf else value), False
    if not (
        curve > 0 and curve < math.inf
    ):  # h/y under- or overflows: the multiplicative step is monotone too
        return (min(max(value * total / linear, lo), hi) if linear > 0 else value), False
    r = curve / total
    b = linear * r + ridge
    root = b if ridge == 0 else math.sqrt(max(b * b - 4.0 * ridge * r * g, 0.0))
    if b + root > 0:
        new = value - 2.0 * g / (b + root)
    else:  # the linear part pulls up as well: Newton's step, which cannot go too far
        new = value - g / (curve + ridge)
    if g <= 0:
        return min(new, hi), False
    bend = (curve + ridge) * value
    safe = max(value * bend / (bend + 2.0 * g), value / 64.0)  # 1/64: keeps y clear of cancellation
    return max(max(new, safe), lo), new < safe and new <= lo


@part
def _measure(w, pull, lin, l2, d, lo, hi, mass, counts, found):
    """max_k |v_k − clip(v_k − ∇_k / L_k)| with v_k = w_k L_k / Σz: free of the units of x, w and h.

    Where the row `counts`, `found` grows to max |v − clip(v − ∇ / d)|, v = w d, and to max pull / d.
    """
    worst = 0.0
    for k in range(w.shape[0]):
        if d[k] > 0:
            value, price, ridge = np.float64(w[k]), np.float64(lin[k]), np.float64(l2[k])
            linear = price + ridge * value
            if mass == 0:  # no data: there or not
                goal, _ = _step(value, 0.0, 0.0, price, ridge, lo, hi)
                if abs(goal - value) > 1e-6 * goal:
                    worst = 1.0
            elif linear > 0:
                unit = linear / mass
                a = value * unit
                worst = max(worst, abs(a - min(max(a - 1.0 + pull[k] / linear, lo * unit), hi * unit)))
            if counts:
                unit = np.float64(d[k])
                v = value * unit
                g = (linear - pull[k]) / unit
                found[0] = max(found[0], abs(min(max(g, v - hi * unit), v - lo * unit)))
                found[1] = max(found[1], pull[k] / unit)
    return worst


@part
def _prepare(w, y, pull, lin, l2, d, lo, hi, mass, count, scaled, moving):
    """List the coordinates that are not held at a bound by their gradient, after a step along the ray α w if `scaled`.

    The step is exact: α solves α² Σ l2 w² + α Σ lin w = Σ z. A row on the wrong scale would be emptied by the first
    coordinates of a sweep.
    """
    K = w.shape[0]
    linear, square, least, most = 0.0, 0.0, 0.0, math.inf
    for k in range(K):
        value = np.float64(w[k])
        if value > 0:
            if d[k] == 0:
                scaled = False
            linear += lin[k] * value
            square += l2[k] * value * value
            least = max(least, lo / value)
            most = min(most, hi / value)
    if scaled:
        root = math.sqrt(linear * linear + 4.0 * square * mass)
        if mass > 0 and linear + root > 0:
            factor = w.dtype.type(min(max(2.0 * mass / (linear + root), least), most))
            if abs(factor - 1) > SCALED and factor > 0 and factor < math.inf:
                for k in range(K):
                    if lin[k] != 0 or l2[k] > 0 or pull[k] > 0:
                        w[k] = min(max(np.float64(w[k] * factor), lo), hi)  # rounding must not leave the box
                        pull[k] /= factor
                for j in range(count):
                    y[j] *= factor
    movers = 0
    for k in range(K):
        g = lin[k] + l2[k] * w[k] - pull[k]
        if not (d[k] == 0 or (g >= 0 and w[k] <= lo) or (g <= 0 and w[k] >= hi)):
            moving[movers] = k
            movers += 1
    return movers


@part
def _sweeps(w, S, row, moving, movers, z, y, lin, l2, lo, hi, n_sweeps, count, edge):
    """Sweep over the listed coordinates; the part of H that belongs to moving[a] is S[row[a]]."""
    zero = w.dtype.type(0)
    cancels, tiny = (
        edge[CANCELS],
        edge[TINY],
    )  # here: a load under a condition would keep its loop from being SIMD
    for sweep in range(n_sweeps):
        last = -1
        t = zero
        for a in range(movers):
            k = moving[a]
            if sweep > 0 and (w[k] <= lo or w[k] >= hi):  # arrived at a bound: rests till the next full look
                continue
            h = S[row[a]]
            p = S[row[last]] if last >= 0 else h
            total = zero
            curve = zero
            for j in range(count):  # y follows the last move; S and c of this coordinate on the way
                v = y[j] + t * p[j]
                y[j] = v
                u = h[j] / v
                c = z[j] * u
                total += c
                curve += c * u
            value = np.float64(w[k])
            new, ask = _step(
                value, np.float64(total), np.float64(curve), np.float64(lin[k]), np.float64(l2[k]), lo, hi
            )
            if (
                ask
            ):  # Σ z h / (y − t h): infinite (or nearly) where a cell would keep nothing but rounding errors
                t = w.dtype.type(value - lo)
                total = zero
                for j in range(count):
                    v = y[j] - t * h[j]
                    v = v if v > cancels * y[j] else tiny
                    total += z[j] * (h[j] / v)
                if lin[k] + l2[k] * lo >= total:
                    new = lo
            t = w.dtype.type(new) - w[k]
            w[k] = new
            last = a
        if last < 0:
            break
        if sweep + 1 < n_sweeps:
            p = S[row[last]]
            for j in range(count):
                y[j] += t * p[j]


@kernel
def rows_dense(W, H, Z, L, l2, d, lo, hi, max_sweeps, tol, residual, edge, pull, found, index):
    """Dense rows: Z (n, m) is data times weights, L (n, K) or (1, K) the linear terms. See `scd._call` for the rest.

    Cells without data are packed away where that pays.
    """
    n, m = Z.shape
    K = W.shape[1]
    zero = W.dtype.type(0)
    S = np.empty((K, (m + 31) // 32 * 32 + 16), W.dtype)
    z, y, q = np.empty(m, W.dtype), np.empty(m, W.dtype), np.empty(m, W.dtype)
    here, cells, bare, moving = index[0], index[1], index[2], index[3]
    for i in range(n):
        w = W[i]
        lin = L[i % L.shape[0]]
        count = np.int64(0)  # a bare 0 is typed as a constant first, and callees are compiled for that too
        for j in range(m):
            z[j] = Z[i, j]
            cells[count] = j
            count += z[j] > zero
        packed = max_sweeps * (m - count) > count
        done = np.int64(0)
        while True:
            for attempt in range(3):
                short = _look_dense(w, H, z, y, q, pull, bare, edge)
                if short == 0 or max_sweeps == 0:
                    break
                _mend(w, H, here, z, bare, short, lin, l2, d, hi, moving, attempt == 0)
            mass = 0.0
            for j in range(m):
                mass += z[j]
            counts = done == 0 and residual[i] >= 0
            left = _measure(w, pull, lin, l2, d, lo, hi, mass, counts, found)
            if done >= max_sweeps or left <= tol:
                break
            movers = _prepare(w, y, pull, lin, l2, d, lo, hi, mass, m, done == 0, moving)
            if packed:
                for a in range(movers):
                    h = H[moving[a]]
                    s = S[a]
                    for t in range(count):
                        s[t] = h[cells[t]]
                for t in range(count):
                    q[t] = z[cells[t]]
                    y[t] = y[cells[t]]
            # one call for both: the compiler copies what is called to where it is called
            parts, rows = (S, here) if packed else (H, moving)
            of_cells, length = (q, count) if packed else (z, m)
            sweeps = ROUND if done + ROUND < max_sweeps else max_sweeps - done
            _sweeps(w, parts, rows, moving, movers, of_cells, y, lin, l2, lo, hi, sweeps, length, edge)
            done += sweeps
            if done >= max_sweeps and tol < 0:
                break
        residual[i] = left


@kernel
def rows_csr(
    W, Ht, data, indices, indptr, L, l2, d, lo, hi, max_sweeps, tol, residual, edge, pull, found, index
):
    """`rows_dense` for a CSR matrix. What moves is gathered, nothing else."""
    n, K = W.shape
    zero = W.dtype.type(0)
    wide = index.shape[1]
    # an odd multiple of 64 or 128 bytes: rows of the scratch do not share cache sets
    S = np.empty((K, (wide + 31) // 32 * 32 + 16), W.dtype)
    z, y, part = np.empty(wide, W.dtype), np.empty(wide, W.dtype), np.empty(K, W.dtype)
    here, cells, bare, moving = index[0], index[1], index[2], index[3]
    for i in range(n):
        w = W[i]
        lin = L[i % L.shape[0]]
        count = np.int64(0)
        for p in range(indptr[i], indptr[i + 1]):
            if data[p] > zero:
                z[count] = data[p]
                cells[count] = indices[p]
                count += 1
        done = np.int64(0)
        while True:
            for attempt in range(3):
                short = _look_cells(w, Ht, cells, z, y, part, pull, bare, count, edge)
                if short == 0 or max_sweeps == 0:
                    break
                _mend(w, Ht.T, cells, z, bare, short, lin, l2, d, hi, moving, attempt == 0)
            mass = 0.0
            for t in range(count):
                mass += z[t]
            counts = done == 0 and residual[i] >= 0
            left = _measure(w, pull, lin, l2, d, lo, hi, mass, counts, found)
            if done >= max_sweeps or left <= tol:
                break
            movers = _prepare(w, y, pull, lin, l2, d, lo, hi, mass, count, done == 0, moving)
            for t in range(count):
                h = Ht[cells[t]]
                for a in range(movers):
                    S[a, t] = h[moving[a]]
            sweeps = ROUND if done + ROUND < max_sweeps else max_sweeps - done
            _sweeps(w, S, here, moving, movers, z, y, lin, l2, lo, hi, sweeps, count, edge)
            done += sweeps
            if done >= max_sweeps and tol < 0:
                break
        residual[i] = left
