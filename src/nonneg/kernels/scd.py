"""Sequential coordinate descent for the generalized Kullback–Leibler divergence, one row at a time.

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

A cell with z_j > 0 and y_j = 0 makes the objective infinite: such rows are lifted first (`_lift`), by an amount whose
cost is less than what the cells gain. A row whose scale is off is then put right along the ray α w, in closed form.
"""

from __future__ import annotations

import numpy as np

from nonneg.kernels.jit import kernel

__all__ = [
    "kl_loss",
    "kl_loss_csr",
    "kl_loss_csr_weighted",
    "kl_loss_weighted",
    "kl_rows",
    "kl_rows_csr",
    "kl_rows_csr_weighted",
    "kl_rows_weighted",
]

SCALED = 0.01  # a row whose scale is off by less is left to the sweeps
ROUND = 4  # sweeps between two recomputations of y and of all gradients


# ---------------------------------------------------------------------------------------------- one row, all gradients


@kernel
def _look_cells(w, Ht, cells, z, y, pull, bare, count):
    """Y ← w H and pull ← H (z / y) on the listed cells; lists and counts the cells that have (almost) no y."""
    K = w.shape[0]
    zero = w.dtype.type(0)
    floor = w.dtype.type(np.finfo(w.dtype).eps) ** 2
    far = w.dtype.type(np.finfo(w.dtype).max) * w.dtype.type(2.0**-20)
    part = np.zeros(K, w.dtype)
    found = 0
    pull[:] = 0
    for start in range(0, count, 256):  # short sums in the dtype of the data, long ones in float64
        part[:] = zero
        for t in range(start, min(start + 256, count)):
            h = Ht[cells[t]]
            v = zero
            for k in range(K):
                v += w[k] * h[k]
            if z[t] == zero:  # forgotten
                v = far
            y[t] = v
            least = floor * z[t]
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


@kernel
def _look_dense(w, H, z, y, q, pull, bare):
    """The same over a whole dense row; cells without data get a huge y, so that they weigh nothing in any sum."""
    K, m = H.shape
    zero = w.dtype.type(0)
    floor = w.dtype.type(np.finfo(w.dtype).eps) ** 2
    far = w.dtype.type(np.finfo(w.dtype).max) * w.dtype.type(2.0**-20)
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
        q[j] = z[j] / max(y[j], least)
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


@kernel
def _lift(w, B, z, bare, lin, l2, hi, frozen):
    """Give the cells `bare`, which have (almost) no y, a share; `B` (cells, K) holds their columns of H.

    With U = Σ z over the cells that some movable row of H reaches, and K' such rows, each of them gets a weight of
    cost at most U / K', so that the lift costs at most U; a cell gains z log(y_after / y_before).
    """
    count, K = B.shape
    users = np.zeros(K, np.bool_)
    n_users = 0
    missing = 0.0
    for t in range(count):
        reached = False
        for k in range(K):
            if B[t, k] > 0 and w[k] < hi and lin[k] > 0 and not frozen[k]:
                users[k] = True
                reached = True
        if reached:
            missing += z[bare[t]]
    for k in range(K):
        n_users += users[k]
    share = missing / max(n_users, 1)
    for k in range(K):
        if users[k]:
            step = share / lin[k]
            if l2[k] > 0:
                step = min(step, np.sqrt(share / l2[k]))
            w[k] = min(w[k] + w.dtype.type(step), hi)


# ----------------------------------------------------------------------------------------------------- one coordinate


@kernel
def _advance(y, t, p, h, z, count):
    """Y ← y + t p, and on the way S = Σ z h / y and c = Σ z h² / y² for the next coordinate."""
    total = y.dtype.type(0)
    curve = y.dtype.type(0)
    for j in range(count):
        v = y[j] + t * p[j]
        y[j] = v
        u = h[j] / v
        a = z[j] * u
        total += a
        curve += a * u
    return total, curve


