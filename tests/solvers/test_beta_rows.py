"""Rows of W under a general β: as low as multiplicative updates bring them, in fewer steps, each row on its own."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from nonneg.data.block import Block
from nonneg.losses import BetaLoss
from nonneg.solvers import beta_rows as module
from nonneg.solvers.beta_rows import beta_rows
from nonneg.solvers.least_squares import MAX_SWEEPS
from nonneg.solvers.mu import CellTerms, multiply

BETAS = [-2, -1, 0, 0.5, 1.5, 3, 4]
N, M, K = 120, 14, 4
RNG = np.random.default_rng(0)
H = RNG.gamma(0.5, 1.0, (K, M)) + 0.01
X = RNG.gamma(1.0, 1.0, (N, K)) @ H + 0.1 * RNG.gamma(1.0, 1.0, (N, M))
ZEROS = X * (RNG.random((N, M)) < 0.6)
MASK = (RNG.random((N, M)) < 0.7) * (0.5 + RNG.random((N, M)))
MASK[:, 0] = 1.0


def stored(A, weights=None):
    """A CSR block; with the weights of its stored cells."""
    A = sp.csr_array(A)
    rows = np.repeat(np.arange(A.shape[0]), np.diff(A.indptr))
    return Block(0, A.shape[0], A, None if weights is None else weights[rows, A.indices])


def blocks(beta):
    """Pairs of blocks that say the same; no zeros where they cost infinitely much."""
    A = X if beta <= 0 else ZEROS
    seen = np.where(A > 0, MASK, 0.0)
    return {
        "dense": (Block(0, N, A), Block(0, N, A)),
        "CSR": (stored(A), Block(0, N, A)),
        "masked": (Block(0, N, A * (MASK > 0), MASK), Block(0, N, A * (MASK > 0), MASK)),
        "CSR, stored cells": (stored(A, MASK), Block(0, N, A * (seen > 0), seen)),
    }


def solved(block, beta, terms=None, tol=1e-10, H=H):
    return beta_rows(BetaLoss(beta), block, H, terms or CellTerms(), tol, MAX_SWEEPS)


def losses(block, W, beta, terms=None):
    """Of every row, penalties included."""
    terms = terms or CellTerms()
    Y = np.maximum(W @ H, 1e-150)
    weights = np.ones((N, M)) if block.weights is None else block.weights
    cells = BetaLoss(beta).cells(np.where(weights > 0, block.X, Y), Y) * weights
    return (
        cells.sum(axis=1)
        + (terms.linear * W).sum(axis=1)
        + 0.5 * (terms.ridge * W**2 * np.ones(K)).sum(axis=1)
    )


def residual(block, W, beta, terms=None):
    terms = terms or CellTerms()
    negative, positive = BetaLoss(beta).row_terms(block, W, H)
    slope = terms.added(positive, W) - negative
    return np.abs(W - np.clip(W - slope, terms.low, terms.high)).max(axis=1) / np.maximum(
        negative.max(axis=1), 1e-300
    )


def multiplied(block, beta, terms, sweeps=2000):
    W = np.full((N, K), 1.0 / K)
    terms.clip(W)
    for _ in range(sweeps):
        negative, positive = BetaLoss(beta).row_terms(block, W, H)
        multiply(W, negative, terms.added(positive, W), terms.exponent(BetaLoss(beta)), 1.0)
        terms.clip(W)
    return W


def no_higher(block, W, beta, terms):
    """Not above where multiplicative updates end; far from convex (β > 3) a row of 60 may find another minimum."""
    V, flat = multiplied(block, beta, terms), np.full((N, K), 1.0 / K)
    found, reached, start = (losses(block, A, beta, terms) for A in (W, V, flat))
    worse = found - reached > 1e-10 * np.abs(reached) + 1e-14 * start
    assert worse.mean() <= (1 / 60 if beta > 3 else 0)
    left = residual(block, W, beta, terms) > np.maximum(1e-8, residual(block, V, beta, terms))
    assert not left.any()


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("kind", blocks(1.5))
def test_no_row_ends_above_multiplicative_updates(beta, kind):
    block, dense = blocks(beta)[kind]
    W = solved(block, beta)
    assert (W >= 0).all()
    no_higher(dense, W, beta, CellTerms())


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize(
    "terms",
    [
        CellTerms(0.3, 0.2),
        CellTerms(np.linspace(0, 1, K), np.linspace(1, 0, K)),
        CellTerms(low=0.05, high=0.8),
    ],
    ids=["elastic", "per component", "box"],
)
def test_penalties_and_bounds(beta, terms):
    block, _ = blocks(beta)["dense"]
    W = solved(block, beta, terms)
    assert W.min() >= terms.low and W.max() <= terms.high
    no_higher(block, W, beta, terms)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("kind", blocks(1.5))
def test_a_row_does_not_see_the_others(beta, kind):
    block, dense = blocks(beta)[kind]
    W, seen = solved(block, beta), np.ones((N, M)) if dense.weights is None else dense.weights > 0
    for rows in ([7], [3, 50, 4], np.arange(N)[::-1]):
        few = solved(block.some(np.asarray(rows)), beta)
        # W itself is not unique in rows with fewer cells than components
        np.testing.assert_allclose((few @ H) * seen[rows], (W[rows] @ H) * seen[rows], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("beta", BETAS)
def test_pieces_of_a_block_change_nothing(beta, monkeypatch):
    block, _ = blocks(beta)["masked"]
    W = solved(block, beta)
    monkeypatch.setattr(module, "MODEL_CELLS", 7 * K * K)
    np.testing.assert_allclose(solved(block, beta), W, rtol=1e-7, atol=1e-8 * W.max())


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize(("dtype", "tol"), [(np.float64, 1e-10), (np.float32, 1e-5)])
def test_rows_that_are_done_are_not_computed_again(beta, dtype, tol, monkeypatch):
    seen = []
    plain = BetaLoss.row_model

    def counted(self, part, W, H):
        seen.append(len(W))
        return plain(self, part, W, H)

    monkeypatch.setattr(BetaLoss, "row_model", counted)
    solved(Block(0, N, blocks(beta)["dense"][1].X.astype(dtype)), beta, tol=tol, H=H.astype(dtype))
    assert seen == sorted(seen, reverse=True) and sum(seen) < 25 * N


def test_dead_and_repeated_components():
    twice = np.concatenate([H, H[:1], np.zeros((1, M))])
    for beta in BETAS:
        W = solved(Block(0, N, X), beta, H=twice)
        assert np.isfinite(W).all()
        Y, Z = W @ twice, solved(Block(0, N, X), beta) @ H
        assert np.abs(Y - Z).max() < 1e-5 * Z.max()
