"""Solvers that move H as they move W: the same row step, on X and then on Xᵀ. Data must be in memory.

`SCD` is sequential coordinate descent for KL (Hsieh and Dhillon 2011; Lin and Boutros 2020), `MaskedHALS` is HALS with
a Gram matrix of its own for every row (over its observed cells), for missing cells and cell weights.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from ..data.block import Block
from ..data.threads import Workers
from .hals import CEILING_GROWTH, DECAY, GROWTH
from .judge import judge
from .kernel_rows import kl_measure, kl_rows, weighted_rows
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
        high: float, frozen: np.ndarray,
    ) -> None:  # fmt: skip
        """Lower Σ loss(x | v fixed) + linear·v + ½ ridge·v² for every row v of V, in place."""

    def start(self, problem: Problem, state: State) -> None:
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
        sums, squares = self._move_both(problem, moved, pool)
        kkt, objective = self.measure(problem, moved, pool)
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

    def _move_both(self, problem: Problem, state: State, pool: Workers) -> tuple[np.ndarray, np.ndarray]:
        """W from H, then H from W; return the (row-weighted) column sums and sums of squares of W."""
        penalties, weights = problem.penalties, problem.source.row_weights
        pull = penalties.on_W(state.W, state.H) if penalties else None
        self._side(problem.source, state.W, Fixed(rows=state.H), pull, np.zeros(problem.k, bool), pool)
        weighted = state.W if weights is None else state.W * weights[:, None]
        sums = weighted.sum(axis=0, dtype=np.float64)
        squares = column_squares(state.W, weights)
        pull = penalties.on_H(state.H, sums, squares) if penalties else None
        Ht = np.ascontiguousarray(state.H.T)
        fixed = Fixed(columns=self._weigh(state.W, weights))
        self._side(problem.columns, Ht, fixed, pull, problem.frozen, pool, weights)
        state.H = np.ascontiguousarray(Ht.T)
        if penalties:
            problem.row_pull = penalties.on_new_rows(state.W, state.H)
        return sums, squares

    def measure(self, problem: Problem, state: State, pool: Workers) -> tuple[float, float]:
        """KKT residual and data loss of the present factors."""
        return judge(problem, state.W, state.H, pool)[:2]

    def _side(self, source, V, fixed, pull, frozen, pool, column_weights=None) -> None:
        fixed.rows, fixed.columns, fixed.sums  # noqa: B018 - made once, before the threads ask for them
        k, dtype = V.shape[1], V.dtype
        linear = np.zeros(k, dtype) if pull is None else pull.linear
        ridge = np.zeros(k, dtype) if pull is None else np.diag(pull.Q).astype(dtype)
        low, high = (0.0, np.inf) if pull is None else (pull.low, pull.high)

        def work(cut: tuple[int, int]) -> None:
            block = source.block(*cut)
            if column_weights is not None:
                block = Block(
                    block.start, block.stop, self._weigh_columns(block.X, column_weights), block.weights
                )
            self.move(block, V[block.rows], fixed, linear, ridge, low, high, frozen)

        for _ in pool.map(work, source.bounds()):
            pass

    # a row weight s is a factor of the loss: s d_β(x | y) = d_β(s^(1/β) x | s^(1/β) y)
    power = 1.0

    def _weigh(self, W: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        return W if weights is None else W * (weights**self.power).astype(W.dtype)[:, None]

    def _weigh_columns(self, X, weights: np.ndarray):
        factors = (weights**self.power).astype(X.dtype)
        if isinstance(X, np.ndarray):
            return X * factors
        scaled = X.copy()
        scaled.data = X.data * factors[X.indices]
        return scaled


class SCD(Alternating):
    """Sequential coordinate descent for the generalized Kullback–Leibler divergence."""

    name = "scd"

    def move(self, block, V, fixed, linear, ridge, low, high, frozen) -> None:
        """A few sweeps of Newton steps, coordinate by coordinate."""
        kl_rows(block, V, fixed, linear, ridge, low, high, frozen, self.sweeps, 0.0)

    def measure(self, problem: Problem, state: State, pool: Workers) -> tuple[float, float]:
        """From the kernels, on stored cells alone, unless penalties or row weights ask for more."""
        if problem.penalties or problem.source.row_weights is not None:
            return super().measure(problem, state, pool)
        d = balance(column_squares(state.W), state.H, problem.unit)
        root = np.sqrt(problem.unit)  # the kernel compares V·u with ∇/u: see `quadratic.rows_step`
        residual, loss = Residual(), 0.0
        H, W = Fixed(rows=state.H), Fixed(columns=state.W)
        H.columns, H.sums, W.rows, W.sums  # noqa: B018 - made once, before the threads ask for them
        free, dtype = np.zeros(problem.k, bool), state.W.dtype
        Ht = np.ascontiguousarray(state.H.T)

        def rows(cut: tuple[int, int]) -> tuple[Residual, float]:
            return kl_measure(problem.source.block(*cut), state.W, H, (d * root).astype(dtype), free)

        def columns(cut: tuple[int, int]) -> tuple[Residual, float]:
            return kl_measure(
                problem.columns.block(*cut), Ht, W, (1 / (root * d)).astype(dtype), problem.frozen, False
            )

        for found, of_block in pool.map(rows, problem.source.bounds()):
            residual, loss = residual | found, loss + of_block
        for found, _ in pool.map(columns, problem.columns.bounds()):
            residual |= found
        return residual.relative, loss


class MaskedHALS(Alternating):
    """Coordinate descent for the weighted Frobenius loss, with a Gram matrix for every row."""

    name = "hals"
    power = 0.5

    def move(self, block, V, fixed, linear, ridge, low, high, frozen) -> None:
        """Sweep over the rows, each with its own Gram matrix."""
        weighted_rows(block, V, fixed, linear, ridge, low, high, frozen, self.sweeps)
