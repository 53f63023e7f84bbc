"""What every penalty promises, run over every class and both factors."""

import copy
import json
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from penalty_cases import ALL, HAS_GRADIENT, HAS_PROX, QUADRATIC, SMOOTH, feasible, shape
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import ParameterGrid

import nonneg.penalties as pen
from nonneg.penalties.base import KINDS

BOTH = pytest.mark.parametrize("factor", ["W", "H"])
EVERY = pytest.mark.parametrize("name", ALL)


def test_every_public_class_is_covered():
    kinds = {pen.Penalty, pen.CoordinatePenalty, pen.QuadraticPenalty, pen.ProxPenalty, pen.SmoothPenalty}
    public = {
        obj
        for obj in vars(pen).values()
        if isinstance(obj, type) and issubclass(obj, pen.Penalty) and obj not in kinds
    }
    assert public == {type(make("H")) for make in ALL.values()}


@EVERY
@BOTH
def test_copies_are_equal_and_pickle_and_json_round_trip(name, factor):
    penalty = ALL[name](factor)
    for other in (
        clone(penalty),
        copy.deepcopy(penalty),
        pickle.loads(pickle.dumps(penalty)),
        pen.Penalty.from_dict(json.loads(json.dumps(penalty.to_dict(), allow_nan=False))),
        ALL[name](factor),
    ):
        assert other is not penalty
        assert other == penalty
        V = feasible(penalty, factor)
        assert other.value(V, factor) == penalty.value(V, factor)
    assert type(penalty).__name__ in repr(penalty)
    assert len(repr(penalty)) < 200


@EVERY
def test_a_changed_argument_makes_another_penalty(name):
    penalty = ALL[name]("H")
    number = next(k for k, v in penalty.get_params().items() if isinstance(v, float))
    other = clone(penalty).set_params(**{number: getattr(penalty, number) * 0.5 + 0.01})
    assert other != penalty
    assert penalty == ALL[name]("H")
    assert penalty != "something else"


@EVERY
@BOTH
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_type_layout_and_input_are_kept(name, factor, dtype, order):
    penalty = ALL[name](factor)
    V = np.asarray(feasible(penalty, factor), dtype=dtype, order=order)
    V.setflags(write=False)
    outputs = []
    if name in HAS_PROX:
        outputs += [penalty.prox(V, 0.5, factor)]
    if name in HAS_GRADIENT:
        outputs += [penalty.gradient(V, factor), *penalty.gradient_parts(V, factor)]
    assert outputs
    for out in outputs:
        assert out.dtype == dtype
        assert out.shape == V.shape
        assert out.flags["C_CONTIGUOUS"]
        assert not np.shares_memory(out, V)
    if name in QUADRATIC:
        assert penalty.quadratic(V, factor).dtype == dtype
    assert isinstance(penalty.value(V, factor), float)
    if not penalty.is_constraint:
        in_double = penalty.value(V.astype(np.float64), factor)
        assert penalty.value(V, factor) == pytest.approx(in_double, rel=1e-5)


@EVERY
@BOTH
def test_integers_are_taken_as_float64(name, factor):
    penalty = ALL[name](factor)
    V = np.ones(shape(factor), dtype=int)
    method = penalty.prox(V, 1.0, factor) if name in HAS_PROX else penalty.gradient(V, factor)
    assert method.dtype == np.float64


@EVERY
@BOTH
@pytest.mark.parametrize("c", [0.25, 3.0])
def test_rescaled_changes_the_unit_and_the_weight(name, factor, c):
    penalty = ALL[name](factor)
    V = feasible(penalty, factor)
    there = penalty.rescaled(c, 2.0)
    assert there.value(c * V, factor) == pytest.approx(2.0 * penalty.value(V, factor), rel=1e-12, abs=1e-12)
    if penalty.is_constraint and penalty.degree is None:
        assert np.isinf(max(there.value(V, factor), penalty.rescaled(1 / c).value(V, factor)))


@EVERY
@BOTH
def test_degree_is_the_degree(name, factor):
    penalty = ALL[name](factor)
    V = feasible(penalty, factor)
    before, after = penalty.value(V, factor), penalty.value(3.0 * V, factor)
    if penalty.degree is None and penalty.is_constraint:
        assert np.isinf(max(after, penalty.value(V / 3.0, factor)))
    elif penalty.degree is None:
        assert all(after != pytest.approx(3.0**d * before, rel=1e-3, abs=1e-9) for d in (0, 1, 2))
    else:
        assert after == pytest.approx(3.0**penalty.degree * before, rel=1e-12, abs=1e-12)


@EVERY
def test_separable_rows_means_just_that(name):
    penalty = ALL[name]("W")
    if name in SMOOTH and isinstance(penalty, pen.GraphLaplacian):
        assert penalty.separable("W") == "none"
        return
    V = np.random.default_rng(1).standard_normal(shape("W"))
    together, alone = _together_and_alone(penalty, V, [V[[i]] for i in range(len(V))], np.vstack)
    same = np.allclose(together, alone, rtol=1e-12, atol=1e-12)
    assert same == (penalty.separable("W") == "rows")


