"""Hierarchical alternating least squares with inner sweeps and extrapolation, for the Frobenius loss.

One pass over the rows an iteration. For every block: P = X Hᵀ, a few sweeps of coordinate descent over W
(Cichocki and Phan 2009; several sweeps for each data product: Gillis and Glineur 2012), then A += Wᵀ S W and
B += Wᵀ S X while the block is in cache; after the pass the same sweeps over H from A and B. Both factors are
extrapolated, V + μ (V − V_before) put back into their sets, as by Ang and Gillis (2019); when the objective would
rise the iterate is thrown away and the search goes on from the last accepted one without momentum, so accepted
iterates are monotone.

Penalties that are sums over cells, or quadratic in the components, are exact within the sweeps; proximal and
smooth ones are met by proximal gradient steps in place of the sweeps (`quadratic.py` has both).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data.threads import Workers
from .gram import GramStats, data_product, gram_loss, gram_stats, squared_norm
from .kkt import Residual, balance
from .problem import Fixed, Problem
from .quadratic import columns_step, rows_step
from .step import Record, Solver, State

__all__ = ["HALS"]

MOMENTUM = 0.5
GROWTH, CEILING_GROWTH, DECAY = 1.05, 1.01, 1.5


class HALS(Solver):
    """See the module.

    ``extra`` holds the last accepted factors, and ``[momentum, its ceiling, objective, ‖X‖²]``.
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
        """One pass; a rejected one is followed by a plain one, so that every call accepts an iterate."""
        record, accepted = self._try(problem, state, pool, plain=False)
        if not accepted:
            scalars = state.extra["scalars"]
            scalars[:2] = scalars[0] / DECAY, scalars[0]
            state.W[...] = state.extra["W"]
            state.H = state.extra["H"].copy()
            record, _ = self._try(problem, state, pool, plain=True)
        return record

    def _try(self, problem: Problem, state: State, pool: Workers, *, plain: bool) -> tuple[Record, bool]:
        momentum, ceiling, best, xx = state.extra["scalars"]
        last_W, last_H = state.extra["W"], state.extra["H"]
        push = 0.0 if plain or not np.isfinite(best) else momentum
        stats, residual, moved = self._rows(problem, state, last_W, push, pool)
        sums, squares = stats.sums, np.diag(stats.A).astype(np.float64)
        pull = problem.penalties.on_H(state.H, sums, squares) if problem.penalties else None
        d = balance(last_W, state.H, problem.unit, problem.source.row_weights)
        H, of_columns = columns_step(state.H, stats, pull, problem, d, self.sweeps)
        objective = gram_loss(xx, stats, H)
        if problem.penalties:
            objective += problem.penalties.value(state.W, H, sums, squares)
        change = float(np.sqrt(moved) / max(float(np.linalg.norm(state.W)), np.finfo(float).tiny))
        record = Record(objective, (residual | of_columns).relative, change)
        if objective > best and not plain:
            return record, False
        pushed = H + H.dtype.type(momentum) * (H - last_H)
        pushed[problem.frozen] = H[problem.frozen]
        state.H = _back_into_set(pushed, pull)
        state.H[problem.frozen] = H[problem.frozen]
        state.extra["H"] = H
        last_W[...] = state.W
        ceiling = min(1.0, CEILING_GROWTH * ceiling)
        state.extra["scalars"] = np.array([min(ceiling, GROWTH * momentum), ceiling, objective, xx])
        return record, True

    def _rows(
        self, problem: Problem, state: State, last: np.ndarray, push: float, pool: Workers
    ) -> tuple[GramStats, Residual, float]:
        """Move W, extrapolate it by ``push``, and sum what H needs."""
        fixed, W = Fixed(rows=state.H), state.W
        fixed.gram, fixed.columns  # noqa: B018 - made once, before the threads ask for them
        pull = problem.penalties.on_W(W, state.H) if problem.penalties else None
        d = balance(W, state.H, problem.unit, problem.source.row_weights).astype(W.dtype)
        bounds = problem.source.bounds()

        def move(mine: np.ndarray, old: np.ndarray, P: np.ndarray, weights: Any) -> tuple[Residual, float]:
            seen = None if weights is None else weights > 0
            residual = rows_step(mine, fixed.gram, P, pull, problem, d, self.sweeps, seen)
            gap = mine - old
            moved = float(np.einsum("ij,ij->", gap, gap, dtype=np.float64))
            if push:
                mine += mine.dtype.type(push) * gap
                mine[...] = _back_into_set(mine, pull)
            return residual, moved

        residual, moved = Residual(), 0.0
        whole = problem.penalties is not None and problem.penalties.whole_W
        if whole:  # the penalty couples rows: all of W moves at once
            parts = pool.map(lambda cut: data_product(problem.source.block(*cut), fixed), bounds)
            residual, moved = move(W, last, np.concatenate(list(parts)), problem.source.row_weights)

        def work(cut: tuple[int, int]) -> tuple[GramStats, Residual, float]:
            block = problem.source.block(*cut)
            mine = W[block.rows]
            if whole:
                return gram_stats(block, mine), residual, 0.0
            found = move(mine, last[block.rows], data_product(block, fixed), block.row_weights)
            return gram_stats(block, mine), *found

        stats = None
        for of_block, of_rows, distance in pool.map(work, bounds):
            stats = of_block if stats is None else stats + of_block
            residual, moved = residual | of_rows, moved + distance
        assert stats is not None
        return stats, residual, moved


def _back_into_set(V: np.ndarray, pull: object) -> np.ndarray:
    """Project an extrapolated factor onto what it must satisfy."""
    if pull is None:
        return np.maximum(V, 0, out=V)
    if pull.step is not None:  # type: ignore[attr-defined]
        return pull.step.prox(V, 0.0)  # type: ignore[attr-defined]
    return np.clip(V, pull.low, pull.high, out=V)  # type: ignore[attr-defined]
