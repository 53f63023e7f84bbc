"""Hierarchical alternating least squares with inner sweeps and extrapolation, for the Frobenius loss.

One pass over the rows an iteration. For every block: P = X Hᵀ, a few sweeps of coordinate descent over W
(Cichocki and Phan 2009; several sweeps for each data product: Gillis and Glineur 2012), then A += Wᵀ S W and
B += Wᵀ S X while the block is in cache; after the pass the same sweeps over H from A and B. Both factors are
extrapolated, V + μ (V − V_before) clipped at 0, as by Ang and Gillis (2019); when the objective would rise the
iterate is thrown away and the search goes on from the last accepted one without momentum, so accepted iterates
are monotone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.block import Block
from ..data.threads import Workers
from .kkt import Residual, balance
from .problem import Fixed, Problem
from .step import Record, Solver, State

__all__ = ["HALS", "GramStats", "data_product", "gram_loss", "gram_stats", "solve_for_H"]

MOMENTUM = 0.5
GROWTH, CEILING_GROWTH, DECAY = 1.05, 1.01, 1.5


@dataclass
class GramStats:
    """What H needs to know of some rows for the Frobenius loss: A = Wᵀ S W (k, k) and B = Wᵀ S X (k, m)."""

    A: np.ndarray
    B: np.ndarray

    def __add__(self, other: GramStats) -> GramStats:
        self.A += other.A
        self.B += other.B
        return self


def data_product(block: Block, fixed: Fixed) -> np.ndarray:
    """P = X Hᵀ of a block, (b, k)."""
    if not block.is_sparse:
        return block.X @ fixed.rows.T
    from ..kernels.sampled import csr_dot

    P = np.empty((block.X.shape[0], fixed.rows.shape[0]), block.X.dtype)
    csr_dot(block.X.data, block.X.indices, block.X.indptr, fixed.columns, P)
    return P


def gram_stats(block: Block, W: np.ndarray) -> GramStats:
    """A and B of a block."""
    weighted = W if block.row_weights is None else W * block.row_weights[:, None]
    if not block.is_sparse:
        return GramStats(weighted.T @ W, weighted.T @ block.X)
    from ..kernels.sampled import csr_add_outer

    Bt = np.zeros((block.X.shape[1], W.shape[1]), W.dtype)
    csr_add_outer(block.X.data, block.X.indices, block.X.indptr, weighted, Bt)
    return GramStats(weighted.T @ W, Bt.T)


def squared_norm(block: Block) -> float:
    """Σ s_i ‖x_i‖² of a block."""
    if block.row_weights is not None:
        rows = (
            np.asarray(block.X.multiply(block.X).sum(axis=1)).ravel()
            if block.is_sparse
            else np.einsum("ij,ij->i", block.X, block.X)
        )
        return float(np.dot(rows.astype(np.float64), block.row_weights))
    values = (block.X.data if block.is_sparse else block.X).ravel()
    return float(np.dot(values, values))


def gram_loss(xx: float, stats: GramStats, H: np.ndarray) -> float:
    """½‖X − WH‖² = ½ (‖X‖² − 2 ⟨B, H⟩ + ⟨A, H Hᵀ⟩), summed in float64."""
    H64 = H.astype(np.float64)
    cross = float(np.einsum("ij,ij->", stats.B.astype(np.float64), H64))
    return 0.5 * (xx - 2 * cross + float(np.einsum("ij,ij->", stats.A.astype(np.float64), H64 @ H64.T)))


def solve_for_H(H: np.ndarray, stats: GramStats, sweeps: int, frozen: np.ndarray) -> None:
    """Sweep over the free rows of H in place."""
    from ..kernels.hals import sweep_columns

    sweep_columns(
        H, np.ascontiguousarray(stats.A), np.ascontiguousarray(stats.B), 0.0, np.inf, sweeps, frozen
    )


class HALS(Solver):
    """See the module.

    ``extra`` holds the last accepted factors, and ``[momentum, ceiling, objective, ‖X‖²]``.
    """

    name = "hals"

    def __init__(self, sweeps: int = 8) -> None:
        self.sweeps = sweeps

    def start(self, problem: Problem, state: State) -> None:
        """Nothing is accepted yet: the objective is infinite."""
        xx = sum(squared_norm(block) for block in problem.source.blocks())
        state.extra = {
            "W": state.W.copy(),
            "H": state.H.copy(),
            "scalars": np.array([MOMENTUM, 1.0, np.inf, xx]),
        }

    def iterate(self, problem: Problem, state: State, pool: Workers) -> Record:
        """One pass; a rejected one is followed by a plain one, so every call accepts an iterate."""
        from ..kernels.hals import kkt_columns

        momentum, ceiling, best, xx = state.extra["scalars"]
        accepted_W, accepted_H = state.extra["W"], state.extra["H"]
        for push in (momentum, 0.0):
            H_before = state.H
            stats, residual, moved = self._pass(problem, state, accepted_W, push, pool)
            d = balance(accepted_W, H_before, problem.unit)
            to_H = (1 / (problem.unit * d)).astype(H_before.dtype)
            violation, scale = kkt_columns(H_before, stats.A, stats.B, to_H, 0.0, np.inf, problem.frozen)
            per = problem.unit**-2
            residual |= Residual(violation * per, scale * per)
            H = H_before.copy()
            solve_for_H(H, stats, self.sweeps, problem.frozen)
            loss = gram_loss(xx, stats, H)
            if loss <= best or push == 0.0:
                break
            # the momentum carried too far: back to the last accepted point, without momentum
            ceiling, momentum = momentum, momentum / DECAY
            state.W[...] = accepted_W
            state.H = accepted_H.copy()
        else:
            raise AssertionError("unreachable")
        change = float(np.sqrt(moved) / max(np.linalg.norm(state.W), np.finfo(float).tiny))
        accepted_W[...] = state.W
        pushed = H + momentum * (H - accepted_H)
        pushed[problem.frozen] = H[problem.frozen]
        state.extra["H"] = H
        state.H = np.maximum(pushed, 0).astype(H.dtype)
        ceiling = min(1.0, CEILING_GROWTH * ceiling)
        state.extra["scalars"] = np.array([min(ceiling, GROWTH * momentum), ceiling, min(loss, best), xx])
        return Record(loss, residual.relative, change)

    def _pass(
        self, problem: Problem, state: State, before: np.ndarray, push: float, pool: Workers
    ) -> tuple[GramStats, Residual, float]:
        from ..kernels.hals import kkt_rows, sweep_rows

        fixed = Fixed(rows=state.H)
        G = fixed.gram
        W = state.W
        d = balance(W, state.H, problem.unit).astype(W.dtype)
        per = problem.unit**-2

        def work(cut: tuple[int, int]) -> tuple[GramStats, Residual, float]:
            block = problem.source.block(*cut)
            mine, old = W[block.rows], before[block.rows]
            P = data_product(block, fixed)
            sweep_rows(mine, G, P, 0.0, np.inf, self.sweeps)
            violation, scale = kkt_rows(mine, G, P, d, 0.0, np.inf)
            gap = mine - old
            moved = float(np.einsum("ij,ij->", gap, gap, dtype=np.float64))
            if push:
                gap *= mine.dtype.type(push)
                mine += gap
                np.maximum(mine, 0, out=mine)
            return gram_stats(block, mine), Residual(violation * per, scale * per), moved

        stats, residual, moved = None, Residual(), 0.0
        for found, of_rows, distance in pool.map(work, problem.source.bounds()):
            stats = found if stats is None else stats + found
            residual, moved = residual | of_rows, moved + distance
        assert stats is not None
        stats.B = np.ascontiguousarray(stats.B)
        return stats, residual, moved
