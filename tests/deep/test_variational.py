"""A variational autoencoder of clean spectra, and noise told from them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from scipy.signal import istft, lfilter, stft

import nonneg
from nonneg import NMF
from nonneg.deep import VariationalNMF
from nonneg.deep.separation import Mixture

HOW = {"hidden": (16,), "max_epochs": 4, "batch_size": 32, "random_state": 0, "device": "cpu"}
RATE = 4000
WINDOW = {"fs": RATE, "nperseg": 256, "noverlap": 192}


def small(**more):
    return VariationalNMF(3, **HOW | more)


# -- sounds -----------------------------------------------------------------------------------------------------


def voice(seconds, rng):
    """Harmonics of a gliding pitch under two moving formants, with pauses."""
    time, knots = np.arange(int(seconds * RATE)) / RATE, np.arange(int(4 * seconds) + 2) / 4

    def glide(low, high):
        return np.interp(time, knots, rng.uniform(low, high, len(knots)))

    pitch, first, second = np.exp(glide(np.log(110), np.log(260))), glide(300, 800), glide(900, 1700)
    loudness = np.interp(time, knots, rng.uniform(0.2, 1, len(knots)) * (rng.random(len(knots)) < 0.85))
    phase, sound = 2 * np.pi * np.cumsum(pitch) / RATE, np.zeros_like(time)
    for harmonic in range(1, 18):
        at = harmonic * pitch
        size = np.exp(-0.5 * ((at - first) / 150) ** 2) + 0.6 * np.exp(-0.5 * ((at - second) / 200) ** 2)
        sound += np.where(at < 1900, size + 0.02, 0) * np.sin(harmonic * phase + rng.uniform(0, 2 * np.pi))
    return loudness * sound


def noise(seconds, rng, count=3):
    """Coloured noises that swell and fade: a spectrogram of as many parts."""
    time, knots = np.arange(int(seconds * RATE)) / RATE, np.arange(int(2 * seconds) + 2) / 2
    sound = np.zeros_like(time)
    for _ in range(count):
        radius, angle = rng.uniform(0.85, 0.97), np.pi * rng.uniform(0.05, 0.9)
        colour = [1, -2 * radius * np.cos(angle), radius**2]
        part = lfilter([1], colour, rng.standard_normal(len(time)))
        sound += part / part.std() * np.sqrt(np.interp(time, knots, rng.gamma(0.6, size=len(knots))))
    return sound


def frames(sound):
    return stft(sound, **WINDOW)[2].T


def ratio(truth, coefficients):
    """Signal to distortion of a sound given by its frames, in dB."""
    found = istft(coefficients.T, **WINDOW)[1][: len(truth)]
    return 10 * np.log10(np.sum(truth**2) / np.sum((truth - found) ** 2))


@pytest.fixture(scope="module")
def clean():
    return np.abs(frames(voice(60, np.random.default_rng(0)))[::2]) ** 2


def mixed(seed, seconds=4):
    """A voice that nobody has heard, and as much noise, in power."""
    rng = np.random.default_rng(seed)
    truth, other = voice(seconds, rng), noise(seconds, rng)
    return truth, other * np.sqrt(np.sum(truth**2) / np.sum(other**2))


def supervised_gains(known, S, n_noise, floor):
    """Wiener gains of NMF: spectra learnt from clean frames and held, others free for the noise."""
    X, k, rng = np.abs(S) ** 2 + floor, len(known), np.random.default_rng(1)
    H = np.vstack([known, X.mean() * rng.uniform(0.5, 1.5, (n_noise, X.shape[1]))])
    W = rng.uniform(0.5, 1.5, (len(X), len(H))) * X.mean() / H.mean(axis=1) / len(H)
    how = {"loss": "itakura-saito", "solver": "mu", "max_iter": 100, "tol": 0}
    model = NMF(len(H), **how, frozen=range(k), random_state=0)
    W = model.fit_transform(X, W_init=W, H_init=H)
    power = W[:, :k] @ model.components_[:k]
    return power / (power + W[:, k:] @ model.components_[k:])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::nonneg.exceptions.ConvergenceWarning")
def test_a_voice_is_told_from_noise_of_few_parts(clean):
    model = VariationalNMF(16, max_epochs=40, batch_size=64, random_state=0, device="cpu").fit(clean)
    assert model.n_active_units_ == 16
    floor = 1e-6 * clean.max()
    known = NMF(16, loss="itakura-saito", max_iter=40, random_state=0).fit(clean[::3] + floor).components_
    gains = []
    for seed in range(10, 14):
        truth, other = mixed(seed)
        S = frames(truth + other)
        assert ratio(truth, S) == pytest.approx(0, abs=1e-6)
        found = model.separate(S, n_noise=3, n_iter=60, random_state=0)
        rival = ratio(truth, S * supervised_gains(known, S, 3, 1e-3 * floor))
        gains.append((ratio(truth, found.clean), rival))
    voiced, rival = np.array(gains).T
    assert voiced.mean() > 6.5 and (voiced - rival).mean() > 2  # 7.2 and 3.1 measured
    assert (voiced - rival).min() > 1


# -- the networks ------------------------------------------------------------------------------------------------


def test_guards_keep_units_in_use():
    rng = np.random.default_rng(0)
    factor = rng.standard_normal((500, 1))
    X = np.exp(0.4 * factor * np.where(np.arange(12) % 2, 1, -1)) * rng.exponential(size=(500, 12))
    how = {"hidden": (32,), "max_epochs": 100, "batch_size": 50, "learning_rate": 5e-3}
    cost = []
    for seed in range(2):
        bare = VariationalNMF(6, **how, free_bits=0, warmup=0, random_state=seed).fit(X)
        kept = VariationalNMF(6, **how, random_state=seed).fit(X)
        for model in (bare, kept):
            codes = model.transform(X)
            np.testing.assert_allclose(model.unit_variances_, codes.var(axis=0), rtol=1e-4)
            found = np.abs(np.corrcoef(np.hstack([factor, codes]).T)[0, 1:])
            assert found.max() > 0.7
        one, *others = np.sort(bare.unit_variances_)[::-1]
        assert one > 0.5 and max(others) < 0.1  # .6 to .8, and up to .05, with seeds 0 to 5
        assert kept.n_active_units_ == 6 and kept.unit_variances_.min() > 0.1
        cost.append(kept.history_["bound"][-1] - bare.history_["bound"][-1])
    assert 0 < np.mean(cost) < 6 * 0.1  # units that the data do not need take up to λ each


def test_the_loss_is_the_evidence_bound(images):
    model = small(precision="float64", free_bits=0, warmup=0).fit(images)
    network, X = model.network_.double(), images[:40] / model.scale_
    batch = nonneg.deep.Batch(torch.from_numpy(X), torch.arange(40), 3)
    with torch.no_grad():
        terms = network.loss_terms(batch)
        mean, log_variance = (each.numpy() for each in network.code(network.features(batch.x)))
        draw = network.noise(torch.zeros(40, 3, dtype=torch.float64), batch.rows, 3).numpy()
        v = network.log_power(torch.from_numpy(mean + np.exp(log_variance / 2) * draw)).exp().numpy()
    y = X + model.floor
    assert float(terms["divergence"]) == pytest.approx(np.sum(y / v - np.log(y / v) - 1))
    kl = 0.5 * np.sum(mean**2 + np.exp(log_variance) - 1 - log_variance)
    assert float(terms["kl"]) == pytest.approx(kl)
    assert float(terms["objective"]) == pytest.approx(np.sum(y / v - np.log(y / v) - 1) + kl)


def test_guards_change_the_objective_alone(images):
    def terms(epoch, **guards):
        network = small(precision="float64", **guards).fit(images).network_.double()
        x = torch.from_numpy(images / 255.0)
        with torch.no_grad():
            found = network.loss_terms(nonneg.deep.Batch(x, torch.arange(len(x)), epoch))
        return {name: float(value) for name, value in found.items()}

    warm = terms(2, warmup=9, free_bits=0)
    assert warm["objective"] == pytest.approx(warm["divergence"] + 0.3 * warm["kl"])
    free = terms(2, warmup=0, free_bits=100.0)
    assert free["objective"] == pytest.approx(free["divergence"] + 3 * 100.0 * len(images))


def test_score_is_minus_the_mean_divergence(images):
    model = small().fit(images)
    weights = np.random.default_rng(2).random(images.shape)
    floor = model.floor * model.scale_
    quotient = (images + floor) / (model.inverse_transform(model.transform(images)) + floor)
    cost = quotient - np.log(quotient) - 1
    assert model.score(images) == pytest.approx(-cost.mean(), rel=1e-4)
    assert model.score(images, weights=weights) == pytest.approx(
        -(weights * cost).sum() / weights.sum(), rel=1e-4
    )
    assert model.reconstruction_err_ == pytest.approx(np.sqrt(2 * cost.sum()), rel=1e-4)


# -- the inference -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def voiced():
    """A model of one unit, and a mixture of its own voice and noise."""
    rng = np.random.default_rng(0)
    X = np.exp(np.sin(rng.random((300, 1)) * 5 + np.arange(20) / 2)) * rng.exponential(size=(300, 20))
    model = VariationalNMF(
        1, hidden=(16,), max_epochs=60, batch_size=32, precision="float64", random_state=0
    ).fit(X)
    return model, X


@torch.no_grad()
def test_chains_have_the_posterior_as_their_law(voiced):
    model, X = voiced
    x = torch.from_numpy(X[:5] / model.scale_)
    mixture = Mixture(model.network_.double(), x, 2, torch.Generator().manual_seed(0))
    grid = torch.linspace(-6, 6, 2001, dtype=torch.float64)[:, None]
    samples = []
    for number in range(4000):
        mixture.move(adapt=number < 1000)
        samples.append(mixture.z.clone())
    samples = torch.stack(samples[1000:])[..., 0]
    for row in range(5):
        v = (
            mixture.loudness[row] * model.network_.log_power(grid).exp()
            + mixture.amounts[row] @ mixture.parts
        )
        log = -(v.log() + x[row] / v).sum(dim=1) - 0.5 * grid[:, 0] ** 2
        weight = torch.softmax(log, dim=0)
        mean = float(weight @ grid[:, 0])
        spread = float(weight @ (grid[:, 0] - mean) ** 2) ** 0.5
        assert float(samples[:, row].mean()) == pytest.approx(mean, abs=0.15 * spread)
        assert float(samples[:, row].std()) == pytest.approx(spread, rel=0.15)


@torch.no_grad()
def test_updates_do_not_raise_the_mean_loss(voiced):
    model, X = voiced
    x = torch.from_numpy(X[:50] / model.scale_)
    mixture = Mixture(model.network_.double(), x, 3, torch.Generator().manual_seed(0))
    voices = torch.stack([mixture.voice, mixture.voice.flip(0), 2 * mixture.voice])
    losses = []
    for _ in range(30):
        v = mixture.loudness * voices + mixture.amounts @ mixture.parts
        losses.append(float((v.log() + x / v).mean()))
        mixture.maximise(voices)
    assert (np.diff(losses) <= 1e-9).all() and losses[-1] < losses[0] - 0.05


def test_coefficients_and_powers(voiced):
    model, X = voiced
    rng = np.random.default_rng(3)
    S = np.sqrt(X) * np.exp(2j * np.pi * rng.random(X.shape))
    how = {"n_noise": 2, "n_iter": 5, "n_samples": 4}
    found, powers = model.separate(S, **how), model.separate(np.abs(S) ** 2, **how)
    np.testing.assert_allclose(found.clean + found.noise, S, rtol=1e-12)
    np.testing.assert_allclose(powers.clean, np.abs(found.clean) ** 2, rtol=1e-6)
    np.testing.assert_allclose(powers.noise, np.abs(found.noise) ** 2, rtol=1e-6, atol=1e-12)
    assert found.gains.min() >= 0 and found.gains.max() <= 1
    assert [each.shape for each in found] == [
        *((300, 20),) * 3,
        *((300, 1), (300,), (300, 2), (2, 20), (5,)),
    ]
    # two sources of the powers themselves: they explain X
    v = found.loudness[:, None] * model.inverse_transform(found.codes) + found.amounts @ found.parts
    assert np.mean(X / v) == pytest.approx(1, abs=0.15)


def test_separations_are_the_seeds_and_the_units_do_not_matter(voiced):
    model, X = voiced
    how = {"n_iter": 3, "n_samples": 2}
    one, two, other = (model.separate(X, **how, random_state=seed) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert not np.array_equal(one.gains, other.gains)
    np.testing.assert_array_equal(one.gains, model.separate(X * 2.0**20, **how, random_state=0).gains)
    np.testing.assert_array_equal(one.gains, model.separate(X, **how).gains)  # the estimator's own seed
    S = np.sqrt(X) * np.exp(1j * np.arange(20))
    found = model.separate(S, **how)
    for power in (-700, 640):
        far = model.separate(S * 2.0**power, **how)  # 1e-211 and 1e192: the squares are no floats
        np.testing.assert_array_equal(far.gains, found.gains)
        np.testing.assert_array_equal(far.clean, found.clean * 2.0**power)
    top = 2.0 ** (1023 - np.ceil(np.log2(X.max())))
    loud = model.separate(X * top, **how)  # up to 1e308
    np.testing.assert_array_equal(loud.gains, model.separate(X, **how).gains)
    np.testing.assert_array_equal(loud.parts, model.separate(X, **how).parts * top)
    quiet = model.separate(np.zeros((3, 20)), **how)
    assert np.isfinite(quiet.gains).all() and not quiet.clean.any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: X[:, :5], r"X: expected shape \(n_samples, 20\)"),
        (lambda X: X - 10, "negative cells"),
        (lambda X: np.where(X > 1, np.nan, X), "NaN or infinite"),
        (lambda X: X.astype(str), "no array of numbers"),
        (sp.csr_array, "sparse"),
        (lambda X: np.ma.masked_array(X, X > 1), "masked array"),
    ],
)
def test_frames_that_are_refused(voiced, change, message):
    with pytest.raises((TypeError, ValueError), match=message):
        voiced[0].separate(change(voiced[1]))


def test_names_of_frequencies_are_those_of_the_fit(images):
    frame = pd.DataFrame(images, columns=[f"{j} Hz" for j in range(30)])
    model = small().fit(frame)
    found = model.separate(frame, n_iter=2)
    np.testing.assert_array_equal(model.separate(images, n_iter=2).gains, found.gains)
    with pytest.raises(ValueError, match="X has other feature names than the training data"):
        model.separate(frame[frame.columns[::-1]])


def test_no_memberships_whatever_the_signs_of_the_codes_are(images):
    model = small().fit(images)
    row = images[(model.transform(images) > 0).all(axis=1)][:1]
    for X in (images, row):
        with pytest.raises(TypeError, match="VariationalNMF has codes of any sign"):
            model.memberships(X)


@pytest.mark.parametrize("name", ["n_noise", "n_iter", "n_samples"])
def test_counts_that_are_refused(voiced, name):
    with pytest.raises(ValueError, match=name):
        voiced[0].separate(voiced[1], **{name: 0})


@pytest.mark.parametrize(
    ("name", "value"),
    [("floor", 0.0), ("floor", -1.0), ("warmup", -1), ("free_bits", np.inf), ("hidden", ())],
)
def test_parameters_that_are_refused(images, name, value):
    with pytest.raises(ValueError, match=name):
        small(**{name: value}).fit(images)


# -- what all deep models promise --------------------------------------------------------------------------------


def test_surface(images, tmp_path):
    model = small().fit(images)
    codes = model.transform(images)
    assert codes.shape == (200, 3) and model.components_.shape == (3, 16) and model.parts().shape == (3, 30)
    assert set(model.history_) == {"epoch", "divergence", "kl", "bound", "learning_rate", "seconds"}
    np.testing.assert_array_equal(model.transform(images[7:9]), codes[7:9])
    np.testing.assert_array_equal(small().fit_transform(sp.csr_array(images)), codes)
    model.save(tmp_path / "model.nmf")
    again = nonneg.load(tmp_path / "model.nmf")
    np.testing.assert_array_equal(again.transform(images), codes)
    np.testing.assert_array_equal(
        again.separate(images, n_iter=2).gains, model.separate(images, n_iter=2).gains
    )


def test_a_stopped_training_goes_on_bitwise(images, tmp_path):
    whole = small(max_epochs=5, warmup=1).fit(images)
    small(max_epochs=2, warmup=1, checkpoint=tmp_path).fit(images)
    resumed = small(max_epochs=5, warmup=1, checkpoint=tmp_path).fit(images)
    np.testing.assert_array_equal(resumed.transform(images), whole.transform(images))
    np.testing.assert_array_equal(resumed.history_["bound"], whole.history_["bound"])


@pytest.mark.parametrize("wrong", [0.0, 1e30, np.inf, np.nan])
def test_what_a_missing_cell_holds_has_no_influence(images, wrong):
    gaps = np.random.default_rng(1).random(images.shape) < 0.2
    X, seen = images.astype(float), (~gaps).astype(float)
    other = np.where(gaps, wrong, X)
    one, two = small().fit(X, weights=seen), small().fit(other, weights=seen)
    np.testing.assert_array_equal(one.transform(X, weights=seen), two.transform(other, weights=seen))
    assert one.score(X, weights=seen) == two.score(other, weights=seen)
    hollow = small(missing="ignore").fit(np.where(gaps, np.nan, X))
    np.testing.assert_array_equal(hollow.transform(np.where(gaps, np.nan, X)), one.transform(X, weights=seen))
    full = np.ones(images.shape)
    np.testing.assert_array_equal(small().fit(X, weights=full).transform(X), small().fit(X).transform(X))
