"""Least squares over weighted cells: the Gram matrices of all rows, or of all columns, as a product with the weights.

Row i of W meets G_i = Σ_j w_ij h_j h_jᵀ. The products h_ja h_jb, a ≥ b, are the columns of a matrix (m, k (k + 1) / 2),
and the weights times it hold all G_i, packed. So it is for columns, with s_i w_ij and rows of W. Nothing is needed but
blocks of rows: memory maps and sparse weights do as well as arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from ..data.block import Block
from ..data.source import Source
from ..data.threads import Workers

__all__ = ["column_terms", "packed", "row_terms", "unpacked"]


def _pairs(V: np.ndarray) -> np.ndarray:
    """V_a V_b of every row, a ≥ b, in the order of `kernels.weighted.sweep_rows_grams`."""
    a, b = np.tril_indices(V.shape[1])
    return V[:, a] * V[:, b]


def packed(G: np.ndarray) -> np.ndarray:
    """The lower triangle of a symmetric matrix, row after row."""
    return G[np.tril_indices(len(G))]


def unpacked(grams: np.ndarray, k: int) -> np.ndarray:
    """Gram matrices (r, k, k) from packed ones (r, k (k + 1) / 2)."""
    a, b = np.tril_indices(k)
    place = np.empty((k, k), np.int64)
    place[a, b] = place[b, a] = np.arange(len(a))
    return grams[:, place]


def _weights_and_cells(block: Block) -> tuple[Any, Any]:
    """The weights w as a matrix, None where all are 1, and w ∘ X."""
    X, w = block.X, block.weights
    if w is None:
        return None, X
    if not block.is_sparse:
        return w, X * w
    kind = {"shape": X.shape}
    return sp.csr_array((w, X.indices, X.indptr), **kind), sp.csr_array(
        (X.data * w, X.indices, X.indptr), **kind
    )


def row_terms(source: Source, pool: Workers, V: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Packed G_i of every row of X, (n, k (k + 1) / 2), and (w ∘ X) V, (n, k), for V of shape (m, k)."""
    pairs, n = _pairs(V), source.shape[0]
    grams, P = np.empty((n, pairs.shape[1]), V.dtype), np.empty((n, V.shape[1]), V.dtype)

    def work(cut: tuple[int, int]) -> None:
        block = source.block(*cut)
        weights, cells = _weights_and_cells(block)
        grams[block.rows] = pairs.sum(axis=0) if weights is None else weights @ pairs
        P[block.rows] = cells @ V

    for _ in pool.map(work, source.bounds()):
        pass
    return grams, P


def column_terms(source: Source, pool: Workers, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Packed Gram matrices of all columns of X, (m, k (k + 1) / 2), and (w ∘ X)ᵀ S W, (m, k), for W of shape (n, k)."""
    k, m = W.shape[1], source.shape[1]
    grams, B = np.zeros((m, k * (k + 1) // 2), W.dtype), np.zeros((m, k), W.dtype)

    def work(cut: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        block = source.block(*cut)
        weights, cells = _weights_and_cells(block)
        mine, s = W[block.rows], block.row_weights
        pairs, counted = _pairs(mine), mine
        if s is not None:
            pairs, counted = pairs * s[:, None], mine * s[:, None]
        return pairs.sum(axis=0) if weights is None else weights.T @ pairs, cells.T @ counted

    for gram, product in pool.map(work, source.bounds()):
        grams += gram
        B += product
    return grams, B
