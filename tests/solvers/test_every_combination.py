"""What holds for every solver with every loss and kind of data that `select.py` allows."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest

import reference as ref
from matrix_cases import (
    COMBINATIONS,
    KINDS,
    LOSSES,
    MONOTONE,
    K,
    case,
    fitted,
    quietly,
    relative,
    residual_of,
)
from nonneg import NMF
from nonneg.losses import as_loss
from nonneg.penalties import (
    L1,
    L2,
    Box,
    ElasticNet,
    HoyerSparsity,
    MinimumVolume,
    Orthogonality,
    Simplex,
    Smoothness,
    UnitNorm,
)

FLOATS = [np.float64, np.float32]
EPS = {dtype: float(np.finfo(dtype).eps) for dtype in FLOATS}


def in_dtype(problem, dtype):
    """The problem with its cells in a dtype, and what the oracle then sees."""
    return replace(problem, X=problem.X.astype(dtype), exact=problem.exact.astype(dtype).astype(float))


@functools.cache
def solved(kind, loss, solver):
    """(case, model, W of fit_transform, β); shared by the tests of this file, which leave it alone."""
    problem = case(kind, loss)
    model = fitted(problem.X, loss=loss, solver=solver, fit=problem.fit, max_iter=200, **problem.init)
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


RISE = {np.float64: 1e-12, np.float32: 1e-5}


@pytest.mark.parametrize(("kind", "loss", "solver"), MONOTONE)
def test_the_loss_never_rises_in_float32(kind, loss, solver):
    problem = case(kind, loss)
    X = problem.X.astype(np.float32)
    model = fitted(X, loss=loss, solver=solver, fit=problem.fit, max_iter=60, tol=1e-4, **problem.init)
    assert model.components_.dtype == np.float32
    losses = model.history_["loss"]
    assert len(losses) > 2
    assert (losses[1:] <= losses[:-1] * (1 + RISE[np.float32])).all()


CELLWISE = {
    "L1 of W, L2 of H": {"penalty_W": L1(0.02), "penalty_H": L2(0.02)},
    "L2 of W": {"penalty_W": L2(0.05)},
    "elastic net and bounds": {"penalty_W": [ElasticNet(0.01, 0.5), Box(0, 2)], "penalty_H": Box(0, 5)},
}
STRUCTURED = {
    "simplex rows of W": {"penalty_W": Simplex()},
    "smooth H": {"penalty_H": Smoothness(0.05)},
    "small volume": {"penalty_H": MinimumVolume(0.05)},
    "orthogonal H": {"penalty_H": Orthogonality(0.05)},
    "sparse H": {"penalty_H": HoyerSparsity(0.5)},
    "unit rows of H": {"penalty_H": UnitNorm("l1")},
}


PENALISED = [(*combination, name) for combination in MONOTONE for name in CELLWISE]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("kind", "loss", "solver", "name"), PENALISED)
def test_the_penalised_loss_never_rises(kind, loss, solver, name, dtype):
    """`history_["loss"]` is that of accepted iterates with their penalties."""
    problem = in_dtype(case(kind, loss), dtype)
    parameters = {**problem.init, **CELLWISE[name]}
    model = fitted(problem.X, loss=loss, solver=solver, fit=problem.fit, max_iter=25, tol=1e-6, **parameters)
    losses = model.history_["loss"]
    assert len(losses) > 2
    assert (losses[1:] <= losses[:-1] * (1 + RISE[dtype])).all()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", STRUCTURED)
@pytest.mark.parametrize("kind", ["dense", "CSR", "rows"])
def test_the_loss_with_structure_never_rises(kind, name, dtype):
    problem = in_dtype(case(kind), dtype)
    model = fitted(problem.X, fit=problem.fit, max_iter=25, tol=1e-6, **STRUCTURED[name])
    losses = model.history_["loss"]
    assert len(losses) > 2
    assert (losses[1:] <= losses[:-1] * (1 + RISE[dtype])).all()


@pytest.mark.parametrize(("kind", "loss", "solver"), COMBINATIONS)
def test_reported_loss_is_the_oracles(kind, loss, solver):
    problem, model, W, beta = solved(kind, loss, solver)
    seen = problem.rows > 0
    weights = problem.weights * problem.rows[:, None]
    wanted = ref.loss(problem.exact[seen], W[seen], model.components_, beta, weights[seen])
    assert model.reconstruction_err_**2 / 2 == pytest.approx(wanted, rel=1e-6)
    score = -ref.loss(problem.exact, W, model.components_, beta, problem.weights) / problem.weights.sum()
    assert model.score(problem.X, **problem.given) == pytest.approx(score, rel=1e-6)


#: Multiplicative updates that are above 1e-4 after 2000 iterations on the small problem: components that die slowly.
SLOW = {("weights", "frobenius"), ("NaN", "itakura-saito"), ("dense", 3)}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("kind", "loss", "solver"), COMBINATIONS)
def test_converged_means_a_residual_below_the_tolerance(kind, loss, solver, dtype):
    """The oracle's residual, in float64 from the factors as returned, is at most 1e-4 (rounding: 1.05e-4).

    Without `converged_` it is above. In float64 all but als and the `SLOW` ones converge; in float32 updates may end
    for want of digits, and then say so.
    """
    small = solver in ("mu", "als")
    problem = in_dtype(case(kind, loss, **({"n": 12, "m": 6, "k": 2} if small else {})), dtype)
    model = NMF(2 if small else K, loss=loss, solver=solver, max_iter=2000, random_state=0, **problem.init)
    with quietly():
        W = model.fit_transform(problem.X, **problem.fit)
    H, beta = model.components_, as_loss(loss).beta
    assert model.tol == 1e-4 and W.dtype == H.dtype == dtype
    residual = residual_of(problem, W, H, beta)
    if kind != "rows":
        assert residual == pytest.approx(
            ref.kkt_residual(problem.exact, W, H, beta, problem.weights), rel=1e-9
        )
    assert model.kkt_residual_ == pytest.approx(
        residual, rel=1e-3 if dtype is np.float64 else 2e-2, abs=2 * EPS[dtype]
    )
    assert model.converged_ == (model.kkt_residual_ <= 1e-4)
    if model.converged_:
        assert residual <= 1.05e-4
    else:
        assert residual > 0.95e-4
        assert solver == "als" or (solver == "mu" and (dtype is np.float32 or (kind, loss) in SLOW))


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


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("kind", "loss", "solver"), COMBINATIONS)
def test_fit_transform_is_transform(kind, loss, solver, dtype, small_blocks):
    """Bit for bit, in float64 and float32, also far from 1: the last pass of `fit` *is* `transform`."""
    problem = case(kind, loss)
    far = -300 if dtype is np.float64 else -100
    for power in (0, far) if as_loss(loss).beta in (1, 2) else (far,):
        X = (problem.X * 2.0**power).astype(dtype)
        model = NMF(K, loss=loss, solver=solver, max_iter=12, random_state=0, **problem.init)
        with quietly():
            W = model.fit_transform(X, **problem.fit)
            again = fitted(X, loss=loss, solver=solver, max_iter=12, fit=problem.fit, **problem.init)
        assert W.dtype == dtype and W.any()
        assert np.array_equal(again.components_, model.components_)
        assert np.array_equal(again.transform(X, **problem.given), W)


RANKS = {
    "repeated rows": lambda H: H[[0, 1, 1, 2]],
    "a row of zeros": lambda H: np.concatenate([H, 0 * H[:1]]),
    "a sum of two others": lambda H: np.concatenate([H, H[:1] + 2 * H[1:2]]),
    "more rows than columns": lambda H: np.concatenate(
        [H, np.random.default_rng(0).random((10, H.shape[1]))]
    ),
}


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("kind", KINDS)
def test_W_is_that_of_scipy_for_components_without_full_rank(kind, rank):
    """W has many answers then, W H on the observed cells has one."""
    problem = case(kind)
    H = RANKS[rank](np.random.default_rng(1).gamma(0.7, 1.0, (K, problem.exact.shape[1])))
    k = len(H)
    model = fitted(
        problem.X, k, frozen=range(k), max_iter=1, fit={**problem.fit, "H_init": H}, **problem.init
    )
    assert np.array_equal(model.components_, H)
    W, exact = (
        model.transform(problem.X, **problem.given),
        ref.nnls_transform(problem.exact, H, problem.weights),
    )
    seen = problem.weights > 0
    assert (W >= 0).all()
    assert relative((W @ H)[seen], (exact @ H)[seen]) < 1e-6
    found, best = ((problem.weights * (problem.exact - V @ H) ** 2).sum(axis=1) for V in (W, exact))
    assert (found <= best + 1e-10 * problem.exact.max() ** 2).all()
