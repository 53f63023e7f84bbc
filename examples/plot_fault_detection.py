"""
Process monitoring: faults that linear charts do not see
========================================================

A plant that runs as it should moves its sensors together: few things drive many variables. A model of normal
operation gives two charts. T² says how unusual the state is, SPE (the squared prediction error) how badly the
variables fit together. PCA is the usual model; where variables follow each other along curves, it takes the
curve for a slab, and whatever happens inside the slab looks normal. `NonnegativeAutoencoder` (after Ren,
Zhang and Zhang 2020) learns the curve.

The process is simulated, the example of Dong and McAvoy (1996): one hidden state t drives three variables, t,
t² − 3t and −t³ + 3t², with noise.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA

from nonneg import NonnegativeAutoencoder

rng = np.random.default_rng(0)


def plant(n):
    """Return n rows of normal operation."""
    t = rng.uniform(0.01, 2, n)
    clean = np.column_stack([t, t**2 - 3 * t, -(t**3) + 3 * t**2])
    return clean + 0.02 * rng.standard_normal((n, 3))


# %%
# The model is fitted to normal rows only. A fifth of them is not trained on: the limits come from there, so
# that normal rows give an alarm, on either chart, at the stated rate. In the training a sensor now and then
# shows an end of its range (``noise="salt-and-pepper"``), and the network learns to answer what the other
# sensors say.

normal = plant(1500)
how = {"hidden": (128, 128), "max_epochs": 40, "batch_size": 64, "learning_rate": 5e-3, "schedule": "cosine"}
model = NonnegativeAutoencoder(2, noise="salt-and-pepper", noise_level=0.1, **how, random_state=0).fit(normal)

# %%
# Charts of PCA, in units of standard deviations; each limit at half the rate, from rows that the PCA does not
# know.

train, held_out = normal[:1200], normal[1200:]
mean, sd = train.mean(axis=0), train.std(axis=0)
pca = PCA(2).fit((train - mean) / sd)


def linear_charts(X):
    """Return T² and SPE of the rows of X."""
    Z = (X - mean) / sd
    scores = pca.transform(Z)
    spe = ((Z - pca.inverse_transform(scores)) ** 2).sum(axis=1)
    return np.column_stack([(scores**2 / pca.explained_variance_).sum(axis=1), spe])


limits = np.quantile(linear_charts(held_out), 1 - 0.01 / 2, axis=0)

# %%
# Three faults: a sensor that is off by 0.4, one that drifts away, and a relation that changes (t² − 2.5t in
# place of t² − 3t).

bias = plant(1000) + np.array([0, 0.4, 0])
drift = plant(1000) + np.linspace(0, 1, 1000)[:, None] * [0, 1, 0]
relation = plant(1000)
relation[:, 1] += 0.5 * relation[:, 0]
cases = {"normal": plant(4000), "bias": bias, "drift": drift, "relation": relation}
rates = {}
for name, X in cases.items():
    found = model.monitor(X, false_alarm_rate=0.01)
    linear = (linear_charts(X) > limits).any(axis=1)
    rates[name] = linear.mean(), found.alarms.mean()
    linear_rate, rate = (f"{100 * share:.1f} %" for share in rates[name])
    print(f"{name}: alarms for {linear_rate} of the rows by PCA, {rate} by the network")

# %%
# Contributions say which variable does not fit: the terms of SPE.

found = model.monitor(bias)
blamed = found.contributions[found.alarms].argmax(axis=1)
print(
    "rows with a bias in the second variable, by their largest term of SPE:", np.bincount(blamed, minlength=3)
)

figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
seen = model.monitor(cases["normal"])
for X, colour, label in ((cases["normal"], "0.7", "normal"), (bias, "#D55E00", "bias")):
    axes[0].plot(X[:400, 0], X[:400, 1], ".", color=colour, markersize=3, label=label)
curve = model.denoise(normal)
axes[0].plot(*curve[np.argsort(curve[:, 0])][:, :2].T, color="#0072B2", linewidth=1, label="learned")
axes[0].set(xlabel="first variable", ylabel="second variable", title="what the network has learned")
axes[0].legend(frameon=False, fontsize=8)
together = model.monitor(np.vstack([cases["normal"][:300], drift]))
axes[1].semilogy(together.spe, ".", color="0.4", markersize=2)
axes[1].axhline(together.spe_limit, color="#0072B2", linewidth=1)
axes[1].axvline(300, color="0.8", zorder=0)
axes[1].set(xlabel="row", ylabel="SPE", title="a sensor begins to drift at row 300")
place = np.arange(len(rates))
for shift, number, colour, label in ((-0.2, 0, "0.7", "PCA"), (0.2, 1, "#0072B2", "network")):
    axes[2].bar(place + shift, [pair[number] for pair in rates.values()], 0.4, color=colour, label=label)
axes[2].set_xticks(place, list(rates))
axes[2].set(ylabel="share of rows with an alarm", title="1 % of false alarms allowed")
axes[2].legend(frameon=False, fontsize=8)
plt.show()

# %%
# What to be careful of
# ---------------------
#
# * The false alarm rate holds for rows like those of the training, one by one. Rows that follow each other in
#   time are alike: then alarms come in runs, and the limits want more rows than their number says.
# * A fault inside the range that training covered, on the curve, is no fault to SPE; T² sees it where the
#   state is unusual.
# * Contributions blame the variable that fits least given the others. With strong faults several are blamed:
#   look at the largest first.
# * PCA is faster and easier to defend. Take it where variables follow each other along lines.
#
# Read more: :doc:`the page of deep models </docs/deep>`.
