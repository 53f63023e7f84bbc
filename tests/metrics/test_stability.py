from __future__ import annotations

import numpy as np
import pytest

from nonneg.metrics import match_components


def test_a_shuffled_and_rescaled_copy_is_found():
    rng = np.random.default_rng(0)
    H = rng.random((6, 20))
    order = rng.permutation(6)
    match = match_components(H, H[order] * rng.uniform(1e-200, 1e200, (6, 1)))
    np.testing.assert_array_equal(order[match.permutation], np.arange(6))
    np.testing.assert_allclose(match.similarity, 1.0)


def test_the_sum_of_cosines_counts_not_each_row_alone():
    # row 0 likes column 0 a little more than column 1, but row 1 has nothing but column 0
    H1 = np.array([[1.0, 0.9], [1.0, 0.0]])
    np.testing.assert_array_equal(match_components(H1, np.eye(2)).permutation, [1, 0])


def test_unequal_numbers_of_components():
    H = np.eye(4)
    np.testing.assert_array_equal(match_components(H[:2], H[::-1]).permutation, [3, 2])
    match = match_components(H, H[2:])
    np.testing.assert_array_equal(match.permutation, [-1, -1, 0, 1])
    np.testing.assert_array_equal(np.isnan(match.similarity), [True, True, False, False])


def test_a_dead_component_matches_nothing():
    H = np.array([[1.0, 2.0], [0.0, 0.0]])
    match = match_components(H, H)
    np.testing.assert_allclose(match.similarity, [1.0, 0.0])


@pytest.mark.parametrize(
    ("H1", "H2", "words"),
    [
        (np.ones((2, 3)), np.ones((2, 4)), "H1 has 3 features and H2 4"),
        (np.ones(3), np.ones((2, 3)), "H1 must be a non-empty matrix"),
        (np.ones((2, 3)), np.full((2, 3), np.nan), "H2 holds NaN"),
    ],
)
def test_bad_input(H1, H2, words):
    with pytest.raises(ValueError, match=words):
        match_components(H1, H2)
