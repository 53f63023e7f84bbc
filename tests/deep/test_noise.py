"""Noise: its distribution, and that it depends on seed, epoch, sample and feature alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nonneg.deep import Noise

X = torch.full((400, 101), 0.25)
ROWS = torch.arange(400)
KINDS = ["masking", "dropout", "gaussian", "salt-and-pepper", "uniform"]


@pytest.mark.parametrize("level", [0.1, 0.5, 0.8])
def test_masking_hits_its_share(level):
    noisy = Noise("masking", level, 0)(X, ROWS, 0)
    assert set(np.unique(noisy)) == {0.0, 0.25}
    share = float((noisy == 0).float().mean())
    assert share == pytest.approx(level, abs=4 * (level * (1 - level) / X.numel()) ** 0.5)


def test_masking_everything_and_nothing():
    assert (Noise("masking", 1.0, 0)(X, ROWS, 0) == 0).all()
    assert Noise("masking", 0.0, 0)(X, ROWS, 0) is X
    assert Noise("none", 0.7, 0)(X, ROWS, 0) is X


def test_dropout_keeps_the_mean():
    noisy = Noise("dropout", 0.4, 0)(X, ROWS, 0)
    assert sorted(np.unique(noisy)) == pytest.approx([0.0, 0.25 / 0.6])
    assert float(noisy.mean()) == pytest.approx(0.25, rel=0.02)


def test_salt_and_pepper_is_half_and_half():
    noisy = Noise("salt-and-pepper", 0.3, 0)(X, ROWS, 0)
    for value, share in ((0.0, 0.15), (1.0, 0.15), (0.25, 0.7)):
        assert float((noisy == value).float().mean()) == pytest.approx(share, abs=0.01)


def test_gaussian_has_its_moments():
    from scipy import stats

    noise = ((Noise("gaussian", 0.3, 0)(X, ROWS, 0) - X) / 0.3).numpy().ravel()
    assert stats.kstest(noise, "norm").pvalue > 1e-3
    assert np.isfinite(noise).all()


def test_uniform_stays_within_its_half_width():
    from scipy import stats

    noise = ((Noise("uniform", 0.2, 0)(X, ROWS, 0) - X) / 0.2).numpy().ravel()
    assert np.abs(noise).max() <= 1 + 1e-5
    assert stats.kstest(noise, "uniform", (-1, 2)).pvalue > 1e-3


def test_neighbours_are_not_correlated():
    bits = (Noise("masking", 0.5, 3)(X, ROWS, 0) == 0).float().numpy() - 0.5
    other = (Noise("masking", 0.5, 3)(X, ROWS, 1) == 0).float().numpy() - 0.5
    bound = 4 * 0.25 / X.numel() ** 0.5
    assert abs((bits[:-1] * bits[1:]).mean()) < bound * 1.1  # rows
    for lag in (1, 2, 3, 50, 51):  # columns, also the halves of one hash
        assert abs((bits[:, :-lag] * bits[:, lag:]).mean()) < bound * 1.5, lag
    assert abs((bits * other).mean()) < bound  # epochs
    assert np.linalg.norm(bits.mean(axis=0)) < 2 * 0.5 * (101 / 400) ** 0.5
    assert np.linalg.norm(bits.mean(axis=1)) < 2 * 0.5 * (400 / 101) ** 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_the_batch_does_not_matter(kind):
    noise = Noise(kind, 0.3, 7)
    whole = noise(X, ROWS, 2)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    for rows in order.split(37):
        assert torch.equal(noise(X[rows], rows, 2), whole[rows])
    assert torch.equal(Noise(kind, 0.3, 7)(X, ROWS, 2), whole)
    assert not torch.equal(Noise(kind, 0.3, 8)(X, ROWS, 2), whole)
    assert (X == 0.25).all()


@pytest.mark.parametrize("kind", KINDS)
def test_redrawn_in_every_epoch_or_once(kind):
    anew, once = Noise(kind, 0.3, 7), Noise(kind, 0.3, 7, redraw=False)
    assert not torch.equal(anew(X, ROWS, 0), anew(X, ROWS, 1))
    assert torch.equal(once(X, ROWS, 0), once(X, ROWS, 1))


def test_the_draws_never_change():
    """Checkpoints of today must go on tomorrow: these draws are part of the format."""
    noisy = Noise("masking", 0.5, 42)(torch.ones(2, 16), torch.tensor([0, 60_000]), 3)
    assert ["".join(str(int(v)) for v in row) for row in noisy] == GOLDEN


GOLDEN = ["1110100010111101", "0001101101011110"]


def test_levels_out_of_range_are_refused():
    for kind, level in (("masking", 1.1), ("dropout", 1.0), ("gaussian", -0.1), ("uniform", float("nan"))):
        with pytest.raises(ValueError, match="noise_level"):
            Noise(kind, level, 0)
    with pytest.raises(TypeError, match="noise_level"):
        Noise("masking", "much", 0)
    with pytest.raises(ValueError, match="noise='pink'"):
        Noise("pink", 0.1, 0)
