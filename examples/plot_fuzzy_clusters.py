"""
Fuzzy clusters: how sure is a label?
====================================

A factorization gives every sample shares of all clusters, not one label. Where the shares are even, the label
should not be trusted; their entropy says so before anyone has seen the truth.

The data are the wines of scikit-learn: 178 wines of three growers, 13 chemical measurements each (UCI Machine
Learning Repository, CC BY 4.0). The growers are used only to judge the result.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import entropy
from sklearn.datasets import load_wine
from sklearn.metrics import roc_auc_score

from nonneg import NMF
from nonneg.metrics import clustering_accuracy, match_components

wine = load_wine()

# %%
# A part can only say "much of this". So that it can also say "little of that", each measurement becomes two
# columns, which sum to one: how high it is between the lowest and the highest wine, and how low. Without the
# second half the accuracy below is lower.

high = (wine.data - wine.data.min(axis=0)) / np.ptp(wine.data, axis=0)
names = [f"{word} {name}" for word in ("high", "low") for name in wine.feature_names]


def clusters(X):
    """Return a model of three parts and the memberships of all wines."""
    model = NMF(3, n_init=5, random_state=0).fit(X)
    return model, model.memberships(X)


model, shares = clusters(np.hstack([high, 1 - high]))
labels = shares.argmax(axis=1)
accuracy = clustering_accuracy(wine.target, labels)
print(f"accuracy of the largest share: {accuracy:.3f}")
print(
    f"the same without the columns 'low': {clustering_accuracy(wine.target, clusters(high)[1].argmax(axis=1)):.3f}"
)
for cluster, best in enumerate(model.top_features(4, names=names)):
    print(f"cluster {cluster}:", ", ".join(name for name, _ in best))

# %%
# Which cluster is which grower: by the wines they share. Entropy is 0 for a wine of one cluster and 1 for
# three equal shares.

grower = match_components(np.eye(3)[labels].T, np.eye(3)[wine.target].T).permutation
wrong = grower[labels] != wine.target
doubt = entropy(shares, axis=1) / np.log(3)
print(f"wines in the wrong cluster: {wrong.sum()} of {len(wrong)}")
print(f"mean entropy: {doubt[~wrong].mean():.2f} of the others, {doubt[wrong].mean():.2f} of these")
print(f"probability that a wrong one has the higher entropy: {roc_auc_score(wrong, doubt):.2f}")
sure = np.argsort(doubt)[: len(doubt) // 2]
print(f"accuracy among the half with the lowest entropy: {1 - wrong[sure].mean():.3f}")

# %%
# Each wine as a point in the triangle of shares: a corner is a cluster, the centre is three equal shares. On
# the right the entropies, and the accuracy that is left when only the surest wines are given a label.

corners = np.array([[0, 0], [1, 0], [0.5, np.sqrt(0.75)]])
points = shares @ corners
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.3), layout="constrained")
left.plot(*corners[[0, 1, 2, 0]].T, color="0.6", linewidth=1)
for number, colour in enumerate(("#0072B2", "#E69F00", "#009E73")):
    mine = wine.target == number
    left.scatter(*points[mine].T, s=14, color=colour, label=f"grower {number + 1}")
left.scatter(*points[wrong].T, s=70, facecolors="none", edgecolors="black", label="another cluster's")
for cluster, (x, y) in enumerate(corners):
    left.text(x, y + (0.03 if y else -0.06), f"cluster {cluster}", ha="center", fontsize=9)
left.set(title="Shares of three clusters", aspect="equal", ylim=(-0.1, 0.95))
left.set_axis_off()
left.legend(loc="upper left", frameon=False, fontsize=9)

order = np.argsort(doubt)
kept = np.arange(1, len(order) + 1)
right.plot(100 * kept / len(order), 100 * (1 - np.cumsum(wrong[order]) / kept), color="#0072B2")
right.set(xlabel="wines that get a label (%)", ylabel="of these, right (%)", ylim=(85, 100.7))
right.set_title("Labels given in order of entropy")
right.grid(alpha=0.25)
plt.show()

# %%
# What to be careful of
# ---------------------
#
# * Shares depend on the units of the columns: each column was brought to 0 to 1 here. A column with ten times
#   the range has ten times the say.
# * Entropy is doubt between these clusters. A wine that fits none of them has no high entropy, but a large
#   residual.
# * Shares are no probabilities, and are not calibrated: use their order, or calibrate them where labels are
#   known.
# * Where one label a row is all that is wanted, k-means, mixtures or :doc:`OrthogonalNMF
#   </docs/family/clusters>` are as good.
#
# Read more: :doc:`clusters and scores </docs/scores>`.