@EVERY
@BOTH
def test_by_component_means_just_that(name, factor):
    penalty = ALL[name](factor)
    V = np.random.default_rng(1).standard_normal(shape(factor))
    k = V.shape[1] if factor == "W" else V.shape[0]
    pieces = [V[:, [j]] if factor == "W" else V[[j]] for j in range(k)]
    stack = np.hstack if factor == "W" else np.vstack
    together, alone = _together_and_alone(penalty, V, pieces, stack, factor)
    assert np.allclose(together, alone, rtol=1e-12, atol=1e-12) == penalty.by_component(factor)


def _together_and_alone(penalty, V, pieces, stack, factor="W"):
    """A result on the whole matrix, and the same put together from pieces."""
    if isinstance(penalty, pen.HoyerSparsity) and pieces[0].shape[0 if factor == "W" else 1] < 2:
        return 0.0, 1.0
    if hasattr(penalty, "prox"):
        return penalty.prox(V, 0.5, factor), stack([penalty.prox(p, 0.5, factor) for p in pieces])
    V = np.abs(V)
    return penalty.value(V, factor), sum(penalty.value(np.abs(p), factor) for p in pieces)


@EVERY
@BOTH
def test_convex_ones_lie_below_their_chords(name, factor):
    penalty = ALL[name](factor)
    gaps = []
    for seed in range(200):
        A, B = feasible(penalty, factor, seed), (1 + seed % 3) * feasible(penalty, factor, seed + 1000)
        if penalty.is_constraint:
            B = penalty.prox(B, 0.0, factor)
        chord = 0.5 * (penalty.value(A, factor) + penalty.value(B, factor))
        gaps.append(penalty.value(0.5 * (A + B), factor) - chord)
    # the volume bends downwards and the overlap both ways, but only in some directions
    assert (max(gaps) <= 1e-9) == penalty.convex


@EVERY
@BOTH
def test_scale_is_fixed_exactly_where_scaling_a_component_is_punished_both_ways(name, factor):
    penalty = ALL[name](factor)
    V = feasible(penalty, factor)
    up, down = V.copy(), V.copy()
    (up if factor == "W" else up.T)[:, 0] *= 4.0
    (down if factor == "W" else down.T)[:, 0] *= 0.25
    infinite = [np.isinf(penalty.value(v, factor)) for v in (up, down)]
    assert any(infinite) == penalty.fixes_scale(factor)


@EVERY
@BOTH
@pytest.mark.parametrize("k", [0, 1])
def test_a_single_component_and_none(name, factor, k):
    penalty = ALL[name](factor)
    full = shape(factor)
    V = np.random.default_rng(0).random((full[0], k) if factor == "W" else (k, full[1]))
    if k == 0 and isinstance(penalty, pen.Simplex) and factor == "W":
        return  # rows without cells cannot sum to one
    out = penalty.prox(V, 1.0, factor) if name in HAS_PROX else penalty.gradient(V, factor)
    assert out.shape == V.shape
    assert np.isfinite(out).all()
    assert np.isfinite(penalty.value(out if penalty.is_constraint else V, factor))


@EVERY
@BOTH
def test_a_zero_factor_is_no_trouble(name, factor):
    penalty = ALL[name](factor)
    V = np.zeros(shape(factor))
    if name in HAS_PROX:
        out = penalty.prox(V, 1.0, factor)
        assert np.isfinite(out).all()
        assert np.isfinite(penalty.value(out, factor))
    if name in HAS_GRADIENT:
        assert np.isfinite(penalty.gradient(V, factor)).all()
    if not penalty.is_constraint:
        assert penalty.value(V, factor) == 0.0


@EVERY
def test_kind_names_the_methods(name):
    penalty = ALL[name]("H")
    assert penalty.kind in KINDS
    offers = {
        "coordinate": ("linear", "quadratic_diag", "bounds", "prox", "gradient", "gradient_parts"),
        "quadratic": ("quadratic", "gradient", "gradient_parts"),
        "prox": ("prox",),
        "smooth": ("gradient", "gradient_parts", "lipschitz"),
    }[penalty.kind]
    assert all(callable(getattr(penalty, method)) for method in offers)


STRENGTHS = [pen.L1, pen.L2, pen.ElasticNet, pen.Group, pen.Smoothness, pen.Orthogonality, pen.MinimumVolume]


@pytest.mark.parametrize("cls", STRENGTHS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0, -1e-300, np.float32("nan")])
def test_bad_strengths_are_refused_by_name(cls, bad):
    with pytest.raises(ValueError, match=rf"{cls.__name__}: strength must be a finite number >= 0, got"):
        cls(bad)


@pytest.mark.parametrize("cls", STRENGTHS)
@pytest.mark.parametrize("bad", ["0.1", None, True, [1.0], 1 + 2j, np.array([1.0])])
def test_strengths_of_another_type_are_refused(cls, bad):
    with pytest.raises(TypeError, match=rf"{cls.__name__}: strength must be .* of type {type(bad).__name__}"):
        cls(bad)


