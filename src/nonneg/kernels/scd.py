"""Sequential coordinate descent for the generalized Kullback–Leibler divergence, one row at a time.

Here is what callers see and what is cheap in NumPy: weights become products with the data and linear terms of their
own for every row, so that the compiled loops of `scd_rows`, which has the mathematics, know nothing of them.
"""

from __future__ import annotations

import numpy as np

from nonneg.kernels.sampled import csr_dot
from nonneg.kernels.scd_rows import rows_csr, rows_dense

__all__ = ["kl_rows", "kl_rows_csr", "kl_rows_csr_weighted", "kl_rows_weighted"]


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
    linear = (hsum + l1)[None]
    return _call(rows_dense, W, (H, X), X.shape[1], linear, l2, lo, hi, max_sweeps, tol, frozen, residual, d)


def kl_rows_weighted(W, H, X, M, l1, l2, lo, hi, max_sweeps, tol, frozen, residual=None, d=None):
    """`kl_rows` for Σ_j m_j (y_j − x_j log y_j): `M` (n, m) ≥ 0; X is not read where a weight is zero."""
    linear = np.einsum("ij,kj->ik", M, H) + l1  # not BLAS: its bits for a row depend on the number of rows
    return _call(
        rows_dense,
        W,
        (H, _product(M, X)),
        X.shape[1],
        linear,
        l2,
        lo,
        hi,
        max_sweeps,
        tol,
        frozen,
        residual,
        d,
    )


def kl_rows_csr(
    W, Ht, hsum, data, indices, indptr, l1, l2, lo, hi, max_sweeps, tol, frozen, residual=None, d=None
):
    """`kl_rows` for the rows of a CSR matrix; `Ht` (m, k) is H transposed, C-ordered.

    `data` has the dtype of W; `indices` and `indptr` are both int32 or both int64, and `indptr` may be a slice of a
    longer one (rows of a block) with `data` and `indices` whole. The transposed problem takes the CSC arrays.
    """
    linear, cells = (hsum + l1)[None], (Ht, data, indices, indptr)
    return _call(
        rows_csr, W, cells, _widest(indptr), linear, l2, lo, hi, max_sweeps, tol, frozen, residual, d
    )


def kl_rows_csr_weighted(
    W, Ht, hsum, offset, data, indices, indptr, weights, l1, l2, lo, hi, max_sweeps, tol, frozen, residual=None, d=None
):  # fmt: skip
    """`kl_rows_csr` with `weights` of the stored cells; the linear part is hsum + Σ_stored (weight − offset) h.

    Cells that are not stored are missing with hsum = 0 and offset = 0; they are zeros of weight one with
    hsum = H.sum(1) and offset = 1. The data of a cell of weight zero are not used.
    """
    stored = slice(indptr[0], indptr[-1])
    indices, indptr, weights = indices[stored], indptr - indptr[0], weights[stored]
    extra = weights - W.dtype.type(offset)
    linear, size = np.empty_like(W), np.empty_like(W)
    csr_dot(extra, indices, indptr, Ht, linear)
    csr_dot(np.abs(extra), indices, indptr, Ht, size)
    linear, size = linear + hsum, size + hsum
    linear[linear <= 4 * np.finfo(W.dtype).eps * size] = 0  # hsum − Σ h may cancel to anything around zero
    cells = (Ht, _product(weights, data[stored]), indices, indptr)
    return _call(
        rows_csr, W, cells, _widest(indptr), linear + l1, l2, lo, hi, max_sweeps, tol, frozen, residual, d
    )


def _product(weights, X):
    """Weights times data, 0 where the weight is: X may hold NaN there."""
    return np.multiply(weights, X, out=np.zeros_like(X), where=weights > 0)


def _widest(indptr):
    return int(np.diff(indptr).max(initial=1))


def _call(compiled, W, data, width, linear, l2, lo, hi, max_sweeps, tol, frozen, residual, d):
    """Lay out what the compiled function reads and writes, in as few kinds of arguments as possible.

    Bounds are rounded to W's dtype, so that "at the bound" is exact. A scaling d of 0 says frozen. `edge` has the share
    of x below which y is (almost) none, a y for cells that shall weigh nothing, the part of y below which y − t h is
    rounding errors, and the smallest normal number.
    """
    F, k, info = W.dtype.type, W.shape[1], np.finfo(W.dtype)
    low, high = F(lo), F(hi)
    if max_sweeps > 0:
        np.clip(W, low, high, out=W, where=~frozen)
    scaling = np.where(frozen, 0, 1 if d is None else d).astype(W.dtype)
    residual = np.zeros(len(W), W.dtype) if residual is None else residual
    edge = np.array([float(info.eps) ** 2, float(info.max) * 2.0**-20, 4 * info.eps, info.tiny], W.dtype)
    index = np.empty((4, max(width, k)), np.int64)
    index[0] = np.arange(index.shape[1])
    pull, found = np.empty(k), np.zeros(2)
    stop = float(tol) if tol > 0 else -1.0
    compiled(
        W, *data, linear, l2, scaling, float(low), float(high), int(max_sweeps), stop, residual, edge, pull,
        found, index,
    )  # fmt: skip
    violation, scale = (0.0, 0.0) if d is None else found
    return residual.max(initial=0), violation, scale
