"""The exact KKT residual and data loss of (W, H): one pass, for any loss and any penalties.

`solve_and_judge` is the same for complete Frobenius problems without penalties, with W solved for on the way: W needs
the products that the residual and the loss need.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..data.block import Block
from ..data.by_place import by_place
from ..data.threads import Workers
from ..losses.beta import Stats
from .gram import GramStats, cancels, data_product, exact_loss, gram_loss, gram_of, gram_stats
from .kkt import Residual, balance, column_sizes, merged, residual_of
from .least_squares import nonnegative_rows
from .problem import Fixed, Problem
from .quadratic import curvature, proximal_residual

__all__ = ["can_solve_and_judge", "judge", "largest_violation", "solve_and_judge", "solved_rows"]


def judge(problem: Problem, W: Any, H: np.ndarray, pool: Workers) -> tuple[float, float, Stats]:
    """Return the KKT residual (see `nonneg.solvers.kkt`), the loss without penalties, and the halves of ∇_H."""
    loss, penalties = problem.loss, problem.penalties
    d = balance(column_sizes(problem.source, W, pool)[1], H, problem.unit)
    per = problem.unit**-loss.beta
    units = d.astype(H.dtype)
    pull = problem.row_pull
    unit_W = penalties.unit_W if penalties else 1.0

    def work(block: Block, mine: np.ndarray) -> tuple[Stats, Residual]:
        if hasattr(loss, "both"):
            negative, positive, stats = loss.both(block, mine, H)
        else:
            negative, positive = loss.row_terms(block, mine, H)
            stats = loss.stats(block, mine, H)
        if pull is None:
            return stats, residual_of(mine, negative, positive, units, per, row_weights=block.row_weights)
        if pull.step is not None:
            L = curvature(H @ H.T, pull.step, mine)
            return stats, proximal_residual(mine, positive - negative, negative, pull.step, L, unit_W * per)
        positive = positive + mine @ pull.Q + pull.linear
        weights = block.row_weights
        return stats, residual_of(mine, negative, positive, units, per, pull.low, pull.high, weights)

    stats, residual = functools.reduce(merged, pool.over(problem.source, work, W, merge=merged))
    if penalties and penalties.whole_by_choice:  # rows of W are coupled: judged by the running residual alone
        residual = Residual(0.0, residual.scale)
    return (residual | _of_H(problem, W, H, stats, d, per, pool)).relative, stats.loss, stats


def can_solve_and_judge(problem: Problem) -> bool:
    """Whether `solve_and_judge` takes the problem."""
    return problem.loss.beta == 2 and not problem.source.is_masked and not problem.penalties


def solve_and_judge(
    problem: Problem, H: np.ndarray, tol: float, pool: Workers, scratch: Any = None
) -> tuple[Any, float, float, Stats]:
    """W as `solve_rows` finds it, then what `judge` says of (W, H): two data products instead of four.

    The loss is ½ (‖X‖² − 2 ⟨B, H⟩ + ⟨A, H Hᵀ⟩), summed from the residual itself where that would cancel. ``scratch`` is
    a row array like W that is overwritten.
    """
    source, fixed = problem.source, Fixed(rows=H)
    fixed.gram, fixed.columns  # noqa: B018 - made once, before the threads ask for them
    W = pool.empty(source, problem.k, H.dtype)
    slopes = pool.empty(source, problem.k, H.dtype) if scratch is None else scratch

    def solve(block: Block, mine: np.ndarray, slope: np.ndarray) -> tuple[GramStats, np.ndarray]:
        return solved_rows(block, mine, slope, fixed, tol)

    def joined(
        a: tuple[GramStats, np.ndarray], b: tuple[GramStats, np.ndarray]
    ) -> tuple[GramStats, np.ndarray]:
        return a[0] + b[0], np.maximum(a[1], b[1])

    found, largest = functools.reduce(joined, pool.over(source, solve, out=(W, slopes), merge=joined))
    loss = gram_loss(problem.squares, found, H)
    if cancels(loss, np.inf, problem.squares, H.dtype):
        loss = exact_loss(problem, W, H, pool)
    d = balance(np.diag(found.A).astype(np.float64), H, problem.unit)
    units, per = d.astype(H.dtype), problem.unit**-2

    def violation(mine: np.ndarray, slope: np.ndarray, weights: np.ndarray | None) -> float:
        return largest_violation(mine, slope, weights, units, per)

    worst = max(pool.along(source, violation, W, slopes, source.row_weights))
    whole = Stats(found.B, found.A @ H, loss)
    residual = Residual(worst, float((largest * per / d).max()))
    return W, (residual | _of_H(problem, W, H, whole, d, per, pool)).relative, loss, whole


@by_place
def solved_rows(
    block: Block, mine: np.ndarray, slope: np.ndarray, fixed: Fixed, tol: float
) -> tuple[GramStats, np.ndarray]:
    """Write rows of W and their slopes W G − P; return the statistics, and the largest P of every component."""
    P = data_product(block, fixed)
    mine[...] = nonnegative_rows(fixed.gram, P, 0.0, np.inf, tol)
    np.subtract(mine @ fixed.gram, P, out=slope)
    return gram_stats(block, mine), P[_seen(block.row_weights)].max(axis=0, initial=0.0)


@by_place
def largest_violation(
    mine: np.ndarray, slope: np.ndarray, weights: np.ndarray | None, units: np.ndarray, per: float
) -> float:
    """The largest |min(V, ∇)| of some rows in balanced units; see `kkt`."""
    found = np.abs(np.minimum(mine * units, slope * (per / units)))
    return float(found[_seen(weights)].max(initial=0.0))


def _seen(row_weights: np.ndarray | None) -> slice | np.ndarray:
    return slice(None) if row_weights is None else row_weights > 0


def _of_H(
    problem: Problem, W: Any, H: np.ndarray, stats: Stats, d: np.ndarray, per: float, pool: Workers
) -> Residual:
    free = ~problem.frozen
    positive, low, high = stats.positive, 0.0, np.inf
    if problem.penalties:
        pull = problem.penalties.on_H(H, *column_sizes(problem.source, W, pool))
        if pull.step is not None:
            L = curvature(gram_of(problem.source, W, pool), pull.step, H)
            units = problem.penalties.unit_H * per
            found = proximal_residual(H, positive - stats.negative, stats.negative, pull.step, L, units)
            return found if free.all() else Residual(0.0, found.scale)
        positive = positive + pull.Q @ H + pull.linear[:, None]
        low, high = pull.low, pull.high
    to_H = (1 / (problem.unit * d[free]))[:, None].astype(H.dtype)
    return residual_of(H[free], stats.negative[free], positive[free], to_H, per, low, high)
