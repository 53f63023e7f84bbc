"""Integer least squares in a box against all integers there are."""

import itertools

import numpy as np
import pytest

from nonneg.kernels.integer import solve


def value(G, P, W):
    return 0.5 * np.einsum("ij,jk,ik->i", W, G, W) - np.einsum("ij,ij->i", P, W)


def problem(k, m, n, seed, largest=4):
    rng = np.random.default_rng(seed)
    H = rng.integers(0, largest, (k, m)).astype(float)
    X = rng.integers(0, 4, (n, k)) @ H + rng.normal(0, 3, (n, m))
    return H @ H.T, X @ H.T


@pytest.mark.parametrize("high", [1, 3])
@pytest.mark.parametrize(("k", "m"), [(1, 3), (3, 4), (4, 9), (5, 3)])  # the last is singular
def test_the_best_of_all(k, m, high):
    G, P = problem(k, m, 40, seed=k)
    W = np.zeros((40, k))
    assert solve(G, P, W, high) == 0
    every = np.array(list(itertools.product(range(high + 1), repeat=k)), dtype=float)
    best = (0.5 * np.einsum("cj,jk,ck->c", every, G, every)[:, None] - every @ P.T).min(axis=0)
    assert value(G, P, W) == pytest.approx(best, rel=1e-9, abs=1e-7)
    assert ((np.rint(W) == W) & (W >= 0) & (high >= W)).all()


def test_without_a_bound_exact_integers_come_back():
    rng = np.random.default_rng(0)
    H, W = rng.integers(0, 9, (7, 20)).astype(float), rng.integers(0, 50, (30, 7)).astype(float)
    found = np.zeros_like(W)
    assert solve(H @ H.T, W @ H @ H.T, found) == 0
    assert np.array_equal(found, W)


@pytest.mark.parametrize("max_nodes", [0, 5, 100])
def test_never_worse_than_what_it_was_given(max_nodes):
    G, P = problem(12, 14, 60, seed=1)
    given = np.random.default_rng(2).integers(0, 4, (60, 12)).astype(float)
    W, exact = given.copy(), given.copy()
    unfinished = solve(G, P, W, 5, max_nodes)
    solve(G, P, exact, 5, 10**7)
    assert (value(G, P, W) <= value(G, P, given)).all()
    assert (value(G, P, exact) <= value(G, P, W) + 1e-9).all()
    assert unfinished == 60 or max_nodes == 100


def test_components_without_curvature_stay():
    G, P = np.zeros((2, 2)), np.zeros((3, 2))
    W = np.array([[1.0, 2.0], [0.0, 0.0], [3.0, 0.0]])
    kept = W.copy()
    solve(G, P, W)
    assert np.array_equal(W, kept)
