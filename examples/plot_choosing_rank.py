"""
Choosing the rank: how many parts?
==================================

Every further part lowers the error, so the error cannot say how many there are. Three things can say
something: how well cells are predicted that the fit did not see, whether other starts find the same parts
again, and how far the error is from that of the SVD, which no factorization of that rank can beat. They are
shown on a matrix whose number of parts is known, where they agree, and on handwritten digits, where nobody
knows it and they do not.

The planted matrix has 150 rows, 60 columns, five parts, and noise of 30 % of its mean. The digits are 200
images of 8 × 8 pixels (Alpaydin and Kaynak 1998, UCI Machine Learning Repository, CC BY 4.0; they come with
scikit-learn).
"""

import matplotlib.pyplot as plt
import numpy as np

from nonneg import NMF, datasets, plots
from nonneg.metrics import match_components

rng = np.random.default_rng(0)
clean = rng.gamma(0.5, size=(150, 5)) @ rng.gamma(0.5, size=(5, 60))
planted = np.maximum(clean + 0.3 * clean.mean() * rng.standard_normal(clean.shape), 0)
digits = datasets.load("digits").data[:200].astype(float)
tables = {
    "planted, 5 parts": (planted, [1, 2, 3, 4, 5, 6, 7, 8]),
    "digits": (digits, [2, 4, 8, 12, 16]),
}

# %%
# Cells held out
# --------------
#
# Each cell is put into one of three groups. A fit sees two of them (the cells of the third have weight 0) and
# predicts the third (Wold 1978). Whole rows held out would not do: their W is solved on the very cells that
# are judged, so they are fitted better with every further part. The small L2 on both factors keeps rows with
# few observed cells from running away.


def held_out(X, k, groups=3):
    """Return the mean square error of each group of cells, predicted from the others."""
    group = np.random.default_rng(0).integers(groups, size=X.shape)
    errors = []
    for hidden in range(groups):
        seen, cells = (group != hidden).astype(float), np.nonzero(group == hidden)
        model = NMF(k, penalty_W=1e-4, penalty_H=1e-4, tol=3e-3, random_state=0).fit(X, weights=seen)
        errors.append(np.mean((X[cells] - model.predict_cells(X, *cells, weights=seen)) ** 2))
    return np.array(errors)


# %%
# Found again
# -----------
#
# The default start beside three random ones: for each part the smallest cosine with its partner in the others
# (Brunet et al. 2004 ask the same of clusters). A part that only one start finds is no finding.


def found_again(X, model, starts=3):
    """Return the smallest cosine of each part of a model with its partner from other starts."""
    others = [
        NMF(model.n_components, init="random", tol=1e-3, random_state=1 + s).fit(X) for s in range(starts)
    ]
    return np.min(
        [match_components(model.components_, other.components_).similarity for other in others], axis=0
    )


# %%
# The three of them, for every number
# -----------------------------------
#
# ``certificate(X).svd_gap`` is (‖X − WH‖ − the smallest residual of any matrix of this rank) / ‖X‖. The
# in-sample error stands beside them to show what it does: it falls.

findings = {}
for name, (X, numbers) in tables.items():
    print(f"{name}\n    k   error   held out (± sd)   SVD gap   found again (cosine > .95)")
    scale, findings[name] = X.std(), []
    for k in numbers:
        model = NMF(k, tol=1e-3, random_state=0).fit(X)
        error = model.reconstruction_err_ / np.sqrt(X.size) / scale
        outside = np.sqrt(held_out(X, k)) / scale
        cosines, gap = found_again(X, model), model.certificate(X).svd_gap
        findings[name].append((error, outside.mean(), outside.std(), gap, cosines))
        again = f"{(cosines > 0.95).sum()} of {k}"
        print(f"{k:5d}   {error:.3f}   {outside.mean():.3f} ± {outside.std():.3f}     {gap:.4f}    {again}")
    best = numbers[int(np.argmin([entry[1] for entry in findings[name]]))]
    print(f"cells held out are predicted best with {best}")

# %%
# Errors are in units of the standard deviation of X. A dot on the right is a part.

figure, grid = plt.subplots(2, 3, figsize=(12, 6.4), layout="constrained")
for (left, middle, right), (name, (_, numbers)) in zip(grid, tables.items(), strict=True):
    error, outside, spread, gap, cosines = zip(*findings[name], strict=True)
    curves = {"all cells": (error, None), "cells held out": (outside, spread)}
    plots.metric_curves(
        numbers, curves, metric="root mean square error", x_label="parts", title=name, axes=left
    )
    plots.metric_curves(
        numbers, {"gap": (gap, None)}, metric="SVD gap", x_label="parts", legend=False, axes=middle
    )
    for k, each in zip(numbers, cosines, strict=True):
        right.plot(np.full(k, k), each, "o", color="#0072B2", alpha=0.5, markersize=5, markeredgewidth=0)
    right.axhline(0.95, color="0.7", linewidth=1)
    right.set(xlabel="parts", ylabel="smallest cosine with other starts", ylim=(-0.03, 1.05))
    right.grid(alpha=0.25)
    for axes in (left, middle, right):
        axes.set_xticks(numbers)
plt.show()

# %%
# What one sees
# -------------
#
# On the planted matrix the cells held out are predicted best with five parts, and a sixth makes it worse: it
# fits noise. Up to five, every start finds every part; the sixth comes out differently each time. The gap
# says least: it is .0015 at three parts and .0003 at five, and from six on it rises, because what is left is
# noise, which the SVD, with its minus signs, follows more closely than an NMF can.
#
# The digits have no such number. Twelve and sixteen parts predict cells held out equally well, within the
# spread; the gap rises from the beginning, because sums without minus signs are not the cheapest way to write
# digits; and from four parts on hardly one is found again by all starts. So a picture of sixteen parts is one
# of many, and a good description of the images all the same: which number is right depends on whether one
# wants to compress, to predict, or to name the parts.
#
# What to be careful of
# ---------------------
#
# * Different questions have different answers: fill in missing cells with the number that predicts them best,
#   name only parts that are found again.
# * The minimum of a flat curve is an accident. Look at the spread, and take the smallest number within it.
# * Choose with the loss that fits the data: squares here, for counts ``loss="kl"`` and the mean of y − x log
#   y over the cells held out.
# * Noise that neighbours share (pixels, moments in time) lets a fit guess a hidden cell from its neighbour:
#   then hide blocks.
#
# Read more: on certificates and held-out cells in :doc:`the page of NMF </docs/nmf>`;
# :doc:`plot_muscle_synergies` and :doc:`plot_topics` choose their numbers in these ways. There is no single
# function yet that does all three.
