from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nonneg.metrics import ari, clustering_accuracy, nmi

labels = hnp.arrays(np.int64, st.integers(2, 40), elements=st.integers(0, 4))


def best_by_force(truth, found):
    """ACC by trying every assignment of clusters to classes."""
    size = max(truth.max(), found.max()) + 1
    return max(np.mean(np.array(order)[found] == truth) for order in itertools.permutations(range(size)))


@given(labels, st.randoms(use_true_random=False))
def test_acc_is_the_best_of_all_assignments(truth, random):
    found = np.array([random.randrange(4) for _ in truth])
    assert clustering_accuracy(truth, found) == pytest.approx(best_by_force(truth, found))


@given(labels, st.permutations(range(5)))
def test_names_of_clusters_do_not_matter(truth, names):
    found = np.array(names)[truth]
    assert clustering_accuracy(truth, found) == 1.0
    assert nmi(truth, found) == pytest.approx(1.0)
    assert ari(truth, found) == pytest.approx(1.0)


def test_values_by_hand():
    truth, found = [0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1]
    assert clustering_accuracy(truth, found) == pytest.approx(5 / 6)
    # eq. 18 with entropies in nats: I = H(A) + H(B) - H(A, B)
    h_true = np.log(2)
    h_found = -(1 / 3 * np.log(1 / 3) + 2 / 3 * np.log(2 / 3))
    h_joint = -(1 / 3 * np.log(1 / 3) + 1 / 6 * np.log(1 / 6) + 1 / 2 * np.log(1 / 2))
    assert nmi(truth, found) == pytest.approx(2 * (h_true + h_found - h_joint) / (h_true + h_found))
    # eq. 19 by counting pairs: 4 together in both, 6 in truth, 7 in found, of 15
    expected = 6 * 7 / 15
    assert ari(truth, found) == pytest.approx((4 - expected) / ((6 + 7) / 2 - expected))


def test_more_clusters_than_classes_and_fewer():
    assert clustering_accuracy(["a", "a", "b", "b"], [0, 1, 2, 3]) == 0.5
    assert clustering_accuracy([0, 1, 2, 3], ["x", "x", "x", "x"]) == 0.25


@pytest.mark.parametrize("metric", [clustering_accuracy, nmi, ari])
@pytest.mark.parametrize(
    ("truth", "found", "words"),
    [
        ([0, 1], [0, 1, 1], "labels_true has 2 samples and labels_pred 3"),
        ([], [], "labels_true is empty"),
        ([0, 1], [[0, 1]], "labels_pred must be a 1-D array"),
        ([0.0, np.nan], [0, 1], "labels_true holds NaN"),
    ],
)
def test_bad_labels_are_named(metric, truth, found, words):
    with pytest.raises(ValueError, match=words):
        metric(truth, found)
