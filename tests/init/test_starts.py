"""Where H starts: the randomized SVD and the four inits."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

from nonneg.data import as_source
from nonneg.init import INITS, initial_components
from nonneg.init.nndsvd import randomized_svd
from nonneg.init.separable import pick_rows

RNG = np.random.default_rng(0)
LOW = RNG.random((200, 5)) @ RNG.random((5, 40))  # rank 5
NOISY = LOW + 0.05 * RNG.random((200, 40))


def svd(data, k, seed=0, **given):
    source = as_source(data, **given)
    return randomized_svd(source, source.summary(), k, np.random.default_rng(seed))


def start(init, data, k, seed=0, **given):
    source = as_source(data, **given)
    return initial_components(init, source, source.summary(), k, np.random.default_rng(seed))


# --- randomized SVD ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("k", [1, 5, 12])
def test_svd_of_low_rank_plus_noise(kind, k, small_blocks):
    U, sigma, V = svd(kind(NOISY), k)
    exact = np.linalg.svd(NOISY, compute_uv=False)
    rank = min(k, 5)
    np.testing.assert_allclose(sigma[:rank], exact[:rank], rtol=1e-6)
    np.testing.assert_allclose(sigma, exact[:k], rtol=0.05)
    np.testing.assert_allclose(U.T @ U, np.eye(k), atol=1e-8)
    np.testing.assert_allclose(V.T @ V, np.eye(k), atol=1e-8)
    np.testing.assert_allclose(NOISY @ V, U * sigma, atol=1e-6 * exact[0])


@pytest.mark.parametrize("shape", [(200, 8), (6, 40), (3, 3), (1, 5), (5, 1)])
def test_svd_is_exact_where_the_sketch_is_the_whole_space(shape):
    A = np.random.default_rng(1).random(shape)
    k = min(shape)
    U, sigma, V = svd(A, k)
    np.testing.assert_allclose(sigma, np.linalg.svd(A, compute_uv=False), rtol=1e-6)
    np.testing.assert_allclose((U * sigma) @ V.T, A, atol=1e-7)


def test_svd_beyond_the_rank_gives_zeros_not_noise():
    U, sigma, V = svd(LOW, 9)
    assert np.count_nonzero(sigma > 1e-6 * sigma[0]) == 5
    assert np.isfinite(U).all() and np.isfinite(V).all()
    for data in (np.zeros((4, 3)), np.ones((1, 1)), np.ones((2, 2))):
        U, sigma, V = svd(data, 6)
        assert U.shape == (len(data), 6) and sigma.shape == (6,) and V.shape == (data.shape[1], 6)
        assert (
            np.isfinite(U).all() and np.isfinite(V).all() and sigma[0] == pytest.approx(np.linalg.norm(data))
        )


def test_svd_with_row_weights_is_that_of_the_scaled_rows():
    weights = np.random.default_rng(2).random(200) + 0.1
    U, sigma, V = svd(NOISY, 5, sample_weight=weights)
    scaled = np.sqrt(weights)[:, None] * NOISY
    np.testing.assert_allclose(sigma, np.linalg.svd(scaled, compute_uv=False)[:5], rtol=1e-6)
    np.testing.assert_allclose(scaled @ V, U * sigma, atol=1e-6 * sigma[0])


def test_svd_takes_missing_cells_as_the_mean():
    mask = np.random.default_rng(2).random(NOISY.shape) < 0.9
    filled = np.where(mask, NOISY, NOISY[mask].mean())
    for found in (
        svd(NOISY, 4, weights=mask.astype(float)),
        svd(np.where(mask, NOISY, np.nan), 4, missing="ignore"),
        svd(np.where(mask, NOISY, np.inf), 4, weights=mask.astype(float)),
    ):
        np.testing.assert_allclose(found[1][0], np.linalg.svd(filled, compute_uv=False)[0], rtol=1e-6)


# --- the inits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("init", [*INITS, "auto"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_every_init_gives_usable_components_and_is_repeatable(init, dtype, kind):
    data = kind((100 * NOISY / NOISY.max()).astype(dtype))
    H = start(init, data, 7)
    assert H.shape == (7, 40) and H.dtype == as_source(data).float_dtype
    assert np.isfinite(H).all() and (H >= 0).all() and (H.sum(axis=1) > 0).all()
    assert np.array_equal(H, start(init, data, 7))
    if init == "random":
        assert not np.array_equal(H, start(init, data, 7, seed=1))


@pytest.mark.parametrize("init", [*INITS, "auto"])
@pytest.mark.parametrize(
    "data",
    [
        np.zeros((5, 4)),
        np.ones((5, 4)),
        np.eye(4),
        np.ones((1, 1)),
        np.arange(6.0)[None],
        np.arange(6.0)[:, None],
        np.outer([1, 0, 2], [0, 1, 3.0]),
        np.full((4, 4), 1e-150),
        np.full((4, 4), 1e150),
        np.full((3, 3), 1e-12, np.float32),
    ],
)
@pytest.mark.parametrize("k", [1, 9])
def test_degenerate_data_give_finite_starts(init, data, k):
    H = start(init, data, k)
    assert H.shape == (k, data.shape[1])
    assert np.isfinite(H).all() and (H >= 0).all()


@pytest.mark.parametrize("init", INITS)
def test_starts_have_the_unit_of_the_data(init):
    for scale in (2.0**-20, 2.0**20):
        np.testing.assert_allclose(start(init, NOISY * scale, 6), start(init, NOISY, 6) * scale, rtol=1e-10)


@pytest.mark.parametrize("init", ["random", "nndsvd", "nndsvda"])
def test_order_of_rows_does_not_matter(init, small_blocks):
    shuffled = NOISY[np.random.default_rng(5).permutation(200)]
    np.testing.assert_allclose(start(init, shuffled, 4), start(init, NOISY, 4), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("init", ["random", "nndsvd", "nndsvda", "separable"])
def test_a_repeated_row_is_a_row_of_weight_two(init, small_blocks):
    count = np.random.default_rng(6).integers(0, 4, 200)
    repeated = start(init, np.repeat(NOISY, count, axis=0), 4)
    np.testing.assert_allclose(start(init, NOISY, 4, sample_weight=count), repeated, rtol=1e-6, atol=1e-9)


def test_nndsvd_at_rank_one_is_the_leading_pair():
    H = start("nndsvd", NOISY, 1)
    _, sigma, V = np.linalg.svd(NOISY, full_matrices=False)
    # W = H of unit scale: a row of W has the size 1 on average
    np.testing.assert_allclose(H[0], np.abs(V[0]) * sigma[0] / np.sqrt(200), rtol=1e-6)


def test_nndsvd_keeps_exact_zeros_of_disjoint_blocks_and_nndsvda_has_none():
    rng = np.random.default_rng(3)
    A = np.zeros((30, 9))
    for b in range(3):
        A[10 * b : 10 * b + 10, 3 * b : 3 * b + 3] = np.outer(rng.random(10) + 1, rng.random(3) + 1) * (b + 1)
    H = start("nndsvd", A, 3)
    support = (1e-8 * H.max() < H).reshape(3, 3, 3).all(axis=2)
    assert np.array_equal(support.sum(axis=0), [1, 1, 1]) and np.array_equal(support.sum(axis=1), [1, 1, 1])
    assert (start("nndsvda", A, 3) > 0).all()


def test_separable_picks_the_planted_pure_rows(small_blocks):
    rng = np.random.default_rng(4)
    pure = rng.random((4, 30)) + np.repeat(np.eye(4), 8, axis=1)[:, :30]
    mixed = rng.dirichlet(np.full(4, 2.0), 150) @ pure
    A = np.concatenate([mixed[:70], pure, mixed[70:]])
    for data in (A, sp.csr_array(A)):
        H = start("separable", data, 4)
        assert all(np.isclose(H, row).all(axis=1).sum() == 1 for row in pure)


def test_separable_does_not_pick_what_is_not_observed():
    rng = np.random.default_rng(4)
    A = rng.random((50, 20))
    weights = np.ones_like(A)
    weights[7, 3] = 0
    A[7, 3] = np.inf
    assert np.isfinite(start("separable", A, 6, weights=weights)).all()
    wanted = start("separable", A, 6, weights=weights)
    for hidden in (1e9, -1e9, 5.0, np.nan):
        A[7, 3] = hidden
        assert np.array_equal(start("separable", A, 6, weights=weights), wanted)
    A[7] = 100.0  # by far the longest row, but of weight 0
    found = start("separable", A, 6, sample_weight=np.arange(50) != 7)
    assert found.max() < 2


def test_separable_holds_one_sketch_of_narrow_data():
    A = np.random.default_rng(0).integers(0, 9, (200_000, 16), dtype=np.uint8)
    A[0] = 9
    source = as_source(A)
    summary = source.summary()
    tracemalloc.start()
    H = initial_components("separable", source, summary, 4, np.random.default_rng(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (H[0] == 9).all() and all((row == A).all(axis=1).any() for row in H)
    assert peak < 1.5 * 8 * A.size


def test_pick_rows_stops_at_the_rank():
    assert sorted(pick_rows(np.diag([3.0, 2.0, 1.0, 0.0]), 4)) == [0, 1, 2]
    assert len(pick_rows(np.zeros((3, 3)), 2)) == 0
    assert len(pick_rows(np.ones((5, 2)), 3)) == 1


def test_auto_and_unknown_names():
    assert np.array_equal(start("auto", NOISY, 4), start("nndsvda", NOISY, 4))
    assert np.array_equal(start("auto", NOISY, 50), start("random", NOISY, 50))
    assert np.array_equal(start("auto", NOISY, 4, weights=3 * np.ones_like(NOISY)), start("random", NOISY, 4))
    with pytest.raises(ValueError, match=r"init='svd'.*'nndsvd'"):
        start("svd", NOISY, 2)
