"""Products of a sparse matrix with the factors, at the stored cells only: nothing of size n × m.

``Ht`` (m, k) and ``Bt`` (m, k) are the transposes of H and WᵀX, C-ordered, so that a stored cell touches one contiguous
row of each factor. `indptr` may be a slice of a longer one (the rows of a block), with `data` and `indices` whole;
then `out` of `sampled_product` is whole too. All results of a row depend on that row alone, but for the sums over
rows (`csr_add_outer`), which are added in row order.
"""

from __future__ import annotations

from nonneg.kernels.jit import kernel

__all__ = ["csr_add_outer", "csr_dot", "sampled_product"]


@kernel
def _sampled_product(W, Ht, indices, indptr, out):
    K = W.shape[1]
    for i in range(W.shape[0]):
        w = W[i]
        for p in range(indptr[i], indptr[i + 1]):
            h = Ht[indices[p]]
            y = W.dtype.type(0)
            for k in range(K):
                y += w[k] * h[k]
            out[p] = y


@kernel
def _csr_dot(data, indices, indptr, Ht, P):
    K = P.shape[1]
    for i in range(P.shape[0]):
        row = P[i]
        for k in range(K):
            row[k] = 0
        p, end = indptr[i], indptr[i + 1]
        while p + 4 <= end:  # four cells a turn: a quarter of the stores that the next turn waits for
            a, b, c, d = Ht[indices[p]], Ht[indices[p + 1]], Ht[indices[p + 2]], Ht[indices[p + 3]]
            x, y, z, u = data[p], data[p + 1], data[p + 2], data[p + 3]
            for k in range(K):
                row[k] += (x * a[k] + y * b[k]) + (z * c[k] + u * d[k])
            p += 4
        while p < end:
            h, x = Ht[indices[p]], data[p]
            for k in range(K):
                row[k] += x * h[k]
            p += 1


@kernel
def _csr_add_outer(data, indices, indptr, W, Bt):
    K = W.shape[1]
    for i in range(W.shape[0]):
        w = W[i]
        for p in range(indptr[i], indptr[i + 1]):
            b = Bt[indices[p]]
            x = data[p]
            for k in range(K):
                b[k] += x * w[k]


def sampled_product(W, Ht, indices, indptr, out):
    """(W H)_ij at the stored cells, into `out`.

    Parameters
    ----------
    W : (n, k) array
    Ht : (m, k) array
    indices, indptr : integer arrays
        Cells, as in a CSR matrix with n rows.
    out : (nnz,) array, overwritten at the positions indptr[0] … indptr[n]
    """
    _sampled_product(W, Ht, indices, indptr, out)


def csr_dot(data, indices, indptr, Ht, P):
    """P ← X Hᵀ for CSR X.

    Parameters
    ----------
    data, indices, indptr : arrays
        X (n, m).
    Ht : (m, k) array
    P : (n, k) array, overwritten
    """
    _csr_dot(data, indices, indptr, Ht, P)


def csr_add_outer(data, indices, indptr, W, Bt):
    """Bt ← Bt + Xᵀ W for CSR X.

    Parameters
    ----------
    data, indices, indptr : arrays
        X (n, m).
    W : (n, k) array
    Bt : (m, k) array, added to
    """
    _csr_add_outer(data, indices, indptr, W, Bt)
