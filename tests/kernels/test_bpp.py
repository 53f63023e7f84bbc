"""Block principal pivoting against scipy's active set method."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import nnls

from nonneg.kernels import bpp


def problem(n, m, k, seed, dtype=np.float64):
    rng = np.random.default_rng(seed)
    H = rng.random((k, m)) * (rng.random((k, m)) < 0.6)
    X = rng.random((n, m)) * rng.random((n, 1)) * 3
    return X.astype(dtype), H.astype(dtype)


@pytest.mark.parametrize("k", [1, 2, 7, 30])
def test_equals_scipy_nnls_from_any_start(k):
    X, H = problem(50, 60, k, k)
    exact = np.array([nnls(H.T, x)[0] for x in X])
    for start in (np.zeros((50, k)), np.ones((50, k)), np.random.default_rng(0).random((50, k)).round()):
        assert bpp.solve(H @ H.T, X @ H.T, start) == 0
        np.testing.assert_allclose(start, exact, atol=1e-9)


def test_float32_is_as_exact_as_its_input():
    X, H = problem(50, 60, 12, 3, np.float32)
    W = np.zeros((50, 12), np.float32)
    bpp.solve(H @ H.T, X @ H.T, W)
    exact = np.array([nnls(H.T.astype(float), x.astype(float))[0] for x in X])
    np.testing.assert_allclose(W, exact, atol=2e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_singular_gram_still_reaches_the_least_squares_value(dtype):
    X, H = problem(40, 30, 5, 4, dtype)
    H = np.vstack([H, H[:1], H[1:2] + H[2:3], np.zeros_like(H[:1])])  # rank 5 of 8
    W = np.zeros((40, 8), dtype)
    assert bpp.solve(H @ H.T, X @ H.T, W) == 0
    assert (W >= 0).all()
    exact = np.array([nnls(H.T.astype(float), x.astype(float))[1] for x in X])
    reached = np.linalg.norm(X - W @ H, axis=1)
    np.testing.assert_allclose(reached, exact, rtol=1e-7 if dtype == np.float64 else 1e-5)


def test_more_components_than_columns():
    X, H = problem(30, 6, 20, 5)
    W = np.zeros((30, 20))
    bpp.solve(H @ H.T, X @ H.T, W)
    exact = np.array([nnls(H.T, x)[1] for x in X])
    np.testing.assert_allclose(np.linalg.norm(X - W @ H, axis=1), exact, atol=1e-7)


def test_out_of_pivots_is_counted_and_still_feasible():
    X, H = problem(30, 40, 10, 6)
    W = np.zeros((30, 10))
    assert bpp.solve(H @ H.T, X @ H.T, W, max_pivots=1) > 0
    exact = np.array([nnls(H.T, x)[1] for x in X])
    np.testing.assert_allclose(np.linalg.norm(X - W @ H, axis=1), exact, rtol=1e-6)


def test_zero_rows_give_zero():
    _, H = problem(1, 40, 4, 7)
    W = np.ones((2, 4))
    bpp.solve(H @ H.T, np.array([[0.0] * 4, [-1.0] * 4]), W)
    np.testing.assert_array_equal(W, 0)
