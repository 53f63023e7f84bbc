"""Solvers for the Frobenius loss that make one pass over the rows an iteration.

For every block: P = X Hᵀ, W moves, then A += Wᵀ S W and B += Wᵀ S X while the block is in cache; after the pass H
moves from A and B, and the loss at the new (W, H) follows from them without another product. How a factor moves is
a `Sweep` (see `quadratic.py`): a few sweeps of coordinate descent for each data product (HALS: Cichocki and Phan
2009; several sweeps: Gillis and Glineur 2012), exact sub-problems (ANLS), or clipping (ALS).

HALS extrapolates H, H_y = max(0, H + μ (H − H_before)), in the manner of Ang and Gillis (2019), but W is left alone: it
is solved afresh from H in every pass, so extrapolating it gained nothing (see experiments/LOG.md). When the objective
would rise the iterate is thrown away and the search goes on from the last accepted one without momentum, so accepted
iterates are monotone.

Penalties that are sums over cells, or quadratic in the components, are exact within the sweeps; proximal and smooth
ones are met by proximal gradient steps in their place.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..data.block import Block
from ..data.threads import Workers
from .gram import CANCELS, GramStats, cancels, data_product, exact_loss, gram_loss, gram_stats
from .kkt import Residual, balance, column_sizes, column_squares, merged
from .problem import Fixed, Problem
from .quadratic import Clip, Exact, Sweep, columns_step, rows_step
from .step import Record, Solver, State, relative_change

__all__ = ["ALS", "ANLS", "HALS", "GramSolver"]

GROWTH, CEILING_GROWTH, DECAY = 1.1, 1.01, 2.0
SMALL = 4_000_000  # cells times components
CHUNK = 25  # iterations of a compiled call: between two of them the clock and the checkpoint are looked at


class GramSolver(Solver):
    """One pass over the rows an iteration; how a factor moves is a `Sweep`.

    ``state.W, state.H`` are the last accepted factors; ``extra`` holds the H to start the next pass from (``push``),
    a second buffer for W (``spare``), Σ s_i W_ij² (``squares``), and ``[momentum, its ceiling, objective, exact]``,
    the last one whether losses are summed from the residual by now.
    """

    from_zero = True
    momentum = 0.0
    monotone = True

    def __init__(self, move: Sweep) -> None:
        self.how = move

    def start(self, problem: Problem, state: State, pool: Workers) -> None:
        """Nothing is accepted yet: the objective is infinite."""
        state.extra = {
            "push": state.H.copy(),
            "spare": state.W.copy(),
            "squares": column_sizes(problem.source, state.W, pool)[1],
            "scalars": np.array([self.momentum, 1.0, np.inf, 0.0, 0.0]),
        }

    def iterate(self, problem: Problem, state: State, pool: Workers) -> Record:
        """One pass; a rejected one is followed by a plain one from the last accepted point."""
        record = self._try(problem, state, pool, plain=False)
        if record is None:
            scalars = state.extra["scalars"]
            scalars[:2] = scalars[0] / DECAY, scalars[0]
            state.extra["push"] = state.H.copy()
            record = self._try(problem, state, pool, plain=True)
            assert record is not None
        return record

    def _try(self, problem: Problem, state: State, pool: Workers, *, plain: bool) -> Record | None:
        momentum, ceiling, best, exact, _ = state.extra["scalars"]
        start, spare = state.extra["push"], state.extra["spare"]
        stats, residual, moved, size = self._rows(problem, start, state, spare, pool)
        sums, squares = stats.sums, np.diag(stats.A).astype(np.float64)
        pull = problem.penalties.on_H(start, sums, squares) if problem.penalties else None
        d = balance(squares, start, problem.unit)
        H, of_columns = columns_step(start, stats, pull, problem, d, self.how)
        objective = gram_loss(problem.squares, stats, H)
        of_penalties = problem.penalties.value(spare, H, sums, squares) if problem.penalties else 0.0
        if not exact and cancels(objective, objective + of_penalties - best, problem.squares, H.dtype):
            exact = 1.0
            if np.isfinite(best):
                best = _exact_objective(problem, state.W, state.H, pool)
            state.extra["scalars"][2:4] = best, exact
        objective = _exact_objective(problem, spare, H, pool) if exact else objective + of_penalties
        change = relative_change(np.sqrt(moved), np.sqrt(size))
        kkt = (residual | of_columns).relative
        if objective > best and self.monotone:
            # a plain step rises by rounding alone: the last accepted point stands
            return Record(best, kkt, 0.0) if plain else None
        push = H + H.dtype.type(momentum if np.isfinite(best) else 0.0) * (H - state.H)
        push = _back_into_set(push, pull)
        push[problem.frozen] = H[problem.frozen]
        ceiling = min(1.0, CEILING_GROWTH * ceiling)
        state.extra.update(
            push=push,
            spare=state.W,
            squares=squares,
            scalars=np.array([min(ceiling, GROWTH * momentum), ceiling, objective, exact, 0.0]),
        )
        state.W, state.H = spare, H
        return Record(objective, kkt, change)

    def _rows(
        self, problem: Problem, H: np.ndarray, state: State, W: Any, pool: Workers
    ) -> tuple[GramStats, Residual, float, float]:
        """Move W from the accepted one; return what H needs, the residual, ‖ΔW‖² and ‖W‖²."""
        last = state.W
        fixed = Fixed(rows=H)
        fixed.gram, fixed.columns  # noqa: B018 - made once, before the threads ask for them
        pull = problem.penalties.on_W(last, H) if problem.penalties else None
        d = balance(state.extra["squares"], H, problem.unit).astype(W.dtype)
        how = self.how

        def move(mine: np.ndarray, P: np.ndarray, weights: Any) -> tuple[Residual, float]:
            seen = None if weights is None else weights > 0
            return rows_step(mine, fixed.gram, P, pull, problem, d, how, seen)

        residual, moved = Residual(), 0.0
        whole = problem.penalties is not None and problem.penalties.whole_W
        if whole:  # the penalty couples rows: all of W moves at once
            parts = pool.over(problem.source, lambda block: data_product(block, fixed))
            W[...] = last
            residual, moved = move(W, np.concatenate(list(parts)), problem.source.row_weights)

        def work(
            block: Block, mine: np.ndarray, before: np.ndarray
        ) -> tuple[GramStats, Residual, float, float]:
            if whole:
                found = Residual(), 0.0
            else:
                mine[...] = before
                found = move(mine, data_product(block, fixed), block.row_weights)
            weighted = block.row_weights is not None  # else the squares of W are in A
            size = float(column_squares(mine).sum()) if weighted else 0.0
            return gram_stats(block, mine), *found, size

        found = functools.reduce(merged, pool.over(problem.source, work, last, out=(W,), merge=merged))
        stats, residual, moved, size = found[0], residual | found[1], moved + found[2], found[3]
        if problem.source.row_weights is None:
            size = float(np.diag(stats.A).astype(np.float64).sum())
        return stats, residual, moved, size


class HALS(GramSolver):
    """Coordinate descent with inner sweeps and extrapolation."""

    name = "hals"
    momentum = 0.7

    def __init__(self, sweeps: int = 8) -> None:
        super().__init__(Sweep(sweeps))

    def advance(self, problem: Problem, state: State, pool: Workers, most: int, tol: float) -> list[Record]:
        """One iteration, or for small plain data many in one compiled call: the same algorithm."""
        if not _is_small(problem):
            return [self.iterate(problem, state, pool)]
        from ..kernels.small import fit_small

        n = problem.source.shape[0]
        records = np.empty((min(most, CHUNK), 3))
        extra = state.extra
        done, _ = fit_small(
            problem.source.block(0, n).X, state.W, state.H, extra["push"], extra["squares"], extra["scalars"],
            problem.squares, problem.frozen, problem.unit, CANCELS[state.W.dtype], len(records), tol,
            self.how.times, records,
        )  # fmt: skip
        return [Record(*map(float, record)) for record in records[:done]]


class ANLS(GramSolver):
    """Alternating exact non-negative least squares (Kim and Park 2008)."""

    name = "anls"

    def __init__(self) -> None:
        super().__init__(Exact())


class ALS(GramSolver):
    """Alternating least squares with clipping, as MATLAB's ``nnmf``: no convergence guarantee, the loss may rise."""

    name = "als"
    monotone = False

    def __init__(self) -> None:
        super().__init__(Clip())


def _is_small(problem: Problem) -> bool:
    """Whether the time between array operations would exceed the time in them; complete data without penalties."""
    source = problem.source
    plain = not (source.is_sparse or source.is_masked or problem.penalties or source.row_weights is not None)
    n, m = source.shape
    here = not (source.spread or source.device)
    return plain and here and n * m * problem.k <= SMALL and len(source.bounds()) == 1


def _exact_objective(problem: Problem, W: Any, H: np.ndarray, pool: Workers) -> float:
    """The loss from the residual itself, and the penalties."""
    loss = exact_loss(problem, W, H, pool)
    if not problem.penalties:
        return loss
    return loss + problem.penalties.value(W, H, *column_sizes(problem.source, W, pool))


def _back_into_set(V: np.ndarray, pull: object) -> np.ndarray:
    """Project an extrapolated factor onto what it must satisfy."""
    if pull is None:
        return np.maximum(V, 0, out=V)
    if pull.step is not None:  # type: ignore[attr-defined]
        return pull.step.prox(V, 0.0)  # type: ignore[attr-defined]
    return np.clip(V, pull.low, pull.high, out=V)  # type: ignore[attr-defined]
