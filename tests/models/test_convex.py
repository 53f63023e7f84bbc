"""Convex NMF: parts inside the hull of the rows, above semi-NMF, which is above the SVD."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import nnls
from sklearn.datasets import load_digits, load_iris

from nonneg import ConvexNMF, SemiNMF
from nonneg.metrics import ari
from nonneg.solvers.convex import Gram, seeds

pytestmark = [
    pytest.mark.filterwarnings("ignore::nonneg.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:SemiNMF only attains:UserWarning"),
]


def mixed(n=80, m=12, seed=0):
    return np.random.default_rng(seed).standard_normal((n, m))


def blobs(seed=0, k=4, n=25, m=6):
    rng = np.random.default_rng(seed)
    centers = rng.normal(0, 3, (k, m))
    return np.repeat(centers, n, axis=0) + 0.2 * rng.standard_normal((k * n, m)), np.repeat(np.arange(k), n)


def error(model, X):
    return np.linalg.norm(X - model.transform(X) @ model.components_)


def reference(X, k, seed, iterations=2000):
    """Ding, Li and Jordan's multiplicative updates, from a random start."""
    rng = np.random.default_rng(seed)
    K = X @ X.T
    up, down = np.maximum(K, 0), np.maximum(-K, 0)
    W, C = rng.random((len(X), k)) + 0.2, rng.random((len(X), k)) / len(X)
    for _ in range(iterations):
        W *= np.sqrt((up @ C + W @ (C.T @ down @ C)) / (down @ C + W @ (C.T @ up @ C) + 1e-12))
        A = W.T @ W
        C *= np.sqrt((up @ W + down @ C @ A) / (down @ W + up @ C @ A + 1e-12))
    return np.linalg.norm(X - W @ C.T @ X)


CASES = {
    "of any sign": mixed(),
    "flat": mixed(20, 30, seed=1),
    "iris": load_iris().data,
    "centred iris": load_iris().data - load_iris().data.mean(axis=0),
    "blobs": blobs()[0],
}


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("name", CASES)
def test_svd_then_semi_then_convex(name, k):
    X = CASES[name]
    sigma = np.linalg.svd(X, compute_uv=False)
    svd = np.sqrt((sigma[k:] ** 2).sum())
    settings = {"random_state": 0, "n_init": 3, "max_iter": 1000}
    semi, convex = (error(cls(k, **settings).fit(X), X) for cls in (SemiNMF, ConvexNMF))
    assert svd <= semi * (1 + 1e-9) and semi <= convex * (1 + 1e-6)
    assert convex < np.linalg.norm(X)


def test_parts_are_convex_combinations_of_rows():
    X = mixed()
    model = ConvexNMF(4, random_state=0).fit(X)
    C = model.coefficients_
    assert C.shape == (4, 80) and (C >= 0).all()
    assert C.sum(axis=1) == pytest.approx(np.ones(4))
    assert model.components_ == pytest.approx(C @ X)
    assert 0 < np.count_nonzero(C) < C.size


def test_new_rows_are_solved_exactly():
    X = mixed()
    model = ConvexNMF(4, random_state=0).fit(X)
    new = mixed(10, seed=9)
    W = model.transform(new)
    for row in range(10):
        assert W[row] == pytest.approx(nnls(model.components_.T, new[row])[0], rel=1e-8, abs=1e-8)


def test_ends_at_least_as_well_as_multiplicative_updates():
    X = mixed(60, 8, seed=3)
    model = ConvexNMF(3, random_state=0, n_init=3, max_iter=2000).fit(X)
    assert error(model, X) <= min(reference(X, 3, seed) for seed in range(3))


@pytest.mark.parametrize("weighted", [False, True])
def test_both_solvers_are_stationary_in_the_same_sense(weighted):
    """The gradients from X itself: none along what may move, none negative at the bound."""
    X = mixed(40, 6, seed=2) + np.array([2.0, 0, 0, 0, 0, 0])  # the origin outside of the hull
    s = np.random.default_rng(0).integers(1, 4, 40) if weighted else np.ones(40)
    for solver, most in (("pg", 1e-5), ("mu", 3e-2)):
        model = ConvexNMF(3, solver=solver, random_state=0, max_iter=3000, tol=1e-7).fit(X, sample_weight=s)
        C, H = model.coefficients_.T, model.components_
        W = model.transform(X)
        slope = X @ (H.T @ (W.T * s) @ W - (W.T * s @ X).T)
        slope = slope / np.abs(X @ (W.T * s @ X).T).max(axis=0)
        assert slope.min() > -most
        moves = np.greater(C, 1e-2 * C.max())
        assert moves.any(axis=0).all() and np.abs(slope[moves]).max() < most


