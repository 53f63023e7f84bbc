"""Projections: feasible, idempotent, no feasible point nearer, and equal to slow independent algorithms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nonneg.penalties import HoyerSparsity, Simplex, UnitNorm
from nonneg.penalties.projections import hoyer_sum, project_hoyer, project_simplex, project_sphere

FINITE = st.floats(-50, 50, allow_nan=False, width=32).map(float)
ROWS = st.integers(2, 7).flatmap(lambda d: arrays(np.float64, (3, d), elements=FINITE))
LEVEL = st.one_of(st.floats(0.0, 1.0), st.sampled_from([0.0, 0.5, 1.0]))


def naive_simplex(y, total):
    """By bisection on the shift: slow, and nothing in common with sorting."""
    low, high = y.min() - total - 1.0, y.max()
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if np.maximum(y - middle, 0).sum() > total else (low, middle)
    return np.maximum(y - high, 0)


def hoyer_2004(y, level):
    """Hoyer's own loop for a unit vector: hyperplane, sphere, drop the negative cells, again."""
    d = len(y)
    c = hoyer_sum(level, d)
    zero = np.zeros(d, bool)
    s = y + (c - y.sum()) / d
    for _ in range(d + 1):
        middle = np.where(zero, 0.0, c / (d - zero.sum()))
        w = s - middle
        # ‖middle + α w‖² = 1, the larger root
        a, b, e = w @ w, middle @ w, middle @ middle - 1.0
        if a <= 1e-20:
            return None
        s = middle + (-b + math.sqrt(max(b * b - a * e, 0.0))) / a * w
        if s.min() >= -1e-13:
            return np.maximum(s, 0)
        zero |= s < 0
        s[zero] = 0
        s[~zero] += (c - s.sum()) / (d - zero.sum())
    return None


def sparsity(u):
    d = len(u)
    return (math.sqrt(d) - u.sum() / np.linalg.norm(u)) / (math.sqrt(d) - 1)


@given(ROWS, st.floats(0.01, 20))
@settings(max_examples=150, deadline=None)
def test_simplex_equals_bisection(Y, total):
    U = project_simplex(Y, total)
    assert U.min() >= 0
    np.testing.assert_allclose(U.sum(axis=1), total, rtol=1e-13)
    np.testing.assert_allclose(U, [naive_simplex(y, total) for y in Y], atol=1e-10)
    np.testing.assert_allclose(project_simplex(U, total), U, atol=1e-12 * total)


