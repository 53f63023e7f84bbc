"""Names in, names out: tables of pandas and polars, AnnData, pipelines of scikit-learn, and parts as a table."""

from __future__ import annotations

import warnings

import anndata
import dask.array as da
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_html_repr

import nonneg
from family_cases import data_for, every_model, fresh, is_pairwise
from matrix_cases import fitted, planted, quietly, relative
from nonneg import DDNMF, NMF, NTF, JointNMF, NonnegativeTucker
from nonneg.exceptions import MissingExtraError

X = planted()
NAMES = [f"gene {j}" for j in range(9)]
ROWS = [f"cell {i}" for i in range(len(X))]
FRAME = pd.DataFrame(X, columns=NAMES, index=ROWS)
CELLS = anndata.AnnData(FRAME.copy())


# -- parts as a table -------------------------------------------------------------------------------------------------


@every_model
@pytest.mark.filterwarnings("ignore")
def test_parts_of_every_model_as_a_frame(name):
    model = fresh(name, max_iter=5)
    data = data_for(model)
    names = [f"f{j}" for j in range(data.shape[1])]
    for given, expected in ((data, list(range(len(names)))), (pd.DataFrame(data, columns=names), names)):
        if given is not data and is_pairwise(model):
            given = given.set_axis(names)  # nodes
        frame = model.fit(given).components_frame()
        assert frame.columns.tolist() == expected
        assert frame.index.tolist() == model.get_feature_names_out().tolist()
        np.testing.assert_array_equal(frame.to_numpy(), model.parts())


def test_parts_of_a_network_as_a_frame():
    model = DDNMF(2, hidden=(6,), max_epochs=1, device="cpu", random_state=0).fit(FRAME)
    frame = model.components_frame()
    assert frame.columns.tolist() == NAMES and frame.index.tolist() == ["ddnmf0", "ddnmf1"]
    np.testing.assert_array_equal(frame.to_numpy(), model.parts())


def test_parts_of_tensors_have_a_position_on_each_way():
    cube = np.random.default_rng(0).random((12, 3, 4))
    with quietly():
        for model in (
            NTF(2, max_iter=5, random_state=0),
            NonnegativeTucker((2, 2, 2), max_iter=5, random_state=0),
        ):
            frame = model.fit(cube).components_frame()
            assert frame.columns.names == ["way 2", "way 3"] and frame.shape == (2, 12)
            assert frame.loc[frame.index[1], (2, 1)] == model.components_[1, 2, 1]
        assert NTF(2, max_iter=5).fit(FRAME).components_frame().columns.tolist() == NAMES


def test_parts_of_views_have_the_view_and_the_feature():
    views = {"genes": FRAME, "pixels": X[:, :3]}
    with quietly():
        named = JointNMF(2, max_iter=5, random_state=0).fit(views)
        listed = JointNMF(2, max_iter=5, random_state=0).fit(list(views.values()))
        one = JointNMF(2, max_iter=5, random_state=0).fit(FRAME)
    frame = named.components_frame()
    np.testing.assert_array_equal(frame["genes"].to_numpy(), named.view_components_["genes"])
    np.testing.assert_array_equal(frame["pixels"].to_numpy(), named.view_components_["pixels"])
    assert frame["genes"].columns.tolist() == NAMES and frame["pixels"].columns.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(listed.components_frame()[1].to_numpy(), listed.view_components_[1])
    assert one.components_frame().columns.tolist() == NAMES


def test_a_frame_needs_pandas(monkeypatch):
    model = fitted(X, max_iter=3)
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(
        MissingExtraError, match=r'components_frame needs pandas: pip install "nonneg\[data\]"'
    ):
        model.components_frame()


# -- tables and AnnData in, tables out --------------------------------------------------------------------------------

