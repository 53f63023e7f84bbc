from __future__ import annotations

import sys

import numpy as np
import pytest

from nonneg.clustering import cluster
from nonneg.exceptions import MissingExtraError
from nonneg.metrics import clustering_accuracy

EVERY = [
    ("kmeans", {}),
    ("gmm", {"covariance_type": "full"}),
    ("gmm", {"covariance_type": "diag"}),
    ("gmm", {"covariance_type": "spherical"}),
    ("spectral", {}),
]


def planted(n=300, k=4, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % k
    return np.eye(k)[y] + 0.08 * rng.normal(size=(n, k)), y


@pytest.mark.parametrize(("method", "options"), EVERY)
@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_planted_clusters_are_found_at_any_scale_and_with_dead_units(method, options, scale):
    H, y = planted()
    H = np.hstack([H, np.full((len(H), 1), 0.45), np.zeros((len(H), 2))]) * scale
    labels = cluster(H, 4, method, random_state=0, **options)
    assert labels.dtype == np.intp
    assert clustering_accuracy(y, labels) == 1.0


@pytest.mark.parametrize(("method", "options"), EVERY)
def test_same_seed_same_labels_and_input_untouched(method, options):
    H = np.random.default_rng(1).random((120, 5)).astype(np.float32)
    copy = H.copy()
    first = cluster(H, 3, method, random_state=7, **options)
    np.testing.assert_array_equal(first, cluster(H, 3, method, random_state=7, **options))
    np.testing.assert_array_equal(H, copy)


def test_full_covariance_sees_what_k_means_cannot():
    rng = np.random.default_rng(0)
    y = np.arange(600) % 2
    stretched = rng.normal(size=(600, 2)) * [1.5, 0.1] + np.outer(y, [1.0, 1.0])
    assert clustering_accuracy(y, cluster(stretched, 2, "gmm", random_state=0)) > 0.98
    assert clustering_accuracy(y, cluster(stretched, 2, "kmeans", random_state=0)) < 0.8


def test_more_starts_never_lose_inertia():
    H = np.random.default_rng(3).random((400, 3))

    def inertia(labels):
        return sum(((H[labels == j] - H[labels == j].mean(axis=0)) ** 2).sum() for j in np.unique(labels))

    one = [inertia(cluster(H, 6, "kmeans", n_init=1, random_state=seed)) for seed in range(3)]
    many = inertia(cluster(H, 6, "kmeans", n_init=30, random_state=0))
    assert many <= min(one) + 1e-9
    assert max(one) > many + 1e-3  # otherwise this data could not tell


def test_argmax():
    H = np.array([[0.1, 0.9], [0.8, 0.2], [0.0, 0.0]])
    np.testing.assert_array_equal(cluster(H, 2, "argmax"), [1, 0, 0])
    with pytest.raises(ValueError, match="as many clusters as H has columns, 2, but n_clusters=3"):
        cluster(H, 3, "argmax")


@pytest.mark.parametrize(("method", "options"), EVERY)
def test_constant_codes_are_one_cluster_and_few_different_rows_do_not_raise(method, options):
    np.testing.assert_array_equal(cluster(np.full((20, 3), 0.45), 4, method, **options), np.zeros(20))
    if method != "spectral":
        two = np.repeat([[0.0, 1.0], [1.0, 0.0]], 10, axis=0)
        labels = cluster(two, 4, method, random_state=0, **options)
        assert not set(labels[:10]) & set(labels[10:])


def test_generator_as_seed():
    H, _ = planted()
    a = cluster(H, 4, random_state=np.random.default_rng(3))
    np.testing.assert_array_equal(a, cluster(H, 4, random_state=np.random.default_rng(3)))


def test_umap_and_mixture_find_planted_clusters():
    H, y = planted(n=120, k=3)
    assert clustering_accuracy(y, cluster(H, 3, "umap+gmm", random_state=0)) > 0.95


def test_missing_umap_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingExtraError, match=r'umap-learn: pip install "nonneg\[cluster\]"'):
        cluster(np.eye(5), 2, "umap+gmm")


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((np.ones(3), 2), ValueError, "H must be a non-empty real matrix"),
        (
            (np.full((3, 2), np.nan), 2),
            ValueError,
            r"H holds 6 NaN or infinite entries, the first at \(0, 0\)",
        ),
        ((np.eye(3), 4), ValueError, "n_clusters must lie between 1 and the number of samples, 3, got 4"),
        ((np.eye(3), 2.5), TypeError, "n_clusters must be an integer"),
        ((np.eye(3), 2, "median"), ValueError, "method must be one of argmax, kmeans"),
    ],
)
def test_bad_input(arguments, error, words):
    with pytest.raises(error, match=words):
        cluster(*arguments)
    with pytest.raises(ValueError, match="covariance_type must be one of full"):
        cluster(np.eye(3), 2, "gmm", covariance_type="tied")
    with pytest.raises(ValueError, match="n_init must be a positive integer"):
        cluster(np.eye(3), 2, n_init=0)
