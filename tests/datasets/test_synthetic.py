from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from nonneg.datasets import make_counts, make_low_rank, make_swimmer, make_topics


def test_low_rank_without_noise_is_exact_and_noise_has_its_size():
    clean = make_low_rank(60, 30, 4, noise=0, random_state=0)
    np.testing.assert_allclose(clean.data, clean.W @ clean.H)
    assert np.linalg.matrix_rank(clean.data) == 4
    noisy = make_low_rank(400, 300, 4, noise=0.1, density=1.0, random_state=0)
    product = noisy.W @ noisy.H
    assert (noisy.data >= 0).all()
    assert np.std(noisy.data - product) == pytest.approx(0.1 * product.mean(), rel=0.05)


def test_density_and_no_empty_rows():
    planted = make_low_rank(300, 100, 6, density=0.3, random_state=1)
    assert (planted.W > 0).mean() == pytest.approx(0.35, abs=0.08)
    assert planted.W.any(axis=1).all()
    assert planted.H.any(axis=1).all()


def test_counts_are_poisson_with_the_planted_mean():
    planted = make_counts(500, 80, 5, mean=3.0, random_state=0)
    expected = planted.W @ planted.H
    assert planted.data.dtype.kind == "i"
    assert planted.data.mean() == pytest.approx(3.0, rel=0.03)
    # variance equals mean for Poisson, cell by cell
    assert ((planted.data - expected) ** 2).sum() == pytest.approx(expected.sum(), rel=0.05)


def test_topics_are_sparse_counts_of_the_right_mixture():
    planted = make_topics(200, 100, 4, words=500, random_state=0)
    assert sparse.issparse(planted.data)
    assert planted.data.format == "csr"
    counts = planted.data.toarray()
    np.testing.assert_allclose(counts, np.rint(counts))
    np.testing.assert_allclose(planted.W.sum(axis=1), 1)
    np.testing.assert_allclose(planted.H.sum(axis=1), 1)
    expected = counts.sum(axis=1, keepdims=True) * (planted.W @ planted.H)
    # Pearson's statistic is about its degrees of freedom when the counts come from that mixture
    enough = expected > 1
    assert ((counts - expected)[enough] ** 2 / expected[enough]).mean() == pytest.approx(1.0, abs=0.15)


def test_swimmer_has_rank_13_and_17_disjoint_parts():
    swimmer = make_swimmer()
    assert swimmer.data.shape == (256, 1024)
    np.testing.assert_array_equal(swimmer.W @ swimmer.H, swimmer.data)
    assert len(np.unique(swimmer.data, axis=0)) == 256
    assert np.linalg.matrix_rank(swimmer.data.astype(float)) == 13
    assert swimmer.H.sum(axis=0).max() == 1
    np.testing.assert_array_equal(swimmer.W.sum(axis=1), 5)


@pytest.mark.parametrize("make", [make_low_rank, make_counts, make_topics])
def test_same_seed_same_data(make):
    a, b, c = (make(30, 20, 3, random_state=seed).data for seed in (4, 4, 5))
    a, b, c = ((x.toarray() if sparse.issparse(x) else x) for x in (a, b, c))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (make_low_rank, {"n_components": 0}, "n_components must be a positive integer"),
        (make_low_rank, {"noise": -1}, "noise must be at least 0"),
        (make_low_rank, {"density": 0}, "density must lie in"),
        (make_counts, {"mean": 0}, "mean must be a positive number"),
        (make_topics, {"topics_per_row": 0}, "topics_per_row must be above 0"),
    ],
)
def test_bad_sizes(make, options, words):
    with pytest.raises(ValueError, match=words):
        make(**options)
