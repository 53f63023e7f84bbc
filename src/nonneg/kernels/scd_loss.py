"""The generalized Kullback–Leibler divergence itself, summed in float64, without an array of the size of the data."""

from __future__ import annotations

import numpy as np

from nonneg.kernels.jit import kernel, part

__all__ = ["kl_loss", "kl_loss_csr", "kl_loss_csr_weighted", "kl_loss_weighted"]

CHUNK = 256  # logarithms taken together


@part
def _x_log(x, q, bits, powers, count):
    """Σ x log q in float64, for the first `count` cells; `bits` is q seen as int64, `powers` scratch.

    A polynomial instead of the library's log, so that it is SIMD: q = 2^e f with √½ < f ≤ √2, and
    log f = 2 artanh s, s = (f − 1) / (f + 1), by its series up to s^21 (relative error below 4e-16). No loop writes
    one of the two views of q and reads the other: the compiler would take them for different arrays, or give up.
    """
    for j in range(count):
        v = q[j]
        v = v if v > 2.3e-308 else 2.3e-308
        q[j] = v if v < 1.7e308 else 1.7e308
    for j in range(count):
        powers[j] = (bits[j] >> 52) - 1023
        bits[j] = (bits[j] & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000
    total = 0.0
    for j in range(count):
        e = powers[j]
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
def _loss_dense(W, H, X, M, y, z, q, bits, powers):
    n, m = X.shape
    zero = W.dtype.type(0)
    weighted = M.shape[0] > 0
    total = 0.0
    for i in range(n):
        for j in range(m):
            y[j] = zero
        for k in range(W.shape[1]):
            a = W[i, k]
            if a != zero:
                h = H[k]
                for j in range(m):
                    y[j] += a * h[j]
        count = np.int64(0)
        plain = 0.0
        for j in range(m):
            weight = np.float64(M[i, j]) if weighted else 1.0
            if weight > 0:
                x, v = np.float64(X[i, j]), np.float64(y[j])
                plain += weight * (v - x)
                if x > 0:
                    if not v > 0:
                        return np.inf
                    z[count] = weight * x
                    q[count] = x / v
                    count += 1
        total += plain + _x_log(z, q, bits, powers, count)
    return total


@kernel
def _loss_csr(W, Ht, offset, data, indices, indptr, weights, z, q, bits, powers):
    zero = W.dtype.type(0)
    K = W.shape[1]
    weighted = weights.shape[0] > 0
    count = np.int64(0)
    total = 0.0
    for i in range(W.shape[0]):
        w = W[i]
        for p in range(indptr[i], indptr[i + 1]):
            h = Ht[indices[p]]
            y = zero
            for k in range(K):
                y += w[k] * h[k]
            weight = np.float64(weights[p]) if weighted else 1.0
            x, v = np.float64(data[p]), np.float64(y)
            total += (weight - offset) * v
            if weight > 0 and x > 0:
                if not v > 0:
                    return np.inf
                total -= weight * x
                if count == CHUNK:
                    total += _x_log(z, q, bits, powers, count)
                    count = np.int64(0)
                z[count] = weight * x
                q[count] = x / v
                count += 1
    return total + _x_log(z, q, bits, powers, count)


def _scratch(count):
    """Σ x log q works on: x, q, q as integers, and powers of two."""
    q = np.empty(count)
    return np.empty(count), q, q.view(np.int64), np.empty(count)


def kl_loss_weighted(W, H, X, M):
    """Σ_ij m (x log(x / y) − x + y) over the cells of positive weight, y = W H; infinite where x > 0 and y = 0."""
    return _loss_dense(W, H, X, M, np.empty(X.shape[1], W.dtype), *_scratch(X.shape[1]))


def kl_loss(W, H, X):
    """Σ_ij x log(x / y) − x + y with y = W H, in float64; infinite where x > 0 and y = 0."""
    return kl_loss_weighted(W, H, X, np.empty((0, 0), W.dtype))


def kl_loss_csr_weighted(W, Ht, offset, data, indices, indptr, weights):
    """Σ_stored m (x log(x / y) − x) + (m − offset) y; the caller adds offset · W.sum(0) · hsum."""
    return _loss_csr(W, Ht, float(offset), data, indices, indptr, weights, *_scratch(CHUNK))


def kl_loss_csr(W, Ht, data, indices, indptr):
    """Σ_stored x log(x / y) − x; the caller adds Σ_ij y_ij = W.sum(0) · hsum."""
    return kl_loss_csr_weighted(W, Ht, 1.0, data, indices, indptr, np.empty(0, W.dtype))
