"""The Frobenius loss in products: P = X Hᵀ, A = Wᵀ S W, B = Wᵀ S X, and the loss from them."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data import Source
from ..data.block import Block
from ..data.by_place import by_place
from ..data.threads import Workers
from .problem import Fixed, Problem, padded

__all__ = [
    "CANCELS",
    "GramStats",
    "cancels",
    "data_product",
    "data_squares",
    "exact_loss",
    "gram_loss",
    "gram_of",
    "gram_of_rows",
    "gram_stats",
]

# below this share of ‖X‖² the Gram form of the loss has lost too many digits: it would be off by 1e-5, 1e-12
CANCELS = {np.dtype(np.float32): 3e-3, np.dtype(np.float64): 1e-4}
NOISE = 0.5  # rounding of that form, in eps ‖X‖² (measured: .2): a smaller fall says nothing


@dataclass
class GramStats:
    """What H needs to know of some rows: A (k, k), B (k, m) and the column sums of S W; addable."""

    A: np.ndarray
    B: np.ndarray
    sums: np.ndarray

    def __add__(self, other: GramStats) -> GramStats:
        self.A += other.A
        self.B += other.B
        self.sums += other.sums
        return self


@by_place
def data_product(block: Block, fixed: Fixed) -> np.ndarray:
    """P = X Hᵀ of a block, (b, k)."""
    X = block.X
    if not block.is_sparse:
        return X @ fixed.columns
    from ..kernels.jit import aligned
    from ..kernels.sampled import csr_dot

    P = aligned((X.shape[0], fixed.padded.shape[1]), X.dtype)
    csr_dot(X.data, X.indices, X.indptr, fixed.padded, P)
    return np.ascontiguousarray(P[:, : len(fixed.rows)])


@by_place
def gram_stats(block: Block, W: np.ndarray) -> GramStats:
    """A, B and the sums of a block."""
    X = block.X
    weighted = W if block.row_weights is None else W * block.row_weights[:, None]
    sums = (np.ones(len(weighted), weighted.dtype) @ weighted).astype(
        np.float64
    )  # a tenth of the time of .sum
    if not block.is_sparse:
        return GramStats(weighted.T @ W, weighted.T @ X, sums)
    from ..kernels.jit import aligned
    from ..kernels.sampled import csr_add_outer

    wide = padded(weighted)
    Bt = aligned((X.shape[1], wide.shape[1]), W.dtype)
    csr_add_outer(X.data, X.indices, X.indptr, wide, Bt)
    return GramStats(weighted.T @ W, Bt[:, : W.shape[1]].T, sums)


def gram_of(source: Source, W: Any, pool: Workers) -> np.ndarray:
    """Wᵀ S W of a row array, (k, k), block by block."""
    return sum(pool.along(source, gram_of_rows, W, source.row_weights), np.zeros((W.shape[1],) * 2, W.dtype))


@by_place
def gram_of_rows(W: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Wᵀ S W of some rows."""
    return (W if weights is None else W * weights[:, None]).T @ W


@by_place
def data_squares(block: Block) -> float:
    """Σ X_ij² of a dense block, in its dtype."""
    return float(np.vdot(block.X, block.X))


def gram_loss(xx: float, stats: GramStats, H: np.ndarray) -> float:
    """½‖X − WH‖² = ½ (‖X‖² − 2 ⟨B, H⟩ + ⟨A, H Hᵀ⟩), summed in float64."""
    H64 = H.astype(np.float64)
    B64 = stats.B.astype(np.float64, order="C")  # in one order, however B came
    cross = float(np.einsum("ij,ij->", B64, H64))
    return 0.5 * (xx - 2 * cross + float(np.einsum("ij,ij->", stats.A.astype(np.float64), H64 @ H64.T)))


def exact_loss(problem: Problem, W: Any, H: np.ndarray, pool: Workers) -> float:
    """The loss from the residual itself, another pass."""

    def work(block: Block, mine: np.ndarray) -> float:
        return problem.loss.value(block, mine, H)

    return sum(pool.over(problem.source, work, W, merge=operator.add))


def cancels(loss: float, fall: float, xx: float, dtype: np.dtype) -> bool:
    """Whether the Gram form is a difference of nearly equal numbers, or its fall is within their rounding."""
    return loss < CANCELS[dtype] * xx or abs(fall) < NOISE * float(np.finfo(dtype).eps) * xx
