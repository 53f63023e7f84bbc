"""What holds for every solver with every loss and kind of data that `select.py` allows."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import reference as ref
from matrix_cases import COMBINATIONS, LOSSES, MONOTONE, K, case, fitted, quietly, relative
from nonneg.losses import as_loss


@functools.cache
def solved(kind, loss, solver):
    """(case, model, W of fit_transform, β); shared by the tests of this file, which leave it alone."""
    problem = case(kind, loss)
    model = fitted(
        problem.X, loss=loss, solver=solver, fit=problem.fit, max_iter=200, tol=1e-3, **problem.init
    )
    W = model.transform(problem.X, **problem.given)
    return problem, model, W, as_loss(loss).beta


def test_the_table_is_not_empty():
    assert {solver for _, _, solver in COMBINATIONS} >= {"hals", "mu", "anls", "als", "scd"}
    assert {(kind, loss) for kind, loss, _ in COMBINATIONS} >= {(k, b) for k in ("dense",) for b in LOSSES}


@pytest.mark.parametrize(("kind", "loss", "solver"), COMBINATIONS)
def test_result_is_finite_non_negative_and_of_the_right_shape(kind, loss, solver):
    problem, model, W, _ = solved(kind, loss, solver)
    assert model.components_.shape == (K, problem.X.shape[1]) and W.shape == (problem.X.shape[0], K)
    for V in (model.components_, W):
        assert V.dtype == np.float64 and np.isfinite(V).all() and (V >= 0).all()
    assert np.isfinite(model.reconstruction_err_) and np.isfinite(model.kkt_residual_)
    lengths = {len(column) for column in model.history_.values()}
    assert list(model.history_) == ["iteration", "loss", "kkt", "change", "seconds"] and lengths == {
        model.n_iter_
    }
    assert model.history_["iteration"].tolist() == list(range(1, model.n_iter_ + 1))
    assert all(np.isfinite(column).all() for column in model.history_.values())


@pytest.mark.parametrize(("kind", "loss", "solver"), MONOTONE)
def test_the_loss_never_rises(kind, loss, solver):
    _, model, _, _ = solved(kind, loss, solver)
    losses = model.history_["loss"]
    assert len(losses) > 2
    assert (losses[1:] <= losses[:-1] * (1 + 1e-12)).all()


@pytest.mark.parametrize(("kind", "loss", "solver"), MONOTONE)
def test_the_loss_never_rises_in_float32(kind, loss, solver):
    problem = case(kind, loss)
    X = problem.X.astype(np.float32)
    model = fitted(X, loss=loss, solver=solver, fit=problem.fit, max_iter=60, tol=1e-4, **problem.init)
    assert model.components_.dtype == np.float32
    losses = model.history_["loss"]
    assert len(losses) > 2
    assert (losses[1:] <= losses[:-1] * (1 + 1e-5)).all()


@pytest.mark.parametrize(("kind", "loss", "solver"), COMBINATIONS)
def test_reported_loss_is_the_oracles(kind, loss, solver):
    problem, model, W, beta = solved(kind, loss, solver)
    seen = problem.rows > 0
    weights = problem.weights * problem.rows[:, None]
    wanted = ref.loss(problem.exact[seen], W[seen], model.components_, beta, weights[seen])
    assert model.reconstruction_err_**2 / 2 == pytest.approx(wanted, rel=1e-6)
    score = -ref.loss(problem.exact, W, model.components_, beta, problem.weights) / problem.weights.sum()
    assert model.score(problem.X, **problem.given) == pytest.approx(score, rel=1e-6)


@pytest.mark.parametrize(("kind", "loss", "solver"), COMBINATIONS)
def test_kkt_residual_is_the_oracles_and_small_when_converged(kind, loss, solver):
    problem, model, W, beta = solved(kind, loss, solver)
    assert model.converged_ == (model.kkt_residual_ <= 1e-3)
    if kind != "rows":  # there the oracle weighs the gradient of W, which the library does not
        wanted = ref.kkt_residual(problem.exact, W, model.components_, beta, problem.weights)
        assert model.kkt_residual_ == pytest.approx(wanted, rel=1e-3, abs=1e-7)


@pytest.mark.parametrize(("kind", "loss", "solver"), COMBINATIONS)
def test_a_subset_of_rows_gets_the_same_answer(kind, loss, solver):
    problem, model, W, _ = solved(kind, loss, solver)
    rows = np.array([11, 3, 40])
    given = {name: value[rows] for name, value in problem.given.items()}
    assert relative(model.transform(problem.X[rows], **given), W[rows]) < 1e-8


@pytest.mark.parametrize(("kind", "loss", "solver"), COMBINATIONS)
def test_W_is_the_optimum_for_its_components(kind, loss, solver):
    problem, model, W, beta = solved(kind, loss, solver)
    H = model.components_
    if beta == 2:
        exact = ref.nnls_transform(problem.exact, H, problem.weights)
        grams = [(H * weights) @ H.T for weights in problem.weights]
        unique = np.array([np.linalg.cond(gram) < 1e6 for gram in grams])
        assert unique.sum() > 30 and relative(W[unique], exact[unique]) < 1e-6
        found, best = (problem.weights * (problem.exact - V @ H) ** 2 for V in (W, exact))
        assert (found.sum(axis=1) <= best.sum(axis=1) + 1e-8 * problem.exact.max() ** 2).all()
        return
    if beta == 1:  # stationarity: the observed sums of WH are those of X
        sums = [(problem.weights * Y).sum(axis=1) for Y in (W @ H, problem.exact)]
        full = ((problem.weights * problem.exact) > 0).sum(axis=1) > K  # the others have many answers
        np.testing.assert_allclose(sums[0][full], sums[1][full], rtol=1e-6)
        np.testing.assert_allclose(*sums, rtol=1e-3)
    # no multiplicative step improves it
    better = ref.mu_W(problem.exact, W, H, beta, problem.weights)
    now = ref.loss(problem.exact, W, H, beta, problem.weights)
    then = ref.loss(problem.exact, better, H, beta, problem.weights)
    assert then >= now * (1 - 1e-6)


@pytest.mark.parametrize(("kind", "loss", "solver"), [c for c in COMBINATIONS if c[0] in ("dense", "NaN")])
def test_fit_transform_is_transform(kind, loss, solver):
    problem, model, W, _ = solved(kind, loss, solver)
    again = fitted(
        problem.X, loss=loss, solver=solver, fit=problem.fit, max_iter=200, tol=1e-3, **problem.init
    )
    assert np.array_equal(again.components_, model.components_)  # same seed, same bits
    with quietly():
        both = again.fit_transform(problem.X, **problem.fit)
    assert relative(both, W) < 1e-6