@kernel
def _pull_without(y, t, h, z, count):
    """Σ z h / (y − t h); infinite (or nearly) where a cell would keep nothing but rounding errors."""
    least = y.dtype.type(4) * y.dtype.type(np.finfo(y.dtype).eps)
    tiny = y.dtype.type(np.finfo(y.dtype).tiny)
    total = y.dtype.type(0)
    for j in range(count):
        v = y[j] - t * h[j]
        v = v if v > least * y[j] else tiny
        total += z[j] * (h[j] / v)
    return total


@kernel
def _step(value, total, curve, lin, ridge, lo, hi):
    """Where the coordinate w_k = value goes, and whether the gradient at `lo` should be asked first."""
    linear = lin + ridge * value
    g = linear - total
    if not total > 0:  # no data: linear or quadratic
        if linear > 0 or ridge > 0:
            return min(max(-lin / ridge if ridge > 0 else lo, lo), hi), False
        return (hi if linear < 0 and hi < np.inf else value), False
    if not (
        curve > 0 and curve < np.inf
    ):  # under- or overflow of h/y: the multiplicative step is monotone too
        return (min(max(value * total / linear, lo), hi) if linear > 0 else value), False
    r = curve / total
    b = linear * r + ridge
    root = np.sqrt(max(b * b - 4 * ridge * r * g, 0.0))
    if b + root > 0:
        new = value - 2 * g / (b + root)
    else:  # the linear part pulls up as well: Newton's step, which cannot go too far
        new = value - g / (curve + ridge)
    if g <= 0:
        return min(new, hi), False
    bend = (curve + ridge) * value
    safe = max(value * bend / (bend + 2 * g), value / 64)  # 1/64: keeps y clear of cancellation
    return max(new, safe, lo), new < safe and new <= lo


@kernel
def _residual(w, pull, lin, l2, lo, hi, frozen, mass):
    """max_k |v_k − clip(v_k − ∇_k / L_k)| with v_k = w_k L_k / Σz: free of the units of x, w and h."""
    worst = 0.0
    for k in range(w.shape[0]):
        linear = float(lin[k] + l2[k] * w[k])
        if frozen[k]:
            continue
        if mass == 0:  # no data: there or not
            value = float(w[k])
            goal, _ = _step(value, 0.0, 0.0, float(lin[k]), float(l2[k]), lo, hi)
            if abs(goal - value) > 1e-6 * goal:
                worst = 1.0
        elif linear > 0:
            unit = linear / mass
            a = w[k] * unit
            b = min(max(a - 1 + pull[k] / linear, lo * unit), hi * unit)
            worst = max(worst, abs(a - b))
    return worst


@kernel
def _violation(w, pull, lin, l2, lo, hi, frozen, d, violation, scale):
    """The larger of what was found so far and max |v − clip(v − ∇ / d)|, v = w d; likewise of max pull / d."""
    for k in range(d.shape[0]):
        if not frozen[k]:
            unit = float(d[k])
            v = float(w[k]) * unit
            g = (float(lin[k]) + float(l2[k]) * float(w[k]) - pull[k]) / unit
            violation = max(violation, abs(v - min(max(v - g, lo * unit), hi * unit)))
            scale = max(scale, pull[k] / unit)
    return violation, scale


@kernel
def _sweeps(w, S, row, moving, movers, z, y, lin, l2, lo, hi, n_sweeps, count):
    """Sweep over the listed coordinates; the part of H that belongs to moving[a] is S[row[a]]."""
    F = w.dtype.type
    for sweep in range(n_sweeps):
        last = -1
        t = F(0)
        for a in range(movers):
            k = moving[a]
            if sweep > 0 and (w[k] <= lo or w[k] >= hi):  # arrived at a bound: rests till the next full look
                continue
            h = S[row[a]]
            total, curve = _advance(y, t, S[row[last]] if last >= 0 else h, h, z, count)
            value = float(w[k])
            new, ask = _step(value, float(total), float(curve), float(lin[k]), float(l2[k]), lo, hi)
            if ask and lin[k] + l2[k] * lo >= float(_pull_without(y, F(value - lo), h, z, count)):
                new = lo
            moved = F(new)
            t = moved - w[k]
            w[k] = moved
            last = a
        if last < 0:
            break
        if sweep + 1 < n_sweeps:
            p = S[row[last]]
            for j in range(count):
                y[j] += t * p[j]


