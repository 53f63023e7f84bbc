"""The exact KKT residual and data loss of (W, H): one pass, for any loss and any penalties."""

from __future__ import annotations

import numpy as np

from ..data.threads import Workers
from ..losses.beta import Stats
from .kkt import Residual, balance, column_squares, residual_of
from .problem import Problem
from .quadratic import curvature, proximal_residual

__all__ = ["judge"]


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
