"""
Muscles: how many synergies?
============================

Muscles are not driven one by one: a few commands, *synergies*, each drive several of them at once. The
envelopes of their electric activity (EMG) are sums of synergies, X ≈ W H: rows of H say which muscles a
synergy drives, columns of W when it is active (d'Avella and Bizzi 2005; Lee and Seung's factorization is the
usual tool). How many there are is read from the variance accounted for.

No package carries such recordings; the data below are simulated: 12 muscles, ten strides, four planted
synergies.
"""

import matplotlib.pyplot as plt
import numpy as np

from nonneg import NMF
from nonneg.metrics import match_components

# %%
# Ten strides of 100 samples, each with its own timing and strength. The noise grows with the activity, as
# that of EMG does.

rng = np.random.default_rng(0)
muscles = ["GMax", "GMed", "RF", "VL", "VM", "BF", "ST", "TA", "GM", "GL", "SOL", "PL"]
synergies = np.zeros((4, 12))
synergies[0, [0, 1, 2, 3, 4]] = 0.9, 0.8, 0.4, 1.0, 0.9  # weight acceptance
synergies[1, [8, 9, 10, 11, 1]] = 1.0, 0.9, 0.9, 0.6, 0.2  # push-off
synergies[2, [7, 2, 3]] = 1.0, 0.5, 0.1  # early swing
synergies[3, [5, 6, 0, 8]] = 1.0, 0.9, 0.3, 0.1  # late swing
phase = np.arange(100) / 100


def stride():
    """Return how active the four synergies are in one stride, (100, 4)."""
    centre = np.array([0.08, 0.45, 0.68, 0.92]) + 0.02 * rng.standard_normal(4)
    width = np.array([0.07, 0.09, 0.06, 0.06]) * rng.uniform(0.8, 1.2, 4)
    distance = (phase[:, None] - centre + 0.5) % 1 - 0.5
    return rng.uniform(0.7, 1.3, 4) * np.exp(-0.5 * (distance / width) ** 2)


commands = np.vstack([stride() for _ in range(10)])
clean = commands @ synergies
X = np.maximum(clean + (0.03 + 0.12 * clean) * rng.standard_normal(clean.shape), 0)

# %%
# Variance accounted for
# ----------------------
#
# VAF = 1 − ‖X − WH‖² / ‖X‖² never falls with another synergy, and studies differ in where they cut (often at
# .9). Cells that the fit did not see are a judge without a threshold: a tenth of them get weight 0, and
# beyond the right number their prediction gets worse, because what is left to fit is noise. A moment at which
# the only muscles of a synergy are hidden would leave its amount free, so this fit has a small L2 on both
# factors.

hidden = rng.random(X.shape) < 0.1
seen = (~hidden).astype(float)
cells = np.nonzero(hidden)
numbers = np.arange(1, 7)
vaf, held_out = [], []
for k in numbers:
    model = NMF(k, n_init=2, tol=1e-3, random_state=0).fit(X)
    vaf.append(1 - model.reconstruction_err_**2 / np.sum(X**2))
    model = NMF(k, n_init=2, penalty_W=1e-4, penalty_H=1e-4, tol=2e-3, random_state=0).fit(X, weights=seen)
    error = X[hidden] - model.predict_cells(X, *cells, weights=seen)
    held_out.append(1 - np.sum(error**2) / np.sum(X[hidden] ** 2))
    print(f"k = {k}: VAF {vaf[-1]:.4f}, of cells held out {held_out[-1]:.4f}")
best = int(numbers[np.argmax(held_out)])
print(
    f"cells held out are predicted best with {best} synergies; VAF passes .9 at {numbers[np.array(vaf) > 0.9][0]}"
)

# %%
# The synergies themselves, beside those that were planted.

model = NMF(best, n_init=3, tol=1e-3, random_state=0)
W = model.fit_transform(X)
match = match_components(synergies, model.components_)
print("cosine of each planted synergy with the one found:", match.similarity.round(3))
when = np.array([np.corrcoef(commands[:, j], W[:, found])[0, 1] for j, found in enumerate(match.permutation)])
print("correlation of their activity over time:", when.round(3))

figure = plt.figure(figsize=(10, 7), layout="constrained")
grid = figure.add_gridspec(4, 3, width_ratios=[1.1, 1, 1])
axes = figure.add_subplot(grid[:, 0])
axes.plot(numbers, vaf, "o-", color="0.5", label="all cells")
axes.plot(numbers, held_out, "s-", color="#0072B2", label="cells held out")
axes.axvline(best, color="0.8", zorder=0)
axes.set(xlabel="number of synergies", ylabel="variance accounted for", ylim=(0.3, 1.02))
axes.legend(frameon=False, loc="lower right")
place = np.arange(len(muscles))
for j, found in enumerate(match.permutation):
    H = model.components_[found] / model.components_[found].max()
    left, right = figure.add_subplot(grid[j, 1]), figure.add_subplot(grid[j, 2])
    left.bar(place - 0.2, synergies[j] / synergies[j].max(), 0.4, color="0.75", label="planted")
    left.bar(place + 0.2, H, 0.4, color="#0072B2", label="found")
    left.set_xticks(place, muscles if j == 3 else [""] * 12, rotation=90, fontsize=8)
    left.set_yticks([])
    activity = W[:, found] / W[:, found].max()
    right.plot(100 * phase, activity.reshape(10, 100).T, color="#0072B2", linewidth=0.5, alpha=0.5)
    mean = (commands[:, j] / commands[:, j].max()).reshape(10, 100).mean(axis=0)
    right.plot(100 * phase, mean, color="black", linewidth=1.4, label="planted, mean")
    right.set_yticks([])
    if j == 0:
        left.set_title("muscles of a synergy", fontsize=10)
        right.set_title("its activity in ten strides", fontsize=10)
        left.legend(frameon=False, fontsize=8)
        right.legend(frameon=False, fontsize=8)
    if j == 3:
        right.set_xlabel("stride (%)")
plt.show()

# %%
# What to be careful of
# ---------------------
#
# * VAF depends on preparation: on the filter, on dividing each muscle by its maximum, on what is silent. A
#   cut at .9 is a convention.
# * Samples that follow each other are alike, so single cells held out are partly known from their neighbours:
#   with recordings, hold out whole strides of a muscle.
# * Synergies of two people come in any order and scale: ``metrics.match_components`` pairs them by their
#   cosines.
# * Where a synergy is not a set of amounts but a pattern in time, :doc:`ConvolutiveNMF </docs/family/sounds>`
#   has parts that last.
#
# Read more: :doc:`plot_choosing_rank`.
