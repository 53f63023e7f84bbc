"""Multiplicative updates: V ← V ∘ (∇⁻ / ∇⁺)^γ(β), for every β, any source, missing cells and weights.

Lee and Seung (2001) for β = 2 and 1; Févotte and Idier (2011), eq. 54–57, for every β with the exponent that makes
the loss fall monotonically. Differentiable penalties add the halves of their gradient. An entry that has become
(almost) zero while its gradient is negative starts again from the rounding level, so zeros are never locked.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.block import Block
from ..data.by_place import by_place
from ..data.threads import Workers
from ..losses.beta import Stats
from ..penalties.base import clip_cells
from .kkt import Residual, balance, column_sizes, column_squares, merged, residual_of
from .problem import Problem
from .pull import Pull
from .step import Record, Solver, State, relative_change

__all__ = ["MU", "CellTerms", "cell_terms", "multiply", "square_sum", "weighted_sums"]


class MU(Solver):
    """Multiplicative updates, one of W and one of H an iteration; ``extra["squares"]`` holds Σ s_i W_ij²."""

    name = "mu"

    def start(self, problem: Problem, state: State, pool: Workers) -> None:
        """Measure the columns of W."""
        state.extra["squares"] = column_sizes(problem.source, state.W, pool)[1]

    def iterate(self, problem: Problem, state: State, pool: Workers) -> Record:
        """One update of W block by block, then of H from the sums."""
        H, loss, penalties = state.H, problem.loss, problem.penalties
        d = balance(state.extra["squares"], H, problem.unit)
        units, per = d.astype(H.dtype), problem.unit**-loss.beta
        on_rows = cell_terms(penalties.on_W(state.W, H) if penalties else None)

        def work(
            block: Block, mine: np.ndarray, before: np.ndarray
        ) -> tuple[Stats, Residual, np.ndarray, np.ndarray]:
            mine[...], weights = before, block.row_weights
            negative, positive = loss.row_terms(block, mine, H)
            positive = on_rows.added(positive, mine)
            residual = residual_of(mine, negative, positive, units, per, on_rows.low, on_rows.high, weights)
            multiply(mine, negative, positive, on_rows.exponent(loss), 1.0)
            on_rows.clip(mine)
            moved = np.array([square_sum(mine - before), square_sum(mine)])
            return loss.stats(block, mine, H), residual, moved, weighted_sums(mine, weights)

        W = pool.empty(problem.source, problem.k, H.dtype)
        found = pool.over(problem.source, work, state.W, out=(W,), merge=merged)
        stats, residual, moved, sums = functools.reduce(merged, found)
        objective = stats.loss + (penalties.value(W, H, sums[0], sums[1]) if penalties else 0.0)
        moved_H, of_H = _move_H(problem, H, stats, sums, d, per)
        state.W, state.H = W, moved_H
        state.extra["squares"] = sums[1]
        change = relative_change(*np.sqrt(moved))
        return Record(objective, (residual | of_H).relative, change)


def _move_H(
    problem: Problem, H: np.ndarray, stats: Stats, sums: np.ndarray, d: np.ndarray, per: float
) -> tuple[np.ndarray, Residual]:
    """Return H after its update (frozen rows as they are), and the residual of H before it."""
    loss, penalties = problem.loss, problem.penalties
    free = ~problem.frozen
    terms = cell_terms(penalties.on_H(H, sums[0], sums[1]) if penalties else None, free)
    moving, negative = H[free], stats.negative[free]
    positive = terms.added(stats.positive[free], moving)
    units = (1 / (problem.unit * d[free]))[:, None].astype(H.dtype)
    residual = residual_of(moving, negative, positive, units, per, terms.low, terms.high)
    multiply(moving, negative, positive, terms.exponent(loss), problem.unit)
    terms.clip(moving)
    moved = H.copy()
    moved[free] = moving
    return moved, residual


@dataclass
class CellTerms:
    """Penalties that are sums over the cells of a factor, Σ linear v + ½ ridge v² within [low, high].

    Linear terms leave the update monotone with the exponent of the loss; quadratic ones ask for 1 / (3 − β) where
    β ≤ 2 (Tan and Févotte 2013).
    """

    linear: np.ndarray | float = 0.0
    ridge: np.ndarray | float = 0.0
    low: float = 0.0
    high: float = np.inf

    def added(self, positive: np.ndarray, V: np.ndarray) -> np.ndarray:
        """∇⁺ with the penalties."""
        if not (np.any(self.linear) or np.any(self.ridge)):
            return positive
        return positive + self.linear + self.ridge * V

    def exponent(self, loss: Any) -> float:
        """The exponent under which the update is monotone."""
        if np.any(self.ridge) and loss.beta <= 2:
            return min(loss.exponent, 1 / (3 - loss.beta))
        return loss.exponent

    def clip(self, V: np.ndarray) -> None:
        """Bring V within the bounds, in place."""
        if self.low > 0 or self.high < np.inf:
            V[...] = clip_cells(V, self.low, self.high)


def cell_terms(pull: Pull | None, free: np.ndarray | None = None) -> CellTerms:
    """Cell-wise terms of a pull on rows of W; on the free rows of H where ``free`` is given."""
    if pull is None:
        return CellTerms()
    linear, ridge = pull.linear, np.diag(pull.Q)
    if free is not None:
        linear, ridge = linear[free, None], ridge[free, None]
    return CellTerms(linear, ridge, pull.low, pull.high)


@by_place
def square_sum(V: np.ndarray) -> float:
    """Σ V_ij² in float64."""
    return float((V**2).sum(dtype=np.float64))


@by_place
def weighted_sums(W: np.ndarray, row_weights: np.ndarray | None) -> np.ndarray:
    """Σ_i s_i W_ij, summed in the dtype of W, and Σ_i s_i W_ij², of some rows."""
    weighted = W if row_weights is None else W * row_weights[:, None]
    return np.stack([weighted.sum(axis=0).astype(np.float64), column_squares(W, row_weights)])


@by_place
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
