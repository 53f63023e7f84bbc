"""Least squares on the simplex against a textbook way to the same point."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import nnls

from nonneg.kernels import simplex
from nonneg.solvers.least_squares import simplex_rows


def nearest_mixtures(X, Z):
    """The nearest point of conv(Z) to each row: non-negative least squares for ‖u (Z − x)‖² + (Σ u − 1)², rescaled."""
    found = np.empty((len(X), len(Z)))
    for i, x in enumerate(X):
        u = nnls(np.vstack([(Z - x).T, np.ones(len(Z))]), np.append(np.zeros(Z.shape[1]), 1))[0]
        found[i] = u / u.sum()
    return found


def distances(X, W, Z):
    return np.square(X - W @ Z).sum(axis=1)


@pytest.mark.parametrize(("m", "k"), [(20, 10), (9, 10), (3, 10), (40, 30), (5, 1)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_nearest_point_of_a_hull(m, k, dtype):
    rng = np.random.default_rng(m)
    Z, X = rng.standard_normal((k, m)), rng.standard_normal((100, m))
    W = simplex_rows(Z @ Z.T, (X @ Z.T).astype(dtype))
    eps = np.finfo(dtype).eps
    assert W.dtype == dtype and (W >= 0).all()
    np.testing.assert_allclose(W.sum(axis=1), 1, rtol=8 * eps)
    expected = nearest_mixtures(X, Z)
    assert (distances(X, W, Z) - distances(X, expected, Z)).max() < 200 * eps
    if k <= m + 1:  # the points are affinely independent: there is one answer
        np.testing.assert_allclose(W, expected, atol=2000 * eps)


@pytest.mark.parametrize("case", ["duplicates", "far from the origin", "all the same", "in the hull"])
def test_hard_points(case):
    rng = np.random.default_rng(0)
    Z, X = rng.standard_normal((6, 8)), rng.standard_normal((50, 8))
    if case == "duplicates":
        Z[3:] = Z[:3]
    if case == "all the same":
        Z[:] = Z[0]
    if case == "in the hull":
        X = rng.dirichlet(np.ones(6), 50) @ Z
    if case == "far from the origin":
        Z, X = Z + 1e4, X + 1e4
    W = np.zeros((50, 6))
    assert simplex.solve(Z @ Z.T, X @ Z.T, W) == 0
    gap = distances(X, W, Z) - distances(X, nearest_mixtures(X, Z), Z)
    assert gap.max() < (1e-6 if case == "far from the origin" else 1e-12)


def test_a_first_guess_does_not_change_the_answer():
    rng = np.random.default_rng(1)
    Z, X = rng.standard_normal((7, 9)), rng.standard_normal((60, 9))
    cold = simplex_rows(Z @ Z.T, X @ Z.T)
    for guess in (rng.dirichlet(np.ones(7), 60), np.eye(7)[rng.integers(7, size=60)], cold):
        np.testing.assert_allclose(simplex_rows(Z @ Z.T, X @ Z.T, guess), cold, atol=1e-13)
    assert np.array_equal(simplex_rows(Z @ Z.T, X[5:9] @ Z.T), cold[5:9]) or np.allclose(
        simplex_rows(Z @ Z.T, X[5:9] @ Z.T), cold[5:9], atol=1e-14
    )


def test_coupled_rows_reach_a_stationary_point():
    rng = np.random.default_rng(2)
    V, W, X = rng.standard_normal((12, 6)), rng.dirichlet(np.ones(3), 40), rng.standard_normal((40, 6))
    M, K, B = W.T @ W, V @ V.T, W.T @ X @ V.T
    C = np.eye(12)[:3]

    def value(C):
        return 0.5 * np.vdot(M @ C, C @ K) - np.vdot(B, C)

    values = [value(C)]
    for _ in range(60):
        simplex.coupled(M, K, B, C, 1)
        values.append(value(C))
    assert (np.diff(values) <= 1e-12).all() and values[-1] < values[0] - 0.1
    slope = M @ C @ K - B
    np.testing.assert_allclose(C.sum(axis=1), 1)
    assert (slope - np.einsum("ij,ij->i", C, slope)[:, None]).min() > -1e-6
    held = C.copy()
    M[1], M[:, 1] = 0, 0
    simplex.coupled(M, K, B, C, 1)
    assert np.array_equal(C[1], held[1])  # nobody uses it: nothing says where it should be
