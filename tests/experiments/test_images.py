from __future__ import annotations

import numpy as np
import pytest

from nonneg.experiments.images import corrupt, images_of

X = np.full((5000, 20), 128, dtype=np.uint8)


@pytest.mark.parametrize("level", [0.1, 0.8])
def test_shares_are_met_and_type_and_input_stay(level):
    noisy = corrupt(X, "masking", level, top=255, seed=0)
    assert noisy.dtype == np.uint8
    assert (noisy == 0).mean() == pytest.approx(level, abs=0.01)
    assert set(np.unique(noisy)) == {0, 128}
    pepper = corrupt(X, "salt-and-pepper", level, top=255, seed=0)
    assert (pepper == 0).mean() == pytest.approx(level / 2, abs=0.01)
    assert (pepper == 255).mean() == pytest.approx(level / 2, abs=0.01)
    assert (X == 128).all()


def test_additive_noise_has_its_size_and_stays_in_range():
    noisy = corrupt(X, "gaussian", 0.1, top=255, seed=0)
    assert noisy.dtype == np.uint8
    assert noisy.astype(float).std() == pytest.approx(25.5, rel=0.02)
    uniform = corrupt(X.astype(np.float64) / 255, "uniform", 0.2, top=1.0, seed=0)
    assert uniform.std() == pytest.approx(0.2 / np.sqrt(3), rel=0.02)
    assert corrupt(X, "gaussian", 1.0, top=255, seed=0).min() == 0


def test_same_seed_same_noise():
    a, b, c = (corrupt(X, "masking", 0.5, top=255, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()
    assert corrupt(X, None, None, top=255, seed=0) is X


def test_bad_noise():
    with pytest.raises(ValueError, match="noise must be one of masking"):
        corrupt(X, "fog", 0.5, top=255, seed=0)
    with pytest.raises(ValueError, match="noise level must lie between 0 and 1, got 2"):
        corrupt(X, "masking", 2, top=255, seed=0)


def test_images_of_the_digits():
    images = images_of("digits", 100, 50)
    assert images.train.shape == (100, 64)
    assert images.y_test.shape == (50,)
    np.testing.assert_array_equal(images.probe, np.arange(100))
    assert images.top == 16
