"""What a mixture of topics says of counts: the likelihood of those observed, and starts that do not exclude them.

It knows blocks, shares of topics in rows (n, k) and topics (k, m) with rows of sum 1; it knows nothing of fits.
"""

from __future__ import annotations

import numpy as np

from ..data import Source
from ..data.block import Block

__all__ = ["mean_log", "possible"]

BACKGROUND = 1e-3  # of the mean of a row, where start values that give a count no chance are 0


def mean_log(source: Source, shares: np.ndarray, H: np.ndarray) -> float:
    """Σ s_d v_dw x_dw log P(w | d, observed) / Σ s_d v_dw x_dw, with row weights s and cell weights v.

    P(w | d, observed) is (shares H)_dw divided by its sum over the observed cells of the row (1, where these are all).
    """
    logs, counts = 0.0, 0.0
    for block in source.blocks():
        W, H = shares[block.rows].astype(np.float64), H.astype(np.float64)
        weights = np.ones(len(W)) if block.row_weights is None else block.row_weights
        rows, x, P = _seen(block, W, H)
        with np.errstate(divide="ignore"):
            logs += float((weights[rows] * x) @ np.log(P))
        counts += float(weights[rows] @ x)
    return logs / counts


def possible(
    source: Source, W: np.ndarray, H: np.ndarray, frozen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Start values that give every count a probability above 0: else with a background in place of their zeros.

    EM multiplies, and never leaves a start from which the likelihood is 0. Frozen rows of H stay.
    """
    for block in source.blocks():
        if not (_seen(block, W[block.rows].astype(np.float64), H.astype(np.float64))[2] > 0).all():
            break
    else:
        return W, H
    return _with_background(W), np.where(frozen[:, None], H, _with_background(H))


def _with_background(V: np.ndarray) -> np.ndarray:
    """V with at least a small part of the mean of its row everywhere; of the mean of all, in a row of zeros."""
    means = V.mean(axis=1, keepdims=True)
    means = np.where(means > 0, means, V.mean() or 1.0)
    return np.maximum(V, BACKGROUND * means).astype(V.dtype)


def _seen(block: Block, W: np.ndarray, H: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, count (times the weight of the cell) and probability among the observed cells of every positive cell."""
    from ..kernels.sampled import sampled_product

    if block.is_sparse:
        rows = np.repeat(np.arange(len(W)), np.diff(block.X.indptr))
        x, P = block.X.data.astype(np.float64), np.empty(block.X.nnz)
        sampled_product(
            np.ascontiguousarray(W), np.ascontiguousarray(H.T), block.X.indices, block.X.indptr, P
        )
        if block.weights is not None:
            x *= block.weights
            P = _among(P, np.bincount(rows, P * (block.weights > 0), len(W))[rows])
        kept = x > 0
        return rows[kept], x[kept], P[kept]
    rows, columns = np.nonzero(block.X)
    x, P = block.X[rows, columns].astype(np.float64), W @ H
    if block.weights is None:
        return rows, x, P[rows, columns]
    observed = np.einsum("ij,ij->i", P, block.weights > 0)
    return rows, x * block.weights[rows, columns], _among(P[rows, columns], observed[rows])


def _among(P: np.ndarray, observed: np.ndarray) -> np.ndarray:
    return np.divide(P, observed, out=np.zeros_like(P), where=observed > 0)
