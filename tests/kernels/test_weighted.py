"""Weighted and masked least squares: scipy's NNLS row by row, the unweighted kernel, and all forms of the data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import lsq_linear, nnls

from nonneg.kernels import hals, weighted

INF = np.inf


def problem(n=20, m=30, k=4, seen=0.6, dtype=np.float64, seed=0, binary=False):
    rng = np.random.default_rng(seed)
    H = rng.random((k, m)) * (rng.random((k, m)) < 0.7)
    X = rng.random((n, m))
    M = rng.random((n, m)) < seen
    M = M if binary else M * rng.integers(1, 4, (n, m))
    return X.astype(dtype), rng.random((n, k)).astype(dtype), H.astype(dtype), M.astype(dtype)


def nothing(k, dtype=np.float64):
    return np.zeros(k, dtype), np.zeros(k, dtype), np.zeros(k, bool)


def objective(W, H, X, M, ridge, lin):
    E = np.where(M > 0, X - W.astype(float) @ H, 0.0)
    return 0.5 * (M * E * E).sum(1) + 0.5 * W.astype(float) ** 2 @ ridge + W @ lin


def stored(X, M, missing):
    """CSR arguments of the same problem: unstored cells missing, or zeros of weight one."""
    keep = M > 0 if missing else (X != 0) | (M != 1)
    C = sparse.csr_matrix(keep.astype(X.dtype))
    rows = np.repeat(np.arange(X.shape[0]), np.diff(C.indptr))
    return X[rows, C.indices], C.indices, C.indptr, M[rows, C.indices]


@pytest.mark.parametrize("seen", [0.2, 0.6, 0.97])
@pytest.mark.parametrize("binary", [False, True])
def test_many_sweeps_are_scipys_nnls(seen, binary):
    X, W, H, M = problem(seen=seen, binary=binary)
    M[:, :4] = 1  # every row has something to hold on to
    H[:, :4] = np.eye(4)
    ridge, lin, free = nothing(4)
    weighted.sweep_rows_weighted(W, H, X, M, ridge, lin, 0, INF, 3000, free)
    for i in range(20):
        root = np.sqrt(M[i])
        exact = nnls((root * H).T, root * X[i])[0]
        np.testing.assert_allclose(W[i], exact, atol=1e-8)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_gram_matrices_that_are_there_give_the_same_sweeps(dtype):
    X, W, H, M = problem(dtype=dtype)
    ridge, lin, frozen = nothing(4, dtype)
    frozen[1] = True
    a, b = np.tril_indices(4)
    packed, P = M @ (H.T[:, a] * H.T[:, b]), (M * X) @ H.T
    found, expected = W.copy(), W.copy()
    slopes = weighted.sweep_rows_grams(found, packed, P, 0, INF, 5, frozen)
    weighted.sweep_rows_weighted(expected, H, X, M, ridge, lin, 0, INF, 5, frozen)
    rounding = 1e-9 if dtype == np.float64 else 1e-3
    np.testing.assert_allclose(found, expected, atol=rounding)
    np.testing.assert_allclose(slopes, (M * (found @ H - X)) @ H.T, atol=rounding)
    assert np.array_equal(found[:, 1], W[:, 1])
    still = W.copy()
    slopes = weighted.sweep_rows_grams(still, packed, P, 0, INF, 0, frozen)  # no sweeps: slopes alone
    np.testing.assert_allclose(slopes, (M * (W @ H - X)) @ H.T, atol=rounding)
    assert np.array_equal(still, W)


def test_box_ridge_and_linear_term():
    X, W, H, M = problem()
    ridge, lin = np.array([0.1, 0.0, 0.5, 0.2]), np.array([0.0, 0.3, 0.1, 0.0])
    weighted.sweep_rows_weighted(W, H, X, M, ridge, lin, 0.1, 0.5, 3000, np.zeros(4, bool))
    for i in range(20):
        G = (H * M[i]) @ H.T + np.diag(ridge)
        p = H @ (M[i] * X[i]) - lin
        L = np.linalg.cholesky(G)
        exact = lsq_linear(L.T, np.linalg.solve(L, p), (0.1, 0.5), tol=1e-14).x
        np.testing.assert_allclose(W[i], exact, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    k=st.integers(1, 7),
    seen=st.sampled_from([0.0, 0.3, 0.9, 1.0]),
    bounds=st.sampled_from([(0.0, INF), (0.1, 0.7), (-INF, INF)]),
    form=st.sampled_from(["dense", "missing", "zeros"]),
    single=st.booleans(),
)
def test_every_sweep_goes_down(seed, k, seen, bounds, form, single):
    dtype = np.float32 if single else np.float64
    X, W, H, M = problem(9, 25, k, seen, dtype, seed)
    rng = np.random.default_rng(seed)
    lo, hi = bounds
    W = np.clip(W, dtype(lo), dtype(hi))
    ridge, lin, frozen = rng.random(k).astype(dtype), rng.random(k).astype(dtype), rng.random(k) < 0.2
    Ht, none = np.ascontiguousarray(H.T), np.zeros((k, k), dtype)
    before = objective(W, H, X, M, ridge, lin)
    for _ in range(4):
        start = W.copy()
        rest = (ridge, lin, lo, hi, 1, frozen)
        if form == "dense":
            change = weighted.sweep_rows_weighted(W, H, X, M, *rest)
        elif form == "missing":
            change = weighted.sweep_rows_weighted_csr(W, Ht, none, 0, *stored(X, M, True), *rest)
        else:
            change = weighted.sweep_rows_weighted_csr(W, Ht, H @ H.T, 1, *stored(X, M, False), *rest)
        assert W.dtype == dtype
        assert W.min() >= dtype(lo)
        assert W.max() <= dtype(hi)
        np.testing.assert_array_equal(W[:, frozen], start[:, frozen])
        assert change == pytest.approx(((W - start).astype(float) ** 2).sum(), rel=1e-5)
        after = objective(W, H, X, M, ridge, lin)
        assert (after <= before + 200 * np.finfo(dtype).eps * (1 + np.abs(before))).all()
        before = after


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seen", [0.3, 0.9, 1.0])
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_forms_agree(dtype, seen, index):
    X, W, H, M = problem(25, 300, 5, seen, dtype, binary=True)
    ridge, lin, frozen = np.full(5, 0.1, dtype), np.full(5, 0.2, dtype), np.arange(5) == 2
    Ht = np.ascontiguousarray(H.T)
    rest = (ridge, lin, 0, INF, 3, frozen)
    dense, missing, zeros = W.copy(), W.copy(), W.copy()
    weighted.sweep_rows_weighted(dense, H, X, M, *rest)
    data, indices, indptr, weights = stored(X, M, True)
    cells = (data, indices.astype(index), indptr.astype(index), weights)
    weighted.sweep_rows_weighted_csr(missing, Ht, np.zeros((5, 5), dtype), 0, *cells, *rest)
    data, indices, indptr, weights = stored(X, M, False)
    cells = (data, indices.astype(index), indptr.astype(index), weights)
    weighted.sweep_rows_weighted_csr(zeros, Ht, H @ H.T, 1, *cells, *rest)
    near = {"rtol": 0, "atol": 3000 * np.finfo(dtype).eps}
    np.testing.assert_allclose(missing, dense, **near)
    np.testing.assert_allclose(zeros, dense, **near)
    if seen == 1.0:
        G, P = H @ H.T + np.diag(ridge), X @ H.T - lin
        columns = np.ascontiguousarray(W.T)
        hals.sweep_columns(columns, G, np.ascontiguousarray(P.T), 0, INF, 3, frozen)
        np.testing.assert_allclose(dense, columns.T, **near)


def test_weight_zero_hides_anything_and_weights_are_repeated_columns():
    X, W, H, M = problem(15, 20, 4, 0.7)
    ridge, lin, free = nothing(4)
    hidden = np.where(M > 0, X, np.where(np.random.default_rng(1).random(X.shape) < 0.5, np.nan, -INF))
    Ht, rest = np.ascontiguousarray(H.T), (ridge, lin, 0, INF, 5, free)
    a, b, c = W.copy(), W.copy(), W.copy()
    weighted.sweep_rows_weighted(a, H, X, M, *rest)
    weighted.sweep_rows_weighted(b, H, hidden, M, *rest)
    weighted.sweep_rows_weighted_csr(c, Ht, H @ H.T, 1, *stored(hidden, M, False), *rest)
    np.testing.assert_array_equal(b, a)
    np.testing.assert_allclose(c, a, atol=1e-9)
    times = np.random.default_rng(2).integers(0, 4, 20)
    M[:] = times
    long = np.repeat(H, times, 1)
    hals.sweep_rows(a, long @ long.T, np.repeat(X, times, 1) @ long.T, 0, INF, 500)
    weighted.sweep_rows_weighted(b, H, X, M, ridge, lin, 0, INF, 500, free)
    np.testing.assert_allclose(b, a, atol=1e-9)


@pytest.mark.parametrize("seen", [0.3, 0.9])
def test_rows_do_not_see_each_other(seen):
    X, W, H, M = problem(40, 60, 5, seen, np.float32, binary=True)
    ridge, lin, free = nothing(5, np.float32)
    rest = (ridge, lin, 0, INF, 3, free)
    data, indices, indptr, weights = stored(X, M, True)
    base = np.zeros((5, 5), np.float32)
    dense, sparse_ = W.copy(), W.copy()
    Ht = np.ascontiguousarray(H.T)
    weighted.sweep_rows_weighted(dense, H, X, M, *rest)
    weighted.sweep_rows_weighted_csr(sparse_, Ht, base, 0, data, indices, indptr, weights, *rest)
    for a, b in [(0, 1), (3, 29)]:
        part = W[a:b].copy()
        weighted.sweep_rows_weighted(part, H, X[a:b].copy(), M[a:b].copy(), *rest)
        np.testing.assert_array_equal(part, dense[a:b])
        part = W[a:b].copy()
        weighted.sweep_rows_weighted_csr(part, Ht, base, 0, data, indices, indptr[a : b + 1], weights, *rest)
        np.testing.assert_array_equal(part, sparse_[a:b])


def test_cancellation_in_the_gram_matrix_is_noticed():
    """A part that lives on missing cells alone: its weight follows the linear term and nothing else."""
    X, W, H, M = problem(10, 400, 4, 1.0, np.float32, binary=True)
    H[2] = 0
    H[2, 5:9] = 300.0
    M[:, 5:9] = 0
    start = W.copy()
    ridge, lin, free = nothing(4, np.float32)
    Ht, base = np.ascontiguousarray(H.T), H @ H.T
    for cost in (0.0, 0.1):
        lin[2] = cost
        for form in ("dense", "csr"):
            V = start.copy()
            if form == "dense":
                weighted.sweep_rows_weighted(V, H, X, M, ridge, lin, 0, INF, 300, free)
            else:
                weighted.sweep_rows_weighted_csr(
                    V, Ht, base, 1, *stored(X, M, False), ridge, lin, 0, INF, 300, free
                )
            np.testing.assert_array_equal(V[:, 2], 0 if cost else start[:, 2])
            seen, parts = M[0] > 0, [0, 1, 3]
            exact = np.array([nnls(H[parts][:, seen].T, x[seen])[0] for x in X])
            np.testing.assert_allclose(V[:, parts], exact, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kkt_and_loss(dtype):
    X, W, H, M = problem(dtype=dtype)
    k = 4
    d = np.array([1.0, 2.0, 0.5, 3.0], dtype)
    ridge, lin, frozen = np.full(k, 0.3, dtype), np.full(k, 0.2, dtype), np.arange(k) == 1
    free = ~frozen
    gradient = (M * (W.astype(float) @ H - X)) @ H.T + W * ridge + lin
    force = (M * X).astype(float) @ H.T - lin
    V, G = (W * d)[:, free], (gradient / d)[:, free]
    expected = np.abs(V - np.clip(V - G, 0.1 * d[free], INF)).max(), (force / d)[:, free].max()
    near = {"rtol": 1e-4 if dtype == np.float32 else 1e-10}
    rest = (ridge, lin, d, 0.1, INF, frozen)
    Ht = np.ascontiguousarray(H.T)
    hidden = np.where(M > 0, X, dtype(np.nan))
    none = np.zeros((k, k), dtype)
    np.testing.assert_allclose(weighted.kkt_rows_weighted(W, H, hidden, M, *rest), expected, **near)
    for missing, base, offset in [(True, none, 0), (False, H @ H.T, 1)]:
        cells = stored(hidden, M, missing)
        found = weighted.kkt_rows_weighted_csr(W, Ht, base, offset, *cells, *rest)
        np.testing.assert_allclose(found, expected, **near)
    loss = objective(W, H, X, M, ridge * 0, lin * 0).sum()
    assert weighted.loss_weighted(W, H, hidden, M) == pytest.approx(loss, rel=near["rtol"])
    assert weighted.loss_weighted_csr(W, Ht, *stored(hidden, M, True)) == pytest.approx(
        loss, rel=near["rtol"]
    )