@kernel
def _movers(w, pull, lin, l2, lo, hi, frozen, moving):
    """List the coordinates that are not held at a bound by their gradient."""
    movers = 0
    for k in range(w.shape[0]):
        g = lin[k] + l2[k] * w[k] - pull[k]
        if not (frozen[k] or (g >= 0 and w[k] <= lo) or (g <= 0 and w[k] >= hi)):
            moving[movers] = k
            movers += 1
    return movers


@kernel
def _scale(w, y, pull, lin, l2, lo, hi, frozen, mass, count):
    """Minimise along the ray α w, in closed form: α solves α² Σ l2 w² + α Σ lin w = Σ z.

    A row on the wrong scale would otherwise be emptied by the first coordinates of a sweep.
    """
    linear, square, least, most = 0.0, 0.0, 0.0, np.inf
    for k in range(w.shape[0]):
        if w[k] > 0:
            if frozen[k]:
                return
            linear += lin[k] * w[k]
            square += l2[k] * w[k] * w[k]
            least = max(least, lo / w[k])
            most = min(most, hi / w[k])
    root = np.sqrt(linear * linear + 4 * square * mass)
    if mass > 0 and linear + root > 0:
        factor = w.dtype.type(min(max(2 * mass / (linear + root), least), most))
        if abs(factor - 1) > SCALED and factor > 0 and factor < np.inf:
            for k in range(w.shape[0]):
                if lin[k] != 0 or l2[k] > 0 or pull[k] > 0:
                    w[k] = min(max(w[k] * factor, lo), hi)  # rounding must not leave the box
                    pull[k] /= factor
            for j in range(count):
                y[j] *= factor


@kernel
def _into_box(w, lo, hi, frozen):
    for k in range(w.shape[0]):
        if not frozen[k]:
            w[k] = min(max(w[k], lo), hi)


# ------------------------------------------------------------------------------------------------------- many rows


@kernel
def _settle_cells(w, Ht, cells, z, y, pull, bare, count, lin, l2, hi, frozen, looking):
    """Look; unless `looking` is all, lift cells without y, forget those that stay without. Returns Σ z that remains."""
    for attempt in range(3):
        found = _look_cells(w, Ht, cells, z, y, pull, bare, count)
        if found == 0 or looking:
            break
        if attempt == 0:
            B = np.empty((found, w.shape[0]), w.dtype)
            for b in range(found):
                for k in range(w.shape[0]):
                    B[b, k] = Ht[cells[bare[b]], k]
            _lift(w, B, z, bare, lin, l2, hi, frozen)
        else:
            for b in range(found):
                z[bare[b]] = 0
    mass = 0.0
    for t in range(count):
        mass += z[t]
    return mass


@kernel
def _settle_dense(w, H, z, y, q, pull, bare, lin, l2, hi, frozen, looking):
    """`_settle_cells` for a dense row."""
    for attempt in range(3):
        found = _look_dense(w, H, z, y, q, pull, bare)
        if found == 0 or looking:
            break
        if attempt == 0:
            B = np.empty((found, w.shape[0]), w.dtype)
            for b in range(found):
                for k in range(w.shape[0]):
                    B[b, k] = H[k, bare[b]]
            _lift(w, B, z, bare, lin, l2, hi, frozen)
        else:
            for b in range(found):
                z[bare[b]] = 0
    mass = 0.0
    for j in range(z.shape[0]):
        mass += z[j]
    return mass


