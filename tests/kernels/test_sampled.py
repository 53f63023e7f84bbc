"""Sparse products against dense ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from nonneg.kernels import sampled


def problem(dtype, index, n=30, m=50, k=5, seed=0):
    rng = np.random.default_rng(seed)
    X = (rng.poisson(3, (n, m)) * (rng.random((n, m)) < 0.2)).astype(dtype)
    X[4], X[:, 6] = 0, 0
    C = sparse.csr_matrix(X)
    W, Ht = rng.random((n, k)).astype(dtype), rng.random((m, k)).astype(dtype)
    return X, W, Ht, C.data, C.indices.astype(index), C.indptr.astype(index)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_products(dtype, index):
    X, W, Ht, data, indices, indptr = problem(dtype, index)
    near = {"rtol": 1e-5 if dtype == np.float32 else 1e-12}
    rows = np.repeat(np.arange(30), np.diff(indptr))

    out = np.empty_like(data)
    sampled.sampled_product(W, Ht, indices, indptr, out)
    np.testing.assert_allclose(out, (W @ Ht.T)[rows, indices], **near)

    P = np.full((30, 5), np.nan, dtype)
    sampled.csr_dot(data, indices, indptr, Ht, P)
    np.testing.assert_allclose(P, X @ Ht, **near)
    np.testing.assert_array_equal(P[4], 0)

    Bt = np.ones((50, 5), dtype)
    sampled.csr_add_outer(data, indices, indptr, W, Bt)
    np.testing.assert_allclose(Bt, 1 + X.T @ W, **near)
    assert out.dtype == P.dtype == Bt.dtype == dtype


def test_blocks_of_rows_give_the_same_bits():
    _, W, Ht, data, indices, indptr = problem(np.float32, np.int32)
    whole, parts = np.zeros_like(data), np.zeros_like(data)
    P, Q = np.empty_like(W), np.empty_like(W)
    A, B = np.zeros_like(Ht), np.zeros_like(Ht)
    sampled.sampled_product(W, Ht, indices, indptr, whole)
    sampled.csr_dot(data, indices, indptr, Ht, P)
    sampled.csr_add_outer(data, indices, indptr, W, A)
    for a, b in [(0, 7), (7, 8), (8, 30)]:
        rows = indptr[a : b + 1]
        sampled.sampled_product(W[a:b], Ht, indices, rows, parts)
        sampled.csr_dot(data, indices, rows, Ht, Q[a:b])
        sampled.csr_add_outer(data, indices, rows, W[a:b], B)
    np.testing.assert_array_equal(parts, whole)
    np.testing.assert_array_equal(Q, P)
    np.testing.assert_array_equal(B, A)
