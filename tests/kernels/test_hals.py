"""Coordinate descent against scipy's NNLS and against a sweep written the slow way."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import lsq_linear, nnls

from nonneg.kernels import hals


def problem(n=37, m=30, k=6, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    H = rng.random((k, m)) * (rng.random((k, m)) < 0.5)
    X = rng.random((n, m))
    W = rng.random((n, k))
    cast = lambda a: np.ascontiguousarray(a, dtype)  # noqa: E731
    return cast(X), cast(W), cast(H)


def slow_sweep(W, G, P, lo, hi):
    W = W.copy()
    for i in range(W.shape[0]):
        for j in range(W.shape[1]):
            W[i, j] = np.clip(W[i, j] + (P[i, j] - W[i] @ G[:, j]) / G[j, j], lo, hi)
    return W


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 5, 128, 131, 300])
@pytest.mark.parametrize("k", [1, 3, 4, 9])
def test_sweeps_are_cyclic_coordinate_descent(n, k, dtype):
    X, W, H = problem(n, 40, k, dtype)
    G, P = H @ H.T, X @ H.T
    for lo, hi in [(0.0, np.inf), (0.1, 0.4)]:
        expected = slow_sweep(slow_sweep(W, G, P, lo, hi), G, P, lo, hi)
        V = W.copy()
        change = hals.sweep_rows(V, G, P, lo, hi, 2)
        assert V.dtype == dtype
        np.testing.assert_allclose(V, expected, rtol=0, atol=20 * np.finfo(dtype).eps)
        assert change == pytest.approx(((V - W).astype(float) ** 2).sum(), rel=1e-5)
        C = np.ascontiguousarray(W.T)
        same = hals.sweep_columns(C, G, np.ascontiguousarray(P.T), lo, hi, 2)
        assert same == pytest.approx(change, rel=1e-6)
        np.testing.assert_array_equal(C.T, V)


def test_solve_rows_equals_scipy_nnls_and_stops_rows_apart():
    X, _, H = problem(200, 50, 8)
    G, P = H @ H.T, X @ H.T
    W, residual = np.zeros((200, 8)), np.empty(200)
    sweeps = hals.solve_rows(W, G, P, 0.0, np.inf, 2000, 1e-12, residual)
    exact = np.array([nnls(H.T, x)[0] for x in X])
    np.testing.assert_allclose(W, exact, atol=1e-9)
    assert residual.max() < 1e-10
    assert sweeps < 200 * 2000
    # a row does not see its neighbours, bit for bit
    for rows in (slice(3, 4), slice(100, 190), slice(0, 200, 7)):
        part, left = np.zeros_like(W[rows]), np.empty(len(X[rows]))
        hals.solve_rows(part, G, np.ascontiguousarray(P[rows]), 0.0, np.inf, 2000, 1e-12, left)
        np.testing.assert_array_equal(part, W[rows])
        np.testing.assert_array_equal(left, residual[rows])


def test_box_equals_scipy():
    X, _, H = problem(10, 50, 5)
    W, residual = np.zeros((10, 5)), np.empty(10)
    hals.solve_rows(W, H @ H.T, X @ H.T, 0.05, 0.3, 3000, 1e-13, residual)
    exact = np.array([lsq_linear(H.T, x, (0.05, 0.3), tol=1e-14).x for x in X])
    np.testing.assert_allclose(W, exact, atol=1e-6)
    assert residual.max() < 1e-10


def test_residual_is_large_before_and_small_after():
    X, _, H = problem(40, 30, 4)
    G, P = H @ H.T, X @ H.T
    few, many = np.empty(40), np.empty(40)
    hals.solve_rows(np.zeros((40, 4)), G, P, 0.0, np.inf, 0, 1e-9, few)
    hals.solve_rows(np.zeros((40, 4)), G, P, 0.0, np.inf, 500, 1e-9, many)
    np.testing.assert_allclose(few, 1.0)  # at W = 0 the gradient is −P
    assert many.max() < 1e-7


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_frozen_rows_keep_every_bit(dtype):
    X, W, H = problem(150, 140, 7, dtype)
    H[2, :5] = -0.0
    H[2, 5] = -3.0  # outside the bounds: frozen means frozen
    A, B = W.T @ W, W.T @ X
    frozen = np.isin(np.arange(7), [0, 2, 6])
    C = H.copy()
    hals.sweep_columns(C, A, B, 0.0, np.inf, 5, frozen)
    assert C[frozen].tobytes() == H[frozen].tobytes()
    free = ~frozen
    expected = H.copy().astype(float)
    for _ in range(5):
        for j in np.flatnonzero(free):
            expected[j] = np.maximum(expected[j] + (B[j] - A[j] @ expected) / A[j, j], 0)
    np.testing.assert_allclose(C, expected, atol=1e4 * np.finfo(dtype).eps)
    d = np.ones(7, dtype)
    before = hals.kkt_columns(H, A, B, d, 0.0, np.inf, frozen)[0]
    hals.sweep_columns(C, A, B, 0.0, np.inf, 3000, frozen)
    assert hals.kkt_columns(C, A, B, d, 0.0, np.inf, frozen)[0] < 1e-4 * before


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kkt_is_its_formula(dtype):
    X, W, H = problem(200, 33, 5, dtype)
    d = np.array([0.5, 1, 2, 3, 0.1], dtype)
    G, P = H @ H.T, X @ H.T
    V, gradient = W * d, (W @ G - P) / d
    violation, scale = hals.kkt_rows(W, G, P, d)
    assert violation == pytest.approx(np.abs(np.minimum(V, gradient)).max(), rel=1e-4)
    assert scale == pytest.approx((P / d).max(), rel=1e-6)
    boxed = np.abs(V - np.clip(V - gradient, 0.2 * d, 0.6 * d)).max()
    assert hals.kkt_rows(W, G, P, d, 0.2, 0.6)[0] == pytest.approx(boxed, rel=1e-4)
    A, B = W.T @ W, W.T @ X
    violation, scale = hals.kkt_columns(H, A, B, d)
    V, gradient = H * d[:, None], (A @ H - B) / d[:, None]
    assert violation == pytest.approx(np.abs(np.minimum(V, gradient)).max(), rel=1e-4)
    assert scale == pytest.approx((B / d[:, None]).max(), rel=1e-6)


def test_zero_diagonal_follows_the_slope():
    G = np.diag([1.0, 0.0, 0.0, 0.0])
    P = np.array([[2.0, 1.0, -1.0, 0.0]])
    W = np.full((1, 4), 0.5)
    hals.sweep_rows(W, G, P, 0.0, np.inf, 1)
    np.testing.assert_array_equal(W, [[2.0, 0.5, 0.0, 0.5]])  # unbounded: left alone; p = 0: left alone
    hals.sweep_rows(W, G, P, 0.0, 3.0, 1)
    np.testing.assert_array_equal(W, [[2.0, 3.0, 0.0, 0.5]])
    H = np.full((4, 2), 0.5)
    hals.sweep_columns(H, G, np.repeat(P.T, 2, 1), 0.0, 3.0, 1)
    np.testing.assert_array_equal(H[:, 0], [2.0, 3.0, 0.0, 0.5])


def test_tiny_diagonal_never_makes_nan():
    tiny = np.finfo(np.float32).tiny
    for g in (0.0, tiny / 8, tiny, 5 * tiny):
        W = np.ones((3, 2), np.float32)
        G = np.array([[1, 0], [0, g]], np.float32)
        hals.sweep_rows(W, G, np.array([[1, 0]] * 3, np.float32), 0.0, np.inf, 3)
        assert np.isfinite(W).all()


def test_loss_never_rises():
    X, W, H = problem(60, 50, 6)
    G, P = H @ H.T, X @ H.T
    loss = [0.5 * ((X - W @ H) ** 2).sum()]
    for _ in range(20):
        hals.sweep_rows(W, G, P)
        loss.append(0.5 * ((X - W @ H) ** 2).sum())
    assert np.all(np.diff(loss) <= 1e-13 * loss[0])
    gram_form = 0.5 * (X**2).sum() - hals.inner(P, W) + 0.5 * hals.inner(W.T @ W, G)
    assert gram_form == pytest.approx(loss[-1], rel=1e-11)


def test_inner_accumulates_in_double_precision():
    P = np.full((4000, 50), 0.1, np.float32)
    assert hals.inner(P, P) == pytest.approx(P.size * float(np.float32(0.1)) ** 2, rel=1e-12)


@pytest.mark.parametrize("n", [1, 128, 200])
def test_sweep_and_measure_are_the_two_in_one(n):
    X, W, H = problem(n, 33, 5)
    d = np.array([0.5, 1, 2, 3, 0.1])
    G, P = H @ H.T, X @ H.T
    together, apart = W.copy(), W.copy()
    found = hals.sweep_rows_kkt(together, G, P, d, 0.0, 0.7, 3)
    change = hals.sweep_rows(apart, G, P, 0.0, 0.7, 3)
    assert found == (change, *hals.kkt_rows(apart, G, P, d, 0.0, 0.7))
    np.testing.assert_array_equal(together, apart)
