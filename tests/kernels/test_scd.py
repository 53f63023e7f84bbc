"""KL rows: every sweep goes down, the end is the optimum, all forms of the data agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import minimize

from nonneg.kernels import scd, scd_loss

INF = np.inf


def problem(n=12, m=30, k=4, density=0.4, dtype=np.float64, seed=0, zeros=0.3):
    """Counts, a start with zeros, and parts with zeros, every column of H with a positive entry."""
    rng = np.random.default_rng(seed)
    H = rng.random((k, m)) * (rng.random((k, m)) < 0.6)
    H[rng.integers(0, k, m), np.arange(m)] += 0.2
    X = rng.poisson(3, (n, m)) * (rng.random((n, m)) < density)
    W = rng.random((n, k)) * (rng.random((n, k)) >= zeros)
    return X.astype(dtype), W.astype(dtype), H.astype(dtype)


def objective(W, H, X, M, l1, l2):
    """Per row, in float64: Σ m (y − x log y) + l1·w + ½ l2·w²."""
    W, H = W.astype(float), H.astype(float)
    Y = W @ H
    with np.errstate(divide="ignore", invalid="ignore"):
        fit = np.where(M > 0, M * (Y - np.where(X > 0, X * np.log(Y), 0.0)), 0.0)
    return fit.sum(1) + W @ l1 + 0.5 * W**2 @ l2


def call(form, W, H, X, l1, l2, lo, hi, sweeps, tol, frozen, M=None, residual=None, d=None):
    """One of the four kernels on the same problem."""
    Ht = np.ascontiguousarray(H.T)
    if form == "dense":
        return scd.kl_rows(W, H, X, H.sum(1), l1, l2, lo, hi, sweeps, tol, frozen, residual, d)
    if form == "dense weighted":
        return scd.kl_rows_weighted(W, H, X, M, l1, l2, lo, hi, sweeps, tol, frozen, residual, d)
    if form == "csr":
        C = sparse.csr_matrix(X)
        args = (C.data, C.indices, C.indptr)
        return scd.kl_rows_csr(W, Ht, H.sum(1), *args, l1, l2, lo, hi, sweeps, tol, frozen, residual, d)
    C = sparse.csr_matrix(
        np.where((X > 0) | (M != 1), 1.0, 0.0)
    )  # cells that are not stored: zeros of weight one
    rows = np.repeat(np.arange(X.shape[0]), np.diff(C.indptr))
    data, weights = X[rows, C.indices], M[rows, C.indices]
    args = (data, C.indices, C.indptr, weights, l1, l2, lo, hi, sweeps, tol, frozen, residual, d)
    return scd.kl_rows_csr_weighted(W, Ht, H.sum(1), 1.0, *args)


FORMS = ["dense", "dense weighted", "csr", "csr weighted"]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    k=st.integers(1, 6),
    density=st.sampled_from([0.02, 0.3, 1.0]),
    zeros=st.sampled_from([0.0, 0.5, 1.0]),
    penalty=st.sampled_from([(0.0, 0.0), (0.7, 0.0), (0.0, 0.4), (0.3, 2.0)]),
    bounds=st.sampled_from([(0.0, INF), (0.05, 0.8), (0.0, 0.5)]),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    form=st.sampled_from(FORMS),
    single=st.booleans(),
)
def test_every_sweep_goes_down(seed, k, density, zeros, penalty, bounds, scale, form, single):
    dtype = np.float32 if single else np.float64
    X, W, H = problem(8, 25, k, density, dtype, seed, zeros)
    rng = np.random.default_rng(seed + 1)
    M = rng.integers(0, 3, X.shape).astype(dtype) if "weighted" in form else np.ones_like(X)
    W *= dtype(scale)
    lo, hi = bounds
    W = np.clip(W, dtype(lo), dtype(hi))
    l1, l2 = np.full(k, penalty[0], dtype), np.full(k, penalty[1], dtype)
    frozen = rng.random(k) < 0.2
    before = objective(W, H, X, M, l1, l2)
    slack = 100 * np.finfo(dtype).eps
    for _ in range(6):
        start = W.copy()
        call(form, W, H, X, l1, l2, lo, hi, 1, 0.0, frozen, M)
        assert W.dtype == dtype
        assert np.isfinite(W).all()
        assert W.min() >= dtype(lo)
        assert W.max() <= dtype(hi)
        np.testing.assert_array_equal(W[:, frozen], start[:, frozen])
        after = objective(W, H, X, M, l1, l2)
        magnitude = np.where(np.isfinite(before), np.abs(before), 0) + (M * X).sum(1) * 10
        finite = np.isfinite(before)
        assert (after[finite] <= (before + slack * magnitude)[finite]).all()
        before = after


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("penalty", [(0.0, 0.0), (0.5, 0.3)])
@pytest.mark.parametrize("bounds", [(0.0, INF), (0.05, 0.6)])
def test_the_end_is_scipys_optimum(form, penalty, bounds):
    X, W, H = problem(10, 30, 4, 0.4)
    k, (lo, hi) = 4, bounds
    M = (
        np.random.default_rng(3).integers(0, 3, X.shape).astype(float)
        if "weighted" in form
        else np.ones_like(X)
    )
    l1, l2 = np.full(k, penalty[0]), np.full(k, penalty[1])
    residual = np.empty(10)
    worst, *_ = call(form, W, H, X, l1, l2, lo, hi, 5000, 1e-9, np.zeros(k, bool), M, residual)
    assert worst == residual.max() <= 1e-9
    ours = objective(W, H, X, M, l1, l2)
    for i in range(10):

        def both(w, i=i):
            ratio = np.where(X[i] > 0, X[i] / np.maximum(w @ H, 1e-300), 0)
            return objective(w[None], H, X[i : i + 1], M[i : i + 1], l1, l2)[0], H @ (
                M[i] * (1 - ratio)
            ) + l1 + l2 * w

        box = [(max(lo, 1e-12), hi)] * k
        best = minimize(
            both, np.full(k, 0.5), jac=True, bounds=box, method="L-BFGS-B", options={"ftol": 1e-15}
        )
        assert ours[i] <= best.fun + 1e-8 * abs(best.fun)
        assert ours[i] >= best.fun - 1e-4 * abs(best.fun)  # the same problem, not another one


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("density", [0.1, 0.9, 1.0])
def test_forms_agree(dtype, density):
    X, W, H = problem(20, 50, 5, density, dtype)
    l1, l2 = np.full(5, 0.1, dtype), np.full(5, 0.2, dtype)
    frozen = np.array([False, True, False, False, False])
    results = []
    for form in FORMS:
        V = W.copy()
        call(form, V, H, X, l1, l2, 0.0, INF, 6, 0.0, frozen, np.ones_like(X))
        results.append(V)
    for other in results[1:]:
        np.testing.assert_allclose(other, results[0], rtol=0, atol=2000 * np.finfo(dtype).eps)


@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_rows_do_not_see_each_other(index):
    X, W, H = problem(40, 60, 5, 0.3, np.float32)
    C = sparse.csr_matrix(X)
    indices, indptr = C.indices.astype(index), C.indptr.astype(index)
    Ht, zero, free = np.ascontiguousarray(H.T), np.zeros(5, np.float32), np.zeros(5, bool)
    rest = (zero, zero, 0.0, INF, 9, 1e-3, free)
    whole, left = W.copy(), np.empty(40, np.float32)
    scd.kl_rows_csr(whole, Ht, H.sum(1), C.data, indices, indptr, *rest, left)
    dense = W.copy()
    scd.kl_rows(dense, H, X, H.sum(1), *rest)
    for a, b in [(0, 1), (7, 8), (3, 29)]:
        part, own = W[a:b].copy(), np.empty(b - a, np.float32)
        scd.kl_rows_csr(part, Ht, H.sum(1), C.data, indices, indptr[a : b + 1], *rest, own)
        np.testing.assert_array_equal(part, whole[a:b])
        np.testing.assert_array_equal(own, left[a:b])
        part = W[a:b].copy()
        scd.kl_rows(part, H, X[a:b].copy(), H.sum(1), *rest)
        np.testing.assert_array_equal(part, dense[a:b])


def test_weights_are_repeated_columns_and_weight_zero_hides_anything():
    X, W, H = problem(15, 20, 4, 0.6)
    rng = np.random.default_rng(5)
    times = rng.integers(0, 4, 20)
    M = np.ascontiguousarray(np.broadcast_to(times.astype(float), X.shape))
    l1 = l2 = np.zeros(4)
    free = np.zeros(4, bool)
    long, longer = np.repeat(H, times, 1), np.repeat(X, times, 1)
    expected = W.copy()
    scd.kl_rows(expected, long, longer, long.sum(1), l1, l2, 0, INF, 400, 1e-12, free)
    hidden = X.copy()
    hidden[:, times == 0] = np.where(rng.random((15, (times == 0).sum())) < 0.5, np.nan, np.inf)
    for form in ("dense weighted", "csr weighted"):
        V = W.copy()
        call(form, V, H, hidden, l1, l2, 0, INF, 400, 1e-12, free, M)
        np.testing.assert_allclose(V, expected, atol=1e-6)
    assert scd_loss.kl_loss_weighted(expected, H, hidden, M) == pytest.approx(
        scd_loss.kl_loss(expected, long, longer)
    )


def test_cells_that_are_not_stored_can_be_missing():
    X, W, H = problem(15, 20, 4, 0.5)
    M = (X > 0).astype(float)
    C = sparse.csr_matrix(X)
    zero, free = np.zeros(4), np.zeros(4, bool)
    V = W.copy()
    rest = (zero, zero, 0, INF, 30, 0, free)
    scd.kl_rows_csr_weighted(
        V, np.ascontiguousarray(H.T), zero, 0, C.data, C.indices, C.indptr, np.ones(C.nnz), *rest
    )
    scd.kl_rows_weighted(W, H, X, M, *rest)
    np.testing.assert_allclose(V, W, atol=1e-8)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_empty_rows_empty_parts_and_cold_starts(form, dtype):
    X, W, H = problem(9, 30, 4, 0.5, dtype)
    X[2] = 0
    H[1] = 0
    X[:, 7], H[:, 7] = 3, 0  # a cell that nothing can explain
    W[4:] = 0  # cold: y = 0 where x > 0
    kept = W[:, 1].copy()
    l1, l2 = np.zeros(4, dtype), np.zeros(4, dtype)
    call(form, W, H, X, l1, l2, 0, INF, 2000, 1e-5, np.zeros(4, bool), np.ones_like(X))
    assert np.isfinite(W).all()
    np.testing.assert_array_equal(W[2, [0, 2, 3]], 0)
    np.testing.assert_array_equal(W[:, 1], kept)  # nothing depends on it
    used = H.sum(0) > 0
    rows = [0, 1, 3, 4, 5, 6, 7, 8]
    # stationarity along the ray: row sums of WH equal those of X
    np.testing.assert_allclose((W @ H).sum(1)[rows], X[:, used].sum(1)[rows], rtol=1e-3)
    # a part that explains nothing goes when it costs something
    call(form, W, H, X, l1 + dtype(0.1), l2, 0, INF, 1, 0, np.zeros(4, bool), np.ones_like(X))
    np.testing.assert_array_equal(W[:, 1], 0)


def test_a_zero_moves_when_its_gradient_is_negative_and_zeros_are_reached():
    H = np.array([[1.0, 0.2, 0.1], [0.1, 1.0, 0.1], [0.2, 0.1, 1.0]])
    X = np.array([[5.0, 3.0, 0.2]])
    W = np.array([[0.0, 4.0, 4.0]])
    zero, free = np.zeros(3), np.zeros(3, bool)
    scd.kl_rows(W, H, X, H.sum(1), zero, zero, 0, INF, 1, 0, free)
    assert W[0, 0] > 0
    scd.kl_rows(W, H, X, H.sum(1), zero, zero, 0, INF, 200, 1e-10, free)
    assert W[0, 2] == 0
    assert (W[0, :2] > 1).all()


def test_rank_one_is_solved_by_one_sweep():
    X, W, H = problem(6, 20, 1, 0.7)
    zero, free = np.zeros(1), np.zeros(1, bool)
    W[0] = 0
    scd.kl_rows(W, H, X, H.sum(1), zero, zero, 0, INF, 1, 0, free)
    np.testing.assert_allclose(W[:, 0], X.sum(1) / H.sum(), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_loss_and_kkt(dtype):
    X, W, H = problem(30, 40, 4, 0.5, dtype, zeros=0.0)
    W, H = W + dtype(0.05), H + dtype(0.05)
    M = np.random.default_rng(2).integers(0, 3, X.shape).astype(dtype)
    Ht, C = np.ascontiguousarray(H.T), sparse.csr_matrix(X)
    Y = W.astype(float) @ H
    with np.errstate(divide="ignore", invalid="ignore"):
        cells = np.where(X > 0, X * np.log(X / Y), 0) - X + Y
    tight = 1e-12 if dtype == np.float64 else 1e-5
    assert scd_loss.kl_loss(W, H, X) == pytest.approx(cells.sum(), rel=tight)
    assert scd_loss.kl_loss_weighted(W, H, X, M) == pytest.approx((M * cells).sum(), rel=tight)
    total = float(W.sum(0) @ H.sum(1))
    args = (C.data, C.indices, C.indptr)
    assert scd_loss.kl_loss_csr(W, Ht, *args) + total == pytest.approx(cells.sum(), rel=tight)
    weights = M[np.repeat(np.arange(30), np.diff(C.indptr)), C.indices]
    stored = np.where(X > 0, M, 1)
    value = scd_loss.kl_loss_csr_weighted(W, Ht, 1, *args, weights) + total
    assert value == pytest.approx((stored * cells).sum(), rel=tight)
    value = scd_loss.kl_loss_csr_weighted(W, Ht, 0, *args, weights)
    assert value == pytest.approx((np.where(X > 0, M, 0) * cells).sum(), rel=tight)

    d = np.array([1.0, 2.0, 0.5, 3.0], dtype)
    l1, l2 = np.full(4, 0.1, dtype), np.full(4, 0.2, dtype)
    frozen = np.array([False, False, True, False])
    free = ~frozen
    for weight in (np.ones_like(X), M):
        pull = (weight * X / Y) @ H.T.astype(float)
        gradient = weight.astype(float) @ H.T + l1 + l2 * W - pull
        V, G = (W * d)[:, free], (gradient / d)[:, free]
        expected = (np.abs(V - np.clip(V - G, 0.1 * d[free], INF)).max(), (pull / d)[:, free].max())
        rest = (l1, l2, 0.1, INF, 0, 0, frozen, None, d)
        found = [scd.kl_rows_weighted(W, H, X, weight, *rest)]
        if weight is not M:
            found.append(scd.kl_rows(W, H, X, H.sum(1), *rest))
            found.append(scd.kl_rows_csr(W, Ht, H.sum(1), *args, *rest))
            found.append(scd.kl_rows_csr_weighted(W, Ht, H.sum(1), 1, *args, np.ones_like(C.data), *rest))
        for _, *value in found:
            np.testing.assert_allclose(value, expected, rtol=1e-4 if dtype == np.float32 else 1e-10)
        marks = np.where(np.arange(len(V)) % 2, 0, -1).astype(dtype)  # every second row does not count
        violations = np.abs(V - np.clip(V - G, 0.1 * d[free], INF))[1::2].max()
        _, *value = scd.kl_rows_weighted(W, H, X, weight, l1, l2, 0.1, INF, 0, 0, frozen, marks, d)
        np.testing.assert_allclose(value[0], violations, rtol=1e-4 if dtype == np.float32 else 1e-10)


@pytest.mark.parametrize("form", FORMS)
def test_residuals_are_of_the_point_before_the_sweeps(form):
    X, W, H = problem(30, 25, 4, 0.5, zeros=0.0)
    M = np.random.default_rng(3).random(X.shape) if "weighted" in form else np.ones_like(X)
    none, d = np.zeros(4), np.array([1.0, 2.0, 0.5, 3.0])
    gradient = M @ H.T - (M * X / (W @ H)) @ H.T
    wanted = np.abs(np.minimum(W * d, gradient / d)).max()
    for sweeps in (0, 1, 2, 9):
        _, violation, scale = call(
            form, W.copy(), H, X, none, none, 0, INF, sweeps, 0, np.zeros(4, bool), M, d=d
        )
        assert violation == pytest.approx(wanted, rel=1e-10)
        assert scale == pytest.approx((((M * X / (W @ H)) @ H.T) / d).max(), rel=1e-10)


def test_loss_at_its_ends():
    X, W, H = problem(5, 10, 2, 0.5, zeros=0.0)
    exact = W @ H
    assert scd_loss.kl_loss(W, H, exact) == pytest.approx(0, abs=1e-13 * exact.sum())
    W[0] = 0
    X[0, 0] = 1
    assert scd_loss.kl_loss(W, H, X) == INF
    C = sparse.csr_matrix(X)
    assert scd_loss.kl_loss_csr(W, np.ascontiguousarray(H.T), C.data, C.indices, C.indptr) == INF
    for size in (1e-300, 1e300):  # far ends of the logarithm
        one = np.array([[1.0]])
        assert scd_loss.kl_loss(one, one, one * size) == pytest.approx(size * np.log(size) - size + 1)
