"""The residual: slopes that are small beside the entries they belong to are not lost."""

from __future__ import annotations

import numpy as np
import pytest

from nonneg.kernels.weighted import kkt_rows_weighted
from nonneg.solvers.kkt import residual_of


@pytest.mark.parametrize("hi", [np.inf, 2.0])
def test_a_residual_is_in_proportion_to_small_slopes(hi):
    rng = np.random.default_rng(0)
    V, negative, positive = rng.random((3, 20, 4)) + 0.1
    units = rng.uniform(0.5, 2, 4)
    scaled, slope = V * units, (positive - negative) / units
    plain = np.abs(scaled - np.clip(scaled - slope, 0, hi * units)).max()
    found = residual_of(V, negative, positive, units, 1.0, 0.0, hi)
    assert found.violation == pytest.approx(plain, rel=1e-12)
    assert found.scale == pytest.approx((negative / units).max())
    for c in (1e-12, 1e-25, 1e-100):  # the slopes alone decide then
        tiny = residual_of(V, c * negative, c * positive, units, 1.0, 0.0, hi)
        assert tiny.violation == pytest.approx(c * np.abs(slope).max(), rel=1e-12)


@pytest.mark.parametrize("hi", [np.inf, 2.0])
def test_kernels_agree(hi):
    rng = np.random.default_rng(1)
    W, H, X, M = rng.random((20, 3)), rng.random((3, 8)), rng.random((20, 8)), rng.random((20, 8))
    d, nothing, free = rng.uniform(0.5, 2, 3), np.zeros(3), np.zeros(3, bool)
    for c in (1.0, 1e-12, 1e-100):
        found = kkt_rows_weighted(W, H, X, c * M, nothing, nothing, d, 0.0, hi, free)
        halves = (c * M * X) @ H.T, (c * M * (W @ H)) @ H.T
        wanted = residual_of(W, *halves, d, 1.0, 0.0, hi)
        assert found == pytest.approx((wanted.violation, wanted.scale), rel=1e-9)
