"""Data on which every registered matrix model is tried, and what the family's models are."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
from sklearn.utils.validation import has_fit_parameter

from nonneg.models.iterative import IterativeFactorization
from nonneg.registry import MODELS

#: Models on networks have tests of their own, and so has the model that all others are relatives of.
OUTSIDE = ("nonneg.deep", "nonneg.models.nmf")


def model_class(name):
    return getattr(importlib.import_module(MODELS[name]), name)


FAMILY = {name: model_class(name) for name, home in MODELS.items() if not home.startswith(OUTSIDE)}
ITERATIVE = {name: cls for name, cls in FAMILY.items() if issubclass(cls, IterativeFactorization)}
MASKED = {name: cls for name, cls in FAMILY.items() if cls._takes_weights and hasattr(cls(), "missing")}
FREEZING = {name: cls for name, cls in FAMILY.items() if hasattr(cls(), "frozen")}
every_model = pytest.mark.parametrize("name", FAMILY)
every_masked_model = pytest.mark.parametrize("name", MASKED)
every_iterative_model = pytest.mark.parametrize("name", ITERATIVE)


def is_pairwise(model):
    """Whether X is an affinity of its rows with each other."""
    return model.__sklearn_tags__().input_tags.pairwise


def data_for(model, n=40, m=9, k=3, seed=0):
    """Planted parts with some noise; zero-one where the model asks for it; an affinity where X is pairwise."""
    rng = np.random.default_rng(seed)
    W, H = rng.gamma(0.5, size=(n, k)), rng.gamma(0.5, size=(k, m))
    if is_pairwise(model):
        return W @ W.T + 0.01
    X = W @ H + 0.02 * rng.random((n, m))
    return np.greater(X, np.median(X)).astype(float) if getattr(model, "_zero_one", False) else X


def fresh(name, **parameters):
    """A model of three components with a seed, as far as the class takes these."""
    cls = FAMILY[name]
    known = cls().get_params()
    wanted = {"n_components": 3, "random_state": 0, **parameters}
    return cls(**{key: value for key, value in wanted.items() if key in known})


#: Lines of the page that says what each model takes and gives.
TABLE_OF_MODELS = (Path(__file__).parents[1] / "docs" / "models.md").read_text(encoding="utf-8").splitlines()


def row_of_abilities(name, model):
    """The line of that table which is true of a fitted model."""
    tags = model.__sklearn_tags__().input_tags
    abilities = [
        model._any_sign,
        tags.sparse,
        model._takes_weights and hasattr(model, "missing"),
        has_fit_parameter(model, "sample_weight"),
        hasattr(model, "frozen"),
        hasattr(model, "inverse_transform"),
        hasattr(model, "labels_"),
    ]
    return " | ".join([f"| `{name}`", *("yes" if able else "–" for able in abilities)]) + " |"
