"""The Frobenius loss in products: P = X Hᵀ, A = Wᵀ S W, B = Wᵀ S X, and the loss from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.block import Block
from ..data.threads import Workers
from .problem import Fixed, Problem, padded

__all__ = ["CANCELS", "GramStats", "cancels", "data_product", "exact_loss", "gram_loss", "gram_stats"]

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


def gram_loss(xx: float, stats: GramStats, H: np.ndarray) -> float:
    """½‖X − WH‖² = ½ (‖X‖² − 2 ⟨B, H⟩ + ⟨A, H Hᵀ⟩), summed in float64."""
    H64 = H.astype(np.float64)
    cross = float(np.einsum("ij,ij->", stats.B.astype(np.float64), H64))
    return 0.5 * (xx - 2 * cross + float(np.einsum("ij,ij->", stats.A.astype(np.float64), H64 @ H64.T)))


def exact_loss(problem: Problem, W: np.ndarray, H: np.ndarray, pool: Workers) -> float:
    """The loss from the residual itself, another pass."""

    def work(cut: tuple[int, int]) -> float:
        block = problem.source.block(*cut)
        return problem.loss.value(block, W[block.rows], H)

    return sum(pool.map(work, problem.source.bounds()))


def cancels(loss: float, fall: float, xx: float, dtype: np.dtype) -> bool:
    """Whether the Gram form is a difference of nearly equal numbers, or its fall is within their rounding."""
    return loss < CANCELS[dtype] * xx or abs(fall) < NOISE * float(np.finfo(dtype).eps) * xx
