"""
Sound: notes out of a mixture
=============================

The spectrogram of music is a sum of spectra, one for each note, switched on and off: W says when, H says
what. Two notes that sound together are told apart because they do not always do so (Smaragdis and Brown
2003).

The sound is synthesised below, so what each note alone sounds like is known: four decaying notes of a
harmonic instrument, a phrase in which some of them overlap, and noise 40 dB below.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.signal import istft, stft

from nonneg import NMF

rate = 8000
pitches = {"C4": 261.6, "E4": 329.6, "G4": 392.0, "B4": 493.9}
phrase = [  # when (s), which notes
    (0.0, "C4"), (0.5, "E4"), (1.0, "G4"), (1.5, "B4"),
    (2.0, "C4 E4"), (2.75, "E4 G4"), (3.5, "G4 B4"), (4.25, "C4 E4 G4 B4"),
]  # fmt: skip
time = np.arange(int(5.5 * rate)) / rate


def played(name):
    """Return the whole phrase with only the note of this name."""
    sound = np.zeros_like(time)
    for onset, notes in phrase:
        if name in notes.split():
            after = np.maximum(time - onset, 0)
            for harmonic in range(1, 7):
                decay = np.exp(-3 * after * (1 + 0.3 * harmonic)) * np.minimum(after / 0.01, 1)
                sound += decay * np.sin(2 * np.pi * pitches[name] * harmonic * time) / harmonic
    return sound


alone = {name: played(name) for name in pitches}
mixture = sum(alone.values())
rng = np.random.default_rng(0)
mixture = mixture + 0.01 * mixture.std() * rng.standard_normal(len(mixture))

# %%
# Rows are moments, columns are frequencies; the loss of Kullback and Leibler on magnitudes gives soft
# harmonics more weight than squares would.

window = {"fs": rate, "nperseg": 1024, "noverlap": 768}
frequency, moment, complex_mixture = stft(mixture, **window)
X = np.abs(complex_mixture).T
model = NMF(4, loss="kl", n_init=3, random_state=0)
W = model.fit_transform(X)
H = model.components_

# %%
# Each part is named by its strongest frequency.

peaks = frequency[H.argmax(axis=1)]
names = [min(pitches, key=lambda name: abs(np.log(pitches[name] / peak))) for peak in peaks]
for name, peak in zip(names, peaks, strict=True):
    print(f"a part that is strongest at {peak:.0f} Hz: {name} ({pitches[name]} Hz)")

# %%
# The notes as sounds
# -------------------
#
# The share of a part in each cell of the spectrogram is a mask (Wiener's), and the masked spectrogram goes
# back to a sound. How good it is, is the ratio of the note's power to the power of the difference, in dB:
# that of the mixture itself is what one has without separating.


def ratio(truth, estimate):
    """Return 10 log₁₀ of the power of the truth over that of the error."""
    return 10 * np.log10(np.sum(truth**2) / np.sum((truth - estimate[: len(truth)]) ** 2))


power = W[:, :, None] ** 2 * H[None] ** 2
shares = power / np.maximum(power.sum(axis=1, keepdims=True), 1e-30)
sounds = {}
for part, name in enumerate(names):
    sounds[name] = istft(complex_mixture * shares[:, part].T, **window)[1]
    before, after = (ratio(alone[name], sound) for sound in (mixture, sounds[name]))
    print(f"{name}: {before:5.1f} dB in the mixture, {after:5.1f} dB separated")

# %%
# Grey bars are the first .4 s after a note was struck; the curves are columns of W, each in units of its
# largest value.

figure, (top, middle, bottom) = plt.subplots(3, 1, figsize=(9, 9), layout="constrained")
decibel = 20 * np.log10(np.maximum(X.T, 1e-6 * X.max()) / X.max())
image = top.pcolormesh(moment, frequency, decibel, vmin=-60, vmax=0, cmap="magma", shading="nearest")
top.set(ylim=(0, 3000), ylabel="frequency (Hz)", title="The mixture")
figure.colorbar(image, ax=top, label="dB")
order = sorted(range(4), key=lambda part: peaks[part])
colours = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
for line, (part, colour) in enumerate(zip(order, colours, strict=True)):
    middle.plot(frequency, H[part] / H[part].max() + line, color=colour, linewidth=1.2)
    bottom.plot(moment, 0.9 * W[:, part] / W[:, part].max() + line, color=colour, linewidth=1.4)
    for onset, notes in phrase:
        if names[part] in notes.split():
            bottom.fill_between([onset, onset + 0.4], line, line + 0.9, color="0.88", linewidth=0)
labels = [names[part] for part in order]
middle.set(xlim=(0, 3000), xlabel="frequency (Hz)", title="Parts: spectra of the notes")
bottom.set(xlim=(0, 5.5), xlabel="time (s)", title="Amounts: when they sound")
for axes in (middle, bottom):
    axes.set_yticks(range(4), labels)
plt.show()

# %%
# What to be careful of
# ---------------------
#
# * Magnitudes add up only roughly: two harmonics at one frequency add with their phases. That is where the dB
#   are lost.
# * A note is one part as long as its spectrum keeps its shape. Sounds that change take several parts, or
#   :doc:`ConvolutiveNMF </docs/family/sounds>`; voices take :doc:`a network <plot_speech_in_noise>`.
# * With more parts than notes some note is split, into attack and tail perhaps; its parts share their timing.
# * ``loss="itakura-saito"`` on powers gives quiet cells as much weight as loud ones (Févotte, Bertin and
#   Durrieu 2009), and needs X > 0.