@kernel
def _rows_dense(W, H, X, M, hsum, l1, l2, lo, hi, max_sweeps, tol, frozen, residual, d):
    """Dense rows; M (n, m) cell weights or (0, 0). Cells without data are packed away where that pays.

    Returns the largest residual and, where `d` is not empty, the violation and its scale (see `kl_rows`).
    """
    n, m = X.shape
    K = W.shape[1]
    zero = W.dtype.type(0)
    S = np.empty((K, (m + 31) // 32 * 32 + 16), W.dtype)
    z, y, q = np.empty(m, W.dtype), np.empty(m, W.dtype), np.empty(m, W.dtype)
    pull = np.empty(K)
    lin = np.empty(K, W.dtype)
    for k in range(K):
        lin[k] = hsum[k] + l1[k]
    cells, bare = np.empty(m + 1, np.int64), np.empty(m, np.int64)
    moving, here = np.empty(K, np.int64), np.arange(K)
    worst, violation, scale = 0.0, 0.0, 0.0
    for i in range(n):
        w = W[i]
        if M.shape[0] > 0:
            for k in range(K):
                total = zero
                for j in range(m):
                    total += M[i, j] * H[k, j]
                lin[k] = total + l1[k]
            for j in range(m):  # X is not read where the weight is zero: it may hold NaN there
                z[j] = M[i, j] * X[i, j] if M[i, j] > zero else zero
        else:
            for j in range(m):
                z[j] = X[i, j]
        mass = 0.0
        count = np.int64(0)  # a bare 0 is typed as a constant first, and callees are compiled for that too
        for j in range(m):
            mass += z[j]
            cells[count] = j
            count += z[j] > zero
        packed = max_sweeps * (m - count) > count
        if max_sweeps > 0:
            _into_box(w, lo, hi, frozen)
        done = 0
        while True:
            mass = _settle_dense(w, H, z, y, q, pull, bare, lin, l2, hi, frozen, max_sweeps == 0)
            if done == 0 and (residual.shape[0] == 0 or residual[i] >= 0):
                violation, scale = _violation(w, pull, lin, l2, lo, hi, frozen, d, violation, scale)
            left = _residual(w, pull, lin, l2, lo, hi, frozen, mass)
            if done >= max_sweeps or left <= tol:
                break
            if done == 0:
                _scale(w, y, pull, lin, l2, lo, hi, frozen, mass, m)
            sweeps = min(max_sweeps - done, ROUND)
            movers = _movers(w, pull, lin, l2, lo, hi, frozen, moving)
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
            _sweeps(w, parts, rows, moving, movers, of_cells, y, lin, l2, lo, hi, sweeps, length)
            done += sweeps
            if done >= max_sweeps and tol < 0:
                break
        worst = max(worst, left)
        if residual.shape[0] > 0:
            residual[i] = left
    return worst, violation, scale


@kernel
def _rows_csr(
    W, Ht, hsum, offset, data, indices, indptr, weights, l1, l2, lo, hi, max_sweeps, tol, frozen, residual, d
):
    """`_rows_dense` for a CSR matrix; `weights` of the stored cells or empty. What moves is gathered, nothing else."""
    n, K = W.shape
    weighted = weights.shape[0] > 0
    zero = W.dtype.type(0)
    wide = 1
    for i in range(n):
        wide = max(wide, indptr[i + 1] - indptr[i])
    # an odd multiple of 64 or 128 bytes: rows of the scratch do not share cache sets
    S = np.empty((K, (wide + 31) // 32 * 32 + 16), W.dtype)
    z, y = np.empty(wide, W.dtype), np.empty(wide, W.dtype)
    pull = np.empty(K)
    lin, size = np.empty(K, W.dtype), np.empty(K, W.dtype)
    for k in range(K):
        lin[k] = hsum[k] + l1[k]
    cells, bare = np.empty(wide, np.int64), np.empty(wide, np.int64)
    moving, here = np.empty(K, np.int64), np.arange(K)
    rounding = W.dtype.type(4) * W.dtype.type(np.finfo(W.dtype).eps)
    worst, violation, scale = 0.0, 0.0, 0.0
    for i in range(n):
        w = W[i]
        mass = 0.0
        count = np.int64(0)
        if weighted:
            for k in range(K):
                lin[k] = hsum[k]
                size[k] = hsum[k]
            for p in range(indptr[i], indptr[i + 1]):
                h = Ht[indices[p]]
                extra = weights[p] - offset
                for k in range(K):
                    lin[k] += extra * h[k]
                    size[k] += abs(extra) * h[k]
            for k in range(K):  # hsum − Σ h may cancel to anything around zero
                lin[k] = (lin[k] if lin[k] > rounding * size[k] else zero) + l1[k]
        for p in range(indptr[i], indptr[i + 1]):
            value = data[p]
            if weighted:
                value = weights[p] * value if weights[p] > zero else zero
            if value > zero:
                z[count] = value
                cells[count] = indices[p]
                mass += value
                count += 1
        if max_sweeps > 0:
            _into_box(w, lo, hi, frozen)
        done = 0
        while True:
            mass = _settle_cells(w, Ht, cells, z, y, pull, bare, count, lin, l2, hi, frozen, max_sweeps == 0)
            if done == 0 and (residual.shape[0] == 0 or residual[i] >= 0):
                violation, scale = _violation(w, pull, lin, l2, lo, hi, frozen, d, violation, scale)
            left = _residual(w, pull, lin, l2, lo, hi, frozen, mass)
            if done >= max_sweeps or left <= tol:
                break
            if done == 0:
                _scale(w, y, pull, lin, l2, lo, hi, frozen, mass, count)
            sweeps = min(max_sweeps - done, ROUND)
            movers = _movers(w, pull, lin, l2, lo, hi, frozen, moving)
            for t in range(count):
                h = Ht[cells[t]]
                for a in range(movers):
                    S[a, t] = h[moving[a]]
            _sweeps(w, S, here, moving, movers, z, y, lin, l2, lo, hi, sweeps, count)
            done += sweeps
            if done >= max_sweeps and tol < 0:
                break
        worst = max(worst, left)
        if residual.shape[0] > 0:
            residual[i] = left
    return worst, violation, scale


@kernel
def _x_log(x, q, bits, count):
    """Σ x log q in float64, for the first `count` cells; `bits` is q seen as int64.

    A polynomial instead of the library's log, so that it is SIMD: q = 2^e f with √½ < f ≤ √2, and
    log f = 2 artanh s, s = (f − 1) / (f + 1), by its series up to s^21 (relative error below 4e-16).
    """
    for j in range(count):
        least = 2.3e-308
        most = 1.7e308
        q[j] = min(max(q[j], least), most)
    total = 0.0
    for j in range(count):
        e = float((bits[j] >> 52) - 1023)
        bits[j] = (bits[j] & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000
        f = q[j]
        upper = f > 1.4142135623730951
        f = 0.5 * f if upper else f
        e = e + 1.0 if upper else e
        s = (f - 1.0) / (f + 1.0)
        r = s * s
        series = 1 / 21
        series = series * r + 1 / 19
        series = series * r + 1 / 17
        series = series * r + 1 / 15
        series = series * r + 1 / 13
        series = series * r + 1 / 11
        series = series * r + 1 / 9
        series = series * r + 1 / 7
        series = series * r + 1 / 5
        series = series * r + 1 / 3
        series = series * r + 1.0
        total += x[j] * (e * 0.6931471805599453 + 2.0 * s * series)
    return total


@kernel
def _loss_dense(W, H, X, M):
    n, m = X.shape
    zero = W.dtype.type(0)
    y, z, q = np.empty(m, W.dtype), np.empty(m), np.empty(m)
    bits = q.view(np.int64)
    total = 0.0
    for i in range(n):
        y[:] = zero
        for k in range(W.shape[1]):
            a = W[i, k]
            if a != zero:
                h = H[k]
                for j in range(m):
                    y[j] += a * h[j]
        count = np.int64(0)
        plain = 0.0
        for j in range(m):
            weight = M[i, j] if M.shape[0] > 0 else W.dtype.type(1)
            if weight > zero:
                x = X[i, j]
                plain += float(weight) * (float(y[j]) - float(x))
                if x > zero:
                    if not y[j] > zero:
                        return np.inf
                    z[count] = float(weight) * float(x)
                    q[count] = float(x) / float(y[j])
                    count += 1
        total += plain + _x_log(z, q, bits, count)
    return total


@kernel
def _loss_csr(W, Ht, offset, data, indices, indptr, weights):
    zero = W.dtype.type(0)
    K = W.shape[1]
    z, q = np.empty(256), np.empty(256)
    bits = q.view(np.int64)
    count = np.int64(0)
    total = 0.0
    for i in range(W.shape[0]):
        w = W[i]
        for p in range(indptr[i], indptr[i + 1]):
            weight = weights[p] if weights.shape[0] > 0 else W.dtype.type(1)
            h = Ht[indices[p]]
            v = zero
            for k in range(K):
                v += w[k] * h[k]
            total += float(weight - offset) * float(v)
            if weight > zero and data[p] > zero:
                if not v > zero:
                    return np.inf
                x = float(data[p])
                total -= float(weight) * x
                z[count] = float(weight) * x
                q[count] = x / float(v)
                count += 1
                if count == 256:
                    total += _x_log(z, q, bits, count)
                    count = np.int64(0)
    return total + _x_log(z, q, bits, count)


# ----------------------------------------------------------------------------------------------------------- fronts


def _dense(W, H, X, M, hsum, l1, l2, lo, hi, max_sweeps, tol, frozen, residual=None, d=None):
    """Call the compiled function; bounds are rounded to W's dtype, so that "at the bound" is exact."""
    F = W.dtype.type
    none = np.empty(0, W.dtype)
    M = np.empty((0, 0), W.dtype) if M is None else M
    stop = float(tol) if tol > 0 else -1.0
    low, high = float(F(lo)), float(F(hi))
    residual, d = none if residual is None else residual, none if d is None else d
    return _rows_dense(W, H, X, M, hsum, l1, l2, low, high, int(max_sweeps), stop, frozen, residual, d)


def _csr(W, Ht, hsum, offset, data, indices, indptr, weights, l1, l2, lo, hi, max_sweeps, tol, frozen, residual=None,
         d=None):  # fmt: skip
    F = W.dtype.type
    none = np.empty(0, W.dtype)
    weights = none if weights is None else weights
    stop = float(tol) if tol > 0 else -1.0
    low, high = float(F(lo)), float(F(hi))
    residual, d = none if residual is None else residual, none if d is None else d
    return _rows_csr(W, Ht, hsum, F(offset), data, indices, indptr, weights, l1, l2, low, high, int(max_sweeps), stop,
                     frozen, residual, d)  # fmt: skip


def kl_rows(W, H, X, hsum, l1, l2, lo, hi, max_sweeps, tol, frozen, residual=None, d=None):
    """Sequential coordinate descent on every row of W, in place: min Σ_j y_j − x_j log y_j + l1·w + ½ Σ l2 w².

    Every sweep lowers the objective of every row or leaves it. The first sweep of a call is preceded by the exact
    step along the ray α w where that matters, and by a lift of cells with x > 0 and y = 0.

    Parameters
    ----------
    W : (n, k) array, updated in place
    H : (k, m) array
    X : (n, m) array, X ≥ 0
    hsum : (k,) array
        H.sum(1), in the dtype of W.
    l1, l2 : (k,) arrays
        Strengths of the linear and the quadratic penalty of every component.
    lo, hi : float
        Bounds of every entry, 0 ≤ lo ≤ hi.
    max_sweeps : int
        Sweeps over the coordinates; 0 only measures.
    tol : float
        0: exactly `max_sweeps`. Positive: a row stops as soon as its own residual is at most `tol`, which is asked
        every four sweeps.
    frozen : (k,) array of bool
        Columns of W that stay as they are, bit for bit.
    residual : (n,) array, optional, overwritten
        max_k |v_k − clip(v_k − ∇_k / L_k)|, v_k = w_k L_k / Σ_j x_j, L = hsum + l1 + l2 w, of every row: the share
        of the row's mass that is in the wrong place. With ``tol > 0`` as at the end, otherwise as before the last
        (at most four) sweeps.
    d : (k,) array, positive, optional
        Scaling that balances the columns of W against the rows of H, for the last two results.

    Returns
    -------
    residual : float
        The largest residual.
    violation, scale : float
        Before the first sweep, with V = W diag(d) and ∇ = (lin + l2 W − (X / WH) Hᵀ) diag(1/d): max |V − clip(V − ∇, lo
        d, hi d)|, to be compared with max (X / WH) Hᵀ diag(1/d).
        Frozen columns do not count, nor rows whose `residual` came in negative. 0 without `d`.

    Notes
    -----
    The H step is the same function on the transposed problem: ``kl_rows(Ht, Wt, Xt, W.sum(0), …)``.
    """
    return _dense(W, H, X, None, hsum, l1, l2, lo, hi, max_sweeps, tol, frozen, residual, d)


def kl_rows_weighted(W, H, X, M, l1, l2, lo, hi, max_sweeps, tol, frozen, residual=None, d=None):
    """`kl_rows` for Σ_j m_j (y_j − x_j log y_j): `M` (n, m) ≥ 0; X is not read where a weight is zero."""
    return _dense(W, H, X, M, l1, l1, l2, lo, hi, max_sweeps, tol, frozen, residual, d)


def kl_rows_csr(
    W, Ht, hsum, data, indices, indptr, l1, l2, lo, hi, max_sweeps, tol, frozen, residual=None, d=None
):
    """`kl_rows` for the rows of a CSR matrix; `Ht` (m, k) is H transposed, C-ordered.

    `data` has the dtype of W; `indices` and `indptr` are both int32 or both int64, and `indptr` may be a slice of a
    longer one (rows of a block) with `data` and `indices` whole. The transposed problem takes the CSC arrays.
    """
    return _csr(
        W, Ht, hsum, 0, data, indices, indptr, None, l1, l2, lo, hi, max_sweeps, tol, frozen, residual, d
    )


def kl_rows_csr_weighted(
    W, Ht, hsum, offset, data, indices, indptr, weights, l1, l2, lo, hi, max_sweeps, tol, frozen, residual=None, d=None
):  # fmt: skip
    """`kl_rows_csr` with `weights` of the stored cells; the linear part is hsum + Σ_stored (weight − offset) h.

    Cells that are not stored are missing with hsum = 0 and offset = 0; they are zeros of weight one with
    hsum = H.sum(1) and offset = 1. The data of a cell of weight zero are not used.
    """
    return _csr(
        W,
        Ht,
        hsum,
        offset,
        data,
        indices,
        indptr,
        weights,
        l1,
        l2,
        lo,
        hi,
        max_sweeps,
        tol,
        frozen,
        residual,
        d,
    )


def kl_loss(W, H, X):
    """Σ_ij x log(x / y) − x + y with y = W H, in float64; infinite where x > 0 and y = 0."""
    return _loss_dense(W, H, X, np.empty((0, 0), W.dtype))


def kl_loss_weighted(W, H, X, M):
    """Σ_ij m (x log(x / y) − x + y) over the cells of positive weight."""
    return _loss_dense(W, H, X, M)


def kl_loss_csr(W, Ht, data, indices, indptr):
    """Σ_stored x log(x / y) − x; the caller adds Σ_ij y_ij = W.sum(0) · hsum."""
    return _loss_csr(W, Ht, W.dtype.type(1), data, indices, indptr, np.empty(0, W.dtype))


def kl_loss_csr_weighted(W, Ht, offset, data, indices, indptr, weights):
    """Σ_stored m (x log(x / y) − x) + (m − offset) y; the caller adds offset · W.sum(0) · hsum."""
    return _loss_csr(W, Ht, W.dtype.type(offset), data, indices, indptr, weights)