def test_multiplicative_updates_fall_and_go_to_the_same_place():
    X = mixed(40, 6)
    slow = ConvexNMF(3, solver="mu", random_state=0, max_iter=3000, tol=1e-5).fit(X)
    fast = ConvexNMF(3, random_state=0, max_iter=3000, tol=1e-5).fit(X)
    assert (np.diff(slow.history_["loss"]) <= 1e-12 * slow.history_["loss"][0]).all()
    assert error(fast, X) <= error(slow, X) < 1.03 * error(fast, X)
    assert fast.n_iter_ < slow.n_iter_


def test_clusters():
    X, labels = blobs()
    assert ari(labels, ConvexNMF(4, random_state=0).fit_transform(X).argmax(axis=1)) == 1


def test_row_weights_are_numbers_of_rows():
    X, weights = mixed(30, 6), np.random.default_rng(1).integers(0, 4, 30)
    settings = {"random_state": 0, "max_iter": 40, "tol": 0.0}
    weighted = ConvexNMF(3, **settings).fit(X, sample_weight=weights)
    repeated = ConvexNMF(3, **settings).fit(np.repeat(X, weights, axis=0))
    assert weighted.components_ == pytest.approx(repeated.components_, abs=1e-8)
    assert weighted.history_["kkt"] == pytest.approx(repeated.history_["kkt"], rel=1e-5)
    assert not weighted.coefficients_[:, weights == 0].any()


def test_sparse_rows_are_never_made_dense():
    X = sp.random_array((300, 2000), density=0.01, rng=np.random.default_rng(0), format="csr")
    X.data -= 0.3
    model = ConvexNMF(4, random_state=0, max_iter=20).fit(X)
    dense = ConvexNMF(4, random_state=0, max_iter=20).fit(X.toarray())
    assert model.components_ == pytest.approx(dense.components_, abs=1e-8)


def test_iris():
    X = load_iris().data
    relative = error(ConvexNMF(3, random_state=0, max_iter=2000, tol=1e-6).fit(X), X) / np.linalg.norm(X)
    assert 0.01929804 < relative < 0.0238


def test_start_values():
    X = mixed()
    full = ConvexNMF(3, random_state=0, tol=1e-6, max_iter=2000).fit(X)
    again = ConvexNMF(3, max_iter=2000).fit(X, W_init=full.transform(X))
    assert again.reconstruction_err_ <= full.reconstruction_err_ * 1.02
    with pytest.raises(ValueError, match="H_init: the parts of ConvexNMF are made of rows"):
        ConvexNMF(3).fit(X, H_init=full.components_)
    with pytest.raises(ValueError, match="W_init must be finite and non-negative"):
        ConvexNMF(3).fit(X, W_init=-np.ones((80, 3)))


def test_multiplicative_updates_refuse_what_memory_does_not_hold(monkeypatch):
    monkeypatch.setattr("nonneg.models.convex.MOST_ROWS", 50)
    with pytest.raises(ValueError, match="holds the Gram matrix of all rows, here 80 x 80"):
        ConvexNMF(3, solver="mu").fit(mixed())


def test_seeds_are_far_from_each_other_and_then_means():
    X, labels = blobs()
    K = X @ X.T
    C = seeds(Gram(lambda V: K @ V, K.diagonal().copy(), 1.0), 4, np.random.default_rng(0), True)
    means = np.stack([X[labels == c].mean(axis=0) for c in range(4)])
    found = C.T @ X
    assert sorted(map(tuple, found.round(9))) == sorted(map(tuple, means.round(9)))


def test_components_that_the_data_do_not_need_stay_empty():
    X = np.repeat([[1.0, 2.0], [3.0, -1.0]], 5, axis=0)
    with pytest.warns(UserWarning, match=r"ConvexNMF: components \[2, 3\] are dead"):
        model = ConvexNMF(4, random_state=0).fit(X)
    assert np.count_nonzero(model.coefficients_.any(axis=1)) == 2
    assert error(model, X) < 1e-6


def test_digits_with_less_error_than_after_a_hundred_iterations_of_the_paper():
    X = load_digits().data
    model = ConvexNMF(10, random_state=0, max_iter=100).fit(X)
    relative = error(model, X) / np.linalg.norm(X)
    assert 0.28922497 < relative < 0.36
