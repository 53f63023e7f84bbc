"""NonnegativeAutoencoder: the factorization in its middle, what it is shown, and its charts."""

from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.stats import binom, chi2

import nonneg
from fault_cases import (
    RATE,
    faults_of_three,
    faults_of_twelve,
    fit,
    linear_charts,
    three,
    twelve,
)
from nonneg.deep import NonnegativeAutoencoder
from nonneg.deep.monitoring import control_limits, least_rows, weighted_quantiles

SEEDS = range(2)


def small(n_components=3, **how) -> NonnegativeAutoencoder:
    settings = {"hidden": (16, 12), "max_epochs": 3, "batch_size": 32, "random_state": 0, "device": "cpu"}
    return NonnegativeAutoencoder(n_components, **settings | how)


@pytest.fixture(scope="module")
def threes() -> list[NonnegativeAutoencoder]:
    """Of three plants, with seeds of their own."""
    how = {"max_epochs": 40, "noise": "salt-and-pepper", "noise_level": 0.1}
    return [fit(three(1500, 100 * seed)[0], 2, seed, **how) for seed in SEEDS]


@pytest.fixture(scope="module")
def twelves() -> list[NonnegativeAutoencoder]:
    return [fit(twelve(2000, 100 * seed)[0], 4, seed, max_epochs=40) for seed in SEEDS]


@pytest.fixture
def of_three(threes) -> NonnegativeAutoencoder:
    return threes[0]


# -- the factorization ------------------------------------------------------------------------------------


def test_the_middle_is_a_non_negative_factorization(images):
    model = small().fit(images)
    network = model.network_
    with torch.no_grad():
        z = network.encoder(torch.from_numpy(images / images.max()).float())[-1].numpy()
    H = model.transform(images)
    assert (H >= 0).all() and (model.components_ >= 0).all() and model.components_.shape == (3, 12)
    V = network.projection.detach().abs().numpy()
    np.testing.assert_allclose(H, z @ V.T, rtol=1e-5, atol=1e-6)
    error = np.linalg.norm(z - H @ model.components_) / np.linalg.norm(z)
    assert 0.5 < error / model.history_["nmf_relative_error"][-1] < 2  # of the noisy passes, a step before
    assert set(model.history_) == {
        *("epoch", "symmetric", "non_negative_constraint", "objective"),
        *("nmf_relative_error", "learning_rate", "seconds"),
    }


@pytest.mark.parametrize("k", [1, 4, 20])
def test_every_unit_starts_alive_and_different(k):
    network = NonnegativeAutoencoder(k, hidden=(30, 20))
    network._build(15, network._resolve(), seed=0)
    U, V = (p.detach().abs().numpy() for p in (network.network_.weight, network.network_.projection))
    for weights in (U, V):
        unit = weights / np.linalg.norm(weights, axis=1, keepdims=True)
        assert (weights > 0).all()
        assert (unit @ unit.T - np.eye(k)).max() < 0.9


def test_training_lowers_both_terms_without_letting_z_vanish(images):
    model = small(max_epochs=60, learning_rate=3e-3, factorization_weight=0.1).fit(images)
    history = model.history_
    assert history["symmetric"][-1] < 0.3 * history["symmetric"][0]
    assert history["nmf_relative_error"][-1] < 0.5 * history["nmf_relative_error"][0]
    assert model.n_dead_units_ == 0 and model.code_scale_.min() > 0
    error = np.linalg.norm(images - model.inverse_transform(model.transform(images)))
    assert model.reconstruction_err_ == pytest.approx(error, rel=1e-5)


def test_weight_of_the_factorization_makes_it_hold(images):
    loose, tight = (
        small(max_epochs=40, learning_rate=3e-3, factorization_weight=weight).fit(images) for weight in (0, 1)
    )
    assert tight.history_["nmf_relative_error"][-1] < 0.5 * loose.history_["nmf_relative_error"][-1]


# -- what the network is shown ----------------------------------------------------------------------------


def test_units_and_offsets_of_features_do_not_matter():
    X = twelve(200, 0)[0]
    rng = np.random.default_rng(1)
    moved = X * np.exp2(rng.integers(-20, 20, 12)) + 0.0
    one, two = small(scaling="minmax").fit(X), small(scaling="minmax").fit(moved)
    np.testing.assert_array_equal(one.transform(X), two.transform(moved))
    shifted = small(scaling="minmax").fit(X - X.mean(axis=0))
    np.testing.assert_allclose(shifted.transform(X - X.mean(axis=0)), one.transform(X), rtol=1e-3, atol=1e-4)


