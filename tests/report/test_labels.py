"""Names of rows and columns."""

import numpy as np
import pytest

from nonneg import NMF, JointNMF
from nonneg.report import write_report
from nonneg.report.labels import Labels, column_names

X = np.random.default_rng(0).random((8, 5))


def test_labels_are_in_order_with_their_counts():
    labels = Labels([10, 9, "b", None, 9, float("nan")], 6)
    assert labels.names == ["9", "10", "b", "not known"]
    assert labels.codes.tolist() == [1, 0, 2, 3, 0, 3]
    assert labels.counts.tolist() == [2, 1, 1, 2]
    assert labels.most_frequent(2) == [0, 3]


def test_classes_are_what_rows_share():
    assert Labels(list("aabb"), 4).are_classes
    assert not Labels(list("abcd"), 4).are_classes
    assert not Labels(list("aaaa"), 4).are_classes


def test_labels_of_other_rows_are_refused():
    with pytest.raises(ValueError, match=r"labels: expected one label for each of the 5 rows"):
        Labels([1, 2], 5)


def test_names_are_those_of_the_fit_or_given():
    model = NMF(2, max_iter=2, tol=0.5).fit(X)
    assert column_names(model, None) is None
    assert column_names(model, list("abcde")) == list("abcde")
    with pytest.raises(ValueError, match="names: expected 5 names, one a column of X, got 2"):
        column_names(model, ["a", "b"])


def test_columns_of_views_bear_the_view():
    model = JointNMF(2, max_iter=5, tol=0.5).fit({"one": X, "two": X[:, :2]})
    assert column_names(model, None) == [*(f"one: {j}" for j in range(5)), "two: 0", "two: 1"]


def test_figures_group_rows_by_a_few_classes():
    assert Labels(list("aabb"), 4).of_rows().tolist() == list("aabb")
    assert Labels([10, 2, 2, 10], 4).of_rows().tolist() == [10, 2, 2, 10]
    assert Labels([*range(60), *range(60)], 120).of_rows() is None


def test_labels_of_an_anndata_go_by_the_name_of_their_column(tmp_path):
    from anndata import AnnData

    kinds = list("aabbabab")
    adata = AnnData(X)
    adata.obs["kind"] = kinds
    model = NMF(2, max_iter=20, tol=1e-1, random_state=0).fit(adata)
    for name, labels in (("name", "kind"), ("array", kinds)):
        write_report(model, tmp_path / f"{name}.html", adata, labels=labels, embedding=None, title="t")
    assert (tmp_path / "name.html").read_text() == (tmp_path / "array.html").read_text()
    with pytest.raises(ValueError, match="labels='sort': obs has no such column, but kind"):
        write_report(model, tmp_path / "x.html", adata, labels="sort")
    with pytest.raises(ValueError, match="labels='kind': a name is a column of an AnnData's obs"):
        write_report(model, tmp_path / "x.html", X, labels="kind")