POLARS = pl.DataFrame(dict(zip(NAMES, X.T, strict=True)))
TABLES = {
    "pandas": FRAME,
    "polars": POLARS,
    "AnnData": CELLS,
    "sparse AnnData": anndata.AnnData(sp.csr_matrix(X), var=CELLS.var),
}


@pytest.mark.parametrize("kind", TABLES)
def test_names_come_in_and_another_order_is_refused(kind):
    table = TABLES[kind]
    model = fitted(table)
    assert model.feature_names_in_.tolist() == NAMES
    assert relative(model.components_, fitted(sp.csr_matrix(X) if "sparse" in kind else X).components_) < 1e-9
    for other in TABLES.values():  # the same names in another kind of table
        assert relative(model.transform(other), model.transform(table)) < 1e-9
    for other in (FRAME[NAMES[::-1]], POLARS[NAMES[::-1]], CELLS[:, NAMES[::-1]]):
        with pytest.raises(ValueError, match="feature names"):
            model.transform(other)
    assert model.components_frame().columns.tolist() == NAMES
    assert model.top_features(2)[0][0][0] in NAMES


@every_model
@pytest.mark.filterwarnings("ignore::nonneg.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:SemiNMF only attains:UserWarning")
@pytest.mark.filterwarnings("ignore:X has cells that are no whole numbers:UserWarning")
def test_every_model_takes_a_layer_and_keeps_the_names_of_rows(name):
    model = fresh(name, max_iter=5).set_output(transform="pandas")
    data = data_for(model)
    rows = [f"row {i}" for i in range(len(data))]
    cells = anndata.AnnData(np.zeros_like(data), obs=pd.DataFrame(index=rows), layers={"counts": data})
    for W in (model.fit_transform(cells, layer="counts"), model.transform(cells, layer="counts")):
        assert W.index.tolist() == rows and W.to_numpy().any()


@every_model
def test_a_layer_of_data_without_layers_is_refused(name):
    model = fresh(name)
    with pytest.raises(ValueError, match=r"layer='counts': X has no layers; leave it out"):
        model.fit(data_for(model), layer="counts")


@pytest.mark.parametrize("table", [FRAME, CELLS, CELLS[:30]], ids=["pandas", "AnnData", "a view of AnnData"])
def test_rows_keep_their_names_in_pandas(table):
    model = NMF(2, tol=1e-3, random_state=0).set_output(transform="pandas")
    wanted = ROWS[: table.shape[0]]
    with quietly():
        for found in (model.fit_transform(table), model.transform(table), clone(model).fit_transform(table)):
            assert isinstance(found, pd.DataFrame) and found.index.tolist() == wanted
            assert found.columns.tolist() == ["nmf0", "nmf1"]
    plain = model.set_output(transform="default").transform(table)
    assert isinstance(plain, np.ndarray) and np.array_equal(plain, found.to_numpy())
    assert isinstance(model.set_output(transform="polars").transform(table), pl.DataFrame)


def test_rows_of_layers_and_files_of_anndata_in_pandas(tmp_path):
    cells = CELLS.copy()
    cells.layers["counts"] = np.rint(9 * X)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    with quietly():
        model = NMF(2, tol=1e-3, random_state=0).set_output(transform="pandas").fit(cells, layer="counts")
        found = model.transform(cells, layer="counts")
        backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
        stored = model.transform(backed, layer="counts")
        backed.file.close()
    assert found.index.tolist() == stored.index.tolist() == ROWS
    assert relative(stored.to_numpy(), found.to_numpy()) < 1e-9


def test_a_dask_array_in_anndata_stays_one():
    lazy = anndata.AnnData(da.from_array(X, chunks=(20, 9)), obs=CELLS.obs, var=CELLS.var)
    source = nonneg.as_source(lazy)
    assert source.spread and source.names == NAMES
    with quietly():
        model = NMF(2, tol=1e-3, random_state=0).fit(lazy)
        W = model.transform(lazy)
    assert model.feature_names_in_.tolist() == NAMES and isinstance(W, da.Array)
    assert relative(W.compute(), model.transform(CELLS)) < 1e-6


