"""From the user's argument to one object: reading it, adding it up, refusing what cannot be added."""

import math

import numpy as np
import pytest
from penalty_cases import ALL, HAS_GRADIENT, N, feasible, ring, shape

from nonneg.exceptions import IncompatibleError
from nonneg.penalties import (
    L1,
    L2,
    Box,
    ElasticNet,
    GraphLaplacian,
    Group,
    HoyerSparsity,
    MinimumVolume,
    Orthogonality,
    Simplex,
    Smoothness,
    UnitNorm,
    as_penalties,
    combine,
    factor_to_normalise,
)

BOTH = pytest.mark.parametrize("factor", ["W", "H"])


@pytest.mark.parametrize(
    ("arg", "expected"),
    [
        (None, ()),
        (0.5, (L2(0.5),)),
        (0, (L2(0),)),
        (np.float32(0.5), (L2(0.5),)),
        (L1(1.0), (L1(1.0),)),
        ([L1(1.0), 2.0], (L1(1.0), L2(2.0))),
        ((), ()),
    ],
)
def test_what_a_user_may_write(arg, expected):
    assert as_penalties(arg) == expected


@pytest.mark.parametrize(
    ("arg", "error", "message"),
    [
        ("l1", TypeError, "penalty_H must be None, a number .* such as L1.* got str"),
        (True, TypeError, "penalty_H must be None, a number"),
        (L1, TypeError, r"penalty_H got the class L1; give an object, for instance L1\("),
        ([L1(1.0), [L2(1.0)]], TypeError, r"penalty_H\[1\] must be .* got list"),
        ({"L1": 1.0}, TypeError, "got dict"),
        (np.array([1.0]), TypeError, "got ndarray"),
        (-1.0, ValueError, "penalty_H: a number is the strength of L2 and must be finite and >= 0, got -1.0"),
        ([float("nan")], ValueError, r"penalty_H\[0\]: a number"),
    ],
)
def test_what_a_user_may_not_write(arg, error, message):
    with pytest.raises(error, match=message):
        combine(arg, "H")


def test_the_factor_is_checked():
    with pytest.raises(ValueError, match="factor must be 'W' or 'H', got 'X'"):
        combine(None, "X")


@pytest.mark.parametrize(
    ("arg", "both"),
    [
        ([Simplex(), Group(0.1)], ("Simplex", "Group")),
        ([UnitNorm(), HoyerSparsity(0.5)], ("UnitNorm", "HoyerSparsity")),
        ([Simplex(), Simplex()], ("Simplex", "Simplex")),
        ([Box(0, 0.5), Simplex()], ("Simplex", "Box")),
        ([Box(0, 0.5), Box(0.7, 1.0)], ("Box", "Box")),
    ],
)
def test_two_sets_on_one_factor_are_refused_by_name(arg, both):
    with pytest.raises(IncompatibleError) as caught:
        combine(arg, "W")
    text = str(caught.value)
    assert text.startswith("penalty_W: ")
    assert all(name in text for name in both)
    assert any(word in text for word in ("Keep one", "widen"))


def test_what_has_no_effect_is_left_out():
    c = combine([L1(0.0), L2(0), Smoothness(0.0), MinimumVolume(0.0), Box(0.0, math.inf), Group(0.0)], "W")
    assert not c
    assert c.penalties == ()
    assert (c.linear, c.diagonal, c.low, c.high) == (0.0, 0.0, 0.0, math.inf)
    assert (c.kinds, c.proximal, c.has_bounds) == (frozenset(), None, False)
    assert (c.separable, c.by_component, c.fixes_scale, c.scale_free, c.convex) == (
        "rows",
        True,
        False,
        True,
        True,
    )
    V = np.random.default_rng(0).random((4, 2))
    assert c.value(V) == 0.0
    np.testing.assert_array_equal(c.gradient(V), 0 * V)
    np.testing.assert_array_equal(c.gram(V), np.zeros((2, 2)))
    np.testing.assert_array_equal(c.prox(V - 0.5, 1.0), np.maximum(V - 0.5, 0))


def test_coordinate_parts_add_and_bounds_intersect():
    c = combine([L1(0.5), ElasticNet(1.0, 0.25), 2.0, Box(0.1, 3.0), Box(0.0, 2.0)], "H")
    assert c.linear == pytest.approx(0.75)
    assert c.diagonal == pytest.approx(2.75)
    assert (c.low, c.high, c.has_bounds) == (0.1, 2.0, True)
    assert c.kinds == {"coordinate"}


