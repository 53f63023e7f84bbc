"""What solvers compute of blocks and rows that are tensors; see `data.by_place`.

Every function is the counterpart of one of this name for ndarrays, whose docstring says what it is for. Blocks, rows of
W and what is as long as they are tensors; H, Gram matrices, sums over rows and scalars are the processor's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..data.block import Block
from ..data.device import as_array, there
from ..data.source import BLOCK_BYTES
from ..data.threads import workers
from .gram import GramStats
from .kkt import Residual
from .least_squares import MAX_SWEEPS, ROUNDINGS
from .least_squares import nonnegative_rows as by_processor
from .problem import Fixed, Problem
from .quadratic import Sweep

__all__ = [
    "column_squares", "data_product", "data_squares", "gram_of_rows", "gram_stats", "largest_violation", "multiply",
    "nonnegative_rows", "other_rows", "residual_of", "residual_squares", "rows_step", "size_sums", "solved_rows",
    "square_sum", "weighted_sums",
]  # fmt: skip

GROUP = 16  # components whose moves are accounted for one by one; others by a product
ROUNDS, WARM_SWEEPS = 20, 8  # of the last pass: rounds of so many sweeps, for the rows that need them
SHARE = 1e-2  # of a row's tolerance, at which sweeps end


# -- sums over rows -------------------------------------------------------------------------------------------------


def _total(V: torch.Tensor) -> float:
    return float(V.sum(dtype=torch.float64))


def _weighted(W: torch.Tensor, weights: Any) -> torch.Tensor:
    return W if weights is None else W * weights[:, None]


def square_sum(V: torch.Tensor) -> float:
    """Σ V_ij²."""
    return _total(V * V)


def data_squares(block: Block) -> float:
    """Σ X_ij²."""
    return _total(torch.linalg.vecdot(block.X, block.X))


def column_squares(W: torch.Tensor, row_weights: torch.Tensor | None = None) -> np.ndarray:
    """Σ_i s_i W_ij²."""
    return as_array((_weighted(W, row_weights) * W).sum(dim=0, dtype=torch.float64))


def weighted_sums(W: torch.Tensor, row_weights: torch.Tensor | None) -> np.ndarray:
    """Σ_i s_i W_ij and Σ_i s_i W_ij²."""
    weighted = _weighted(W, row_weights)
    return as_array(torch.stack([V.sum(dim=0, dtype=torch.float64) for V in (weighted, weighted * W)]))


size_sums = weighted_sums


def gram_of_rows(W: torch.Tensor, weights: torch.Tensor | None) -> np.ndarray:
    """Wᵀ S W."""
    return as_array(_weighted(W, weights).T @ W)


def gram_stats(block: Block, W: torch.Tensor) -> GramStats:
    """A, B and the sums of a block."""
    weighted = _weighted(W, block.row_weights)
    sums = as_array(weighted.sum(dim=0, dtype=torch.float64))
    return GramStats(as_array(weighted.T @ W), as_array(weighted.T @ block.X), sums)


# -- rows by themselves ---------------------------------------------------------------------------------------------


def data_product(block: Block, fixed: Fixed) -> torch.Tensor:
    """P = X Hᵀ."""
    return block.X @ there(fixed.rows, block.X).T


def residual_squares(block: Block, W: torch.Tensor, fixed: Fixed) -> np.ndarray:
    """‖x_i − w_i H‖² of every row."""
    change = W @ there(fixed.gram, W) - 2 * data_product(block, fixed)
    return as_array(torch.linalg.vecdot(block.X, block.X) + torch.linalg.vecdot(W, change))


def multiply(
    V: torch.Tensor, negative: torch.Tensor, positive: torch.Tensor, exponent: float, unit: float
) -> None:
    """V ← V ∘ (∇⁻ / ∇⁺)^exponent in place."""
    limits = torch.finfo(V.dtype)
    V.copy_(torch.where((limits.eps * unit > V) & (negative > positive), limits.eps * unit, V))
    ratio = torch.where(positive <= limits.tiny, 1.0, negative / positive.clamp(min=limits.tiny))
    V.mul_(ratio if exponent == 1 else ratio**exponent)


def residual_of(
    V: torch.Tensor, negative: torch.Tensor, positive: torch.Tensor, units: np.ndarray, gradient_units: float,
    lo: float = 0.0, hi: float = np.inf, row_weights: torch.Tensor | None = None,
) -> Residual:  # fmt: skip
    """Residual of the entries of V, which are at least 0 and not bounded otherwise."""
    if row_weights is not None:
        V, negative, positive = (part[row_weights > 0] for part in (V, negative, positive))
    if not V.numel():
        return Residual()
    scales = there(units, V)
    slope = (positive - negative) * (gradient_units / scales)
    return Residual(_violation(V * scales, slope), float((negative * (gradient_units / scales)).max()))


def _violation(V: torch.Tensor, slope: torch.Tensor) -> float:
    return float(torch.minimum(V, slope).abs().max()) if V.numel() else 0.0


# -- least squares --------------------------------------------------------------------------------------------------


def rows_step(
    W: torch.Tensor, G: np.ndarray, P: torch.Tensor, pull: None, problem: Problem, d: np.ndarray, move: Sweep,
    seen: torch.Tensor | None = None,
) -> tuple[Residual, float]:  # fmt: skip
    """Sweep over rows of W in place; return their KKT residual afterwards, and Σ ΔW²."""
    before = W.clone()
    _sweep(W, G, P, move.times)
    moved = square_sum(W - before)
    slope = W @ there(G, W) - P
    if seen is not None:
        return residual_of(W, P, P + slope, d, problem.unit**-2, row_weights=seen), moved
    return residual_of(W, P, P + slope, d, problem.unit**-2), moved


def _sweep(W: torch.Tensor, G: np.ndarray, P: torch.Tensor, times: int) -> None:
    """w_j ← max(0, (p_j − Σ_{i≠j} w_i G_ij) / G_jj) for j in turn, in place; component by component in memory."""
    k = len(G)
    diagonal = G.diagonal()
    curved = diagonal > 4 * np.finfo(G.dtype).tiny
    inverse = np.divide(1, diagonal, out=np.zeros_like(diagonal), where=curved)
    C = G * inverse[:, None]
    np.fill_diagonal(C, 0)
    coupling, V = there(C, W), W.T.contiguous()
    wanted = (P * there(inverse, W)).T.contiguous()
    groups = [slice(first, min(first + GROUP, k)) for first in range(0, k, GROUP)]
    outside = coupling.clone()
    for group in groups:
        outside[group, group] = 0
    for _ in range(times):
        for group in groups:
            left = wanted[group] if len(groups) == 1 else wanted[group] - outside[group] @ V
            for j in np.flatnonzero(curved[group]) + group.start:
                at = torch.addmv(left[j - group.start], V[group].T, coupling[j, group], alpha=-1)
                torch.clamp(at, min=0, out=V[j])
    W.copy_(V.T)


def nonnegative_rows(
    G: np.ndarray, P: torch.Tensor, low: float, high: float, tol: float, sweeps: int = MAX_SWEEPS
) -> torch.Tensor:
    """The answer for every row: sweeps, each row until it is done; what they leave is solved by the processor."""
    size = float(np.trace(G, dtype=np.float64)) / len(G)
    ridge = 1e-6 * (size if size > 4 * np.finfo(G.dtype).tiny else 1.0)
    V = (P @ there(np.linalg.inv(G.astype(np.float64) + ridge * np.eye(len(G))), P)).clamp_(min=0)
    if sweeps < MAX_SWEEPS:
        _sweep(V, G, P, sweeps)
        return V
    enough = max(ROUNDINGS * torch.finfo(P.dtype).eps, SHARE * tol)
    left = torch.arange(len(P), device=P.device)
    for _ in range(ROUNDS):
        rows, wanted = V[left], P[left]
        _sweep(rows, G, wanted, WARM_SWEEPS)
        V[left] = rows
        left = left[~(_row_residuals(rows, G, wanted) <= enough)]
        if not len(left):
            return V
    V[left] = there(by_processor(G, as_array(P[left]), low, high, tol), P)
    return V


def _row_residuals(V: torch.Tensor, G: np.ndarray, P: torch.Tensor) -> torch.Tensor:
    """max_j |min(v_j d_j, ∇_j / d_j)| / max_j (p_j / d_j)⁺ of every row, d_j = √G_jj."""
    d = np.sqrt(np.maximum(G.diagonal(), 0))
    scales = there(np.where(d > 0, d, 1), V)
    violation = torch.minimum(V * scales, (V @ there(G, V) - P) / scales).abs().amax(dim=1)
    largest = (P / scales).amax(dim=1)
    return torch.where(largest > 0, violation / largest, violation)


def solved_rows(
    block: Block, mine: torch.Tensor, slope: torch.Tensor, fixed: Fixed, tol: float
) -> tuple[GramStats, np.ndarray]:
    """Rows of W solved for, their slopes, the statistics, and the largest X Hᵀ of every component."""
    P = data_product(block, fixed)
    mine.copy_(nonnegative_rows(fixed.gram, P, 0.0, np.inf, tol))
    slope.copy_(mine @ there(fixed.gram, mine) - P)
    seen = P if block.row_weights is None else P[block.row_weights > 0]
    largest = as_array(seen.amax(dim=0).clamp(min=0)) if len(seen) else np.zeros(P.shape[1])
    return gram_stats(block, mine), largest


def largest_violation(
    mine: torch.Tensor, slope: torch.Tensor, weights: torch.Tensor | None, units: np.ndarray, per: float
) -> float:
    """The largest |min(W d, ∇ / d)| of the rows that count."""
    if weights is not None:
        mine, slope = mine[weights > 0], slope[weights > 0]
    scales = there(units, mine)
    return _violation(mine * scales, slope * (per / scales))


# -- rows under other losses ----------------------------------------------------------------------------------------


def other_rows(
    problem: Problem, block: Block, fixed: Fixed, pull: None, tol: float, sweeps: int
) -> torch.Tensor:
    """What the processor finds, some rows at a time; a few multiplicative updates are made where the block lies."""
    from .rows import solve_block

    X, k = block.X, len(fixed.rows)
    if sweeps < MAX_SWEEPS and problem.loss.beta != 1:
        W = torch.full((len(X), k), 1.0 / k, dtype=X.dtype, device=X.device)
        for _ in range(sweeps):
            negative, positive = problem.loss.row_terms(block, W, fixed.rows)
            multiply(W, negative, positive, problem.loss.exponent, 1.0)
        return W
    step = max(1, BLOCK_BYTES // (X.shape[1] * X.element_size()))
    cuts = [slice(start, min(start + step, len(X))) for start in range(0, len(X), step)]

    def solve(rows: slice) -> np.ndarray:
        part = Block(rows.start, rows.stop, np.require(as_array(X[rows]), requirements=["C", "A"]))
        return solve_block(problem, part, fixed, pull, tol, sweeps)

    with workers(len(cuts)) as pool:
        return there(np.concatenate(list(pool.map(solve, cuts))), X)