def test_scaling_is_chosen_by_the_smallest_cell(images):
    assert images.min() == 0 and small().fit(images).scaling_ == "max"
    assert small().fit(images + 1).scaling_ == "minmax"
    assert small().fit(images - 50.0).scaling_ == "minmax"
    largest = small(scaling="max").fit(images - 300.0)
    assert (largest.span_ == np.abs(images - 300.0).max()).all() and not largest.offset_.any()
    ranges = small(scaling="minmax").fit(images)
    np.testing.assert_array_equal(ranges.offset_, images.min(axis=0))


@pytest.mark.filterwarnings("ignore:X has no observed cell")
def test_constant_and_missing_features(images):
    X = images.astype(float)
    X[:, 3] = 7.0
    X[:, 5] = np.nan
    model = small(missing="ignore", scaling="minmax").fit(X)
    found = model.inverse_transform(model.transform(X))
    assert np.isfinite(found).all() and model.span_[3] == model.span_[5] == 1.0
    assert np.isfinite(model.monitor(X, limit="kde").spe).all()
    with pytest.raises(ValueError, match="range of a feature"):
        small().fit(np.array([[-1.7e308, 1.0], [1.7e308, 2.0]]))


def test_kinds_of_data_agree(images):
    X = images.astype(np.float32)
    expected = small().fit_transform(X)
    for kind in (images, sp.csr_array(X)):
        np.testing.assert_allclose(small().fit_transform(kind), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scaling", ["max", "minmax"])
@pytest.mark.parametrize("wrong", [0.0, 1e30, np.inf, np.nan])
def test_what_a_missing_cell_holds_has_no_influence(images, scaling, wrong):
    gaps = np.random.default_rng(1).random(images.shape) < 0.2
    seen = (~gaps).astype(float)
    other = np.where(gaps, wrong, images)
    X = images.astype(float)
    one, two = (small(scaling=scaling).fit(data, weights=seen) for data in (X, other))
    a, b = (model.monitor(data, weights=seen, limit="kde") for model, data in ((one, X), (two, other)))
    np.testing.assert_array_equal(a.t2, b.t2)
    np.testing.assert_array_equal(a.contributions, b.contributions)
    assert (a.t2_limit, a.spe_limit) == (b.t2_limit, b.spe_limit)
    assert not a.contributions[gaps].any()
    assert one.reconstruction_err_ == two.reconstruction_err_


# -- limits -----------------------------------------------------------------------------------------------


def test_limits_by_order_statistics_hold_their_rate_whatever_the_distribution():
    rng = np.random.default_rng(0)
    met = []
    for _ in range(400):
        normal = np.column_stack([rng.chisquare(2, 150), rng.standard_t(3, 150) ** 2])
        (first, second), kind = control_limits(normal, np.array([9.0, 30.0]), 0.05)
        assert kind == "quantile"
        fresh = np.column_stack([rng.chisquare(2, 500), rng.standard_t(3, 500) ** 2])
        met.append(((fresh[:, 0] > first) | (fresh[:, 1] > second)).mean())
    assert np.mean(met) == pytest.approx(7 / 151, abs=0.003)  # (151 − ⌈151 · 0.95⌉) / 151


def test_limits_by_density_for_few_rows():
    rng = np.random.default_rng(0)
    limits, kind = control_limits(rng.chisquare(5, (2000, 1)), np.ones(1), RATE, "kde")
    assert kind == "kde" and limits[0] == pytest.approx(chi2.ppf(1 - RATE, 5), rel=0.15)
    limits, kind = control_limits(rng.chisquare(5, (30, 2)), np.ones(2), RATE)
    assert kind == "kde" and np.isfinite(limits).all()
    assert (least_rows(0.01), least_rows(0.05), least_rows(0.5)) == (99, 19, 1)
    with pytest.raises(ValueError, match="needs 99 normal rows outside training, there are 98"):
        control_limits(np.ones((98, 2)), np.ones(2), RATE, "quantile")


def test_statistics_are_what_they_say(of_three):
    X = three(50, 7)[0]
    found = of_three.monitor(X)
    H = of_three.transform(X).astype(float)
    scaled = (X - of_three.inverse_transform(H)) / of_three.span_
    np.testing.assert_allclose(found.contributions, scaled**2, rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(found.spe, found.contributions.sum(axis=1), rtol=1e-6)
    kept, held = of_three._split(of_three._source(three(1500, 0)[0], whom="fit"))
    assert len(held) == 300 and len(of_three.calibration_) == 300
    codes = of_three.transform(three(1500, 0)[0]).astype(float)[kept]
    gap = H - codes.mean(axis=0)
    expected = (gap @ np.linalg.inv(np.cov(codes.T, bias=True)) * gap).sum(axis=1)
    np.testing.assert_allclose(found.t2, expected, rtol=1e-3)
    np.testing.assert_array_equal(found.alarms, (found.t2 > found.t2_limit) | (found.spe > found.spe_limit))


# -- faults -----------------------------------------------------------------------------------------------


def holds(alarms: np.ndarray, n_calibration: int) -> bool:
    """Whether so many false alarms are within the .001 tails of what limits from so many rows can give.

    The rate that a limit by order statistics attains is itself a Beta(r, n + 1 − r) number.
    """
    r = int(RATE * (n_calibration + 1))
    attained = np.random.default_rng(0).beta(r, n_calibration + 1 - r, 20000)
    count, n = int(alarms.sum()), len(alarms)
    return binom.cdf(count, n, attained).mean() > 0.001 and binom.sf(count - 1, n, attained).mean() > 0.001


def test_normal_rows_give_alarms_at_the_stated_rate(threes, twelves):
    for models, make in ((threes, three), (twelves, twelve)):
        for seed, model in zip(SEEDS, models, strict=True):
            found = model.monitor(make(4000, 100 * seed + 1)[0], false_alarm_rate=RATE)
            assert found.limit == "quantile" and found.false_alarm_rate == RATE
            assert holds(found.alarms, len(model.calibration_)), found.alarms.mean()


def alarm_rates(model, linear, rows: dict[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """Of each fault the shares of rows with an alarm, by PCA and by the network."""
    return {name: (linear(X).mean(), model.monitor(X).alarms.mean()) for name, X in rows.items()}


def test_faults_of_the_three_variables(threes):
    for seed, model in zip(SEEDS, threes, strict=True):
        rows = faults_of_three(100 * seed)
        rates = alarm_rates(model, linear_charts(three(1500, 100 * seed)[0]), rows)
        assert rates["bias"][1] > 0.95 > 2 * rates["bias"][0]
        assert rates["relation"][1] > 0.65 > 2 * rates["relation"][0]
        assert rates["drift"][1] > 0.65 > 1.5 * rates["drift"][0]
        drift = model.monitor(rows["drift"]).alarms
        assert drift[500:].mean() > 0.95 and drift[:50].mean() < 0.1
        named = model.monitor(rows["bias"])
        assert (named.contributions[named.alarms].argmax(axis=1) == 1).mean() > 0.9


def test_faults_of_twelve_sensors(twelves):
    relations = []
    for seed, model in zip(SEEDS, twelves, strict=True):
        rows = faults_of_twelve(100 * seed)
        rates = alarm_rates(model, linear_charts(twelve(2000, 100 * seed)[0]), rows)
        assert rates["bias"][1] > 0.9 > 3 * rates["bias"][0]
        assert rates["relation"][1] > 0.2 > 10 * rates["relation"][0]
        drift = model.monitor(rows["drift"]).alarms
        assert drift[600:].mean() > 0.9 > 0.1 > drift[:50].mean()
        relations.append(rates["relation"][1])
    assert np.mean(relations) > 0.28


def test_calibrate_takes_limits_from_other_rows(of_three):
    normal = three(500, 8)[0]
    model = small(2, calibration=0).fit(normal[:100])
    assert model.calibration_.shape == (0, 2)
    with pytest.raises(ValueError, match="call calibrate"):
        model.monitor(normal)
    assert model.calibrate(normal[100:]).calibration_.shape == (400, 2)
    found = model.monitor(normal[100:], false_alarm_rate=0.05)
    assert found.alarms.sum() in (
        19,
        20,
    )  # beyond the order statistic, ⌈401 · .95⌉ of 400, or at it (rounding)
    again = pickle.loads(pickle.dumps(of_three)).calibrate(normal)
    assert again.monitor(normal).spe_limit != of_three.monitor(normal).spe_limit


# -- files, resumes, refusals -----------------------------------------------------------------------------


def test_files_and_resumed_fits(images, tmp_path):
    model = small(checkpoint=tmp_path / "a").fit(images)
    model.save(tmp_path / "model.nmf")
    for again in (nonneg.load(tmp_path / "model.nmf"), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(again.transform(images), model.transform(images))
        one, two = again.monitor(images, limit="kde"), model.monitor(images, limit="kde")
        assert (one.t2_limit, one.spe_limit) == (two.t2_limit, two.spe_limit)
        np.testing.assert_array_equal(one.t2, two.t2)
    longer, whole = (
        small(checkpoint=tmp_path / "a", max_epochs=5).fit(images),
        small(max_epochs=5).fit(images),
    )
    np.testing.assert_array_equal(longer.components_, whole.components_)
    np.testing.assert_array_equal(longer.calibration_, whole.calibration_)


def test_rows_of_weight_zero_are_neither_trained_on_nor_held_out(images):
    weights = np.ones(len(images))
    weights[:100] = 0
    X = images.astype(float)
    model = small(scaling="minmax").fit(X, sample_weight=weights)
    wild = X.copy()
    wild[:100] = wild[:100] * 50 + 1000
    other = small(scaling="minmax").fit(wild, sample_weight=weights)
    np.testing.assert_array_equal(model.components_, other.components_)
    np.testing.assert_array_equal(model.calibration_, other.calibration_)
    np.testing.assert_array_equal(model.chart_sizes_, other.chart_sizes_)
    assert len(model.calibration_) == 20
    without = small(scaling="minmax").fit(X[100:])
    np.testing.assert_array_equal(model.components_, without.components_)
    np.testing.assert_array_equal(model.chart_sizes_, without.chart_sizes_)


def test_quantiles_count_a_row_by_its_weight():
    rng = np.random.default_rng(0)
    values, weights = rng.random((50, 2)), rng.integers(0, 4, 50)
    found = weighted_quantiles(values, 0.9, weights.astype(float))
    np.testing.assert_array_equal(found, weighted_quantiles(values.repeat(weights, axis=0), 0.9, None))
    expected = np.quantile(values, 0.9, axis=0, method="inverted_cdf")
    np.testing.assert_array_equal(weighted_quantiles(values, 0.9, None), expected)


def test_what_is_no_number_gives_an_alarm(of_three):
    rows = three(20, 9)[0]
    assert not of_three.monitor(rows).alarms.all()
    broken = pickle.loads(pickle.dumps(of_three))
    broken.code_center_ = np.full(2, np.nan)
    assert broken.monitor(rows).alarms.all()
    assert of_three.monitor(rows + 1e30).alarms.all()  # squares beyond float32
    with pytest.raises(ValueError, match=r"X: row 3 .* float32"):
        of_three.monitor(np.where(np.arange(20)[:, None] == 3, 1e45, rows))
    with pytest.raises(ValueError, match=r"X: row 3 .* float32"):
        of_three.calibrate(np.where(np.arange(20)[:, None] == 3, 1e45, rows))


def test_a_unit_that_lowers_cells_is_not_dead():
    X = -np.linspace(0.1, 1, 100)[:, None] * np.ones((1, 6))
    model = small(1, scaling="max", max_epochs=60, learning_rate=5e-3).fit(X)
    assert not model.parts().any()  # what the data gain
    assert model.n_dead_units_ == 0 and model.parts_summary()["dead"] == []


@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
def test_memory_is_of_a_block_and_not_of_the_data(make):
    X = make(sp.random_array((6000, 1500), density=0.02, rng=np.random.default_rng(0)).toarray())
    model = small(2, max_epochs=1, batch_size=256)
    tracemalloc.start()
    model.fit(X)
    model.calibrate(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.3 * 8 * 6000 * 1500


@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("n_components", 0, ValueError),
        ("factorization_weight", -1.0, ValueError),
        ("scaling", "zscore", ValueError),
        ("calibration", 1.0, ValueError),
        ("calibration", "half", TypeError),
        ("output", "tanh", ValueError),
        ("noise_redraw", 1, TypeError),
        ("max_epochs", 0, ValueError),
    ],
)
def test_bad_parameters_are_named(images, argument, value, error):
    with pytest.raises(error, match=argument):
        small(**{argument: value}).fit(images)


@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("false_alarm_rate", 0.0, ValueError),
        ("false_alarm_rate", 1.0, ValueError),
        ("false_alarm_rate", "1%", TypeError),
        ("limit", "F", ValueError),
    ],
)
def test_bad_arguments_of_monitor_are_named(of_three, argument, value, error):
    with pytest.raises(error, match=argument):
        of_three.monitor(three(5, 0)[0], **{argument: value})
