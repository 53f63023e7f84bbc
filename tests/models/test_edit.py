"""Parts strengthened, removed and exchanged; how far parts are parts."""

from __future__ import annotations

import numpy as np
import pytest

from family_cases import FAMILY, data_for, fresh
from nonneg import NMF


@pytest.fixture(scope="module")
def planted():
    rng = np.random.default_rng(0)
    H = np.kron(np.eye(3), [1.0, 2.0, 1.0])
    X = (
        np.vstack([np.eye(3), rng.gamma(2.0, size=(30, 3)) * (rng.random((30, 3)) < 0.7)]) @ H
    )  # unique: pure rows
    return X, NMF(3, tol=1e-8, random_state=0).fit(X)


def test_a_factor_multiplies_a_part(planted):
    X, model = planted
    k = int(model.components_[:, 4].argmax())  # the part of columns 3 to 5
    for factor in (0, 0.5, 3.0):
        wanted = X.copy()
        wanted[:, 3:6] *= factor
        np.testing.assert_allclose(model.edit(X, {k: factor}), wanted, atol=1e-6)


def test_parts_are_exchanged_between_rows(planted):
    X, model = planted
    k, other = int(model.components_[:, 4].argmax()), X[::-1]
    wanted = X.copy()
    wanted[:, 3:6] = other[:, 3:6]
    np.testing.assert_allclose(model.edit(X, {k: model.transform(other)[:, k]}), wanted, atol=1e-6)


def test_no_change_is_the_reconstruction(planted):
    X, model = planted
    np.testing.assert_array_equal(model.edit(X, {}), model.inverse_transform(model.transform(X)))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ([0], TypeError, "must map components"),
        ({3: 1.0}, ValueError, "no component 3; components are 0 to 2"),
        ({-1: 1.0}, ValueError, "no component -1"),
        ({"a": 1.0}, TypeError, "'a' is no component"),
        ({0: np.nan}, ValueError, "must be finite"),
        ({0: -1.0}, ValueError, r"changes\[0\]=-1.0 must not be negative, as amounts of NMF are not"),
        ({0: -np.ones(33)}, ValueError, "must not be negative"),
        ({0: 1e308}, ValueError, "the result leaves the range of float64; take smaller"),
        ({0: "x"}, TypeError, "must be a number"),
        ({0: np.ones(2)}, ValueError, r"expected a factor or 33 amounts, one a row, got shape \(2,\)"),
    ],
)
def test_bad_changes_are_named(planted, changes, error, message):
    X, model = planted
    with pytest.raises(error, match=message):
        model.edit(X, changes)


@pytest.mark.parametrize("name", [name for name in FAMILY if hasattr(fresh(name), "inverse_transform")])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_model_that_reconstructs_can_be_edited(name):
    model = fresh(name)
    X = data_for(model)
    model.fit(X)
    found = model.edit(X, {0: 0.0})
    W = np.array(model.transform(X))
    W[:, 0] = 0
    np.testing.assert_allclose(found, model.inverse_transform(W), rtol=1e-12)
    summary = model.parts_summary()
    assert len(summary["hoyer_sparsity"]) == len(model.parts())
    assert (model.components_ < 0).mean() == summary["negative_share"]


def test_a_model_that_reconstructs_nothing_says_so():
    model = fresh("KernelNMF")
    X = data_for(model)
    with pytest.raises(AttributeError, match="no inverse_transform: its parts have no pre-images"):
        model.fit(X).edit(X, {0: 0.0})


def test_float32_is_left_by_smaller_factors(planted):
    X = planted[0].astype(np.float32)
    model = NMF(3, random_state=0, tol=1e-3).fit(X)
    assert np.isfinite(model.edit(X, {0: 1e30})).all()
    for change in (1e300, np.full(33, 1e300), 3e38):
        with pytest.raises(ValueError, match="the result leaves the range of float32"):
            model.edit(X, {0: change})


def test_codes_of_any_sign_take_changes_of_any_sign(planted):
    autoencoder = pytest.importorskip("nonneg.deep").Autoencoder
    X, how = planted[0], {"hidden": (8,), "max_epochs": 2, "random_state": 0}
    model = autoencoder(2, **how).fit(X)
    W = model.transform(X)
    W[:, 0] *= -1
    np.testing.assert_array_equal(model.edit(X, {0: -1.0}), model.inverse_transform(W))
    with pytest.raises(TypeError, match="codes of any sign"):
        model.memberships(X)
    model = autoencoder(2, activation="relu", **how).fit(X)
    assert model.memberships(X).min() >= 0
    with pytest.raises(ValueError, match="must not be negative"):
        model.edit(X, {0: -1.0})


@pytest.mark.parametrize("power", [-1000, -700, 0, 700, 1010])
def test_parts_are_judged_alike_in_all_units(planted, power):
    X = planted[0]
    wanted = NMF(3, random_state=0).fit(X).parts_summary()
    found = NMF(3, random_state=0).fit(X * 2.0**power).parts_summary()
    assert found["dead"] == wanted["dead"] == [] and found["duplicates"] == wanted["duplicates"]
    np.testing.assert_allclose(found["hoyer_sparsity"], wanted["hoyer_sparsity"], rtol=1e-6)


def test_dead_and_duplicate_parts_are_found():
    model = NMF(4, random_state=0).fit(np.ones((5, 6)) + np.eye(5, 6))
    model.components_ = np.array([[1.0, 0, 0], [2, 0, 0], [0, 0, 0], [0, 1, 1]])
    summary = model.parts_summary()
    assert summary["dead"] == [2] and summary["duplicates"] == [(0, 1)] and summary["negative_share"] == 0
    np.testing.assert_allclose(summary["hoyer_sparsity"], [1, 1, np.nan, (3**0.5 - 2**0.5) / (3**0.5 - 1)])
