"""Cells that are missing, or count more or less, in deep models."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from nonneg.deep import DDNMF, Autoencoder, NonnegativeAutoencoder

HOW = {"hidden": (16, 12), "max_epochs": 4, "batch_size": 32, "random_state": 0, "device": "cpu"}
MODELS = {
    "ddnmf": lambda **more: DDNMF(3, **HOW | more),
    "ddnmf-demo": lambda **more: DDNMF(
        3, profile="demo", **HOW | more
    ),  # with the distance to the clean data
    "autoencoder": lambda **more: Autoencoder(3, **HOW | more),
    "nonnegative": lambda **more: NonnegativeAutoencoder(3, **HOW | more),
}
every_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)


@pytest.fixture
def gaps(images):
    return np.random.default_rng(1).random(images.shape) < 0.2


def same(a, b, X, **how):
    np.testing.assert_array_equal(a.transform(X, **how), b.transform(X, **how))
    for name, values in a.history_.items():
        if name != "seconds":
            np.testing.assert_array_equal(values, b.history_[name])
    assert a.reconstruction_err_ == b.reconstruction_err_


@every_model
@pytest.mark.parametrize("wrong", [0.0, 1e30, np.inf, np.nan])
def test_what_a_missing_cell_holds_has_no_influence(images, gaps, make, wrong):
    X, seen = images.astype(float), (~gaps).astype(float)
    other = np.where(gaps, wrong, X)
    one, two = make().fit(X, weights=seen), make().fit(other, weights=seen)
    same(one, two, X, weights=seen)
    np.testing.assert_array_equal(one.transform(X, weights=seen), one.transform(other, weights=seen))
    assert one.score(X, weights=seen) == one.score(other, weights=seen)


@every_model
def test_nan_is_a_weight_of_zero(images, gaps, make):
    X, seen = images.astype(float), (~gaps).astype(float)
    hollow = np.where(gaps, np.nan, X)
    one, two = make().fit(X, weights=seen), make(missing="ignore").fit(hollow)
    np.testing.assert_array_equal(one.transform(X, weights=seen), two.transform(hollow))


@pytest.mark.filterwarnings("ignore:X has no observed cell")
@every_model
def test_unstored_cells_are_missing_where_asked(images, make):
    X = images.astype(float)
    kept = np.greater(X, np.median(X))
    sparse = sp.csr_array(X * kept)
    one, two = make(missing="unstored").fit(sparse), make().fit(X, weights=kept.astype(float))
    np.testing.assert_array_equal(one.transform(sparse), two.transform(X, weights=kept.astype(float)))


@every_model
def test_weights_of_one_change_nothing(images, make):
    same(make().fit(images, weights=np.ones(images.shape)), make().fit(images), images)


@every_model
def test_loss_counts_cells_by_their_weight(images, make):
    model = make().fit(images)
    weights = np.random.default_rng(2).random(images.shape)
    gap = images - model.inverse_transform(model.transform(images))
    assert model.score(images, weights=weights) == pytest.approx(
        -0.5 * (weights * gap**2).sum() / weights.sum(), rel=1e-5
    )


def test_missing_cells_are_filled_from_the_others(images, gaps):
    X = np.where(gaps, np.nan, images)
    model = Autoencoder(
        4, hidden=(64,), max_epochs=150, noise="masking", noise_level=0.2, missing="ignore", random_state=0
    ).fit(X)
    found = model.denoise(X)
    error = np.abs(found - images)[gaps].mean()
    mean = np.abs(np.nanmean(X, axis=0) - images)[gaps].mean()
    assert error < 0.5 * mean


@every_model
def test_columns_that_nobody_observed_are_named(images, make):
    seen = np.ones(images.shape)
    seen[:, 5] = 0
    with pytest.warns(UserWarning, match="no observed cell in column 5: what is decoded means nothing there"):
        make(max_epochs=1).fit(images.astype(float), weights=seen)
