"""Deep probabilistic NMF: the two halves of its alternation, and what the learned prior is worth."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.optimize import minimize
from scipy.special import kl_div

import nonneg
from nonneg import NMF
from nonneg.data import as_source
from nonneg.deep import Batches, DeepProbabilisticNMF
from nonneg.deep.count_network import CountNetwork, best_shares

SMALL = {"hidden": (16,), "pretrain_epochs": 2, "max_epochs": 5, "batch_size": 32, "device": "cpu"}


def small(n_components=3, **how) -> DeepProbabilisticNMF:
    return DeepProbabilisticNMF(n_components, **{"random_state": 0, **SMALL, **how})


def counts(seed: int, n: int = 600, m: int = 80, k: int = 10, total: float = 60.0) -> np.ndarray:
    """Rows whose k amounts follow from two hidden coordinates: bumps in a square, so no k free amounts."""
    rng = np.random.default_rng(seed)
    places, centres = rng.random((n, 2)), rng.random((k, 2))
    W = np.exp(-((places[:, None] - centres) ** 2).sum(axis=2) / (2 * 0.15**2))
    W *= rng.gamma(4, total / 4, (n, 1)) / W.sum(axis=1, keepdims=True)
    return rng.poisson(W @ rng.dirichlet(np.full(m, 0.2), k))


@pytest.fixture(scope="module")
def documents() -> np.ndarray:
    return counts(7, n=90, m=30, k=4)


def network_and_batches(X, **how) -> tuple[CountNetwork, Batches]:
    """A trained network, with W of its training rows."""
    kept = {}

    class Kept(DeepProbabilisticNMF):
        def _set_components(self):
            kept["theta"] = self.network_.theta
            super()._set_components()

    model = Kept(3, **{"random_state": 0, **SMALL, **how}).fit(X)
    model.network_.theta = kept["theta"]
    return model.network_, Batches(as_source(X.astype(np.float32)), 32, seed=0, scale=model.scale_)


# -- held-out likelihood ------------------------------------------------------------------------------------------


def held_out(X: np.ndarray, rate: np.ndarray, mean_row: np.ndarray) -> float:
    """Mean log likelihood of a cell but for the constant, at the share of the mean row that suits it best."""
    other = mean_row * rate.sum(axis=1, keepdims=True)
    rates = [(1 - share) * rate + share * other for share in (0, 1e-3, 1e-2, 0.03, 0.1, 0.3)]
    return max(-kl_div(X, rate).mean() for rate in rates)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_held_out_likelihood_is_above_that_of_shallow_nmf(seed):
    """Half of the counts of new rows are seen, the other half are predicted; NMF even with the best smoothing."""
    X = counts(seed)
    train, new = X[:400], X[400:]
    seen = np.random.default_rng(seed).binomial(new, 0.5)
    mean_row = train.sum(axis=0) / train.sum()
    models = {
        "deep": DeepProbabilisticNMF(10, hidden=(128,), max_epochs=50, batch_size=64, random_state=0),
        "shallow": NMF(10, loss="kl", random_state=0),
    }
    found = {
        name: held_out(new - seen, model.fit(train).inverse_transform(model.transform(seen)), mean_row)
        for name, model in models.items()
    }
    assert found["deep"] > found["shallow"] + 0.01  # .017 to .021 with these seeds


# -- the alternation ----------------------------------------------------------------------------------------------


def test_network_and_factors_move_in_turn(documents, monkeypatch):
    """During pretraining the network moves alone; then each stays while the other moves."""
    calls = []
    step = CountNetwork.after_epoch

    def watched(self, epoch, batches):
        before = {name: value.clone() for name, value in self.state_dict().items()}
        step(self, epoch, batches)
        calls.append((before, {name: value.clone() for name, value in self.state_dict().items()}))

    monkeypatch.setattr(CountNetwork, "after_epoch", watched)
    small(max_epochs=6).fit(documents)
    factors, weights = ("H", "theta"), "encoder.layers.0.weight"
    for epoch, (before, after) in enumerate(calls):
        assert torch.equal(before[weights], after[weights])
        for name in factors:
            assert torch.equal(before[name], after[name]) == (epoch < 2)
            if epoch:
                assert torch.equal(calls[epoch - 1][1][name], before[name])
        if epoch:
            assert not torch.equal(calls[epoch - 1][1][weights], before[weights])


UNEVEN = np.where(np.arange(30) % 2, 1.0, 0.02) * np.ones((90, 1))


@pytest.mark.parametrize("weights", [{}, {"sample_weight": np.linspace(0, 1, 90)}, {"weights": UNEVEN}])
@pytest.mark.parametrize("prior_H", [0.0, 20.0])
def test_factor_steps_lower_the_posterior_loss(documents, weights, prior_H):
    X = documents.astype(float)
    network, batches = network_and_batches(X, precision="float64", prior_H=prior_H)
    batches = Batches(as_source(X, **weights), 32, seed=0, scale=batches.scale, dtype=torch.float64)
    network.losses = network.losses.double()
    losses = []
    for _ in range(30):
        network.after_epoch(2, batches)
        losses.append(float(network.losses.sum()))  # between the step of W and that of H
        with torch.no_grad():
            network._pass(batches, network.theta, steps=0)
        losses.append(float(network.losses.sum()))
    assert (np.diff(losses) <= 1e-13 * losses[0]).all()
    assert losses[-1] < losses[0]


def test_shares_of_a_part_are_the_best_of_those_that_sum_to_one():
    rng = np.random.default_rng(0)
    up, down = rng.random((6, 9)) * (rng.random((6, 9)) < 0.7), 10.0 ** rng.uniform(-3, 3, (6, 9))
    up[0, 1:] = up[1] = 0
    h = best_shares(*map(torch.from_numpy, (up, down))).numpy()
    np.testing.assert_allclose(h.sum(axis=1), [1, 0, 1, 1, 1, 1], rtol=1e-14)
    assert h.min() == 0 and h[0, 0] == pytest.approx(float(up[0, 0] > 0))
    for found, a, b in zip(h[2:], up[2:], down[2:], strict=True):
        used = a > 0
        level = a[used] / found[used] - b[used]  # one multiplier for all: stationary, and the loss is convex
        np.testing.assert_allclose(level, level[0], rtol=1e-9, atol=1e-9)


def test_pretraining_lowers_the_autoencoders_error_and_codes_come_to_match_amounts(documents):
    history = (
        small(hidden=(64,), pretrain_epochs=20, max_epochs=60, learning_rate=3e-3).fit(documents).history_
    )
    assert history["reconstruction"][19] < 0.9 * history["reconstruction"][0]
    assert (history["match"][:20] == 0).all() and history["match"][-1] < 0.7 * history["match"][20]
    assert (history["kl"][:20] == history["kl"][0]).all()
    np.testing.assert_allclose(history["objective"], history["kl"] + history["prior"])
    wanted = {"epoch", "reconstruction", "match", "kl", "prior", "objective", "learning_rate", "seconds"}
    assert set(history) == wanted


# -- W ------------------------------------------------------------------------------------------------------------


def posterior_loss(theta, row, code, H, mean_total, prior):
    """The formula, a row at a time."""
    size = row.sum() / mean_total
    return kl_div(row, size * theta @ H).sum() + prior * kl_div(code, theta).sum()


def test_transform_is_the_mode_of_the_posterior(documents):
    model = small(precision="float64", prior_W=30.0).fit(documents.astype(float))
    H, total = model.components_, documents.sum(axis=1).mean()
    np.testing.assert_allclose(H.sum(axis=1), total)
    rows = documents[:5].astype(float)
    with torch.no_grad():
        codes = model.network_.code(torch.from_numpy(rows / rows.sum(axis=1, keepdims=True))).numpy()
    for row, code, found in zip(rows, codes, model.transform(rows), strict=True):
        theta = found / (row.sum() / total)
        best = minimize(
            lambda u, row=row, code=code: posterior_loss(np.exp(u), row, code, H, total, 30.0), np.log(code)
        )
        np.testing.assert_allclose(posterior_loss(theta, row, code, H, total, 30.0), best.fun, rtol=1e-7)
        np.testing.assert_allclose(theta, np.exp(best.x), atol=1e-3)


def test_the_prior_leads_from_shallow_amounts_to_codes(documents):
    X = documents.astype(float)
    size = X.sum(axis=1, keepdims=True) / X.sum(axis=1).mean()
    model = small(prior_W=1e7).fit(X)
    with torch.no_grad():
        code = model.network_.code(torch.tensor(X / X.sum(axis=1, keepdims=True), dtype=torch.float32))
    np.testing.assert_allclose(model.transform(X) / size, code, rtol=1e-3)
    loose = small(prior_W=1e-4).fit(X)
    W = loose.transform(X)
    best = NMF(3, loss="kl", frozen=range(3), tol=1e-8).fit(X, H_init=loose.components_).transform(X)
    assert kl_div(X, W @ loose.components_).sum() == pytest.approx(
        kl_div(X, best @ loose.components_).sum(), rel=2e-3
    )


def test_a_row_of_zeros_has_none_of_anything(documents):
    X = documents.copy()
    X[3] = 0
    W = small().fit_transform(X)
    assert (W[3] == 0).all() and (W[4] > 0).all()


def test_codes_do_not_depend_on_company_or_kind_of_data(documents):
    model = small().fit(documents)
    W = model.transform(documents)
    np.testing.assert_array_equal(model.transform(documents[40:43]), W[40:43])
    np.testing.assert_array_equal(model.transform(sp.csr_array(documents.astype(float))), W)
    sparse = small().fit(sp.csr_array(documents.astype(float)))
    np.testing.assert_allclose(sparse.transform(documents), W, rtol=2e-3, atol=1e-5)
    assert small().fit(documents.astype(np.uint8)).transform(documents.astype(np.uint8)).dtype == np.float32


def test_units_of_X_are_units_of_the_parts(documents):
    X = documents.astype(float)
    one = small().fit(X)
    other = small(prior_W=20 * 2.0**20, prior_H=20 * 2.0**20).fit(2.0**20 * X)
    np.testing.assert_allclose(other.transform(2.0**20 * X), one.transform(X), rtol=1e-5)
    np.testing.assert_allclose(other.components_, 2.0**20 * one.components_, rtol=1e-5)


def test_score_is_minus_the_mean_divergence_as_of_nmf(documents):
    X = documents.astype(float)
    weights, rows = np.random.default_rng(0).random(X.shape), np.random.default_rng(1).random(len(X))
    model = small().fit(X)
    cells = kl_div(X, model.inverse_transform(model.transform(X)))
    assert model.score(X) == pytest.approx(-cells.mean(), rel=1e-5)
    assert model.reconstruction_err_ == pytest.approx(np.sqrt(2 * cells.sum()), rel=1e-5)
    cells = kl_div(X, model.transform(X, weights=weights) @ model.components_)
    both = weights * rows[:, None]
    assert model.score(X, weights=weights, sample_weight=rows) == pytest.approx(
        -(both * cells).sum() / both.sum(), rel=1e-5
    )


# -- missing cells ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [0.0, 1e30, np.nan])
def test_what_a_missing_cell_holds_has_no_influence(documents, wrong):
    X, seen = documents.astype(float), (np.random.default_rng(1).random(documents.shape) > 0.2).astype(float)
    other = np.where(seen > 0, X, wrong)
    one, two = small().fit(X, weights=seen), small().fit(other, weights=seen)
    np.testing.assert_array_equal(one.components_, two.components_)
    np.testing.assert_array_equal(one.transform(X, weights=seen), two.transform(other, weights=seen))
    hollow = small(missing="ignore").fit(np.where(seen > 0, X, np.nan))
    np.testing.assert_array_equal(one.components_, hollow.components_)


def test_weights_of_one_change_no_code(documents):
    model = small().fit(documents)
    W = model.transform(documents, weights=np.ones(documents.shape))
    np.testing.assert_array_equal(W, model.transform(documents))


def test_missing_cells_are_predicted():
    X = counts(3, n=300, m=40, k=4, total=200).astype(float)
    gaps = np.random.default_rng(1).random(X.shape) < 0.2
    model = small(4, hidden=(64,), max_epochs=40, missing="ignore").fit(np.where(gaps, np.nan, X))
    found = model.inverse_transform(model.transform(np.where(gaps, np.nan, X)))
    total = np.nanmean(np.where(gaps, np.nan, X), axis=1, keepdims=True)
    column = np.nanmean(np.where(gaps, np.nan, X), axis=0)
    assert kl_div(X, found)[gaps].mean() < 0.5 * kl_div(X, total * column / column.mean())[gaps].mean()


# -- surface ------------------------------------------------------------------------------------------------------


def test_parts_are_the_components(documents):
    model = small().fit(documents)
    np.testing.assert_array_equal(model.parts(), model.components_)
    assert (model.components_ > 0)[:, documents.any(axis=0)].all()
    assert model.parts_summary()["negative_share"] == 0
    np.testing.assert_allclose(
        model.inverse_transform(model.transform(documents)),
        model.transform(documents) @ model.components_,
        rtol=1e-5,
        atol=1e-6,
    )


def test_a_part_that_no_row_has_is_dead(documents):
    model = small().fit(documents)
    assert model.n_dead_units_ == 0 and model.parts_summary()["dead"] == []
    model.code_mean_[1] = model.code_scale_[1] = 1e-6  # its part sums to as much as the others
    assert model.parts_summary()["dead"] == [1]


def test_files_pickles_and_seeds(documents, tmp_path):
    model = small().fit(documents)
    model.save(tmp_path / "model.nmf")
    for again in (
        nonneg.load(tmp_path / "model.nmf"),
        pickle.loads(pickle.dumps(model)),
        small().fit(documents),
    ):
        np.testing.assert_array_equal(again.transform(documents), model.transform(documents))
    assert not np.array_equal(small(random_state=1).fit(documents).components_, model.components_)


@pytest.mark.parametrize("stop", [1, 2, 4])
def test_a_stopped_fit_goes_on_bitwise(documents, tmp_path, stop):
    class StopError(Exception):
        pass

    def stop_at(record):
        if record["epoch"] == stop:
            raise StopError

    with pytest.raises(StopError):
        small(checkpoint=tmp_path, verbose=stop_at).fit(documents)
    resumed, whole = small(checkpoint=tmp_path).fit(documents), small().fit(documents)
    np.testing.assert_array_equal(resumed.components_, whole.components_)
    np.testing.assert_array_equal(resumed.transform(documents), whole.transform(documents))
    for name in ("match", "kl", "prior"):
        np.testing.assert_array_equal(resumed.history_[name], whole.history_[name])


@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("n_components", 0, ValueError),
        ("prior_W", 0.0, ValueError),
        ("prior_H", -1.0, ValueError),
        ("pretrain_epochs", 5, ValueError),
        ("pretrain_epochs", 1.5, TypeError),
        ("hidden", (), ValueError),
        ("noise", "snow", ValueError),
        ("noise_redraw", 1, TypeError),
    ],
)
def test_bad_parameters_are_named(documents, argument, value, error):
    with pytest.raises(error, match=argument):
        small(**{argument: value}).fit(documents)
