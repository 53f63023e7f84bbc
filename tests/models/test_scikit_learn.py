"""scikit-learn to the letter: its own checks, and what people do with estimators."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator

from matrix_cases import fitted, planted, quietly, relative
from nonneg import NMF
from nonneg.penalties import L1

X = planted()
FRAME = pd.DataFrame(X, columns=[f"f{j}" for j in range(9)])


def _checks():
    """All checks of `check_estimator`, but the one that needs an environment variable set before SciPy loads."""
    for estimator in (NMF(), NMF(loss="kl"), NMF(init="random")):
        for each, check in estimator_checks_generator(estimator, mark=None):
            name = getattr(check, "func", check).__name__
            if name != "check_array_api_input":
                yield pytest.param(each, check, id=f"{name}-{estimator!r}")


@pytest.mark.parametrize(("estimator", "check"), list(_checks()))
@pytest.mark.filterwarnings("ignore")
def test_check_estimator(estimator, check):
    check(estimator)


def test_the_checks_are_all_there():
    assert len({param.id for param in _checks()}) >= 3 * 45
    assert callable(check_estimator)


@pytest.mark.parametrize(
    "name",
    [
        "check_n_features_in_after_fitting",
        "check_dataframe_column_names_consistency",
        "check_transformer_get_feature_names_out",
        "check_transformer_get_feature_names_out_pandas",
        "check_set_output_transform",
        "check_set_output_transform_pandas",
        "check_global_output_transform_pandas",
        "check_set_output_transform_polars",
        "check_global_set_output_transform_polars",
        "check_param_validation",
        "check_inplace_ensure_writeable",
    ],
)
@pytest.mark.parametrize("estimator", [NMF(), NMF(loss="kl")], ids=repr)
@pytest.mark.filterwarnings("ignore")
def test_other_checks(estimator, name):
    getattr(estimator_checks, name)("NMF", clone(estimator))


def test_pickle_and_clone_keep_everything():
    model = fitted(FRAME, penalty_H=L1(0.01), frozen=None, max_iter=20)
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.transform(FRAME), model.transform(FRAME))
    assert vars(again).keys() == vars(model).keys()
    blank = clone(model)
    assert repr(blank) == repr(model) and not hasattr(blank, "components_")
    with pytest.raises(NotFittedError):
        blank.transform(FRAME)


def test_names_in_and_out():
    model = fitted(FRAME)
    assert model.feature_names_in_.tolist() == FRAME.columns.tolist() and model.n_features_in_ == 9
    assert model.get_feature_names_out().tolist() == ["nmf0", "nmf1", "nmf2"]
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.transform(X)
    with pytest.raises(ValueError, match="feature names should match"):
        model.transform(FRAME[FRAME.columns[::-1]])
    with pytest.raises(ValueError, match=r"X has 8 features, but NMF is expecting 9 features"):
        fitted(X).transform(X[:, :8])


def test_names_of_an_earlier_fit_are_forgotten(tmp_path):
    model = fitted(FRAME)
    np.save(tmp_path / "X.npy", X[:, :5])
    with quietly():
        model.fit(tmp_path / "X.npy")
    assert not hasattr(model, "feature_names_in_") and model.n_features_in_ == 5
    assert model.top_features(1)[0][0][0] in range(5)


def test_output_containers():
    model = NMF(3, random_state=0).set_output(transform="pandas")
    found = model.fit_transform(FRAME)
    assert isinstance(found, pd.DataFrame) and found.columns.tolist() == ["nmf0", "nmf1", "nmf2"]
    assert found.index.equals(FRAME.index)
    model.set_output(transform="polars")
    found = model.transform(pl.DataFrame(FRAME))
    assert isinstance(found, pl.DataFrame) and found.columns == ["nmf0", "nmf1", "nmf2"]
    assert relative(found.to_numpy(), model.set_output(transform="default").transform(FRAME)) == 0


def test_pipelines_and_grid_search():
    pipeline = make_pipeline(MinMaxScaler(), NMF(3, random_state=0, tol=1e-3))
    W = pipeline.fit_transform(FRAME)
    assert W.shape == (70, 3) and pipeline[-1].n_features_in_ == 9
    assert relative(pipeline.transform(FRAME), W) < 1e-6
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = GridSearchCV(
            NMF(random_state=0, tol=1e-3, max_iter=200),
            {"n_components": [1, 3], "loss": ["frobenius", "kl"]},
            cv=KFold(3, shuffle=True, random_state=0),
        )
        search.fit(X)
        assert search.best_params_["n_components"] == 3
        search = GridSearchCV(
            NMF(3, random_state=0, penalty_H=L1(0.1), max_iter=50),
            {"penalty_H__strength": [0.001, 10.0]},
            cv=2,
        ).fit(X)
    assert search.best_params_ == {"penalty_H__strength": 0.001}


def test_set_params_reaches_penalties():
    model = NMF(penalty_H=L1(0.1)).set_params(n_components=4, penalty_H__strength=0.5)
    assert model.n_components == 4 and model.penalty_H == L1(0.5)
    assert NMF(7).get_params()["n_components"] == 7


def test_a_second_fit_forgets_the_first():
    model = fitted(X, 3)
    wanted = fitted(X[:40, :6], 2).components_
    model.n_components = 2
    with quietly():
        model.fit(X[:40, :6])
    assert np.array_equal(model.components_, wanted) and model.labels_.shape == (40,)


def test_changing_n_components_after_the_fit_does_not_break_transform():
    model = fitted(X, 3)
    model.set_params(n_components=5)
    assert model.transform(X).shape == (70, 3)
    assert len(model.get_feature_names_out()) == 3
