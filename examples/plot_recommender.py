"""
Recommender: ratings that nobody gave
=====================================

A table of ratings is almost empty, and an empty cell is not a zero: nobody has rated. With
``missing="unstored"`` the cells that a sparse matrix does not store have no influence, and W H predicts them.

No package carries such ratings; those below are simulated: 600 people, 300 films, four tastes, stars from 1
to 5, and popular films rated more often. What the best possible prediction would reach is therefore known.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.sparse import csr_array

from nonneg import NMF

rng = np.random.default_rng(0)
n, m, tastes = 600, 300, 4
liking = rng.dirichlet(np.full(tastes, 0.5), n)  # how much of each taste a person has
appeal = rng.beta(1.2, 1.8, (tastes, m))  # how much a film is to each taste
kindness = 0.3 * rng.standard_normal((n, 1))  # some give more stars for the same
expected = np.clip(1 + 4 * liking @ appeal + kindness, 1, 5)
popularity = rng.lognormal(0, 1, m)
asked = rng.random((n, m)) < np.clip(0.1 * popularity / popularity.mean(), 0.02, 0.6)
stars = np.clip(np.rint(expected + 0.4 * rng.standard_normal((n, m))), 1, 5)

# %%
# Ratings that are kept back
# --------------------------
#
# A fifth of the ratings is for judging, an eighth of the others for choosing.

rows, cols = np.nonzero(asked)
part = rng.permutation(len(rows)) / len(rows)
kinds = {"fit": part >= 0.3, "choose": (part >= 0.2) & (part < 0.3), "judge": part < 0.2}
at = {kind: (rows[mask], cols[mask]) for kind, mask in kinds.items()}
print({kind: len(where[0]) for kind, where in at.items()}, f"ratings, {asked.mean():.1%} of the cells")


def table(*kinds):
    """Return a sparse matrix that stores the ratings of these kinds and nothing else."""
    i, j = (np.concatenate([at[kind][side] for kind in kinds]) for side in (0, 1))
    return csr_array((stars[i, j], (i, j)), shape=(n, m))


def rmse(prediction, kind):
    """Return the root mean square error of predicted stars."""
    return np.sqrt(np.mean((stars[at[kind]] - np.clip(prediction, 1, 5)) ** 2))


# %%
# Without a penalty, people with a handful of ratings are fitted to their noise. An L2 on both factors holds
# them; its strength and the number of components are chosen on the second kind. Rough fits
# (``tol=1e-2``) are enough to choose by.

X = table("fit")
strengths = [1e-6, 1e-5, 3e-5, 1e-4]
numbers = [2, 4, 6]
scores = np.empty((len(numbers), len(strengths)))
for a, k in enumerate(numbers):
    for b, strength in enumerate(strengths):
        model = NMF(
            k, missing="unstored", penalty_W=strength, penalty_H=strength, tol=1e-2, random_state=0
        ).fit(X)
        scores[a, b] = rmse(model.predict_cells(X, *at["choose"]), "choose")
a, b = np.unravel_index(scores.argmin(), scores.shape)
k, strength = numbers[a], strengths[b]
print(f"chosen: {k} components, strength {strength:g}")

# %%
# The last fit has both kinds. Means are what it must beat: of everything, of the film, and of the film plus
# how much kinder than others the person is.

X = table("fit", "choose")
model = NMF(k, missing="unstored", penalty_W=strength, penalty_H=strength, tol=1e-3, random_state=0).fit(X)
count = np.diff(X.indptr)
mean = X.data.mean()
films = X.tocsc()
film = (films.sum(axis=0) + 5 * mean) / (
    np.diff(films.indptr) + 5
)  # five ratings of the mean, for films that have few
above = X.data - film[X.indices]
person = np.bincount(np.repeat(np.arange(n), count), above, n) / (count + 5)
i, j = at["judge"]
errors = {
    "mean of everything": rmse(np.full(len(i), mean), "judge"),
    "mean of the film": rmse(film[j], "judge"),
    "film and person": rmse(film[j] + person[i], "judge"),
    "NMF": rmse(model.predict_cells(X, i, j), "judge"),
    "the planted expectation": rmse(expected[i, j], "judge"),
}
for name, value in errors.items():
    print(f"{name:24s} RMSE {value:.3f}")

# %%
# The planted expectation knows everything but the noise and the rounding to stars: no method can do better.
# On the right, who gains: error by the number of ratings that a person gave.

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
names = list(errors)[::-1]
bars = left.barh(names, [errors[name] for name in names], color=["0.8", "#0072B2", "0.6", "0.6", "0.6"])
left.bar_label(bars, fmt="%.3f", padding=3, fontsize=9)
left.set(xlabel="RMSE on ratings kept back (stars)", xlim=(0, 1.15 * max(errors.values())))
groups = np.array_split(np.argsort(count[i], kind="stable"), 5)
where = [count[i][group].mean() for group in groups]
truth = stars[i, j]
for name, prediction, colour in (
    ("film and person", film[j] + person[i], "0.5"),
    ("NMF", model.predict_cells(X, i, j), "#0072B2"),
):
    error = truth - np.clip(prediction, 1, 5)
    right.plot(
        where, [np.sqrt(np.mean(error[group] ** 2)) for group in groups], "o-", color=colour, label=name
    )
right.set(xlabel="ratings of the person in the fit (fifths)", ylabel="RMSE (stars)")
right.grid(alpha=0.25)
right.legend(frameon=False)
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)

# %%
# What to watch next: the films with the highest prediction among those that a person has not rated.

someone = int(count.argmax())
unseen = np.setdiff1d(np.arange(m), X.indices[X.indptr[someone] : X.indptr[someone + 1]])
stars_there = model.predict_cells(X, np.full(len(unseen), someone), unseen)
best = unseen[np.argsort(-stars_there)[:5]]
print(
    f"for person {someone}: films {best.tolist()}, expected {expected[someone, best].round(1).tolist()} stars"
)
print(f"(the mean of what they would expect of all unseen films: {expected[someone, unseen].mean():.1f})")
plt.show()

# %%
# What to be careful of
# ---------------------
#
# * Judge on ratings that were kept back, and choose strengths on others than those: a strength chosen on the
#   ratings that judge it looks better than it is.
# * Stars are given to films that people chose to see. A rating kept back is such a film, one that nobody gave
#   is perhaps not: the error there is probably larger than the one above.
# * Unary data (bought, clicked) have no ratings: there a missing cell is a weak *no*, to be given a small
#   weight (``weights=``), not left out.
# * A person without any rating has amounts of 0 under a penalty, and so are the predictions: take the means
#   of the films there.
#
# Read more: missing cells and weights in :doc:`the page of NMF </docs/nmf>`; with penalties that couple
# people or films, see its table of penalties.
