"""
Spectra: what is in the mixture, and how much
=============================================

The spectrum of a mixture is the sum of the spectra of its substances, each times its concentration (Beer and
Lambert): X ≈ W H with H the pure spectra and W the concentrations. Chemists call it curve resolution, remote
sensing unmixing.

First simulated mixtures, of which everything is known, with substances that were calibrated and one that was
not; then a real image: the Indian Pines scene of the AVIRIS spectrometer (Baumgardner, Biehl and Landgrebe
2015, doi 10.4231/R7RX991C, CC BY 3.0), which the package ``tensorly`` carries.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import roc_auc_score
from tensorly.datasets import load_indian_pines

from nonneg import NMF
from nonneg.metrics import match_components

# %%
# Simulated mixtures of four substances
# -------------------------------------
#
# Broad, overlapping bands in the near infrared; a hundred mixtures, none with more than 60 % of one
# substance; noise.

rng = np.random.default_rng(0)
wavelength = np.linspace(1100, 2500, 350)


def bands(*peaks):
    """Return a sum of Gaussian bands (centre, width, height)."""
    return sum(
        height * np.exp(-0.5 * ((wavelength - centre) / width) ** 2) for centre, width, height in peaks
    )


pure = np.array([
    bands((1450, 60, 1.0), (1940, 70, 1.1), (2350, 150, 0.5)),
    bands((1580, 90, 0.6), (2080, 80, 1.0), (2270, 60, 0.6)),
    bands((1200, 50, 0.4), (1720, 40, 0.8), (2310, 35, 1.0)),
    bands((1350, 50, 0.8), (1850, 60, 0.6), (2180, 50, 0.9)),
])  # fmt: skip
amounts = rng.dirichlet(np.full(4, 2.0), 400)
amounts = amounts[amounts.max(axis=1) < 0.6][:100]
X = np.maximum(amounts @ pure + 0.003 * rng.standard_normal((len(amounts), len(wavelength))), 0)


def told(text, W):
    """Print and return the error of the concentrations of substances 1, 2, … in percentage points."""
    errors = 100 * np.sqrt(np.mean((W - amounts[:, : W.shape[1]]) ** 2, axis=0))
    print(f"{text:42s}", "  ".join(f"{error:4.1f}" for error in errors))
    return errors


# %%
# With nothing known, NMF finds spectra that are close, up to their scale. They are not exact, and cannot be:
# without pure samples many factorizations fit equally well (rotational ambiguity), and only the zeros of
# spectra and concentrations keep them apart.

print("root mean square error of the concentrations, in points of 100, for each substance")
blind = NMF(4, n_init=5, random_state=0).fit(X)
match = match_components(pure, blind.components_)
found = blind.components_[match.permutation]
scale = np.sum(found * pure, axis=1) / np.sum(pure**2, axis=1)  # which nothing in X can say
errors = {}
errors["nothing known"] = told("nothing known", blind.transform(X)[:, match.permutation] * scale)

# %%
# Three substances were measured alone. With their spectra only, least squares gives the fourth to those that
# look like it:

known = NMF(3, frozen=[0, 1, 2], random_state=0).fit(X, H_init=pure[:3])
W = known.transform(X)
errors["fourth forgotten"] = told("three known, the fourth forgotten", W)

# %%
# ``frozen`` keeps the known spectra bit for bit and fits a fourth beside them. It starts from what the three
# left over.

left_over = np.maximum(X - known.inverse_transform(W), 0).mean(axis=0)
model = NMF(4, frozen=[0, 1, 2], random_state=0).fit(X, H_init=np.vstack([pure[:3], left_over]))
W = model.transform(X)
errors["fourth fitted"] = told("three known, and one unknown beside", W[:, :3])
fourth = match_components(pure[3:], model.components_[3:]).similarity[0]
print(f"cosine of the unknown spectrum with the true one: {fourth:.4f}")

# %%
# All four known: what the noise leaves.

told("all known", NMF(4, frozen=range(4), random_state=0).fit(X, H_init=pure).transform(X))

figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
for line, spectrum in enumerate(pure[::-1]):
    axes[0].plot(wavelength, spectrum + line, color="black" if line == 0 else "0.5")
axes[0].set_yticks(range(4), ["4", "3", "2", "1"])
axes[0].set(title="pure spectra", xlabel="wavelength (nm)", ylabel="substance")
colours = ("#009E73", "#E69F00", "#0072B2")
for offset, (name, values), colour in zip((-0.27, 0, 0.27), errors.items(), colours, strict=True):
    axes[1].bar(np.arange(3) + offset, values[:3], 0.27, color=colour, label=name)
axes[1].set_xticks(range(3), ["1", "2", "3"])
axes[1].set(title="error of the concentrations", xlabel="substance", ylabel="root mean square (% points)")
axes[1].legend(frameon=False, fontsize=9)
axes[2].plot([0, 60], [0, 60], color="0.8")
axes[2].plot(
    100 * amounts[:, 0], 100 * known.transform(X)[:, 0], ".", color=colours[1], label="fourth forgotten"
)
axes[2].plot(100 * amounts[:, 0], 100 * W[:, 0], ".", color=colours[2], label="fourth fitted")
axes[2].set(title="substance 1", xlabel="true concentration (%)", ylabel="found (%)")
axes[2].legend(frameon=False, fontsize=9)

# %%
# A field from above
# ------------------
#
# 145 × 145 pixels with 200 bands each. Six parts, and for each the kind of ground that its share tells best
# from all others (area under the ROC curve, over the pixels that have a label, kinds with fewer than 50 of
# them aside; the labels are not used in the fit).

scene = load_indian_pines()
pixels = scene.tensor.reshape(-1, 200)
ground, band = scene.ticks[0].ravel(), np.asarray(scene.ticks[1])
kinds = [
    "alfalfa", "corn, no till", "corn, min till", "corn", "pasture", "grass, trees", "pasture, mowed", "hay", "oats",
    "soybean, no till", "soybean, min till", "soybean, clean", "wheat", "woods", "buildings, trees", "stone, steel",
]  # fmt: skip
model = NMF(6, tol=1e-3, random_state=0).fit(pixels)
shares = model.memberships(pixels)
print(f"relative error {model.reconstruction_err_ / np.linalg.norm(pixels):.3f} with 6 parts for 200 bands")
labelled = ground > 0
common = [kind for kind in range(16) if np.sum(ground == kind + 1) >= 50]
titles = []
for part in range(6):
    areas = [roc_auc_score(ground[labelled] == kind + 1, shares[labelled, part]) for kind in common]
    best = int(np.argmax(areas))
    titles.append(f"part {part}: {kinds[common[best]]} ({areas[best]:.2f})")
    print(titles[-1])

# %%
# The shares as maps, white to black, and the parts as spectra; gaps are bands that water vapour hides.

figure = plt.figure(figsize=(11, 7.6), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=[2, 1])
for axes, share, title in zip(above.subplots(2, 3).flat, shares.T, titles, strict=True):
    axes.imshow(share.reshape(145, 145), cmap="gray_r", vmin=0, vmax=np.quantile(share, 0.995))
    axes.set_title(title, fontsize=10)
    axes.set_axis_off()
axes = below.subplots()
order = np.argsort(band)
gaps = np.where(np.diff(band[order]) > 50)[0] + 1
for part, colour in enumerate(("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "black")):
    values = np.insert(model.components_[part, order], gaps, np.nan)
    axes.plot(np.insert(band[order], gaps, np.nan), values, color=colour, linewidth=1.2, label=f"part {part}")
axes.set(xlabel="wavelength (nm)", ylabel="radiance (sensor units)")
axes.legend(frameon=False, fontsize=8, ncols=3)
plt.show()

# %%
# What to be careful of
# ---------------------
#
# * Without pure samples or known spectra, concentrations are known up to rotations of the factors. More
#   starts do not help: give known spectra (``frozen``), a constraint (``penalty_W=Simplex()`` where amounts
#   sum to one, ``penalty_H=MinimumVolume(…)``), or rows that are pure (:doc:`SeparableNMF
#   </docs/family/hulls>`).
# * The scale of a part is arbitrary. It becomes a concentration with one sample of known concentration.
# * A baseline is a part like any other, as long as it is never negative; subtracting one makes negative
#   cells, which are refused.
# * That a part of the field agrees with a kind of ground says nothing about the others: with six parts for
#   sixteen kinds most must be mixtures.
#
# Read more: ``frozen`` and penalties in :doc:`the page of NMF </docs/nmf>`.
