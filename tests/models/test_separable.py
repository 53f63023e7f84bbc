"""Separable NMF: the planted rows come back, in the order that textbook versions of the methods pick them in."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import nnls

from nonneg import NMF, SeparableNMF

METHODS = ("spa", "snpa", "xray")
ANGLES = np.arange(8) * np.pi / 4
OCTAGON = np.column_stack([1 + np.cos(ANGLES), 1 + np.sin(ANGLES), 1 - np.cos(ANGLES), 1 - np.sin(ANGLES)])


def planted(H, noise=0.0, n=150, seed=0, sizes=(0.5, 2.0)):
    """Mixtures of the rows of H in random sizes, each row of H once among them; noise relative to its size."""
    rng = np.random.default_rng(seed)
    W = rng.dirichlet(np.full(len(H), 0.5), n)
    where = rng.choice(n, len(H), replace=False)
    W[where] = np.eye(len(H))
    X = (W * rng.uniform(*sizes, (n, 1))) @ H
    X += noise * np.sqrt(np.square(X).mean()) * rng.standard_normal(X.shape)
    return np.maximum(X, 0), set(where.tolist())


def cone(x, H, heavy=None):
    """x − its projection onto the cone of rows of H; onto their hull with 0 where a heavy row of ones says so."""
    if heavy is None:
        return x - nnls(H.T, x)[0] @ H
    A = np.vstack([np.hstack([H.T, np.zeros((H.shape[1], 1))]), np.full(len(H) + 1, heavy)])
    return x - nnls(A, np.append(x, heavy))[0][:-1] @ H


def textbook(X, k, method):
    """Rows of sum 1, deflated (SPA) or projected one by one (SNPA, XRAY)."""
    Y = X / X.sum(axis=1, keepdims=True)
    R, picked = Y.copy(), []
    for _ in range(k):
        row = int(np.argmax(np.square(R).sum(axis=1)))
        if method == "xray":
            row = int(np.argmax(Y @ R[row]))
        if method == "spa":
            direction = R[row] / np.linalg.norm(R[row])
            R -= np.outer(R @ direction, direction)
        picked.append(row)
        if method != "spa":
            heavy = 1e4 if method == "snpa" else None
            R = np.array([cone(y, Y[picked], heavy) for y in Y])
    return picked


@pytest.mark.parametrize("method", METHODS)
def test_picks_are_those_of_the_textbook(method):
    X, _ = planted(np.random.default_rng(1).random((5, 12)), noise=0.05)
    assert SeparableNMF(5, method=method).fit(X).row_indices_.tolist() == textbook(X, 5, method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_planted_rows_come_back(method, noise):
    for seed in range(10):
        X, pure = planted(np.random.default_rng(seed).random((6, 30)), noise, seed=seed)
        model = SeparableNMF(6, method=method).fit(X)
        assert set(model.row_indices_.tolist()) == pure
        assert np.array_equal(model.components_, X[model.row_indices_])
        assert model.reconstruction_err_ <= 1.5 * noise * np.linalg.norm(X) + 1e-12


@pytest.mark.parametrize("method", ["snpa", "xray"])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_more_pure_rows_than_the_rank(method, noise):
    assert np.linalg.matrix_rank(OCTAGON) == 3
    for seed in range(10):
        X, pure = planted(OCTAGON, noise, seed=seed)
        assert set(SeparableNMF(8, method=method).fit(X).row_indices_.tolist()) == pure


def test_successive_projection_stops_at_the_rank_and_says_so():
    X, pure = planted(OCTAGON)
    with pytest.warns(UserWarning, match=r"picked 3 rows, not n_components=8.*snpa") as caught:
        model = SeparableNMF(8).fit(X)
    assert caught[0].filename == __file__
    assert model.n_components_ == model.n_iter_ == 3 and not model.converged_
    assert set(model.row_indices_.tolist()) < pure
    with pytest.warns(UserWarning, match="picked 8 rows, not n_components=12"):
        assert SeparableNMF(12, method="snpa").fit(X).components_.shape == (8, 4)


def test_sizes_of_rows_do_not_matter_where_they_are_normalized():
    H = np.random.default_rng(3).random((6, 30))
    X, pure = planted(H, sizes=(0.01, 100.0))
    for method in METHODS:
        assert set(SeparableNMF(6, method=method).fit(X).row_indices_.tolist()) == pure
    assert set(SeparableNMF(6, normalize=False).fit(X).row_indices_.tolist()) != pure
    X, pure = planted(H, sizes=(1.0, 1.0))
    X[0] = 1e-6 * np.random.default_rng(0).random(
        30
    )  # nothing but noise; rows of weights that sum to 1 need no division
    pure.discard(0)
    assert pure <= set(SeparableNMF(6, normalize=False).fit(X).row_indices_.tolist())


@pytest.mark.parametrize("method", METHODS)
def test_history_has_what_is_left(method):
    X, _ = planted(np.random.default_rng(4).random((6, 20)), noise=0.02)
    model = SeparableNMF(6, method=method).fit(X)
    assert model.history_["row"].tolist() == model.row_indices_.tolist()
    Y = X / X.sum(axis=1, keepdims=True)
    for count, left in zip(model.history_["iteration"], model.history_["residual"], strict=True):
        H = Y[model.row_indices_[:count]]
        if method == "spa":
            gap = Y - Y @ np.linalg.pinv(H) @ H
        else:
            gap = np.array([cone(y, H, 1e4 if method == "snpa" else None) for y in Y])
        assert left * np.linalg.norm(Y, axis=1).max() == pytest.approx(
            np.linalg.norm(gap, axis=1).max(), rel=1e-4
        )
    assert (np.diff(model.history_["residual"]) <= 1e-12).all()


def test_rows_are_exact_least_squares():
    X, _ = planted(np.random.default_rng(5).random((4, 15)), noise=0.1)
    model = SeparableNMF(4)
    W = model.fit_transform(X)
    expected = np.array([nnls(model.components_.T, x)[0] for x in X])
    np.testing.assert_allclose(W, expected, atol=1e-10)
    np.testing.assert_allclose(model.reconstruction_err_, np.linalg.norm(X - expected @ model.components_))
    weights = np.random.default_rng(0).integers(0, 3, len(X))
    weighted = SeparableNMF(4).fit(X, sample_weight=weights)
    assert (weights[weighted.row_indices_] > 0).all()
    gap = np.square(X - weighted.transform(X) @ weighted.components_).sum(axis=1)
    np.testing.assert_allclose(weighted.reconstruction_err_, np.sqrt(weights @ gap))


@pytest.mark.parametrize("method", METHODS)
def test_sparse_rows_stay_sparse(method):
    n, m = 10_000, 8_000
    X = sp.random_array((n, m), density=1e-3, rng=np.random.default_rng(0), format="csr")
    tracemalloc.start()
    model = SeparableNMF(5, method=method).fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.1 * 8 * n * m
    few = X[:300].toarray()
    few[~few.any(axis=1), 0] = 1
    expected = SeparableNMF(5, method=method).fit(few).row_indices_
    assert np.array_equal(SeparableNMF(5, method=method).fit(sp.csr_array(few)).row_indices_, expected)
    assert model.components_.shape == (5, m)


def test_a_start_for_other_models():
    X, _ = planted(np.random.default_rng(6).random((5, 20)), noise=0.01)
    separable = SeparableNMF(5).fit(X)
    better = NMF(5).fit(X, H_init=separable.components_)
    assert better.reconstruction_err_ <= separable.reconstruction_err_ * (1 + 1e-9)


def test_refusals():
    X = np.random.default_rng(0).random((20, 6))
    for start in ({"W_init": np.ones((20, 2))}, {"H_init": np.ones((2, 6))}):
        with pytest.raises(ValueError, match="separable NMF has no start"):
            SeparableNMF(2).fit(X, **start)
    with pytest.raises(ValueError, match="method"):
        SeparableNMF(2, method="fastest").fit(X)
