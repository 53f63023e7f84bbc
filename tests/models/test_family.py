"""What every model of the family promises, whatever its mathematics: a registered model is tested here at once.

The mathematics of each has a file of its own.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import estimator_checks_generator
from sklearn.utils.validation import has_fit_parameter

import nonneg
from family_cases import (
    FAMILY,
    FREEZING,
    ITERATIVE,
    MASKED,
    TABLE_OF_MODELS,
    data_for,
    every_iterative_model,
    every_masked_model,
    every_model,
    fresh,
    is_pairwise,
    row_of_abilities,
)
from nonneg.exceptions import ConvergenceWarning

pytestmark = [
    pytest.mark.filterwarnings("ignore::nonneg.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:SemiNMF only attains:UserWarning"),  # where no cell is negative
    pytest.mark.filterwarnings("ignore:X has cells that are no whole numbers:UserWarning"),
    pytest.mark.filterwarnings("ignore:threshold=0.5 makes every cell of X:UserWarning"),
]


def relative(found, expected):
    return np.linalg.norm(np.asarray(found) - expected) / max(np.linalg.norm(expected), 1e-300)


#: Checks of models whose answer for a row is its own.
OF_ROWS_ALONE = ("check_methods_subset_invariance", "check_methods_sample_order_invariance")


def _checks():
    for cls in FAMILY.values():
        for each, check in estimator_checks_generator(cls(), mark=None):
            name = getattr(check, "func", check).__name__
            if getattr(cls, "_coupled_rows", False) and name in OF_ROWS_ALONE:
                continue
            if name != "check_array_api_input":  # it needs an environment variable set before SciPy loads
                yield pytest.param(each, check, id=f"{name}-{cls.__name__}")


@pytest.mark.parametrize(("estimator", "check"), list(_checks()))
@pytest.mark.filterwarnings("ignore")
def test_check_estimator(estimator, check):
    check(estimator)


OTHER_CHECKS = [
    "check_n_features_in_after_fitting",
    "check_dataframe_column_names_consistency",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_param_validation",
]


def _other_checks():
    """Those of scikit-learn that `check_estimator` leaves out; all but one pass data that are no affinity."""
    for name, cls in FAMILY.items():
        for check in OTHER_CHECKS:
            if check == "check_param_validation" or not is_pairwise(cls()):
                yield pytest.param(name, check, id=f"{check}-{name}")


@pytest.mark.parametrize(("name", "check"), list(_other_checks()))
@pytest.mark.filterwarnings("ignore")
def test_other_checks(name, check):
    estimator = FAMILY[name]()
    getattr(estimator_checks, check)(name, clone(estimator))


@every_model
def test_attributes(name):
    model = fresh(name)
    X = data_for(model)
    W = model.fit_transform(X)
    assert W.shape == (40, model.n_components_) and model.n_features_in_ == X.shape[1]
    assert model.components_.shape == (model.n_components_, X.shape[1])
    assert np.isfinite(W).all() and np.isfinite(model.components_).all()
    assert isinstance(model.n_iter_, int) and isinstance(model.converged_, bool)
    assert np.isfinite(model.reconstruction_err_) and model.reconstruction_err_ >= 0
    assert len({len(column) for column in model.history_.values()}) == 1
    assert len(model.get_feature_names_out()) == model.n_components_
    if hasattr(model, "inverse_transform"):
        back = model.inverse_transform(W)
        assert back.shape == X.shape
        if getattr(model, "_shares", False):  # what comes back are distributions
            X = X / X.sum(axis=1, keepdims=True)
        assert relative(back, X) < 0.6 or getattr(model, "_zero_one", False)


@every_model
def test_fit_transform_is_transform(name):
    model = fresh(name)
    X = data_for(model)
    W = model.fit_transform(X)
    assert relative(model.transform(X), W) < 1e-6
    if not is_pairwise(model) and not getattr(model, "_coupled_rows", False):
        # a row's answer does not depend on its company
        assert relative(model.transform(X[3:7]), W[3:7]) < 1e-6


@every_model
def test_same_seed_same_bits(name):
    model = fresh(name)
    X = data_for(model)
    assert np.array_equal(model.fit_transform(X), clone(model).fit_transform(X))


@every_model
def test_all_kinds_of_data_agree(name, tmp_path):
    model = fresh(name)
    X = data_for(model)
    X *= np.greater(X, np.quantile(X, 0.3))
    expected = model.fit_transform(X)
    np.save(tmp_path / "X.npy", X)
    names = [f"f{j}" for j in range(X.shape[1])]
    kinds = [
        np.asfortranarray(X),
        X[::-1][::-1],
        X.astype(">f8"),
        sp.csr_array(X),
        sp.csc_matrix(X),
        X.tolist(),
    ]
    kinds += [pd.DataFrame(X, columns=names), str(tmp_path / "X.npy")]
    for kind in kinds:
        found = clone(model).fit_transform(kind)
        assert relative(found, expected) < 1e-6, type(kind)


@every_model
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_small_floats(name, dtype):
    model = fresh(name)
    X = (
        np.round(20 * data_for(model)).clip(0, 255)
        if not getattr(model, "_zero_one", False)
        else data_for(model)
    )
    W = model.fit_transform(X.astype(dtype))
    assert W.dtype in (np.float32, np.int64, bool) and np.isfinite(W).all()
    assert np.isfinite(model.score(X.astype(dtype)))


EXTREMES = {
    "one row": lambda X: X[:1],
    "one column": lambda X: X[:, :1],
    "one cell": lambda X: X[:1, :1],
    "fewer rows than components": lambda X: X[:2],
    "constant": lambda X: np.ones_like(X),
    "all zero": lambda X: np.zeros_like(X),
    "zero rows and columns": lambda X: (
        np.where(np.arange(len(X))[:, None] % 3 == 0, 0, X) * (np.arange(X.shape[1]) != 1)
    ),
    "huge": lambda X: X * 1e300,
    "tiny": lambda X: X * 1e-300,
    "one huge cell": lambda X: X + 1e12 * (np.arange(X.size).reshape(X.shape) == 0),
    "the same row": lambda X: np.repeat(X[:1], len(X), axis=0),
}


@every_model
@pytest.mark.parametrize("extreme", EXTREMES)
@pytest.mark.filterwarnings("ignore")
def test_never_a_silent_non_finite_result(name, extreme):
    model = fresh(name)
    X = data_for(model)
    X = EXTREMES[extreme](X) if not is_pairwise(model) else _symmetric(EXTREMES[extreme](X))
    if getattr(model, "_zero_one", False):
        X = (X > 0).astype(float)
    try:
        W = model.fit_transform(X)
    except (ValueError, TypeError) as refusal:
        assert len(str(refusal)) > 20 and "_" not in str(refusal).split(" ")[0].strip("_"), refusal
        return
    assert np.isfinite(W).all() and np.isfinite(model.components_).all()
    assert not np.isnan(model.score(X))  # infinite where the squares are


def _symmetric(A):
    side = min(A.shape)
    square = A[:side, :side] / 2
    return square + square.T


@every_model
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1j, "text"])
def test_refusals_name_the_cell(name, bad):
    model = fresh(name)
    X = data_for(model).astype(type(bad) if not isinstance(bad, float) else float)
    X = X.astype(object) if isinstance(bad, str) else X
    X[2, 1] = bad
    with pytest.raises((ValueError, TypeError), match=r"NaN|nan|inf|complex|real|number|float"):
        model.fit(X)


@every_model
def test_negative_cells(name):
    model = fresh(name)
    X = data_for(model)
    X[2, 1] = X[1, 2] = -0.5
    if model._any_sign:
        model.fit(X)
    else:
        with pytest.raises(ValueError, match="Negative"):
            model.fit(X)


@every_iterative_model
def test_accepted_losses_fall(name):
    model = fresh(name, max_iter=60, tol=0)
    loss = model.fit(data_for(model)).history_["loss"]
    assert len(loss) > 1 and (np.diff(loss) <= 1e-9 * np.abs(loss[:-1])).all()
    assert set(model.history_) >= {"iteration", "loss", "kkt", "change", "seconds"}


@every_iterative_model
def test_restarts_keep_the_best(name):
    model = fresh(name, n_init=3, max_iter=30)
    model.fit(data_for(model))
    assert model.restart_losses_.shape == (3,)
    loss = 0.5 * model.reconstruction_err_**2
    assert loss == pytest.approx(model.restart_losses_.min(), rel=1e-6, abs=1e-12)


@every_iterative_model
def test_a_stopped_fit_goes_on_bitwise(name, tmp_path):
    X = data_for(fresh(name))
    whole = fresh(name, max_iter=12, tol=0).fit(X)
    fresh(name, max_iter=5, tol=0, checkpoint=tmp_path).fit(X)
    resumed = fresh(name, max_iter=12, tol=0, checkpoint=tmp_path).fit(X)
    assert np.array_equal(resumed.components_, whole.components_)
    assert np.array_equal(resumed.history_["loss"], whole.history_["loss"])
    assert resumed.n_iter_ == whole.n_iter_


@every_iterative_model
@pytest.mark.parametrize("call", ["fit", "fit_transform"])
def test_says_when_it_ends_early(name, call):
    model = fresh(name, max_iter=1, tol=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        getattr(model, call)(data_for(model))
    said = [w for w in caught if issubclass(w.category, ConvergenceWarning)]
    assert not model.converged_ and (len(said) == 1 or model.n_iter_ < 1)
    assert all(w.filename == __file__ for w in caught)


@every_model
def test_shares_and_features_of_every_model(name):
    model = fresh(name)
    X = data_for(model)
    W, m = model.fit_transform(X), X.shape[1]
    shares = model.memberships(X)
    assert shares.shape == W.shape and (shares >= 0).all() and shares.sum(axis=1) == pytest.approx(1)
    assert np.array_equal(shares[W.any(axis=1)] > 0, (W * model._extents().any(axis=1) > 0)[W.any(axis=1)])
    if (X >= 0).all() and name not in ("KernelNMF", "ArchetypalAnalysis", "DANMF"):
        amounts = W.astype(float) * np.abs(model.parts().astype(float)).sum(axis=1)
        wanted = amounts / np.where(amounts.any(axis=1), amounts.sum(axis=1), 1)[:, None]
        assert shares[amounts.any(axis=1)] == pytest.approx(wanted[amounts.any(axis=1)], abs=1e-6)
    names = [f"f{j}" for j in range(m)]
    for part, best in zip(model.parts(), model.top_features(m + 1, names=names), strict=True):
        assert sorted(feature for feature, _ in best) == sorted(names)
        weights = [weight for _, weight in best]
        assert weights == sorted(weights, reverse=True)
        assert weights == [part[names.index(feature)] for feature, _ in best]
    assert [len(best) for best in model.top_features(2)] == [2] * model.n_components_
    for method in ("top_features", "memberships"):
        with pytest.raises(NotFittedError):
            getattr(clone(model), method)(*([X] if method == "memberships" else []))


@every_model
@pytest.mark.parametrize("call", ["fit", "fit_transform"])
def test_weights_that_a_model_has_no_place_for(name, call):
    model = fresh(name)
    X, method = data_for(model), getattr(model, call)
    if not has_fit_parameter(model, "sample_weight"):
        with pytest.raises(TypeError, match=rf"{name}\.{call} takes no sample_weight: .* leave it out"):
            method(X, sample_weight=np.ones(len(X)))
    if not model._takes_weights:
        with pytest.raises(
            (TypeError, ValueError), match=rf"{name}\.fit(_transform)? takes no (cell )?weights"
        ):
            method(X, weights=np.ones(X.shape))


@every_iterative_model
def test_dead_components_are_named_once(name):
    model = fresh(name, n_components=9)
    X = np.zeros((40, 9))
    X[:20, :2] = X[20:, 2:5] = 1  # two parts, whatever is asked for
    if is_pairwise(model):
        X = X @ X.T
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        W = model.fit_transform(X)
    said = [str(w.message) for w in caught if " are dead " in str(w.message)]
    sizes = np.linalg.norm(W, axis=0) * np.linalg.norm(model._part_sizes(), axis=1)
    dead = [] if model._rests_unused else np.flatnonzero(sizes <= 1e-6 * sizes.max()).tolist()
    assert len(said) == bool(dead)
    if dead:
        assert said[0].startswith(f"{name}: components {dead} are dead")


@pytest.mark.parametrize(
    "name", [name for name, cls in FAMILY.items() if has_fit_parameter(cls, "sample_weight")]
)
def test_the_unit_of_row_weights_is_of_no_account(name):
    model = fresh(name, tol=1e-3)
    X, found = data_for(model), []
    for unit in (1.0, 1e3, 1e6):
        found.append(clone(model).fit(X, sample_weight=np.full(len(X), unit)).score(X))
    assert found == pytest.approx([found[0]] * 3, rel=1e-6)


def holes(X, seed=1):
    """Weights of the cells of which two in ten are 0."""
    rng = np.random.default_rng(seed)
    return rng.uniform(0.3, 1.5, X.shape) * (rng.random(X.shape) < 0.8)


@every_masked_model
def test_one_missing_cell_of_a_sparse_matrix_hides_no_other(name, small_blocks):
    model = fresh(name, missing="ignore", max_iter=10, tol=0)
    X = data_for(model, n=200)
    X[np.random.default_rng(1).random(X.shape) < 0.4] = 0
    X[70, 2] = np.nan  # in one of four blocks: the others have no weights
    dense, sparse = clone(model).fit(X), clone(model).fit(sp.csr_array(X))
    assert dense.reconstruction_err_ == pytest.approx(sparse.reconstruction_err_, rel=1e-9)


@every_masked_model
def test_what_a_missing_cell_holds_has_no_influence(name):
    model = fresh(name, max_iter=30)
    X = data_for(model)
    M, found = holes(X), []
    for nothing in (7.0, np.inf, np.nan):
        data = np.where(M > 0, X, nothing)
        W = clone(model).fit_transform(data, weights=M)
        fitted = clone(model).fit(data, weights=M)
        found.append(
            [W, fitted.components_, fitted.transform(data, weights=M), fitted.score(data, weights=M)]
        )
        assert relative(found[-1][2], W) < 1e-6
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))
    seen = (M > 0).astype(float)
    by_nan = clone(model).set_params(missing="ignore").fit(np.where(M > 0, X, np.nan))
    by_weight = clone(model).fit(np.where(M > 0, X, 7.0), weights=seen)
    assert relative(by_nan.components_, by_weight.components_) < 1e-6


@every_masked_model
def test_weights_of_one_are_no_weights(name):
    model = fresh(name, tol=1e-9, max_iter=3000)
    X = data_for(model)
    plain, weighted = clone(model).fit(X), clone(model).fit(X, weights=np.ones(X.shape))
    assert weighted.reconstruction_err_ == pytest.approx(plain.reconstruction_err_, rel=1e-6)
    assert plain.score(X, weights=np.ones(X.shape)) == pytest.approx(plain.score(X), rel=1e-6)
    if name in ITERATIVE:  # the loss is a sum over cells: each counts as often as it weighs
        heavy = clone(model).fit(X, weights=np.full(X.shape, 4.0))
        assert heavy.reconstruction_err_ == pytest.approx(2 * plain.reconstruction_err_, rel=1e-6)


UNITS_OF_WEIGHTS = [1e-6, 3.0, 1e6, 1e-200, 1e200]


@every_masked_model
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_unit_of_the_weights_has_no_influence(name, dtype):
    model = fresh(name, tol=1e-4, max_iter=20)
    X = data_for(model).astype(dtype)
    M = holes(X)
    one = clone(model).fit(X, weights=M)
    W = one.transform(X, weights=M)
    near = 1e-3 if dtype == np.float64 else 1e-2
    for c in UNITS_OF_WEIGHTS:
        other = clone(model).fit(X, weights=c * M)
        assert relative(other.components_, one.components_) < near
        assert relative(one.transform(X, weights=c * M), W) < 1e-4
        assert other.score(X, weights=c * M) == pytest.approx(one.score(X, weights=M), rel=near)
        if name in ITERATIVE:
            root = np.sqrt(c) * one.reconstruction_err_
            assert other.reconstruction_err_ == pytest.approx(root, rel=near)
            assert abs(other.n_iter_ - one.n_iter_) <= 2 and other.converged_ == one.converged_
    for c in (4.0, 2.0**-40):
        other = clone(model).fit(X, weights=(c * M).astype(np.float64))
        assert np.array_equal(other.components_, one.components_)
        assert np.array_equal(other.transform(X, weights=c * M), W)


@every_masked_model
def test_weights_too_far_apart_for_the_precision_are_refused(name):
    model = fresh(name)
    X, M = data_for(model), np.ones(data_for(model).shape)
    M[0, 0] = 1e-40
    if name in ITERATIVE:
        assert np.isfinite(clone(model).fit(X, weights=M).reconstruction_err_)
    with pytest.raises(ValueError, match="weights reach from 1e-40 to 1, too far for float32"):
        model.fit(X.astype(np.float32), weights=M)


@pytest.mark.parametrize("name", [name for name in MASKED if name in ITERATIVE])
def test_losses_over_observed_cells_fall_and_go_on_bitwise(name, tmp_path):
    X = data_for(fresh(name))
    M = holes(X)
    whole = fresh(name, max_iter=14, tol=0).fit(X, weights=M)
    loss = whole.history_["loss"]
    assert len(loss) > 1 and (np.diff(loss) <= 1e-9 * np.abs(loss[:-1])).all()
    fresh(name, max_iter=5, tol=0, checkpoint=tmp_path).fit(X, weights=M)
    resumed = fresh(name, max_iter=14, tol=0, checkpoint=tmp_path).fit(X, weights=M)
    assert np.array_equal(resumed.components_, whole.components_)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", FREEZING)
def test_frozen_parts_stay_bit_for_bit(name, masked):
    X = data_for(fresh(name))
    given = {"weights": holes(X)} if masked and name in MASKED else {}
    parts = "patterns_" if name == "ConvolutiveNMF" else "components_"
    H = np.array(getattr(fresh(name, max_iter=5).fit(X[:20]), parts))  # of other rows
    model = fresh(name, frozen=[1], max_iter=40, tol=0).fit(X, H_init=H, **given)
    assert np.array_equal(getattr(model, parts)[1], H[1])
    assert relative(getattr(model, parts)[[0, 2]], H[[0, 2]]) > 1e-3
    loss = model.history_["loss"]
    assert loss[-1] < loss[0] and (np.diff(loss) <= 1e-9 * np.abs(loss[:-1])).all()
    with pytest.raises(ValueError, match="frozen= needs H_init in fit"):
        clone(model).fit(X)
    with pytest.raises(ValueError, match=r"frozen=\[3\] must hold component indices"):
        fresh(name, frozen=[3]).fit(X, H_init=H)


@pytest.mark.parametrize("name", ["NMF", *FAMILY])
def test_the_table_of_abilities_is_true(name):
    model = nonneg.NMF(3, random_state=0) if name == "NMF" else fresh(name)
    assert row_of_abilities(name, model.fit(data_for(model))) in TABLE_OF_MODELS
