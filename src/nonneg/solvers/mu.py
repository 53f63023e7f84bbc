"""Multiplicative updates: V ← V ∘ (∇⁻ / ∇⁺)^γ(β), for every β, any source, missing cells and weights.

Lee and Seung (2001) for β = 2 and 1; Févotte and Idier (2011), eq. 54–57, for every β with the exponent that makes
the loss fall monotonically. Differentiable penalties add the halves of their gradient. An entry that has become
(almost) zero while its gradient is negative starts again from the rounding level, so zeros are never locked.
"""

from __future__ import annotations

import numpy as np

from ..data.threads import Workers
from ..losses.beta import Stats
from .kkt import Residual, balance, residual_of
from .problem import Problem
from .step import Record, Solver, State, relative_change

__all__ = ["MU", "multiply"]


class MU(Solver):
    """Multiplicative updates, one of W and one of H an iteration."""

    name = "mu"

    def iterate(self, problem: Problem, state: State, pool: Workers) -> Record:
        """One update of W block by block, then of H from the sums."""
        W, H, loss = state.W, state.H, problem.loss
        d = balance(W, H, problem.unit, problem.source.row_weights)
        gradient_units = problem.unit**-loss.beta

        def work(cut: tuple[int, int]) -> tuple[Stats, Residual, float]:
            block = problem.source.block(*cut)
            mine = W[block.rows]
            negative, positive = loss.row_terms(block, mine, H)
            units = d.astype(mine.dtype)
            residual = residual_of(
                mine, negative, positive, units, gradient_units, row_weights=block.row_weights
            )
            before = mine.copy()
            multiply(mine, negative, positive, loss.exponent, 1.0)
            stats = loss.stats(block, mine, H)
            return stats, residual, float(((mine - before) ** 2).sum(dtype=np.float64))

        stats, residual, moved = None, Residual(), 0.0
        for found, of_rows, distance in pool.map(work, problem.source.bounds()):
            stats = found if stats is None else stats + found
            residual, moved = residual | of_rows, moved + distance
        assert stats is not None
        free = ~problem.frozen
        units = (1 / (problem.unit * d[free]))[:, None].astype(H.dtype)
        residual |= residual_of(H[free], stats.negative[free], stats.positive[free], units, gradient_units)
        record = Record(stats.loss, residual.relative, relative_change(np.sqrt(moved), np.linalg.norm(W)))
        moving = H[free]
        multiply(moving, stats.negative[free], stats.positive[free], loss.exponent, problem.unit)
        state.H = H.copy()
        state.H[free] = moving
        return record


def multiply(V: np.ndarray, negative: np.ndarray, positive: np.ndarray, exponent: float, unit: float) -> None:
    """V ← V ∘ (∇⁻ / ∇⁺)^exponent in place; entries below rounding that should grow start from there."""
    floor = V.dtype.type(np.finfo(V.dtype).eps * unit)
    np.copyto(V, floor, where=(floor > V) & (negative > positive))
    tiny = np.finfo(V.dtype).tiny
    with np.errstate(over="ignore", under="ignore"):
        ratio = negative / np.maximum(positive, tiny)
    # a component that explains nothing (∇⁺ = 0) stays where it is
    ratio[positive <= tiny] = 1
    if exponent != 1:
        ratio **= exponent
    V *= ratio
