from __future__ import annotations

import numpy as np
import pytest

from nonneg.metrics import linear_probe_accuracy


def blobs(n, seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    return np.eye(3)[y] + 0.1 * rng.normal(size=(n, 3)), y


def test_separable_codes_are_classified_and_units_of_any_size_count():
    (H, y), (H_new, y_new) = blobs(300, 0), blobs(200, 1)
    assert linear_probe_accuracy(H, y, H_new, y_new) > 0.99
    scale = np.array([1e-6, 1.0, 1e6])
    assert linear_probe_accuracy(H * scale, y, H_new * scale, y_new) > 0.99
    with_dead = np.hstack([H, np.full((300, 1), 0.3, np.float32)])
    new_with_dead = np.hstack([H_new, np.full((200, 1), 0.3 + 1e-8)])
    assert linear_probe_accuracy(with_dead, y, new_with_dead, y_new) > 0.99


def test_codes_without_information_give_the_largest_class():
    y = np.array([0, 0, 0, 1])
    assert linear_probe_accuracy(np.ones((4, 2)), y, np.ones((4, 2)), y) == 0.75


def test_permuted_labels_are_not_predictable():
    (H, y), (H_new, _) = blobs(300, 0), blobs(200, 1)
    random = np.random.default_rng(5).integers(0, 3, 200)
    assert linear_probe_accuracy(H, y, H_new, random) < 0.5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"codes_train": np.ones(3)}, "codes_train must be"),
        ({"codes_test": np.full((4, 2), np.nan)}, "codes_test holds NaN"),
        ({"y_test": [0]}, "y_test must hold one label for each of 4"),
        ({"codes_test": np.ones((4, 3))}, "codes_train has 2 units and codes_test 3"),
        ({"y_train": [1, 1, 1, 1]}, "y_train holds a single class"),
    ],
)
def test_bad_input(change, words):
    arguments = {"codes_train": np.eye(4)[:, :2], "y_train": [0, 1, 0, 1], "codes_test": np.eye(4)[:, :2]}
    arguments |= {"y_test": [0, 1, 0, 1]} | change
    with pytest.raises(ValueError, match=words):
        linear_probe_accuracy(**arguments)
