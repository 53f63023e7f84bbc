"""W, residual and loss in one pass are what the separate passes say."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from nonneg.data import as_source
from nonneg.data.threads import workers
from nonneg.losses import as_loss
from nonneg.solvers.judge import judge, solve_and_judge
from nonneg.solvers.problem import Problem
from nonneg.solvers.rows import solve_rows

TIGHT = {np.float32: 1e-5, np.float64: 1e-12}


@pytest.mark.parametrize("weights", [None, np.tile([0.0, 1.0, 2.5], 70)[:200]], ids=["plain", "weighted"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
@pytest.mark.parametrize(("k", "noise"), [(3, 0.5), (20, 0.5), (5, 0.0)], ids=["few", "many", "exact"])
def test_one_pass_says_what_the_separate_ones_say(k, noise, kind, dtype, weights, small_blocks):
    rng = np.random.default_rng(0)
    planted = np.where(rng.random((5, 40)) < 0.5, 0, rng.random((5, 40)))
    X = (rng.random((200, 5)) @ planted + noise * rng.random((200, 40))).astype(dtype)
    H = rng.random((k, 40)).astype(dtype) if noise else planted.astype(dtype)
    source = as_source(kind(X))
    source.row_weights = None if weights is None else weights.astype(dtype)
    summary = source.summary()
    frozen = np.zeros(k, bool)
    frozen[0] = True
    problem = Problem(source, as_loss(2), summary.mean, summary.total_weight, summary.squares, frozen)
    with workers(1) as pool:
        W, kkt, loss, stats = solve_and_judge(problem, H, 1e-5, pool, np.full((200, k), np.nan, dtype))
        np.testing.assert_array_equal(W, solve_rows(problem, H, 1e-5, pool))
        expected_kkt, expected_loss, expected = judge(problem, W, H, pool)
    assert loss == pytest.approx(expected_loss, rel=TIGHT[dtype], abs=1e-12 * summary.squares)
    assert kkt == pytest.approx(expected_kkt, rel=1e-2, abs=float(1e2 * np.finfo(dtype).eps))
    for found, wanted in ((stats.negative, expected.negative), (stats.positive, expected.positive)):
        np.testing.assert_allclose(found, wanted, rtol=TIGHT[dtype], atol=TIGHT[dtype] * wanted.max())
    if noise == 0:
        assert loss < 1e-7 * summary.squares
