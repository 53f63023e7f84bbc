"""The exact KKT residual and data loss of (W, H): one pass, for any loss and any penalties.

`solve_and_judge` is the same for complete Frobenius problems without penalties, with W solved for on the way: W needs
the products that the residual and the loss need.
"""

from __future__ import annotations

import numpy as np

from ..data.threads import Workers
from ..losses.beta import Stats
from .gram import GramStats, cancels, data_product, exact_loss, gram_loss, gram_stats
from .kkt import Residual, balance, column_squares, residual_of
from .least_squares import nonnegative_rows
from .problem import Fixed, Problem
from .quadratic import curvature, proximal_residual

__all__ = ["can_solve_and_judge", "judge", "solve_and_judge"]


def judge(problem: Problem, W: np.ndarray, H: np.ndarray, pool: Workers) -> tuple[float, float, Stats]:
    """Return the KKT residual (see `nonneg.solvers.kkt`), the loss without penalties, and the halves of ∇_H."""
    loss, penalties = problem.loss, problem.penalties
    d = balance(column_squares(W, problem.source.row_weights), H, problem.unit)
    per = problem.unit**-loss.beta
    units = d.astype(W.dtype)
    pull = problem.row_pull
    unit_W = penalties.unit_W if penalties else 1.0

    def work(cut: tuple[int, int]) -> tuple[Stats, Residual]:
        block = problem.source.block(*cut)
        mine = W[block.rows]
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

    stats, residual = None, Residual()
    for found, of_rows in pool.map(work, problem.source.bounds()):
        stats = found if stats is None else stats + found
        residual |= of_rows
    assert stats is not None
    if penalties and penalties.whole_by_choice:  # rows of W are coupled: judged by the running residual alone
        residual = Residual(0.0, residual.scale)
    return (residual | _of_H(problem, W, H, stats, d, per)).relative, stats.loss, stats


def can_solve_and_judge(problem: Problem) -> bool:
    """Whether `solve_and_judge` takes the problem."""
    return problem.loss.beta == 2 and not problem.source.is_masked and not problem.penalties


def solve_and_judge(
    problem: Problem, H: np.ndarray, tol: float, pool: Workers, scratch: np.ndarray | None = None
) -> tuple[np.ndarray, float, float, Stats]:
    """W as `solve_rows` finds it, then what `judge` says of (W, H): two data products instead of four.

    The loss is ½ (‖X‖² − 2 ⟨B, H⟩ + ⟨A, H Hᵀ⟩), summed from the residual itself where that would cancel. ``scratch`` is
    an array like W that is overwritten.
    """
    source, fixed = problem.source, Fixed(rows=H)
    fixed.gram, fixed.columns  # noqa: B018 - made once, before the threads ask for them
    W = np.empty((source.shape[0], problem.k), H.dtype)
    slopes = np.empty_like(W) if scratch is None else scratch

    def solve(cut: tuple[int, int]) -> tuple[GramStats, np.ndarray]:
        block = source.block(*cut)
        P = data_product(block, fixed)
        W[block.rows] = nonnegative_rows(fixed.gram, P, 0.0, np.inf, tol)
        np.subtract(W[block.rows] @ fixed.gram, P, out=slopes[block.rows])
        return gram_stats(block, W[block.rows]), P[_seen(block.row_weights)].max(axis=0, initial=0.0)

    found, largest = None, np.zeros(problem.k)
    for stats, of_block in pool.map(solve, source.bounds()):
        found = stats if found is None else found + stats
        largest = np.maximum(largest, of_block)
    assert found is not None
    loss = gram_loss(problem.squares, found, H)
    if cancels(loss, np.inf, problem.squares, H.dtype):
        loss = exact_loss(problem, W, H, pool)
    d = balance(np.diag(found.A).astype(np.float64), H, problem.unit)
    units, per = d.astype(H.dtype), problem.unit**-2

    def violation(cut: tuple[int, int]) -> float:
        rows = slice(*cut)
        seen = _seen(None if source.row_weights is None else source.row_weights[rows])
        return float(np.abs(np.minimum(W[rows] * units, slopes[rows] * (per / units))[seen]).max(initial=0.0))

    worst = max(pool.map(violation, source.bounds()))
    whole = Stats(found.B, found.A @ H, loss)
    residual = Residual(worst, float((largest * per / d).max()))
    return W, (residual | _of_H(problem, W, H, whole, d, per)).relative, loss, whole


def _seen(row_weights: np.ndarray | None) -> slice | np.ndarray:
    return slice(None) if row_weights is None else row_weights > 0


def _of_H(
    problem: Problem, W: np.ndarray, H: np.ndarray, stats: Stats, d: np.ndarray, per: float
) -> Residual:
    free = ~problem.frozen
    positive, low, high = stats.positive, 0.0, np.inf
    if problem.penalties:
        weights = problem.source.row_weights
        weighted = W if weights is None else W * weights[:, None]
        sums = weighted.sum(axis=0, dtype=np.float64)
        squares = column_squares(W, weights)
        pull = problem.penalties.on_H(H, sums, squares)
        if pull.step is not None:
            L = curvature(weighted.T @ W, pull.step, H)
            units = problem.penalties.unit_H * per
            found = proximal_residual(H, positive - stats.negative, stats.negative, pull.step, L, units)
            return found if free.all() else Residual(0.0, found.scale)
        positive = positive + pull.Q @ H + pull.linear[:, None]
        low, high = pull.low, pull.high
    to_H = (1 / (problem.unit * d[free]))[:, None].astype(H.dtype)
    return residual_of(H[free], stats.negative[free], positive[free], to_H, per, low, high)
