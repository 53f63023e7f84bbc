"""Probabilistic latent semantic indexing on KL-NMF: the step of EM, and the hybrid that leaves local optima.

Maximising PLSI's likelihood of X and minimising KL(X | W H) are one problem (Ding, Li & Peng 2006): with rows of H
that sum to 1, W_dz / Σ X is P(d, z) and H_zw is P(w | z). A step of EM is one of multiplicative updates in which W
and H move at once, H's rows being brought back to sum 1.
"""

from __future__ import annotations

import numpy as np

from ..data.threads import Workers
from ..losses.beta import Stats
from .kkt import Residual, balance, column_squares, residual_of
from .mu import multiply
from .problem import Problem
from .select import choose
from .start import chi_square_roots, squares_fit
from .step import Record, State

__all__ = ["Hybrid", "em_step", "with_unit_rows"]

SETTLED, PASSES = 1e-5, 300  # a descent ends when a pass lowers the loss by less than that part of it
SQUARES_SETTLED, SQUARES_PASSES = 1e-6, 300  # of a descent in least squares between two of KL
GAIN = 1e-6  # of the loss: less is no other optimum


def with_unit_rows(W: np.ndarray, H: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same product with rows of H of sum 1; a row of zeros becomes flat, its column of W zero."""
    sums = H.sum(axis=1, dtype=np.float64)
    flat = np.full(H.shape, 1 / H.shape[1])
    unit = np.divide(H, sums[:, None], out=flat, where=sums[:, None] > 0)
    return (W * sums).astype(W.dtype), unit.astype(H.dtype)


def em_step(
    problem: Problem, W: np.ndarray, H: np.ndarray, pool: Workers
) -> tuple[np.ndarray, np.ndarray, float, Residual]:
    """One step of EM (Hofmann 1999, eq. 3, 5 and 6), from factors whose H has rows of sum 1.

    E: P(z | d, w) = W_dz H_zw / (W H)_dw. M: W_dz ← Σ_w x_dw P(z | d, w), H_zw ← Σ_d s_d x_dw P(z | d, w), then rows
    of sum 1. An entry below rounding that should grow starts again from there, as in `mu`.

    Returns
    -------
    W, H : ndarray
        After the step.
    loss : float
        KL(X | W H) before it.
    residual : Residual
        The KKT residual before it.
    """
    W, loss, weights = W.copy(), problem.loss, problem.source.row_weights
    d = balance(column_squares(W, weights), H, problem.unit)
    units, per = d.astype(W.dtype), 1 / problem.unit

    def work(cut: tuple[int, int]) -> tuple[Stats, Residual]:
        block = problem.source.block(*cut)
        mine = W[block.rows]
        negative, positive, stats = loss.both(block, mine, H)
        residual = residual_of(mine, negative, positive, units, per, row_weights=block.row_weights)
        multiply(mine, negative, np.ones_like(positive), 1.0, 1.0)
        return stats, residual

    stats, residual = None, Residual()
    for found, of_rows in pool.map(work, problem.source.bounds()):
        stats = found if stats is None else stats + found
        residual |= of_rows
    assert stats is not None
    to_H = (1 / (problem.unit * d))[:, None].astype(H.dtype)
    residual |= residual_of(H, stats.negative, stats.positive, to_H, per)
    moved = H.copy()
    multiply(moved, stats.negative, stats.positive, 1.0, 1 / H.shape[1])
    return W, with_unit_rows(W, moved)[1], stats.loss, residual


class Hybrid:
    """Descent in KL that, where it settles, tries whether other losses lead on: least squares and χ².

    From the settled point NMF goes down in the other loss, and from where that ends again in KL. What ends lower is
    kept, and all is tried anew; when both losses lead nowhere the point is an optimum of all, and the descent in KL
    goes on to the end.

    Parameters
    ----------
    problem : Problem
        With the KL loss.
    pool : Workers
    """

    def __init__(self, problem: Problem, pool: Workers) -> None:
        self.problem, self.pool = problem, pool
        self.solver = choose("auto", problem.loss, problem.source)
        ones = tuple(np.ones(side, problem.source.float_dtype) for side in problem.source.shape)
        self.roots = [chi_square_roots(problem.source, pool), ones]

    def begin(self, W: np.ndarray, H: np.ndarray) -> State:
        """The state at a start; ``extra["tried"]`` holds how many losses led nowhere, and the last loss."""
        state = State(W, H)
        self.solver.start(self.problem, state)
        state.extra["tried"] = np.array([0.0, np.inf])
        return state

    def step(self, state: State, tol: float) -> Record:
        """A pass in KL; where that no longer helps, what the other losses lead to."""
        tried, last = state.extra["tried"]
        record = self.solver.iterate(self.problem, state, self.pool)
        settled = record.kkt <= tol or last - record.loss <= SETTLED * record.loss
        while settled and tried < len(self.roots):
            other, found = self._detour(state, self.roots[int(tried)])
            if found.loss < (1 - GAIN) * record.loss:
                state.W, state.H, state.extra, record, tried = other.W, other.H, other.extra, found, 0.0
                break
            tried += 1
        state.extra["tried"] = np.array([tried, record.loss])
        return record

    def _detour(self, state: State, roots: tuple[np.ndarray, ...]) -> tuple[State, Record]:
        rows, columns = roots
        here = State(state.W / rows[:, None], state.H / columns)
        H, W, _ = squares_fit(
            self.problem, rows, columns, lambda *_: here, self.pool, SQUARES_SETTLED, SQUARES_PASSES
        )
        assert W is not None
        other, loss = self.begin(W, H), np.inf
        for _ in range(PASSES):
            record = self.solver.iterate(self.problem, other, self.pool)
            if loss - record.loss < SETTLED * record.loss:
                break
            loss = record.loss
        return other, record