@pytest.mark.parametrize("good", [0, 2, 0.5, np.float32(0.5), np.int64(3), 1e300])
@pytest.mark.parametrize("cls", STRENGTHS)
def test_numbers_of_any_real_type_are_kept_as_given(cls, good):
    penalty = cls(good)
    assert penalty.strength is good
    assert clone(penalty) == penalty
    assert pen.Penalty.from_dict(json.loads(json.dumps(penalty.to_dict()))) == penalty


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: pen.ElasticNet(1.0, 1.5), ValueError, "ElasticNet: l1_ratio .* >= 0 and <= 1, got 1.5"),
        (lambda: pen.Group(1.0, over="rows"), ValueError, "Group: over must be one of 'components', 'items'"),
        (lambda: pen.Simplex(0.0), ValueError, "Simplex: total must be a finite number > 0"),
        (lambda: pen.UnitNorm("l3"), ValueError, "UnitNorm: norm must be one of 'l2', 'l1', got 'l3'"),
        (lambda: pen.UnitNorm("l2", -1), ValueError, "UnitNorm: radius"),
        (lambda: pen.Box(2.0, 1.0), ValueError, "Box: low must be <= high"),
        (lambda: pen.Box(-1.0, 1.0), ValueError, "Box: low must be a finite number >= 0"),
        (lambda: pen.Box(0.0, 0.0), ValueError, "Box: high must be a number > 0"),
        (lambda: pen.Box(0.0, float("nan")), ValueError, "Box: high"),
        (lambda: pen.HoyerSparsity(1.1), ValueError, "HoyerSparsity: level"),
        (lambda: pen.MinimumVolume(1.0, 0.0), ValueError, "MinimumVolume: delta must be a finite number > 0"),
        (lambda: pen.L1(0.1).set_params(strenght=1), ValueError, "L1 has no argument 'strenght'"),
        (
            lambda: pen.Penalty.from_dict({"name": "L7", "params": {}}),
            ValueError,
            "no penalty named 'L7'; known",
        ),
        (lambda: pen.Penalty.from_dict({"name": "Penalty", "params": {}}), ValueError, "no penalty named"),
        (lambda: pen.Penalty.from_dict([1]), ValueError, "expected a mapping"),
        (lambda: pen.L1(0.1).validate((3, 2), "V"), ValueError, "factor must be 'W' or 'H', got 'V'"),
    ],
)
def test_other_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_refused_change_changes_nothing():
    penalty = pen.ElasticNet(1.0, 0.5)
    with pytest.raises(ValueError, match="l1_ratio"):
        penalty.set_params(strength=2.0, l1_ratio=7.0)
    assert penalty == pen.ElasticNet(1.0, 0.5)


def test_set_params_recomputes_what_follows_from_the_arguments():
    A = np.ones((4, 4))
    penalty = pen.GraphLaplacian(1.0, A).set_params(graph=np.zeros((4, 4)))
    assert penalty.value(np.random.default_rng(0).random((4, 2)), "W") == 0.0


def test_inside_an_estimator_they_clone_and_grid_search():
    class Estimator(BaseEstimator):
        def __init__(self, penalty_H=None):
            self.penalty_H = penalty_H

    estimator = Estimator(penalty_H=pen.L1(0.1))
    for params in ParameterGrid({"penalty_H__strength": [0.5, 2]}):
        trial = clone(estimator).set_params(**params)
        assert trial.penalty_H == pen.L1(params["penalty_H__strength"])
    assert estimator.penalty_H == pen.L1(0.1)
    assert estimator.get_params()["penalty_H__strength"] == 0.1
    assert "L1(strength=0.1)" in repr(estimator)


def test_a_new_penalty_gets_the_common_behaviour_and_taken_names_are_refused():
    class Lasso4Test(pen.L1):
        """A subclass is a penalty of its own."""

    assert pen.Penalty.from_dict(Lasso4Test(0.2).to_dict()) == Lasso4Test(0.2)
    assert Lasso4Test(0.2) != pen.L1(0.2)
    with pytest.raises(TypeError, match="'L1' is already registered"):
        type("L1", (pen.L2,), {})


def test_a_bound_beyond_float32_is_no_bound():
    V = np.array([[-1.0, 3e38]], dtype=np.float32)
    np.testing.assert_array_equal(pen.Box(0.0, 1e300).prox(V, 1.0, "W"), np.maximum(V, 0))
    assert pen.Box(0.0, 1e300).value(np.abs(V), "W") == 0.0


def test_equality_looks_into_arrays():
    A = np.ones((3, 3))
    assert pen.GraphLaplacian(1.0, A) == pen.GraphLaplacian(1.0, sp.csr_array(A))
    assert pen.GraphLaplacian(1.0, A) != pen.GraphLaplacian(1.0, np.eye(3)[::-1])
    assert pen.GraphLaplacian(1.0, A) != pen.GraphLaplacian(1.0, np.ones((4, 4)))
    with pytest.raises(TypeError, match="unhashable"):
        hash(pen.L1(0.1))
