"""Archetypal analysis: what Cutler and Breiman promise, and an independent descent that ends no lower."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import linprog, nnls
from sklearn.datasets import load_iris

from nonneg import ArchetypalAnalysis

IRIS = load_iris().data


def planted(n=300, m=6, k=4, noise=0.0, seed=0):
    """Rows inside the hull of k corners, the corners first."""
    rng = np.random.default_rng(seed)
    corners = 3 * rng.standard_normal((k, m))
    mixed = rng.dirichlet(np.full(k, 0.7), n - k) @ corners
    return np.concatenate([corners, mixed]) + noise * rng.standard_normal((n, m)), corners


def is_in_hull(point, X):
    """Whether a linear programme finds a mixture of rows of X."""
    A = np.vstack([X.T, np.ones(len(X))])
    return linprog(np.zeros(len(X)), A_eq=A, b_eq=np.append(point, 1), bounds=(0, None)).status == 0


def on_simplex(A, B):
    """Rows of W minimising ‖A − W B‖ on the simplex, by NNLS with a heavy row of ones."""
    heavy = 1e3 * np.abs(B).max()
    rows = [nnls(np.vstack([B.T, np.full(len(B), heavy)]), np.append(a, heavy))[0] for a in A]
    return np.array(rows)


def plain_alternating(X, rows, sweeps):
    """Cutler and Breiman's algorithm as they wrote it: W by NNLS, then each archetype's target by NNLS."""
    A = X[rows].copy()
    for _ in range(sweeps):
        W = on_simplex(X, A)
        for j in range(len(A)):
            rest = X - W @ A + np.outer(W[:, j], A[j])
            target = W[:, j] @ rest / (W[:, j] @ W[:, j])
            A[j] = on_simplex(target[None], X)[0] @ X
    return 0.5 * np.square(X - on_simplex(X, A) @ A).sum()


def test_one_archetype_is_the_mean():
    model = ArchetypalAnalysis(1).fit(IRIS)
    np.testing.assert_allclose(model.archetypes_, IRIS.mean(axis=0)[None], rtol=1e-14)
    assert model.converged_ and model.n_iter_ == 1
    np.testing.assert_allclose(model.coefficients_ @ IRIS[model.support_], model.archetypes_, rtol=1e-12)
    weights = np.arange(150.0)
    model.fit(IRIS, sample_weight=weights)
    np.testing.assert_allclose(model.archetypes_[0], np.average(IRIS, axis=0, weights=weights), rtol=1e-12)


@pytest.mark.parametrize("X", [IRIS - 3, planted(noise=0.3)[0]], ids=["iris", "planted"])
def test_archetypes_are_mixtures_on_the_hull(X):
    model = ArchetypalAnalysis(4).fit(X)
    C, A = model.coefficients_, model.archetypes_
    assert (C >= 0).all()
    np.testing.assert_allclose(C.sum(axis=1), 1)
    np.testing.assert_allclose(C @ X[model.support_], A, atol=1e-12)
    centre = X.mean(axis=0)
    for archetype in A:
        assert is_in_hull(archetype + 1e-6 * (centre - archetype), X)
        assert not is_in_hull(
            archetype + 1e-3 * (archetype - centre), X
        )  # no room outwards: it is on the boundary


def test_rows_are_the_nearest_mixtures():
    X, _ = planted(noise=0.3)
    model = ArchetypalAnalysis(4)
    W = model.fit_transform(X)
    np.testing.assert_allclose(W.sum(axis=1), 1, rtol=1e-14)
    new = np.random.default_rng(3).standard_normal((30, 6)) * 4
    np.testing.assert_allclose(model.transform(new), on_simplex(new, model.archetypes_), atol=1e-5)
    gradient = (model.transform(new) @ model.archetypes_ - new) @ model.archetypes_.T
    found = np.einsum("ij,ij->i", model.transform(new), gradient)
    assert (gradient - found[:, None]).min() > -1e-11 * np.abs(gradient).max()


@pytest.mark.parametrize("k", [2, 3, 5])
def test_no_higher_than_the_plain_algorithm(k):
    model = ArchetypalAnalysis(k, tol=1e-6).fit(IRIS)
    rng = np.random.default_rng(k)
    others = [plain_alternating(IRIS, rng.choice(150, k, replace=False), 8) for _ in range(3)]
    assert 0.5 * model.reconstruction_err_**2 <= min(others) * (1 + 1e-6)


def test_known_values_of_iris():
    # the lowest of 40 starts at random rows of the package archetypes 0.12, which ends 1e-5 above
    assert 0.5 * ArchetypalAnalysis(3).fit(IRIS).reconstruction_err_ ** 2 == pytest.approx(12.4363, abs=1e-3)


def test_planted_corners_come_back():
    X, corners = planted()
    model = ArchetypalAnalysis(4, tol=1e-8).fit(X)
    assert sorted(model.support_) == [0, 1, 2, 3]
    order = np.argsort(np.linalg.norm(model.archetypes_[:, None] - corners, axis=2), axis=0)[0]
    np.testing.assert_allclose(model.archetypes_[order], corners, atol=1e-8)
    assert model.reconstruction_err_ < 1e-6 * np.linalg.norm(X)


def test_residual_is_that_of_the_problem():
    X, _ = planted(noise=0.3)
    model = ArchetypalAnalysis(4, tol=1e-7)
    W = model.fit_transform(X)
    assert model.converged_
    gap = W @ model.archetypes_ - X
    total = np.square(X - X.mean(axis=0)).sum()
    slope = X @ (W.T @ gap).T / total  # of the columns of C, over all rows
    mixture = np.zeros((4, len(X)))
    mixture[:, model.support_] = model.coefficients_
    slack = slope.T - (mixture * slope.T).sum(axis=1)[:, None]
    assert np.abs(np.minimum(mixture, slack)).max() < 1e-6


@pytest.mark.parametrize("shift", [1e3, -1e6])
def test_a_shift_moves_the_archetypes_alone(shift):
    X, _ = planted(noise=0.3)
    here, there = ArchetypalAnalysis(4).fit(X), ArchetypalAnalysis(4).fit(X + shift)
    np.testing.assert_allclose(there.archetypes_ - shift, here.archetypes_, atol=1e-9 * abs(shift))
    np.testing.assert_allclose(there.transform(X + shift), here.transform(X), atol=1e-7)
    single = ArchetypalAnalysis(4).fit((X + 1e3).astype(np.float32))
    np.testing.assert_allclose(single.archetypes_ - 1e3, here.archetypes_, atol=0.05)


def test_a_weight_is_a_number_of_rows():
    X, _ = planted(n=60, noise=0.3)
    times = np.random.default_rng(5).integers(0, 4, 60)
    weighted = ArchetypalAnalysis(4).fit(X, sample_weight=times)
    repeated = ArchetypalAnalysis(4).fit(np.repeat(X, times, axis=0))
    np.testing.assert_allclose(weighted.archetypes_, repeated.archetypes_, atol=1e-9)
    assert (times[weighted.support_] > 0).all()


def test_sparse_rows_are_not_made_dense():
    n, m = 20_000, 5_000
    rng = np.random.default_rng(0)
    X = sp.random_array((n, m), density=1e-3, rng=rng, format="csr")
    import tracemalloc

    tracemalloc.start()
    model = ArchetypalAnalysis(3, init="furthest_first", max_iter=3, tol=0.5).fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.1 * 8 * n * m
    assert model.components_.shape == (3, m)


def test_starts():
    X, corners = planted(noise=0.3)
    losses = {
        init: ArchetypalAnalysis(4, init=init, tol=1e-6).fit(X).reconstruction_err_
        for init in ("auto", "furthest_sum", "furthest_first", "furthest_from_hull")
    }
    assert losses["auto"] <= min(losses.values()) * (1 + 1e-6)
    given = ArchetypalAnalysis(4, tol=1e-6).fit(X, H_init=corners[::-1] + 0.01)
    assert given.reconstruction_err_ <= losses["auto"] * (1 + 1e-3)
    assert (
        np.linalg.norm(given.archetypes_ - corners[::-1], axis=1).max() < 1.5
    )  # in the order they were given
    with pytest.raises(ValueError, match="W_init"):
        ArchetypalAnalysis(4).fit(X, W_init=np.ones((len(X), 4)))
    with pytest.raises(ValueError, match="H_init has shape"):
        ArchetypalAnalysis(4).fit(X, H_init=corners[:2])
    with pytest.raises(ValueError, match="H_init must be finite"):
        ArchetypalAnalysis(4).fit(X, H_init=corners * np.nan)
    with pytest.raises(ValueError, match="init"):
        ArchetypalAnalysis(4, init="random").fit(X)
