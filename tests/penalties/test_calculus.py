"""Proxes minimise, gradients are derivatives, majorisers lie above and touch."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penalty_cases import ALL, HAS_GRADIENT, HAS_PROX, PROX, QUADRATIC, SMOOTH, feasible, shape
from scipy.optimize import minimize

import nonneg.penalties as pen

BOTH = pytest.mark.parametrize("factor", ["W", "H"])
STEP = st.floats(1e-3, 10)
SEED = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("name", HAS_PROX)
@BOTH
@given(step=STEP, seed=SEED)
@settings(max_examples=15, deadline=None)
def test_no_feasible_point_beats_the_prox(name, factor, step, seed):
    penalty = HAS_PROX[name](factor)
    rng = np.random.default_rng(seed)
    V = rng.standard_normal(shape(factor)) * rng.choice([0.1, 1.0, 10.0])
    U = penalty.prox(V, step, factor)
    assert U.min() >= 0
    best = _objective(penalty, U, V, step, factor)
    assert math.isfinite(best)
    for size in (1e-4, 1e-2, 1.0, 30.0):
        for _ in range(5):
            other = np.maximum(U + size * rng.standard_normal(U.shape), 0)
            other = penalty.prox(other, 0.0, factor)
            assert best <= _objective(penalty, other, V, step, factor) + 1e-9 * (1 + abs(best))


def _objective(penalty, U, V, step, factor):
    return 0.5 * np.square(U - V).sum() + step * penalty.value(U, factor)


@pytest.mark.parametrize("name", [n for n, make in HAS_PROX.items() if not make("H").is_constraint])
@BOTH
def test_prox_of_a_norm_equals_a_general_minimiser(name, factor):
    penalty = HAS_PROX[name](factor)
    rng = np.random.default_rng(0)
    for step in (0.1, 1.0, 5.0):
        V = rng.standard_normal(shape(factor))
        U = penalty.prox(V, step, factor)
        # started inside, where the norms are smooth; L-BFGS-B finds a value, the prox has to match it
        found = minimize(
            lambda u, V=V, step=step: _objective(penalty, u.reshape(V.shape), V, step, factor),
            np.full(V.size, 0.3),
            bounds=[(0, None)] * V.size,
            options={"maxiter": 500, "maxfun": 100000, "ftol": 1e-14},
        )
        mine = _objective(penalty, U, V, step, factor)
        assert mine <= found.fun + 1e-10
        assert mine == pytest.approx(found.fun, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("name", [n for n, make in HAS_PROX.items() if make("H").is_constraint])
@BOTH
def test_projections_are_idempotent_and_ignore_the_step(name, factor):
    penalty = HAS_PROX[name](factor)
    V = np.random.default_rng(0).standard_normal(shape(factor))
    U = penalty.prox(V, 0.0, factor)
    np.testing.assert_array_equal(U, penalty.prox(V, 1e6, factor))
    np.testing.assert_allclose(penalty.prox(U, 1.0, factor), U, atol=1e-12)


def test_group_switches_whole_groups_off():
    V = np.array([[3.0, 0.1, -1.0], [4.0, 0.1, -2.0]])
    np.testing.assert_allclose(pen.Group(1.0).prox(V, 1.0, "W"), [[2.4, 0, 0], [3.2, 0, 0]])
    np.testing.assert_allclose(pen.Group(1.0, "items").prox(V.T, 1.0, "W"), [[2.4, 3.2], [0, 0], [0, 0]])
    assert pen.Group(2.0).value(V[:, :1], "W") == pytest.approx(10.0)
    assert pen.Group(2.0, "items").value(V[:, :1], "W") == pytest.approx(14.0)


def test_formulas_on_two_by_two():
    V = np.array([[1.0, 2.0], [3.0, 5.0]])
    for penalty, on_W, on_H in (
        (pen.L1(2.0), 22.0, 22.0),
        (pen.L2(2.0), 39.0, 39.0),
        (pen.ElasticNet(2.0, 0.25), 0.25 * 22 + 0.75 * 39, 0.25 * 22 + 0.75 * 39),
        (pen.Smoothness(2.0), 2 * (4 + 9.0), 2 * (1 + 4.0)),
        (pen.GraphLaplacian(2.0, [[0, 3], [3, 0]]), 6 * (4 + 9.0), 6 * (1 + 4.0)),
        (pen.Orthogonality(2.0), 2 * 17.0, 2 * 13.0),
        (pen.MinimumVolume(2.0, 1.0), 2 * math.log(11 * 30 - 17**2), 2 * math.log(6 * 35 - 13**2)),
    ):
        assert penalty.value(V, "W") == pytest.approx(on_W, rel=1e-13)
        assert penalty.value(V, "H") == pytest.approx(on_H, rel=1e-13)


@pytest.mark.parametrize("name", HAS_GRADIENT)
@BOTH
@given(seed=SEED)
@settings(max_examples=10, deadline=None)
def test_gradient_is_the_derivative_and_the_parts_are_its_parts(name, factor, seed):
    penalty = HAS_GRADIENT[name](factor)
    V = np.random.default_rng(seed).uniform(0.2, 0.5, shape(factor))
    gradient = penalty.gradient(V, factor)
    numeric = np.zeros_like(V)
    for cell in np.ndindex(V.shape):
        E = np.zeros_like(V)
        E[cell] = 1e-6
        numeric[cell] = (penalty.value(V + E, factor) - penalty.value(V - E, factor)) / 2e-6
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-7)
    plus, minus = penalty.gradient_parts(V, factor)
    assert plus.min() >= 0
    assert minus.min() >= 0
    np.testing.assert_allclose(plus - minus, gradient, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", QUADRATIC)
@BOTH
@given(seed=SEED, size=st.sampled_from([1e-3, 1.0, 50.0]))
@settings(max_examples=25, deadline=None)
def test_quadratic_majorises_and_touches(name, factor, seed, size):
    penalty = QUADRATIC[name](factor)
    rng = np.random.default_rng(seed)
    V = size * rng.random(shape(factor))
    Q = penalty.quadratic(V, factor)
    k = shape(factor)[1 if factor == "W" else 0]
    assert Q.shape == (k, k)
    np.testing.assert_array_equal(Q, Q.T)
    assert np.diag(Q).min() >= 0

    def form(U):
        return 0.5 * np.trace(U @ Q @ U.T if factor == "W" else U.T @ Q @ U)

    offset = penalty.value(V, factor) - form(V)
    for spread in (1e-2, 1.0, 100.0):
        U = np.maximum(V + spread * size * rng.standard_normal(V.shape), 0)
        value = penalty.value(U, factor)
        assert value <= form(U) + offset + 1e-9 * (1 + abs(value) + abs(form(U)))


@pytest.mark.parametrize("name", SMOOTH)
@BOTH
@given(seed=SEED)
@settings(max_examples=25, deadline=None)
def test_lipschitz_bounds_the_gradient_and_is_not_wild(name, factor, seed):
    penalty = SMOOTH[name](factor)
    rng = np.random.default_rng(seed)
    U, V = rng.random(shape(factor)), rng.random(shape(factor))
    bound = penalty.lipschitz(factor, V.shape)
    change = np.linalg.norm(penalty.gradient(U, factor) - penalty.gradient(V, factor))
    assert change <= bound * np.linalg.norm(U - V) * (1 + 1e-12)
    # the worst direction, by power iteration on the (linear) gradient
    direction = rng.standard_normal(V.shape)
    for _ in range(300):
        direction = penalty.gradient(direction, factor)
        direction /= np.linalg.norm(direction)
    true = np.linalg.norm(penalty.gradient(direction, factor))
    assert bound <= 2.0 * true * (1 + 1e-6)
    if name == "smoothness":
        assert bound == pytest.approx(true, rel=1e-3)


@BOTH
def test_volume_of_nearly_parallel_and_huge_components(factor):
    penalty = pen.MinimumVolume(1.0, 1e-8)
    V = np.ones(shape(factor)) + 1e-9 * np.random.default_rng(0).random(shape(factor))
    for scale in (1e-10, 1.0, 1e10):
        value, Q = penalty.value(scale * V, factor), penalty.quadratic(scale * V, factor)
        assert math.isfinite(value)
        assert value >= 0
        assert np.isfinite(Q).all()
        assert np.linalg.eigvalsh(Q)[0] >= -1e-8 * np.abs(Q).max()


def test_steps_along_the_quadratic_lower_the_volume():
    rng = np.random.default_rng(0)
    penalty = pen.MinimumVolume(1.0, 0.1)
    H = rng.random((3, 6))
    values = [penalty.value(H, "H")]
    for _ in range(20):
        Q = penalty.quadratic(H, "H")
        H = np.maximum(H - Q @ H / np.linalg.eigvalsh(Q)[-1] * 0.5, 0)
        values.append(penalty.value(H, "H"))
    assert (np.diff(values) <= 1e-12).all()
    assert values[-1] < 0.5 * values[0]


def test_kinds_are_all_present():
    assert {make("H").kind for make in ALL.values()} == {"coordinate", "quadratic", "prox", "smooth"}
    assert all(feasible(PROX[name]("W"), "W").min() >= 0 for name in PROX)
