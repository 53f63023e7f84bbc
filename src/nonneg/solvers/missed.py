"""Parts that a fit has lost: looked for in the rows that fit worst, once the loss has settled.

A part that only few rows have can be lost for good. In the first passes the entries of H that only these rows need may
fall to zero in every component, then W of these rows is zero too, and neither can move again: a saddle, from every
start. It shows in the rows themselves: almost nothing of them is explained. So when the loss has settled, the part
that explains most of what is left of the worst rows is compared with the component that could be spared most easily;
if it is worth more, it takes that one's place, and the fit goes on from there if that proves better within a few
iterations.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data.block import Block
from ..data.by_place import by_place
from ..data.threads import Workers
from .gram import data_product, gram_of
from .kkt import column_sizes, column_squares
from .problem import Fixed, Problem
from .rows import first_rows
from .step import Solver, State

__all__ = ["SETTLED", "can_look", "recover", "residual_squares"]

SETTLED = 3e-5  # relative fall of the loss in an iteration
WORST = 1e-2  # share of the rows (by weight) that are looked at
CELLS = 4_000_000  # and at most so many of their cells
ROUNDS = 10  # of the power method
TRIAL = 20  # iterations in which a replaced component must prove better


def can_look(problem: Problem) -> bool:
    """Whether losses of rows follow from Gram matrices (Frobenius, complete data) and components are free to go."""
    plain = problem.loss.beta == 2 and not problem.source.is_masked and not problem.penalties
    return plain and problem.k > 1 and not problem.frozen.all()


def recover(problem: Problem, solver: Solver, state: State, loss: float, pool: Workers) -> bool:
    """Put a missed part in the place of a component that can be spared; change ``state`` only if the loss falls."""
    H = _with_missed_part(problem, state.W, state.H, pool)
    if H is None:
        return False
    trial = State(first_rows(problem, solver, H, pool), H)
    solver.start(problem, trial, pool)
    left = TRIAL
    while left > 0:
        records = solver.advance(problem, trial, pool, left, 0.0)
        if records[-1].loss < loss:
            state.W, state.H = trial.W, trial.H
            state.extra.update(trial.extra)
            return True
        left -= len(records)
    return False


def _with_missed_part(problem: Problem, W: Any, H: np.ndarray, pool: Workers) -> np.ndarray | None:
    """H with a missed part in the place of the component that is worth least; None when that is worth more.

    The part c ≥ 0 is the best single one for the residuals R of the worst rows: power iterations
    c ← max(0, Rᵀ max(0, R c)).
    It would take Σ_i max(0, r_i·c)² / 2‖c‖² off the loss. Doing without component j costs, when the others may take
    over with any sign, ‖W_j‖² / 2 (H Hᵀ)⁻¹_jj or ‖H_j‖² / 2 (Wᵀ S W)⁻¹_jj, whatever is less.
    """
    source = problem.source
    weights = source.row_weights
    worst, mass = _worst_rows(_residual_squares(problem, W, H, pool), weights, CELLS // max(1, H.shape[1]))
    R = (source.take(worst) - W[worst] @ H) * np.sqrt(mass).astype(H.dtype)[:, None]
    part = np.maximum(R.mean(axis=0), 0).astype(np.float64)
    for _ in range(ROUNDS):
        part = np.maximum(np.maximum(R @ (part / (np.linalg.norm(part) or 1.0)), 0) @ R, 0)
    size = np.linalg.norm(part)
    if size == 0:
        return None
    part /= size
    gain = float((np.maximum(R @ part, 0) ** 2).sum())
    of_W = _spared(H @ H.T, column_sizes(source, W, pool)[1])
    of_H = _spared(gram_of(source, W, pool), column_squares(H.T))
    worth = np.minimum(of_W, of_H)
    worth[problem.frozen] = np.inf
    least = int(np.argmin(worth))
    if gain <= worth[least]:
        return None
    H = H.copy()
    H[least] = part * np.linalg.norm(R)
    return H


def _worst_rows(squares: np.ndarray, weights: np.ndarray | None, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows with the largest residuals, and the weight each counts with: `WORST` of all weight together.

    The last row counts in part, so that a row of weight two is two rows.
    """
    weights = np.ones(len(squares)) if weights is None else weights.astype(np.float64)
    order = np.argsort(-np.where(weights > 0, squares, -np.inf), kind="stable")
    counts = weights[order]
    left = WORST * counts.sum() - (np.cumsum(counts) - counts)
    taken = max(1, min(most, int((left > 0).sum())))
    order, mass = order[:taken], np.minimum(counts, left)[:taken]
    by_row = np.argsort(order)
    return order[by_row], mass[by_row]


def _residual_squares(problem: Problem, W: Any, H: np.ndarray, pool: Workers) -> np.ndarray:
    """‖x_i − w_i H‖² = ‖x_i‖² − 2 w_i·p_i + w_i G w_iᵀ of every row, with P = X Hᵀ and G = H Hᵀ."""
    fixed = Fixed(rows=H)
    fixed.gram, fixed.columns  # noqa: B018 - made once, before the threads ask for them

    def work(block: Block, w: np.ndarray) -> np.ndarray:
        return residual_squares(block, w, fixed)

    return np.concatenate(list(pool.over(problem.source, work, W)))


@by_place
def residual_squares(block: Block, W: np.ndarray, fixed: Fixed) -> np.ndarray:
    """‖x_i − w_i H‖² of the rows of a block."""
    X = block.X.power(2).sum(axis=1) if block.is_sparse else np.einsum("ij,ij->i", block.X, block.X)
    return X + np.einsum("ij,ij->i", W, W @ fixed.gram - 2 * data_product(block, fixed))


def _spared(G: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """‖V_j‖² / G⁻¹_jj: what the squared error rises by without component j when V is refitted without bounds.

    ``squares`` holds ‖V_j‖² of the columns of one factor, ``G`` the Gram matrix of the components of the other one.
    """
    G = G.astype(np.float64)
    size = np.sqrt(np.diag(G))
    size = np.where(size > 0, size, 1)
    correlation = G / size / size[:, None] + 1e-10 * np.eye(len(G))
    return squares * size**2 / np.diag(np.linalg.inv(correlation))