@BOTH
def test_sums_of_values_and_gradients(factor):
    parts = [HAS_GRADIENT[name](factor) for name in HAS_GRADIENT if "box" not in name]
    c = combine(parts, factor)
    V = np.random.default_rng(0).random(shape(factor))
    assert c.value(V) == pytest.approx(sum(p.value(V, factor) for p in parts), rel=1e-12)
    total = sum(p.gradient(V, factor) for p in parts)
    np.testing.assert_allclose(c.gradient(V), total, rtol=1e-12)
    coordinate = sum(p.gradient(V, factor) for p in c.coordinates)
    np.testing.assert_allclose(c.coupled_gradient(V), total - coordinate, rtol=1e-10, atol=1e-12)
    gram = c.diagonal * np.eye(3) + sum(p.quadratic(V, factor) for p in c.quadratics)
    np.testing.assert_allclose(c.gram(V), gram, rtol=1e-12)
    for dtype in (np.float32, np.float64):
        U = V.astype(dtype)
        assert {a.dtype for a in (c.gradient(U), c.coupled_gradient(U), c.gram(U), c.prox(U, 0.1))} == {
            np.dtype(dtype)
        }


@BOTH
def test_lipschitz_bound_makes_a_step_that_descends(factor):
    graph = GraphLaplacian(0.5, ring(shape(factor)[0 if factor == "W" else 1]))
    c = combine([Smoothness(0.3), graph, Orthogonality(0.7), MinimumVolume(0.4, 0.1)], factor)
    rng = np.random.default_rng(0)
    for size in (0.1, 1.0, 10.0):
        V = size * rng.random(shape(factor))
        U = np.maximum(V - c.coupled_gradient(V) / c.lipschitz(V), 0)
        assert c.value(U) < c.value(V)


PROX_SUMS = [
    [L1(0.3), L2(0.5)],
    [L1(0.3), L2(2.0), Group(0.4)],
    [ElasticNet(0.7), Group(0.4, over="items")],
    [L2(3.0), Simplex()],
    [L1(0.3), L2(0.5), UnitNorm("l1")],
    [L1(0.5), L2(0.5), UnitNorm("l2")],
    [L1(0.3), L2(0.8), HoyerSparsity(0.5)],
    [L1(0.3), L2(0.8), Box(0.1, 0.7)],
]


@pytest.mark.parametrize("parts", PROX_SUMS, ids=lambda parts: "+".join(type(p).__name__ for p in parts))
@pytest.mark.parametrize("step", [0.05, 1.0, 20.0])
@BOTH
def test_prox_of_a_sum_is_exact(parts, step, factor):
    c = combine(parts, factor)
    rng = np.random.default_rng(0)
    for size in (0.3, 3.0):
        V = size * rng.standard_normal(shape(factor))
        U = c.prox(V, step)

        def objective(A, V=V):
            return 0.5 * np.square(A - V).sum() + step * c.value(A)

        best = objective(U)
        assert math.isfinite(best)
        for spread in (1e-4, 1e-2, 1.0):
            for _ in range(20):
                other = np.maximum(U + spread * rng.standard_normal(U.shape), 0)
                if c.proximal is not None and c.proximal.is_constraint:
                    other = c.proximal.prox(other, 0.0, factor)
                other = np.clip(other, c.low, c.high)
                assert best <= objective(other) + 1e-10 * (1 + best)


def _least_squares(seed=0, n=N, m=40, k=3):
    """A strictly convex problem in W: ½‖X − W H‖² / (n m)."""
    rng = np.random.default_rng(seed)
    H = rng.random((k, m))
    X = np.maximum(rng.random((n, k)) @ H + 0.3 * rng.standard_normal((n, m)), 0)
    return H @ H.T / (n * m), X @ H.T / (n * m)


STATIONARY = [
    [],
    [L1(0.05)],
    [L1(0.02), L2(0.1), Orthogonality(0.01)],
    [Box(0.1, 0.5), L1(0.01)],
    [Group(0.03)],
    [Group(0.03, "items"), L2(0.1)],
    [Simplex(), Smoothness(0.05)],
    [UnitNorm("l1"), L2(0.1)],
    [GraphLaplacian(0.1, ring(N)), MinimumVolume(0.01, 0.1), L1(0.001)],
]


