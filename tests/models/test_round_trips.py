"""Every registered model, copied in every way that people copy models, is the same model."""

from __future__ import annotations

import copy
import io
import pickle

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import nonneg
from family_cases import FAMILY, data_for, fresh, model_class
from nonneg.registry import MODELS

pytestmark = pytest.mark.filterwarnings("ignore")  # of fits that end early


def small(name):
    """A model that is fitted in a moment."""
    if name in FAMILY:
        return fresh(name, max_iter=5)
    if MODELS[name] == "nonneg.deep":
        return model_class(name)(2, hidden=(6,), max_epochs=1, device="cpu", random_state=0)
    return model_class(name)(3, max_iter=5, random_state=0)


def by_file(model, folder):
    model.save(folder / "model.nmf")
    return nonneg.load(folder / "model.nmf")


def by_joblib(model, _):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


WAYS = {
    "a file": by_file,
    "pickle": lambda model, _: pickle.loads(pickle.dumps(model)),
    "joblib": by_joblib,
    "deepcopy": lambda model, _: copy.deepcopy(model),
}


@pytest.mark.parametrize("name", MODELS)
def test_copies_are_the_same_model(name, tmp_path):
    model = small(name)
    X = data_for(model)
    W = model.fit(X).transform(X)
    for way, copied in WAYS.items():
        again = copied(model, tmp_path)
        assert type(again) is type(model) and again is not model
        assert again.get_params() == model.get_params() and repr(again) == repr(model), way
        assert vars(again).keys() == vars(model).keys(), way
        assert np.array_equal(again.transform(X), W), way
        assert np.array_equal(again.parts(), model.parts()) and again.score(X) == model.score(X), way
        for key, column in model.history_.items():
            assert np.array_equal(again.history_[key], column, equal_nan=True), (way, key)
        blank = clone(again)
        assert blank.get_params() == model.get_params()
        with pytest.raises(NotFittedError):
            blank.transform(X)


@pytest.mark.parametrize("name", MODELS)
def test_a_copy_is_fitted_again_as_the_model_would_be(name, tmp_path):
    model = small(name)
    X = data_for(model)
    again = by_file(model.fit(X), tmp_path)
    np.testing.assert_array_equal(again.fit(X).parts(), model.parts())


@pytest.mark.parametrize("name", MODELS)
def test_tags_say_what_a_model_takes(name):
    model = small(name)
    tags = model.__sklearn_tags__()
    assert tags.input_tags.sparse and tags.transformer_tags is not None and tags.requires_fit
    assert tags.input_tags.positive_only == (not model._any_sign) and not tags.input_tags.allow_nan
    if "missing" in model.get_params():
        assert model.set_params(missing="ignore").__sklearn_tags__().input_tags.allow_nan
