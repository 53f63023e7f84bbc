"""Rows and columns of which nothing was observed: one warning, and values that are promised."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.sparse as sp

from matrix_cases import planted, relative
from nonneg import NMF, OrthogonalNMF, TriNMF
from nonneg.exceptions import ConvergenceWarning
from nonneg.penalties import L1

X = planted() + 0.01
HOLES = X.copy()
HOLES[np.random.default_rng(0).random(X.shape) < 0.1] = np.nan
HOLES[:, [4, 6]] = HOLES[[7, 9, 12]] = np.nan


def fit(data, **given):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", ConvergenceWarning)
        arguments = {"weights": given.pop("weights")} if "weights" in given else {}
        model = NMF(3, random_state=0, max_iter=200, **given).fit(data, **arguments)
    return model, [str(warning.message) for warning in seen]


@pytest.mark.parametrize("loss", ["frobenius", "kl", "itakura-saito", 1.5])
def test_unobserved_cells_are_named_once_and_get_the_promised_values(loss):
    model, seen = fit(HOLES, loss=loss, missing="ignore")
    assert len(seen) == 1
    assert "2 columns (the first: 4): components_ holds the mean" in seen[0]
    assert "3 rows (the first: 7): W is 1 / n_components" in seen[0]
    H, others = model.components_, [0, 1, 2, 3, 5, 7, 8]
    assert relative(H[:, [4, 6]], np.repeat(H[:, others].mean(axis=1, keepdims=True), 2, axis=1)) < 1e-12
    mean = np.nanmean(HOLES)
    assert np.allclose(np.sqrt((H**2).mean(axis=1)), mean)  # the size that all components have
    W = model.transform(HOLES)
    assert np.array_equal(W[[7, 9, 12]], np.full((3, 3), 1 / 3))
    filled = model.impute(HOLES)
    assert np.allclose(filled[:, 4], (W @ H)[:, others].mean(axis=1))
    assert np.isfinite(model.score(X + 0.0))  # where the columns are observed later
    again = NMF(3, random_state=0, max_iter=200, loss=loss, missing="ignore")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.array_equal(again.fit_transform(HOLES), W)


def test_every_way_of_saying_so():
    weights = np.ones_like(X)
    weights[:, 4] = 0
    _, seen = fit(X, weights=weights)
    assert len(seen) == 1 and "in column 4:" in seen[0] and "row" not in seen[0]
    stored = np.where(np.isnan(HOLES), 0, HOLES)
    stored[:, [4, 6]] = 1.0
    _, seen = fit(sp.csr_array(stored), missing="unstored")
    assert len(seen) == 0  # these rows have two cells each now
    stored[7] = 0
    _, seen = fit(sp.csr_array(stored), missing="unstored")
    assert len(seen) == 1 and "in row 7:" in seen[0] and "column" not in seen[0]
    for quiet in (X, sp.csr_array(X)):
        assert fit(quiet, missing="ignore")[1] == []


def test_penalties_have_the_last_word():
    model, seen = fit(HOLES, missing="ignore", penalty_H=L1(1e-3))
    assert "what the penalties make of it" in seen[0]
    assert (model.components_[:, [4, 6]] == 0).all()


def test_frozen_parts_keep_their_bits():
    H = np.random.default_rng(1).random((3, 9))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = NMF(3, frozen=[1], missing="ignore", random_state=0, max_iter=50).fit(HOLES, H_init=H)
    assert np.array_equal(model.components_[1], H[1])
    assert np.allclose(model.components_[0, 4], model.components_[0, [0, 1, 2, 3, 5, 7, 8]].mean())


def test_a_row_without_ratings_alone_is_as_in_company():
    rng = np.random.default_rng(0)
    X = sp.random_array((40, 12), density=0.4, rng=rng, format="csr") * 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = NMF(3, missing="unstored", random_state=0, max_iter=100, tol=1e-3).fit(X)
    empty = sp.csr_array((1, 12))
    both = sp.vstack([empty, X[:1]]).tocsr()
    np.testing.assert_allclose(model.transform(empty), model.transform(both)[:1])
    np.testing.assert_allclose(model.predict_cells(empty, [0], [3]), model.predict_cells(both, [0], [3]))
    with pytest.raises(ValueError, match="no observed cell"):
        model.score(empty)


def test_a_missing_cell_in_a_row_without_weight():
    X = np.array([[np.nan, 0.51, 0.75], [0.95, 0.04, 0.15], [0.82, 0.94, 0.25]])
    model = NMF(1, missing="ignore", random_state=0).fit(X, sample_weight=[0.0, 1.0, 0.5])
    other = NMF(1, missing="ignore", random_state=0).fit(
        np.where(np.isnan(X), 9e9, X)[1:], sample_weight=[1.0, 0.5]
    )
    assert np.isfinite(model.transform(X)).all()
    assert model.components_ == pytest.approx(other.components_, rel=1e-4)


@pytest.mark.parametrize("side", ["W", "H"])
def test_clusters_say_what_they_hold_there(side):
    with pytest.warns(UserWarning, match=r"no observed cell in 2 columns .*and in 3 rows") as said:
        model = OrthogonalNMF(3, orthogonal=side, missing="ignore", random_state=0).fit(HOLES)
    message = next(str(warning.message) for warning in said if "no observed" in str(warning.message))
    H, W = model.components_, model.transform(HOLES)
    assert (W[[7, 9, 12]] == 0).all()
    if side == "W":
        assert "the mean of the component's other entries" in message and "W is 0 and the label 0" in message
        assert H[:, 4] == pytest.approx(np.delete(H, [4, 6], axis=1).mean(axis=1))
        assert (model.labels_[[7, 9, 12]] == 0).all()
    else:
        assert "components_ is 0 and the label 0" in message and "W is 0 there" in message
        assert (H[:, [4, 6]] == 0).all() and (model.labels_[[4, 6]] == 0).all()


def test_boards_say_what_they_hold_there():
    with pytest.warns(UserWarning, match=r"column_factor_ is 0 and the label 0.*row_factor_ is 0"):
        model = TriNMF((3, 2), missing="ignore", random_state=0).fit(HOLES)
    assert (model.column_factor_[[4, 6]] == 0).all() and (model.row_factor_[[7, 9, 12]] == 0).all()
    assert (model.column_labels_[[4, 6]] == 0).all() and (model.row_labels_[[7, 9, 12]] == 0).all()
