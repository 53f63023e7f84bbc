"""Solvers that move H as they move W: the same row step, on X and then on Xᵀ. Data must be in memory.

`SCD` is sequential coordinate descent for KL (Hsieh and Dhillon 2011; Lin and Boutros 2020), `MaskedHALS` is HALS with
a Gram matrix of its own for every row (over its observed cells), for missing cells and cell weights.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from ..data.block import Block
from ..data.scaled import times_columns, times_rows
from ..data.threads import Workers
from .hals import CEILING_GROWTH, DECAY, GROWTH
from .judge import judge
from .kernel_rows import kl_rows, kl_value, weighted_rows
from .kkt import Residual, balance, column_squares
from .problem import Fixed, Problem
from .step import Record, Solver, State, relative_change

__all__ = ["SCD", "Alternating", "MaskedHALS"]

MOMENTUM = 0.7


class Alternating(Solver):
    """Rows of W given H, then rows of Hᵀ given W; every step lowers the objective.

    H is extrapolated as in `hals.py`, and a pass that raises the objective is thrown away, so accepted iterates are
    monotone.
    """

    h_update = "columns"

    def __init__(self, sweeps: int) -> None:
        self.sweeps = sweeps

    @abstractmethod
    def move(
        self, block: Block, V: np.ndarray, fixed: Fixed, linear: np.ndarray, ridge: np.ndarray, low: float,
        high: float, frozen: np.ndarray, d: np.ndarray,
    ) -> Residual:  # fmt: skip
        """Lower Σ loss(x | v fixed) + linear·v + ½ ridge·v² for every row v of V, in place.

        Returns the KKT residual of the rows before they moved, where that costs nothing (V d is compared with ∇/d).
        """

    def start(self, problem: Problem, state: State, pool: Workers) -> None:
        """Nothing is accepted yet: the objective is infinite."""
        state.extra = {
            "push": state.H.copy(),
            "spare": state.W.copy(),
            "scalars": np.array([MOMENTUM, 1.0, np.inf]),
        }

    def iterate(self, problem: Problem, state: State, pool: Workers) -> Record:
        """One pass over rows and one over columns; a rejected one is followed by a plain one."""
        record = self._try(problem, state, pool, plain=False)
        if record is None:
            scalars = state.extra["scalars"]
            scalars[:2] = scalars[0] / DECAY, scalars[0]
            state.extra["push"] = state.H.copy()
            record = self._try(problem, state, pool, plain=True)
            assert record is not None
        return record

    def _try(self, problem: Problem, state: State, pool: Workers, *, plain: bool) -> Record | None:
        momentum, ceiling, best = state.extra["scalars"]
        moved = State(state.extra["spare"], state.extra["push"])
        moved.W[...] = state.W
        sums, squares, residual = self._move_both(problem, moved, pool)
        kkt, objective = self.measure(problem, moved, residual, pool)
        if problem.penalties:
            objective += problem.penalties.value(moved.W, moved.H, sums, squares)
        if objective > best:
            # a plain step rises by rounding alone: the last accepted point stands
            return Record(best, kkt, 0.0) if plain else None
        change = relative_change(float(np.linalg.norm(moved.W - state.W)), float(np.linalg.norm(moved.W)))
        push = moved.H + moved.H.dtype.type(momentum if np.isfinite(best) else 0.0) * (moved.H - state.H)
        low, high = (
            (problem.penalties.H.low, problem.penalties.H.high) if problem.penalties else (0.0, np.inf)
        )
        push = np.clip(push, low, high)
        push[problem.frozen] = moved.H[problem.frozen]
        ceiling = min(1.0, CEILING_GROWTH * ceiling)
        state.extra.update(
            push=push, spare=state.W, scalars=np.array([min(ceiling, GROWTH * momentum), ceiling, objective])
        )
        state.W, state.H = moved.W, moved.H
        return Record(objective, kkt, change)

    def _move_both(
        self, problem: Problem, state: State, pool: Workers
    ) -> tuple[np.ndarray, np.ndarray, Residual]:
        """W from H, then H from W; return the (row-weighted) column sums and sums of squares of W, and the residual."""
        penalties, weights = problem.penalties, problem.source.row_weights
        root = np.sqrt(problem.unit)  # the kernel compares V·u with ∇/u: see `quadratic.rows_step`
        pull = penalties.on_W(state.W, state.H) if penalties else None
        d = root * balance(column_squares(state.W, weights), state.H, problem.unit)
        fixed = Fixed(rows=state.H)
        residual = self._side(problem.source, state.W, fixed, pull, np.zeros(problem.k, bool), d, pool)
        weighted = state.W if weights is None else state.W * weights[:, None]
        sums = weighted.sum(axis=0, dtype=np.float64)
        squares = column_squares(state.W, weights)
        pull = penalties.on_H(state.H, sums, squares) if penalties else None
        Ht = np.ascontiguousarray(state.H.T)
        d = 1 / (root * balance(squares, state.H, problem.unit))
        fixed = Fixed(columns=self._weigh(state.W, weights))
        residual |= self._side(problem.columns, Ht, fixed, pull, problem.frozen, d, pool, weights)
        state.H = np.ascontiguousarray(Ht.T)
        if penalties:
            problem.row_pull = penalties.on_new_rows(state.W, state.H)
        return sums, squares, residual

    def measure(
        self, problem: Problem, state: State, residual: Residual, pool: Workers
    ) -> tuple[float, float]:
        """KKT residual and data loss of the present factors."""
        return judge(problem, state.W, state.H, pool)[:2]

    def _side(self, source, V, fixed, pull, frozen, d, pool, column_weights=None) -> Residual:
        fixed.rows, fixed.columns, fixed.sums  # noqa: B018 - made once, before the threads ask for them
        k, dtype = V.shape[1], V.dtype
        linear = np.zeros(k, dtype) if pull is None else pull.linear
        ridge = np.zeros(k, dtype) if pull is None else np.diag(pull.Q).astype(dtype)
        low, high = (0.0, np.inf) if pull is None else (pull.low, pull.high)
        d = d.astype(dtype)

        def work(cut: tuple[int, int]) -> Residual:
            block = source.block(*cut)
            if column_weights is not None:
                block = Block(
                    block.start, block.stop, self._weigh_columns(block.X, column_weights), block.weights
                )
            return self.move(block, V[block.rows], fixed, linear, ridge, low, high, frozen, d)

        residual = Residual()
        for found in pool.map(work, source.bounds()):
            residual |= found
        return residual

    # a row weight s is a factor of the loss: s d_β(x | y) = d_β(s^(1/β) x | s^(1/β) y)
    power = 1.0

    def _weigh(self, W: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        return W if weights is None else W * (weights**self.power).astype(W.dtype)[:, None]

    def _weigh_columns(self, X, weights: np.ndarray):
        return times_columns(X, (weights**self.power).astype(X.dtype))


class SCD(Alternating):
    """Sequential coordinate descent for the generalized Kullback–Leibler divergence."""

    name = "scd"

    def move(self, block, V, fixed, linear, ridge, low, high, frozen, d) -> Residual:
        """A few sweeps of Newton steps, coordinate by coordinate."""
        return kl_rows(block, V, fixed, linear, ridge, low, high, frozen, self.sweeps, 0.0, d)

    def measure(
        self, problem: Problem, state: State, residual: Residual, pool: Workers
    ) -> tuple[float, float]:
        """The residual of each factor before it moved, unless penalties ask for more, and the loss."""
        if problem.penalties:
            return super().measure(problem, state, residual, pool)
        fixed = Fixed(rows=state.H)
        fixed.columns, fixed.sums  # noqa: B018 - made once, before the threads ask for them

        def value(cut: tuple[int, int]) -> float:
            block = problem.source.block(*cut)
            return kl_value(*_times_rows(block, state.W[block.rows]), fixed)

        return residual.relative, sum(pool.map(value, problem.source.bounds()))


class MaskedHALS(Alternating):
    """Coordinate descent for the weighted Frobenius loss, with a Gram matrix for every row."""

    name = "hals"
    power = 0.5

    def move(self, block, V, fixed, linear, ridge, low, high, frozen, d) -> Residual:
        """Sweep over the rows, each with its own Gram matrix."""
        weighted_rows(block, V, fixed, linear, ridge, low, high, frozen, self.sweeps)
        return Residual()


def _times_rows(block: Block, V: np.ndarray) -> tuple[Block, np.ndarray]:
    """The block and its rows of W with the row weights s as factors: s d₁(x | y) = d₁(s x | s y)."""
    if block.row_weights is None:
        return block, V
    factors = block.row_weights.astype(V.dtype)
    X = times_rows(block.X, factors)
    return Block(block.start, block.stop, X, block.weights), times_rows(V, factors)