# -- scikit-learn's ways ----------------------------------------------------------------------------------------------

TEXTS = [
    "the striker scores a goal in the last minute of the match",
    "a late goal decides the match for the home team",
    "the team trains the young striker before the match",
    "the bank raises its rate and the market falls",
    "the market expects the bank to cut the rate",
    "shares fall as the bank warns the market",
] * 3  # fmt: skip


def test_topics_of_texts_have_the_words_of_the_vocabulary():
    words = CountVectorizer(stop_words="english")
    pipeline = make_pipeline(words, NMF(2, loss="kl", random_state=0))
    W = pipeline.fit_transform(TEXTS)
    assert pipeline.get_feature_names_out().tolist() == ["nmf0", "nmf1"]
    known = words.get_feature_names_out()
    tops = [{word for word, _ in topic} for topic in pipeline[-1].top_features(4, names=known)]
    assert tops[W[0].argmax()] == {
        "match",
        "goal",
        "striker",
        "team",
    }  # the last three as often as each other
    assert tops[W[3].argmax()] > {"bank", "market", "rate"}
    assert len({*W.argmax(axis=1)[[0, 1, 2]]}) == len({*W.argmax(axis=1)[[3, 4, 5]]}) == 1
    assert W[0].argmax() != W[3].argmax()


def test_words_go_through_a_pipeline_of_frames():
    words = CountVectorizer(stop_words="english")
    table = FunctionTransformer(lambda C: pd.DataFrame(C.toarray(), columns=words.get_feature_names_out()))
    pipeline = make_pipeline(words, table, NMF(2, loss="kl", random_state=0).set_output(transform="pandas"))
    W = pipeline.fit_transform(TEXTS)
    assert W.columns.tolist() == ["nmf0", "nmf1"]
    assert pipeline[-1].feature_names_in_.tolist() == words.get_feature_names_out().tolist()
    assert pipeline[-1].components_frame().idxmax(axis=1).isin(["match", "market", "bank", "goal"]).all()


def test_a_grid_over_topics_scores_texts_held_out():
    rng = np.random.default_rng(0)
    about = rng.integers(0, 3, 90)
    texts = [" ".join(f"topic{k}word{j}" for j in rng.integers(0, 6, 25)) for k in about]
    search = GridSearchCV(
        make_pipeline(CountVectorizer(), NMF(loss="kl", tol=1e-3, random_state=0)),
        {"nmf__n_components": [1, 2, 3]},
        cv=3,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(texts)
    scores = search.cv_results_["mean_test_score"]
    assert search.best_params_ == {"nmf__n_components": 3} and scores[0] < scores[1] < scores[2]


def test_groups_of_columns_of_a_table():
    both = ColumnTransformer(
        [("first", NMF(2, random_state=0), NAMES[:5]), ("rest", NMF(1, random_state=0), NAMES[5:])]
    ).set_output(transform="pandas")
    with quietly():
        W = both.fit_transform(FRAME)
        assert W.index.tolist() == ROWS
        assert W.columns.tolist() == ["first__nmf0", "first__nmf1", "rest__nmf0"]
        alone = NMF(2, random_state=0).fit(FRAME[NAMES[:5]])
    assert relative(W.to_numpy()[:, :2], alone.transform(FRAME[NAMES[:5]])) < 1e-9
    assert both.named_transformers_["rest"].feature_names_in_.tolist() == NAMES[5:]


def test_notebooks_show_a_model_before_and_after_its_fit():
    model = NMF(2, loss="kl", max_iter=50)
    before = estimator_html_repr(model)
    with quietly():
        after = model.fit(FRAME)._repr_html_()
    assert "Not fitted" in before and "Not fitted" not in after
    for page in (before, after):
        assert "NMF" in page and "max_iter" in page and "kl" in page
