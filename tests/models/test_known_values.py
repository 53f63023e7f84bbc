"""Values known in closed form or measured elsewhere, and the equations of stationary points."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_digits, load_iris

import reference as ref
from matrix_cases import fitted, planted, relative

IRIS = load_iris().data


def directions(H):
    """Rows of length 1: a fit gives its components one size at the end."""
    return H / np.linalg.norm(H, axis=1)[:, None]


def residual(model, X, W=None):
    W = model.transform(X) if W is None else W
    return ref.relative_residual(X, W, model.components_)


@pytest.mark.parametrize(("k", "value"), [(1, 0.18627136), (2, 0.04034933), (3, 0.01929804)])
@pytest.mark.parametrize("solver", ["hals", "anls"])
def test_iris_reaches_the_svd_bound(k, value, solver):
    model = fitted(IRIS, k, solver=solver, tol=1e-7, max_iter=5000)
    assert residual(model, IRIS) == pytest.approx(value, abs=2e-8)
    assert model.reconstruction_err_ == pytest.approx(value * np.linalg.norm(IRIS), rel=1e-6)


def test_digits_at_rank_ten():
    X = load_digits().data.astype(np.float32)
    model = fitted(X, 10, n_init=4, init="random", tol=1e-4, max_iter=300)
    assert ref.svd_bound(X, 10) < residual(model, X.astype(float)) <= 0.3250


def test_rank_one_kl_has_a_closed_form():
    model = fitted(IRIS, 1, loss="kl", tol=1e-10)
    W, H = ref.rank_one_kl(IRIS)
    assert model.reconstruction_err_**2 / 2 == pytest.approx(72.10771799, abs=1e-7)
    assert relative(model.transform(IRIS) @ model.components_, W @ H) < 1e-8


@pytest.mark.parametrize(("k", "value"), [(2, 3.08441788), (3, 0.66642)])
def test_best_kl_on_iris(k, value):
    model = fitted(IRIS, k, loss="kl", n_init=3, tol=1e-5, max_iter=3000)
    assert value - 1e-5 < model.reconstruction_err_**2 / 2 < value * (1.002 if k == 3 else 1.0001)


def test_stationarity_of_kl_is_equality_of_sums():
    model = fitted(IRIS, 3, loss="kl", tol=1e-7, max_iter=5000)
    Y = model.transform(IRIS) @ model.components_
    np.testing.assert_allclose(Y.sum(axis=1), IRIS.sum(axis=1), rtol=1e-7)
    np.testing.assert_allclose(Y.sum(axis=0), IRIS.sum(axis=0), rtol=1e-4)


def test_stationarity_of_frobenius_is_orthogonality_of_the_residual():
    X = planted()
    Y = (model := fitted(X, 3, tol=1e-8, max_iter=5000)).transform(X) @ model.components_
    assert (X * Y).sum() == pytest.approx((Y * Y).sum(), rel=1e-7)


def test_stationarity_of_itakura_saito_is_a_mean_ratio_of_one():
    X = planted()
    Y = (model := fitted(X, 2, loss="itakura-saito", tol=1e-6, max_iter=5000)).transform(
        X
    ) @ model.components_
    assert np.mean(X / Y) == pytest.approx(1, rel=1e-5)


def test_a_matrix_whose_non_negative_rank_exceeds_its_rank():
    X = np.array([[1.0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 1]])
    assert np.linalg.matrix_rank(X) == 3
    model = fitted(X, 3, n_init=10, init="random", tol=1e-9, max_iter=5000)
    assert residual(model, X) == pytest.approx(0.27060, abs=1e-5)
    assert residual(fitted(X, 4, n_init=5, init="random", tol=1e-9, max_iter=5000), X) < 1e-6


@pytest.mark.parametrize(
    ("n", "rank", "one_lower"), [(5, 5, 0.115), (6, 5, 0.0945), (7, 6, 0.0479), (8, 6, 0.0459)]
)
def test_slack_matrices_of_regular_polygons(n, rank, one_lower):
    c = np.cos(np.pi / n) - np.cos(np.pi / n + 2 * np.pi * np.arange(n) / n)
    X = np.maximum(np.stack([np.roll(c, i) for i in range(n)]), 0)
    below = fitted(X, rank - 1, n_init=12, init="random", tol=1e-7, max_iter=3000)
    assert residual(below, X) == pytest.approx(one_lower, abs=6e-4)
    exact = fitted(X, rank, n_init=12, init="random", tol=1e-9, max_iter=3000)
    assert residual(exact, X) < 1e-3


def swimmer() -> np.ndarray:
    """256 images of a torso with four limbs in four positions each (Donoho and Stodden 2003): 17 disjoint parts."""
    positions = np.array(list(itertools.product(range(4), repeat=4)))
    limbs = np.kron(np.eye(16), np.ones(4))  # 16 limbs of 4 cells
    torso = np.ones((256, 6))
    drawn = sum(limbs[4 * limb + positions[:, limb]] for limb in range(4))
    return np.concatenate([drawn, torso], axis=1)


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
def test_swimmer_is_factorized_exactly(loss):
    X = swimmer()
    assert np.linalg.matrix_rank(X) == 13
    model = fitted(X, 17, loss=loss, n_init=8, init="random", tol=1e-8, max_iter=2000)
    assert residual(model, X) < 1e-4
    below = fitted(X, 12, loss=loss, n_init=2, init="random", tol=1e-6, max_iter=1000)
    svd = np.linalg.svd(X, compute_uv=False)
    assert residual(below, X) >= np.sqrt((svd[12:] ** 2).sum() / (svd**2).sum()) - 1e-9


@pytest.mark.parametrize(("a", "rank"), [(1.5, 3), (2.5, 4), (3.5, 5)])
def test_nested_hexagons(a, rank):
    """The slack matrix of a hexagon in a hexagon: rank 3, non-negative rank growing with a (Gillis, Glineur 2012)."""
    row = np.array([1, a, 2 * a - 1, 2 * a - 1, a, 1])
    X = np.stack([np.roll(row, i) for i in range(6)])
    assert np.linalg.matrix_rank(X) == 3
    exact = fitted(X, rank, n_init=20, init="random", tol=1e-9, max_iter=5000)
    assert residual(exact, X) < 1e-3
    if rank > 3:
        below = fitted(X, rank - 1, n_init=20, init="random", tol=1e-9, max_iter=5000)
        assert residual(below, X) > 5e-3


def test_planted_separable_parts_are_recovered():
    rng = np.random.default_rng(0)
    H = rng.gamma(0.3, 1.0, (4, 30))
    W = np.concatenate([np.eye(4), rng.dirichlet(np.ones(4), 200)])
    for data in (W @ H, sp.csr_array(W @ H)):
        model = fitted(data, 4, init="separable", tol=1e-8, max_iter=2000)
        assert ((directions(model.components_) @ directions(H).T).max(axis=0) > 1 - 1e-6).all()


def test_one_multiplicative_step_is_the_oracles():
    X = planted()
    for beta in (2, 1, 0, -1, 0.5, 1.5, 3):
        W0, H0 = ref.start(X, 3)
        model = fitted(X, loss=beta, solver="mu", max_iter=1, tol=0, fit={"W_init": W0, "H_init": H0})
        W1, H1 = ref.mu_step(X, W0, H0, beta)
        assert relative(directions(model.components_), directions(H1)) < 1e-10
        assert model.history_["loss"][0] == pytest.approx(ref.loss(X, W1, H0, beta), rel=1e-10)


@pytest.mark.parametrize("masked", [False, True])
def test_one_sweep_of_hals_is_the_oracles(masked, monkeypatch):
    from nonneg.solvers import select

    monkeypatch.setattr(select, "DENSE_SWEEPS", 1)
    X = planted()
    W0, H0 = ref.start(X, 3)
    weights = np.random.default_rng(1).random(X.shape) if masked else None
    given = {"W_init": W0, "H_init": H0, "weights": weights}
    model = fitted(X, solver="hals", max_iter=1, tol=0, fit=given)
    wanted = ref.hals_step(X, W0, H0, weights)[1]
    assert relative(directions(model.components_), directions(wanted)) < 1e-9
