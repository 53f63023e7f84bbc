"""Coordinate descent along the edges of a graph, against the quadratic problem written out."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import nnls

from nonneg.kernels.graph import settle, sweep


def problem(dtype=np.float64, n=12, k=4, seed=0):
    rng = np.random.default_rng(seed)
    M = rng.random((k, 9))
    A = np.triu(rng.random((n, n)) * (rng.random((n, n)) < 0.4), 1)
    A = A + A.T
    G = (M @ M.T).astype(dtype)
    P = rng.standard_normal((n, k)).astype(dtype)
    return G, P, A.sum(axis=1).astype(dtype), sp.csr_array(A.astype(dtype))


def value(W, G, P, ridge, edges):
    W = W.astype(np.float64)
    coupled = 0.5 * np.vdot(W, W @ G) + 0.5 * (ridge[:, None] * W**2).sum()
    return coupled - np.vdot(P, W) - 0.5 * np.vdot(W, edges @ W)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sweeps_descend_to_the_answer_of_the_whole_problem(dtype):
    G, P, ridge, edges = problem(dtype)
    W = np.ones_like(P)
    values = [value(W, G, P, ridge, edges)]
    for _ in range(2000):
        sweep(W, G, P, ridge, edges, 2)
        values.append(value(W, G, P, ridge, edges))
    assert (np.diff(values) <= 1e-5 if dtype == np.float32 else np.diff(values) <= 1e-12).all()
    n, k = P.shape
    Q = np.kron(np.diag(ridge) - edges.toarray(), np.eye(k)) + np.kron(np.eye(n), G)
    root = np.linalg.cholesky(Q.astype(np.float64) + 1e-12 * np.eye(n * k)).T
    expected = nnls(root, np.linalg.solve(root.T, P.astype(np.float64).ravel()))[0].reshape(n, k)
    assert (expected == 0).any() and (expected > 0).any()
    np.testing.assert_allclose(W, expected, atol=1e-3 if dtype == np.float32 else 1e-7)


def test_rows_on_their_own():
    G, P, ridge, _ = problem()
    W = np.zeros_like(P)
    settle(W, G, P, ridge, 10_000, 1e-13)
    for w, p, d in zip(W, P, ridge, strict=True):
        root = np.linalg.cholesky(G + d * np.eye(len(G))).T
        np.testing.assert_allclose(w, nnls(root, np.linalg.solve(root.T, p))[0], atol=1e-9)
    alone = np.zeros_like(P[3:5])
    settle(alone, G, P[3:5], ridge[3:5], 10_000, 1e-13)
    np.testing.assert_array_equal(alone, W[3:5])
