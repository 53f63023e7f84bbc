"""Probabilistic latent semantic indexing on KL-NMF: the step of EM, and the hybrid that leaves local optima.

Maximising PLSI's likelihood of X and minimising KL(X | W H) are one problem (Ding, Li & Peng 2006): with rows of H
that sum to 1, W_dz / Σ X is P(d, z) and H_zw is P(w | z). A step of EM is one of multiplicative updates in which W
and H move at once, H's rows being brought back to sum 1.

Where cells are missing or weighted, what is maximised is Σ s_d v_dw (x_dw log y_dw − y_dw), y = W H: as W leaves the
lengths of documents free, that is the likelihood of the counts among the cells that were observed (see `models.plsa`).
W and H no longer part in the M-step; it moves W, then H for that W (ECM, Meng & Rubin 1993, *Biometrika* 80), which
still never lowers the likelihood.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from ..data.block import Block
from ..data.threads import Workers
from ..losses.beta import Stats
from .iterate import Arrays
from .kkt import Residual, balance, column_squares, residual_of
from .momentum import accelerated, at_rest
from .mu import multiply
from .problem import Problem
from .select import choose
from .start import chi_square_roots, squares_fit
from .step import Record, State

__all__ = ["EM", "Hybrid", "em_step", "with_unit_rows"]

SETTLED, PASSES = 1e-5, 300  # a descent ends when a pass lowers the loss by less than that part of it
SQUARES_SETTLED, SQUARES_PASSES = 1e-6, 300  # of a descent in least squares between two of KL
GAIN = 1e-6  # of the loss: less is no other optimum


def with_unit_rows(
    W: np.ndarray, H: np.ndarray, frozen: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The same product with rows of H of sum 1; a row of zeros becomes flat, its column of W zero.

    Frozen rows have that sum already, up to rounding, and stay as they are.
    """
    sums = H.sum(axis=1, dtype=np.float64)
    flat = np.full(H.shape, 1 / H.shape[1])
    unit = np.divide(H, sums[:, None], out=flat, where=sums[:, None] > 0)
    if frozen is not None and frozen.any():
        sums[frozen], unit[frozen] = 1, H[frozen]
    return (W * sums).astype(W.dtype), unit.astype(H.dtype)


def em_step(
    problem: Problem, W: np.ndarray, H: np.ndarray, pool: Workers
) -> tuple[np.ndarray, np.ndarray, float, Residual]:
    """One step of EM (Hofmann 1999, eq. 3, 5 and 6), from factors whose H has rows of sum 1.

    E: P(z | d, w) = W_dz H_zw / (W H)_dw. M: W_dz ← Σ_w x_dw P(z | d, w), H_zw ← Σ_d s_d x_dw P(z | d, w), then rows
    of sum 1. With weights v of the cells x_dw counts v_dw times, and the sums are divided by Σ_w v_dw H_zw and
    by Σ_d s_d v_dw W_dz, that W being the new one. An entry below rounding that should grow starts again from there, as
    in `mu`. Frozen rows of H stay.

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
    masked, free = problem.source.is_masked, ~problem.frozen
    d = balance(column_squares(W, weights), H, problem.unit)
    units, per = d.astype(W.dtype), 1 / problem.unit

    def work(cut: tuple[int, int]) -> tuple[Stats, Residual, np.ndarray]:
        block = problem.source.block(*cut)
        mine = W[block.rows]
        negative, positive, stats = loss.both(block, mine, H)
        residual = residual_of(mine, negative, positive, units, per, row_weights=block.row_weights)
        multiply(mine, negative, positive if masked else np.ones_like(positive), 1.0, 1.0)
        return stats, residual, _exposure(block, mine) if masked else stats.positive

    stats, residual, exposure = None, Residual(), np.zeros_like(H)
    for found, of_rows, seen in pool.map(work, problem.source.bounds()):
        exposure += seen
        stats = found if stats is None else stats + found
        residual |= of_rows
    assert stats is not None
    to_H = (1 / (problem.unit * d[free]))[:, None].astype(H.dtype)
    residual |= residual_of(H[free], stats.negative[free], stats.positive[free], to_H, per)
    moved = H.copy()
    multiply(moved, stats.negative, exposure, 1.0, 1 / H.shape[1])
    moved[problem.frozen] = H[problem.frozen]
    scaled, unit = with_unit_rows(W, moved, problem.frozen)
    return scaled if masked else W, unit, stats.loss, residual


def _exposure(block: Block, W: np.ndarray) -> np.ndarray:
    """Σ_d s_d v_dw W_dz of a block, (k, m)."""
    weighted = W if block.row_weights is None else W * block.row_weights[:, None]
    if block.weights is None:
        return np.repeat(weighted.sum(axis=0)[:, None], block.X.shape[1], axis=1)
    if not block.is_sparse:
        return weighted.T @ block.weights
    V = sp.csr_array((block.weights, block.X.indices, block.X.indptr), shape=block.X.shape)
    return np.ascontiguousarray((V.T @ weighted).T)


class EM:
    """Expectation–maximisation, extrapolated; a step that raises the loss is repeated without.

    Parameters
    ----------
    problem : Problem
        With the KL loss.
    pool : Workers
    """

    def __init__(self, problem: Problem, pool: Workers) -> None:
        self.problem, self.pool = problem, pool

    def begin(self, W: np.ndarray, H: np.ndarray) -> Arrays:
        """The state at a start."""
        return Arrays(at_rest({"W": W, "H": H}))

    def advance(self, state: Arrays, tol: float) -> Record:
        """A step."""
        return accelerated(state, self._move, ("W", "H"))

    def _move(self, at: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], float, float]:
        problem, source = self.problem, self.problem.source
        W, H = with_unit_rows(at["W"], at["H"], problem.frozen)
        W, H, _, residual = em_step(problem, W, H, self.pool)

        def value(cut: tuple[int, int]) -> float:
            block = source.block(*cut)
            return float(problem.loss.value(block, W[block.rows], H))

        return {"W": W, "H": H}, sum(self.pool.map(value, source.bounds())), residual.relative


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
        self.solver.start(self.problem, state, self.pool)
        state.extra["tried"] = np.array([0.0, np.inf])
        return state

    def advance(self, arrays: Arrays, tol: float) -> Record:
        """A `step` of the state that gave these arrays."""
        own = ("extra.scalars", "extra.tried")  # what an iteration writes into
        state = State.of(dict(arrays) | {name: arrays[name].copy() for name in own if name in arrays})
        record = self.step(state, tol)
        arrays.update(state.arrays())
        return record

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
        kept = self.problem.frozen
        if kept.any():  # the other loss has them in other units, with a background
            W[:, kept] *= H[kept].mean(axis=1) / state.H[kept].mean(axis=1)
            H[kept] = state.H[kept]
        other, loss = self.begin(W, H), np.inf
        for _ in range(PASSES):
            record = self.solver.iterate(self.problem, other, self.pool)
            if loss - record.loss < SETTLED * record.loss:
                break
            loss = record.loss
        return other, record