@pytest.mark.parametrize(
    "parts", STATIONARY, ids=lambda parts: "+".join(type(p).__name__ for p in parts) or "none"
)
def test_stationarity_vanishes_at_a_solution_and_only_there(parts):
    c = combine(parts, "W")
    G, B = _least_squares()
    W = c.prox(np.ones((N, 3)), 0.0)
    start = np.abs(c.stationarity(W, W @ G - B)).max()
    for _ in range(6000):
        step = 1.0 / (np.linalg.eigvalsh(G)[-1] + c.lipschitz(W))
        W = c.prox(W - step * (W @ G - B + c.coupled_gradient(W)), step)
    end = np.abs(c.stationarity(W, W @ G - B)).max()
    assert start > 1e-3
    assert end < 1e-8


def test_stationarity_is_the_contracts_without_constraints():
    c = combine([L1(0.1), L2(0.2)], "H")
    rng = np.random.default_rng(0)
    H, gradient = rng.random((3, 5)), rng.standard_normal((3, 5))
    full = gradient + c.gradient(H)
    np.testing.assert_array_equal(c.stationarity(H, gradient), np.minimum(H, full))
    d = np.array([0.5, 1.0, 4.0])
    np.testing.assert_allclose(
        c.stationarity(H, gradient, d), np.minimum(H * d[:, None], full / d[:, None]), rtol=1e-15
    )
    np.testing.assert_allclose(
        combine(0.2, "W").stationarity(H.T, gradient.T, d),
        combine(0.2, "H").stationarity(H, gradient, d).T,
        rtol=1e-15,
    )


@pytest.mark.parametrize("name", ALL)
@BOTH
def test_rescaled_and_keep(name, factor):
    penalty = ALL[name](factor)
    c = combine([penalty, Orthogonality(0.3)], factor)
    V = feasible(penalty, factor)
    there = c.rescaled(2.0, 5.0)
    assert there.value(2.0 * V) == pytest.approx(5.0 * c.value(V), rel=1e-12)
    kept = c.keep(p for p in c.penalties if p is penalty)
    assert kept.penalties == (penalty,)
    assert (kept.factor, kept.name) == (c.factor, c.name)


def test_properties_of_a_sum_are_those_of_its_worst_part():
    c = combine([L1(0.1), Smoothness(0.1)], "W")
    assert (c.separable, c.by_component, c.fixes_scale, c.scale_free, c.convex) == (
        "none",
        True,
        False,
        False,
        True,
    )
    c = combine([L1(0.1), Simplex()], "W")
    assert (c.separable, c.by_component, c.fixes_scale) == ("rows", False, True)
    assert combine([Orthogonality(1.0)], "W").convex is False
    assert combine([HoyerSparsity(0.3)], "W").scale_free is True


def test_validate_asks_every_part():
    c = combine([L1(0.1), GraphLaplacian(1.0, ring(5))], "W")
    c.validate((5, 2))
    with pytest.raises(
        ValueError, match=r"GraphLaplacian on W needs a graph over the 6 samples, got one with 5"
    ):
        c.validate((6, 2))
    with pytest.raises(ValueError, match=r"GraphLaplacian on H needs a graph over the 7 features"):
        combine(GraphLaplacian(1.0, ring(5)), "H").validate((2, 7))


@pytest.mark.parametrize(
    ("on_W", "on_H", "expected"),
    [
        (None, None, None),
        (None, L1(0.1), "W"),
        (Orthogonality(0.1), None, "H"),
        (L1(0.1), L2(0.1), None),
        (Simplex(), L1(0.1), None),
        (None, Simplex(), None),
        (L1(0.1), UnitNorm(), None),
        (None, [L1(0.1), Box(0.0, 1.0)], None),
        (HoyerSparsity(0.5), L1(0.1), "W"),
        (HoyerSparsity(0.5), None, None),
        (L1(0.0), L1(0.1), "W"),
        (None, MinimumVolume(0.1), "W"),
        (Group(0.1), None, "H"),
    ],
)
def test_which_factor_is_normalised(on_W, on_H, expected):
    assert factor_to_normalise(combine(on_W, "W"), combine(on_H, "H")) == expected
