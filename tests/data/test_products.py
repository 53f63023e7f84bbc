"""Products of a source with thin matrices, on either side, against those of the whole matrix."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from nonneg.data import as_source, source
from nonneg.data.products import CellProducts, Products
from nonneg.data.threads import Workers
from nonneg.kernels.jit import LINE, aligned
from nonneg.solvers.least_squares import ROUNDINGS, nonnegative_rows
from nonneg.solvers.problem import padded

rng = np.random.default_rng(0)
X = rng.random((150, 20)) * (rng.random((150, 20)) < 0.4)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array, np.asfortranarray])
def test_products(kind, threads, monkeypatch):
    monkeypatch.setattr(source, "BLOCK_BYTES", 4096)
    found = as_source(kind(X))
    assert len(found.bounds()) > 1
    pool = Workers(threads)
    products = Products(found, pool)
    A, B = rng.standard_normal((150, 3)), rng.standard_normal((20, 3))
    np.testing.assert_allclose(products.right(B), X @ B, atol=1e-12)
    np.testing.assert_allclose(products.left(A), X.T @ A, atol=1e-12)
    pool.close()


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_products_with_a_missing_cell_in_one_block(kind, monkeypatch):
    monkeypatch.setattr(source, "BLOCK_BYTES", 4096)
    hollow = X.copy()
    hollow[3, 4] = np.nan
    seen = np.isfinite(hollow).astype(float)
    products = CellProducts(as_source(kind(hollow), missing="ignore"), Workers(1))
    A, B = rng.standard_normal((150, 3)), rng.standard_normal((20, 3))
    np.testing.assert_allclose(products.right(B), np.nan_to_num(hollow) @ B, atol=1e-12)
    np.testing.assert_allclose(products.right_squares(B), seen @ B**2, atol=1e-12)
    np.testing.assert_allclose(products.left_squares(A), seen.T @ A**2, atol=1e-12)


@pytest.mark.parametrize("k", [5, 8, 16])
def test_padded_rows_are_whole_vectors_on_cache_lines(k):
    raw = aligned((41, k), np.float32)
    raw[:] = rng.random((41, k))
    for V in (
        raw,
        np.asfortranarray(raw),
        np.frombuffer(b"\0" * 4 + raw.tobytes(), np.float32, offset=4).reshape(41, k),
    ):
        wide = padded(V)
        assert wide.shape == (41, -(-k // 8) * 8) and wide.flags.c_contiguous and wide.ctypes.data % LINE == 0
        assert np.array_equal(wide[:, :k], V) and not wide[:, k:].any()


def test_rows_that_sweeps_solve_and_rows_that_are_pivoted():
    """In float32 some rows of one call are left to pivoting and others are not: all are as good as exact."""
    k = 24
    H = np.kron(np.eye(k), np.ones(3)) + 0.35 * rng.random((k, 3 * k)) * (rng.random((k, 1)) < 0.3)
    rows = rng.random((400, k)) * (rng.random((400, k)) < 0.4) @ np.eye(k) @ H + 0.2 * rng.random(
        (400, 3 * k)
    )
    G, P = (H @ H.T).astype(np.float32), (rows @ H.T).astype(np.float32)
    V = nonnegative_rows(G, P, 0.0, np.inf, 1e-5)
    slope = V.astype(float) @ G - P
    d = np.sqrt(np.diag(G))
    residual = np.abs(np.minimum(V * d, slope / d)).max(axis=1) / (P / d).max(axis=1)
    assert residual.max() < 4 * ROUNDINGS * np.finfo(np.float32).eps