@given(ROWS, st.floats(0.01, 20), st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_no_point_of_the_sphere_is_nearer(Y, radius, seed):
    U = project_sphere(Y, radius)
    assert U.min() >= 0
    np.testing.assert_allclose(np.linalg.norm(U, axis=1), radius, rtol=1e-13)
    np.testing.assert_allclose(project_sphere(U, radius), U, rtol=1e-12, atol=1e-14 * radius)
    others = np.abs(np.random.default_rng(seed).standard_normal((300, Y.shape[1])))
    others[: Y.shape[1]] = np.eye(Y.shape[1])
    others *= radius / np.linalg.norm(others, axis=1, keepdims=True)
    _nothing_nearer(Y, U, others)


@given(ROWS, LEVEL, st.integers(0, 2**32 - 1))
@settings(max_examples=300, deadline=None)
def test_no_point_of_the_hoyer_cone_is_nearer(Y, level, seed):
    U = project_hoyer(Y, level)
    d = Y.shape[1]
    assert U.min() >= 0
    for u in U[np.linalg.norm(U, axis=1) > 0]:
        assert sparsity(u) == pytest.approx(level, abs=1e-7)
    # points of the cone by the independent algorithm, from all sides, with the best length each
    starts = np.random.default_rng(seed).standard_normal((100, d))
    units = [hoyer_2004(s, level) for s in [*Y, *starts]]
    units = np.array([u for u in units if u is not None and abs(sparsity(u) - level) < 1e-9]).reshape(-1, d)
    for y, u in zip(Y, U, strict=True):
        lengths = np.maximum(units @ y, 0)[:, None]
        _nothing_nearer(y[None], u[None], lengths * units, within=1e-6)  # theirs leave the cone by as much
    np.testing.assert_allclose(project_hoyer(U, level), U, atol=1e-6 * (1 + np.abs(U).max()))


def _nothing_nearer(Y, U, others, within=1e-7):
    for y, u in zip(Y, U, strict=True):
        mine = np.linalg.norm(u - y)
        theirs = np.linalg.norm(others - y, axis=1)
        assert not len(theirs) or mine <= theirs.min() + within * (1 + mine)


@pytest.mark.parametrize("level", [0.1, 0.4, 0.75, 0.95])
def test_hoyer_equals_hoyers_own_loop(level):
    Y = np.random.default_rng(0).standard_normal((40, 25)) + 1.0
    U = project_hoyer(Y, level)
    compared = 0
    for y, u in zip(Y, U, strict=True):
        unit = hoyer_2004(y, level)
        np.testing.assert_allclose(u, max(unit @ y, 0) * unit, atol=1e-9)
        compared += 1
    assert compared == 40


@pytest.mark.parametrize("level", [0.0, 0.3, 0.8, 1.0])
@pytest.mark.parametrize("d", [2, 3, 5, 100, 784])
def test_hoyer_on_ties_and_extremes(level, d):
    rng = np.random.default_rng(0)
    Y = np.vstack(
        [np.ones(d), np.r_[np.ones(d - 1), 0.0], np.eye(d)[1], 1 + np.arange(d) // 2, rng.random(d)]
    )
    U = project_hoyer(Y, level)
    assert [sparsity(u) for u in U] == pytest.approx([level] * len(U), abs=1e-7)
    # the objective ⟨u, y⟩ on a constant row is c whatever the tie-break
    unit = U[0] / np.linalg.norm(U[0])
    assert unit.sum() == pytest.approx(hoyer_sum(level, d), rel=1e-9)
    np.testing.assert_array_equal(
        project_hoyer(np.vstack([np.zeros(d), -np.ones(d)]), level), np.zeros((2, d))
    )


def test_level_one_keeps_the_largest_cell_and_level_zero_the_mean():
    Y = np.random.default_rng(3).random((5, 9))
    keep = np.zeros_like(Y)
    keep[np.arange(5), Y.argmax(axis=1)] = Y.max(axis=1)
    np.testing.assert_allclose(project_hoyer(Y, 1.0), keep, atol=1e-12)
    np.testing.assert_allclose(project_hoyer(Y, 0.0), np.broadcast_to(Y.mean(axis=1, keepdims=True), Y.shape))


@pytest.mark.parametrize("size", [1e300, 1e-300])
def test_extreme_sizes_stay_numbers(size):
    Y = size * np.array([[1.0, 2.0, -3.0], [2.0, 2.0, 1.0], [-1.0, -2.0, -3.0], [0.0, 0.0, 0.0]])
    for U in (project_simplex(Y), project_sphere(Y), project_hoyer(Y, 0.5)):
        assert np.isfinite(U).all()
    np.testing.assert_allclose(project_simplex(Y).sum(axis=1), 1.0)
    np.testing.assert_allclose(project_hoyer(Y, 0.5) / size, project_hoyer(Y / size, 0.5), rtol=1e-12)
    np.testing.assert_allclose(project_sphere(Y), project_sphere(Y / size), rtol=1e-12)
    huge = np.array([[1.7e308, -1.7e308, 1.7e308]])
    np.testing.assert_allclose(project_simplex(huge), [[0.5, 0.0, 0.5]])


def test_rows_without_a_positive_cell_on_the_sphere():
    U = project_sphere(np.array([[-3.0, -1.0, -2.0], [0.0, -1.0, 0.0], [0.0, 0.0, 0.0]]))
    root = math.sqrt(0.5)
    np.testing.assert_allclose(U, [[0, 1, 0], [root, 0, root], [3**-0.5] * 3])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("penalty", [Simplex(), UnitNorm(), UnitNorm("l1"), HoyerSparsity(0.7)])
@pytest.mark.parametrize("factor", ["W", "H"])
def test_the_projected_point_counts_as_feasible_in_its_own_precision(dtype, penalty, factor):
    shape = (3000, 5) if factor == "W" else (5, 3000)
    V = np.random.default_rng(0).random(shape).astype(dtype)
    assert penalty.value(penalty.prox(V, 1.0, factor), factor) == 0.0
    assert penalty.value(V, factor) == math.inf


def test_what_a_row_and_a_component_are():
    V = np.random.default_rng(0).random((6, 3))
    np.testing.assert_allclose(Simplex().prox(V, 1.0, "W").sum(axis=1), 1.0)
    np.testing.assert_allclose(Simplex().prox(V, 1.0, "H"), UnitNorm("l1").prox(V, 1.0, "H"))
    np.testing.assert_allclose(UnitNorm("l1").prox(V, 1.0, "W").sum(axis=0), 1.0)
    np.testing.assert_allclose(np.linalg.norm(UnitNorm().prox(V, 1.0, "W"), axis=0), 1.0)
    np.testing.assert_allclose(np.linalg.norm(UnitNorm().prox(V, 1.0, "H"), axis=1), 1.0)
    hoyer = HoyerSparsity(0.5).prox(V, 1.0, "W")
    assert [sparsity(u) for u in hoyer.T] == pytest.approx([0.5] * 3)
    with pytest.raises(ValueError, match=r"HoyerSparsity on W needs component vectors of length >= 2"):
        HoyerSparsity(0.5).prox(V[:1], 1.0, "W")


def test_negative_cells_violate():
    V = np.array([[1.5, -0.5], [0.5, 0.5]])
    assert Simplex().value(V, "W") == math.inf
    assert UnitNorm("l1").value(np.array([[2.0], [-1.0]]), "W") == math.inf
