"""
Sound: a voice out of noise
===========================

Notes of an instrument return, so their spectra are parts (see plot_audio.py). The pitch of a voice glides: no
few spectra add up to it, but a network can learn what a voice may sound like, from clean recordings alone.
Noise of an unknown kind is then what the voice does not explain, as far as few spectra do (Bando et al. 2018;
Leglaive et al. 2018).

Voice and noise are synthesised below, so what the voice alone sounds like is known: harmonics of a gliding
pitch under two resonances that move, with pauses; and three coloured noises that swell and fade. Needs torch.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from scipy.signal import istft, lfilter, stft

from nonneg import NMF
from nonneg.deep import VariationalNMF
from nonneg.exceptions import ConvergenceWarning

rate = 4000
window = {"fs": rate, "nperseg": 256, "noverlap": 192}


def voice(seconds, rng):
    """Return a babble of vowels."""
    time, knots = np.arange(seconds * rate) / rate, np.arange(4 * seconds + 2) / 4

    def glide(low, high):
        return np.interp(time, knots, rng.uniform(low, high, len(knots)))

    pitch, first, second = np.exp(glide(np.log(110), np.log(260))), glide(300, 800), glide(900, 1700)
    loudness = np.interp(time, knots, rng.uniform(0.2, 1, len(knots)) * (rng.random(len(knots)) < 0.85))
    phase, sound = 2 * np.pi * np.cumsum(pitch) / rate, np.zeros_like(time)
    for harmonic in range(1, 18):
        at = harmonic * pitch
        size = np.exp(-(((at - first) / 212) ** 2)) + 0.6 * np.exp(-(((at - second) / 283) ** 2)) + 0.02
        sound += np.where(at < 1900, size, 0) * np.sin(harmonic * phase + rng.uniform(0, 2 * np.pi))
    return loudness * sound


def noise(seconds, rng):
    """Return three coloured noises."""
    time, knots = np.arange(seconds * rate) / rate, np.arange(2 * seconds + 2) / 2
    sound = np.zeros_like(time)
    for _ in range(3):
        radius, angle = rng.uniform(0.85, 0.97), np.pi * rng.uniform(0.05, 0.9)
        part = lfilter([1], [1, -2 * radius * np.cos(angle), radius**2], rng.standard_normal(len(time)))
        sound += part / part.std() * np.sqrt(np.interp(time, knots, rng.gamma(0.6, size=len(knots))))
    return sound


def frames(sound):
    """Return coefficients of the Fourier transform, a moment a row."""
    return stft(sound, **window)[2].T


# %%
# A model of voices
# -----------------
#
# Rows are frames of 64 ms, columns frequencies, cells powers. Every frame is coded by 16 numbers. A unit of
# the code that ignored the data would have a posterior mean that does not vary.

rng = np.random.default_rng(0)
clean = np.abs(frames(voice(40, rng))[::2]) ** 2
model = VariationalNMF(16, max_epochs=30, batch_size=64, random_state=0).fit(clean)
print(f"{len(clean)} clean frames; {model.n_active_units_} of {model.n_components_} units in use")

# %%
# A voice in noise
# ----------------
#
# The model is fitted to clean voices only; the spectra of the noise are found in the mixture itself. Gains
# between 0 and 1 turn the mixture into the voice. How good it is, is the ratio of the voice's power to that
# of the difference, in dB. For comparison: the same with 16 spectra by NMF instead of the network, and with
# the true powers of both, the best that such gains can do.

rng = np.random.default_rng(14)
truth, other = voice(4, rng), noise(4, rng)
other *= np.sqrt(np.sum(truth**2) / np.sum(other**2))
mixture = frames(truth + other)


def ratio(coefficients):
    """Return 10 log₁₀ of the voice's power over that of the error."""
    found = istft(coefficients.T, **window)[1][: len(truth)]
    return 10 * np.log10(np.sum(truth**2) / np.sum((truth - found) ** 2))


found = model.separate(mixture, n_noise=3, random_state=0)

warnings.simplefilter("ignore", ConvergenceWarning)  # a hundred updates will do
power, floor = np.abs(mixture) ** 2, 1e-9 * clean.max()
how = {"loss": "itakura-saito", "solver": "mu", "max_iter": 100, "tol": 0, "random_state": 0}
spectra = NMF(16, **how).fit(clean[::4] + 1e3 * floor).components_
start = np.vstack([spectra, power.mean() * np.random.default_rng(1).uniform(0.5, 1.5, (3, power.shape[1]))])
amounts = np.ones((len(power), 19)) * power.mean() / start.mean(axis=1) / 19
nmf = NMF(19, **how, frozen=range(16))
amounts = nmf.fit_transform(power + floor, W_init=amounts, H_init=start)
voiced, rest = amounts[:, :16] @ nmf.components_[:16], amounts[:, 16:] @ nmf.components_[16:]

true_voice, true_noise = np.abs(frames(truth)) ** 2, np.abs(frames(other)) ** 2
for name, coefficients in {
    "the mixture": mixture,
    "16 spectra by NMF": mixture * voiced / (voiced + rest),
    "VariationalNMF": found.clean,
    "true powers": mixture * true_voice / (true_voice + true_noise + 1e-30),
}.items():
    print(f"{name:18} {ratio(coefficients):5.1f} dB")

# %%
# Harmonics glide from frame to frame; the noise that filled the gaps between them is gone where its spectra
# have been found.

figure, axes = plt.subplots(3, 1, figsize=(9, 9), sharex=True, sharey=True, layout="constrained")
frequency = np.fft.rfftfreq(window["nperseg"], 1 / rate)
moment = np.arange(len(mixture)) * (window["nperseg"] - window["noverlap"]) / rate
pictures = {"The mixture": mixture, "The voice that was found": found.clean, "The voice": frames(truth)}
loudest = np.abs(mixture).max()
for ax, (title, coefficients) in zip(axes, pictures.items(), strict=True):
    decibel = 20 * np.log10(np.maximum(np.abs(coefficients.T) / loudest, 1e-3))
    image = ax.pcolormesh(moment, frequency, decibel, vmin=-60, vmax=0, cmap="magma", shading="nearest")
    ax.set(title=title, ylabel="frequency (Hz)")
axes[-1].set_xlabel("time (s)")
figure.colorbar(image, ax=axes, label="dB")
plt.show()

# %%
# What to be careful of
# ---------------------
#
# * One voice and one noise are an example, not a benchmark. Real speech takes hours of clean recordings, and
#   a larger network.
# * Gains cannot do better than the true powers allow (last line): phases stay those of the mixture.
# * Noise that is itself a voice is not noise of few spectra.
#
# Read more: :doc:`the page of deep models </docs/deep>`.
