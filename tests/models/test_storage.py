"""Every model takes X in storage: the fit of the array where it can, a clear sentence where X is too large for it."""

from __future__ import annotations

import importlib

import anndata
import numpy as np
import pandas as pd
import pytest

import nonneg
from family_cases import data_for
from nonneg.registry import MODELS
from stored_cases import h5ad, npy, zarr_array

PARAMETERS = {
    "n_components": 3, "random_state": 0, "max_iter": 4, "max_epochs": 1, "hidden": (6,), "ranks": [3, 2],
}  # fmt: skip
#: Starts from a KL fit, which moves H on columns where X is in memory and by multiplicative updates where it is not.
OTHER_START = ("DeepProbabilisticNMF",)
KINDS = {".npy": npy, ".h5ad": h5ad, "Zarr": zarr_array(3, None)}
#: What holds all of X.
WHOLE = ("ProjectiveNMF", "NTF", "NonnegativeTucker")

pytestmark = [
    pytest.mark.usefixtures("small_blocks"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def small(name):
    """A model that is fitted quickly, and data that it takes."""
    cls = getattr(importlib.import_module(MODELS[name]), name)
    known = cls().get_params()
    model = cls(**{key: value for key, value in PARAMETERS.items() if key in known})
    return model, data_for(model, n=160, m=7)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_path_is_the_array(name, tmp_path):
    model, X = small(name)
    wanted = None if name in OTHER_START else model.fit(X).parts()
    for kind, write in KINDS.items():
        if kind == ".h5ad" and X.shape[1] > 7:  # an affinity, whose columns have no names
            continue
        data, _ = write(tmp_path, X)
        found = model.fit(data)
        assert wanted is None or np.array_equal(found.parts(), wanted)
    assert np.array_equal(found.transform(data), found.transform(nonneg.as_source(data)))
    assert found.score(data) == found.score(X)


@pytest.mark.parametrize("name", WHOLE)
def test_a_model_that_holds_all_of_X_heeds_the_limit(name, tmp_path):
    model, _ = small(name)
    X = np.random.default_rng(0).random((300, 7))
    with pytest.raises(ValueError, match=r"memory_limit.* hold.* all of.*allow more, or take NMF"):
        model.fit(npy(tmp_path, X)[0], memory_limit=12_000)


def test_another_layer_than_that_of_the_fit_is_said(tmp_path):
    X = np.random.default_rng(0).random((30, 6))
    cells = anndata.AnnData(X, layers={"counts": np.round(9 * X)})
    cells.write_h5ad(tmp_path / "cells.h5ad")
    model = nonneg.NMF(2, max_iter=5, tol=1.0, random_state=0).fit(tmp_path / "cells.h5ad", layer="counts")
    model.transform(tmp_path / "cells.h5ad", layer="counts")
    for data in (tmp_path / "cells.h5ad", cells):
        with pytest.warns(
            UserWarning, match="layer=None is read here, the model was fitted to layer='counts'"
        ):
            model.transform(data)
    with pytest.raises(ValueError, match=r"reorder them with X\[:, model.feature_names_in_\]"):
        model.transform(cells[:, ::-1].copy(), layer="counts")


def test_columns_of_a_file_in_another_order_are_refused_with_what_to_do(tmp_path):
    table = pd.DataFrame(np.random.default_rng(0).random((30, 3)), columns=["a", "b", "c"])
    table[["c", "b", "a"]].to_csv(tmp_path / "turned.csv", index=False)
    table.rename(columns={"b": "other"}).to_csv(tmp_path / "other.csv", index=False)
    model = nonneg.NMF(2, max_iter=5, tol=1.0, random_state=0).fit(table)
    with pytest.raises(
        ValueError, match=r"is 'c' in X .* with table\[model.feature_names_in_\] after reading it"
    ):
        model.transform(tmp_path / "turned.csv")
    turned = pd.read_csv(tmp_path / "turned.csv")
    np.testing.assert_allclose(
        model.transform(turned[model.feature_names_in_]), model.transform(table), rtol=1e-9
    )
    with pytest.raises(ValueError, match=r"'other' in X .* an array of its numbers if positions are meant"):
        model.transform(tmp_path / "other.csv")


def test_a_list_of_paths_is_no_array(tmp_path):
    with pytest.raises(ValueError, match="a path is given alone, not in a list"):
        nonneg.NMF(2).fit(["a.npy", "b.npy"])
