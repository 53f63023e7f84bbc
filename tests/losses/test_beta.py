"""The β-divergences and the halves of their gradients, on every kind of block, against the oracle."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import reference as ref
from nonneg.data import as_source
from nonneg.losses import BetaLoss, as_loss

BETAS = [2, 1, 0, -1, 0.5, 1.5, 3]
N, M, K = 130, 6, 3
RNG = np.random.default_rng(0)
W, H = RNG.random((N, K)) + 0.1, RNG.random((K, M)) + 0.1
POSITIVE = RNG.random((N, M)) + 0.05
ZEROS = POSITIVE * (RNG.random((N, M)) < 0.4)
MASK = (RNG.random((N, M)) < 0.7).astype(float)
CELLS = MASK * RNG.random((N, M))
ROWS = RNG.integers(0, 4, N).astype(float)


def X_for(beta):
    return POSITIVE if beta <= 0 else ZEROS


def of_source(source, loss, W=W, H=H):
    """Loss, (∇_W⁻, ∇_W⁺) and (∇_H⁻, ∇_H⁺), added over the blocks."""
    dtype = source.float_dtype
    W, H = W.astype(dtype), H.astype(dtype)
    value, stats, rows = 0.0, None, []
    for block in source.blocks():
        mine = W[block.rows]
        value += loss.value(block, mine, H)
        found = loss.stats(block, mine, H)
        stats = found if stats is None else stats + found
        rows.append(loss.row_terms(block, mine, H))
    assert stats.loss == pytest.approx(value, rel=1e-12 if dtype == np.float64 else 1e-5)
    negative, positive = (np.concatenate(halves) for halves in zip(*rows, strict=True))
    assert negative.shape == positive.shape == W.shape and negative.dtype == dtype
    return value, (negative, positive), (stats.negative, stats.positive)


def cases(beta):
    """name → (source, dense X, weights of all cells without those of the rows, weights of the rows)."""
    X = X_for(beta)
    ones, all_rows = np.ones((N, M)), np.ones(N)
    stored = (X > 0).astype(float)
    holes = np.where(MASK > 0, X, np.nan)
    return {
        "dense": (as_source(X), X, ones, all_rows),
        "CSR": (as_source(sp.csr_array(X)), X, ones, all_rows),
        "dense, weights": (as_source(X, weights=CELLS), X, CELLS, all_rows),
        "CSR, weights": (as_source(sp.csr_array(X), weights=CELLS), X, CELLS, all_rows),
        "dense, NaN": (as_source(holes, missing="ignore"), X, MASK, all_rows),
        "CSR, NaN": (as_source(sp.csr_array(holes), missing="ignore"), X, MASK, all_rows),
        "unstored": (as_source(sp.csr_array(X), missing="unstored"), X, stored, all_rows),
        "CSR, stored weights": (
            as_source(sp.csr_array(X), weights=sp.csr_array(CELLS * stored)), X, CELLS * stored, all_rows,
        ),
        "dense, rows": (as_source(X, sample_weight=ROWS), X, ones, ROWS),
        "CSR, rows": (as_source(sp.csr_array(X), sample_weight=ROWS), X, ones, ROWS),
        "dense, both": (as_source(X, weights=CELLS, sample_weight=ROWS), X, CELLS, ROWS),
        "unstored, rows": (as_source(sp.csr_array(X), missing="unstored", sample_weight=ROWS), X, stored, ROWS),
    }  # fmt: skip


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("case", cases(2))
def test_loss_and_gradients_are_the_oracles(beta, case, small_blocks):
    source, X, weights, rows = cases(beta)[case]
    weights = np.ldexp(weights, -source.weight_power)  # the source has them near 1
    value, of_W, of_H = of_source(source, BetaLoss(beta))
    weighted = weights * rows[:, None]
    assert value == pytest.approx(ref.loss(X, W, H, beta, weighted), rel=1e-10)
    # row weights are left out of the rows' own gradient
    (up_W, down_W), _ = ref.gradient_halves(X, W, H, beta, weights)
    _, (up_H, down_H) = ref.gradient_halves(X, W, H, beta, weighted)
    np.testing.assert_allclose(of_W[0], down_W, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(of_W[1], up_W, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(of_H[0], down_H, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(of_H[1], up_H, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_float32_agrees_with_float64(beta, kind):
    X = X_for(beta).astype(np.float32)
    one = of_source(as_source(kind(X)), BetaLoss(beta))
    two = of_source(as_source(kind(X.astype(np.float64))), BetaLoss(beta))
    assert one[0] == pytest.approx(two[0], rel=1e-4)
    for a, b in zip(one[1] + one[2], two[1] + two[2], strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-4)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("case", ["dense", "CSR", "dense, both", "CSR, NaN", "unstored, rows"])
def test_gradients_are_differences_of_the_loss(beta, case):
    source, _, _, rows = cases(beta)[case]
    loss = BetaLoss(beta)
    _, of_W, of_H = of_source(source, loss)
    h = 1e-6

    def value(dW, dH):
        return sum(loss.value(b, (W + dW)[b.rows], H + dH) for b in source.blocks())

    towards = np.random.default_rng(3)
    dW, dH = h * towards.standard_normal(W.shape), h * towards.standard_normal(H.shape)
    slope_W = (rows[:, None] * (of_W[1] - of_W[0]) * dW).sum()
    slope_H = ((of_H[1] - of_H[0]) * dH).sum()
    assert value(dW, 0) - value(-dW, 0) == pytest.approx(2 * slope_W, rel=1e-5)
    assert value(0, dH) - value(0, -dH) == pytest.approx(2 * slope_H, rel=1e-5)


@pytest.mark.parametrize("beta", BETAS)
def test_a_masked_cell_costs_nothing_even_where_its_divergence_is_infinite(beta):
    X = X_for(beta)
    for hidden in (0.0, np.inf, np.nan):
        data = np.where(MASK > 0, X, hidden)
        value, of_W, of_H = of_source(as_source(data, weights=MASK), BetaLoss(beta))
        assert value == pytest.approx(ref.loss(X, W, H, beta, MASK), rel=1e-10)
        assert all(np.isfinite(half).all() for half in of_W + of_H)


@pytest.mark.parametrize("beta", [2, 1, 0.5, 1.5, 3])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_dead_components_leave_loss_and_gradients_finite(beta, kind):
    dead_W, dead_H = W.copy(), H.copy()
    dead_W[:40] = 0
    dead_H[:, 2] = 0
    X = ZEROS.copy()
    X[:40] = 0
    X[:, 2] = 0
    value, of_W, of_H = of_source(as_source(kind(X)), BetaLoss(beta), dead_W, dead_H)
    # the prediction is held a little above 0: what that costs (y^β) is the tolerance
    assert value == pytest.approx(ref.loss(X, dead_W, dead_H, beta), rel=1e-9)
    assert all(np.isfinite(half).all() for half in of_W + of_H)


def test_cells_agree_with_the_oracle_cell_by_cell_also_at_zero():
    for beta in BETAS:
        x = np.array([0.3, 2.0, 1.0, 7.0] if beta <= 0 else [0.0, 0.3, 2.0, 1.0])
        y = np.array([0.3, 1e-3, 50.0, 6.9])
        wanted = [ref.beta_divergence(a, b, beta) for a, b in zip(x, y, strict=True)]
        np.testing.assert_allclose(BetaLoss(beta).cells(x, y), wanted, rtol=1e-12, atol=1e-15)


def test_sparse_blocks_of_any_chunk_size_agree(monkeypatch):
    from nonneg.losses import beta as module

    source = as_source(sp.csr_array(ZEROS), missing="unstored", sample_weight=ROWS)
    plain = as_source(sp.csr_array(ZEROS))
    for b in (1, 2, 1.5):
        whole = of_source(source, BetaLoss(b)), of_source(plain, BetaLoss(b))
        monkeypatch.setattr(module, "_CHUNK_CELLS", 20)
        parts = of_source(source, BetaLoss(b)), of_source(plain, BetaLoss(b))
        monkeypatch.undo()
        for one, two in zip(whole, parts, strict=True):
            assert one[0] == pytest.approx(two[0], rel=1e-12)
            for a, c in zip(one[1] + one[2], two[1] + two[2], strict=True):
                np.testing.assert_allclose(a, c, rtol=1e-12)


# --- naming ----------------------------------------------------------------------------------------------


def test_names_and_numbers_are_the_same_losses():
    assert as_loss("frobenius") == as_loss(2) == as_loss(2.0) == BetaLoss(2)
    assert as_loss("kl") == as_loss("kullback-leibler") == as_loss(1) == as_loss(np.float32(1))
    assert as_loss("itakura-saito") == as_loss(0) != as_loss(1)
    assert as_loss(BetaLoss(0.5)) is not None and as_loss(BetaLoss(0.5)).name == "beta=0.5"
    assert [as_loss(b).name for b in (2, 1, 0)] == ["frobenius", "kl", "itakura-saito"]
    assert len({as_loss(1), as_loss("kl"), as_loss(2)}) == 2
    assert [as_loss(b).needs_positive for b in BETAS] == [False, False, True, True, False, False, False]


@pytest.mark.parametrize("beta", BETAS)
def test_exponent_is_the_one_that_is_monotone(beta):
    assert as_loss(beta).exponent == pytest.approx(ref.mu_exponent(beta))


@pytest.mark.parametrize(
    ("loss", "error"),
    [("l1", ValueError), ("", ValueError), (np.nan, ValueError), (np.inf, ValueError), (True, TypeError),
     (None, TypeError), ([1], TypeError), (1j, TypeError), (object(), TypeError)],
)  # fmt: skip
def test_unknown_losses_are_refused_by_name(loss, error):
    with pytest.raises(error, match="loss"):
        as_loss(loss)


# --- what a Newton step asks for -------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [-1, 0, 0.5, 1.5, 3])
@pytest.mark.parametrize("case", ["dense", "dense, weights"])
def test_row_models_are_the_loss_its_slope_and_at_x_equal_to_y_its_curvature(beta, case):
    source, X, weights, _ = cases(beta)[case]
    weights = np.ldexp(weights, -source.weight_power)
    loss, block = BetaLoss(beta), next(iter(source.blocks()))
    n = len(block.X)

    def model(W):
        return loss.row_model(block, W, H)

    there, back = model(W[:n]), model(1.1 * W[:n])
    wanted = ref.loss(X[:n], 1.1 * W[:n], H, beta, weights[:n]) - ref.loss(X[:n], W[:n], H, beta, weights[:n])
    assert (back.value - there.value).sum() == pytest.approx(wanted, rel=1e-9)
    for ours, terms in zip((there.negative, there.positive), loss.row_terms(block, W[:n], H), strict=True):
        np.testing.assert_allclose(ours, terms, rtol=1e-12)
    Y = W[:n] @ H
    exact = type(block)(0, n, Y, block.weights)
    np.testing.assert_allclose(
        loss.row_model(exact, W[:n], H).curvature, weights[:n] * Y ** (beta - 2), rtol=1e-9
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("beta", [-4, -2, -1, -0.5, 0, 0.5, 1, 1.5])
def test_the_largest_slopes_can_be_added_up(beta, dtype):
    from nonneg.losses.beta import floor_of

    with np.errstate(over="raise"):
        slope = dtype(floor_of(dtype, beta)) ** dtype(beta - 1)
    assert slope <= float(np.finfo(dtype).max) ** 0.51
