"""W for given components: the convex sub-problem of every row, solved on its own, to tolerance.

This *is* `transform`, and the last pass of every fit. The cold start is a function of H and the row alone, and each
row stops by its own residual, so a subset of rows gets the same answer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data.block import Block
from ..data.by_place import by_place
from ..data.threads import Workers
from ..penalties import Combined
from .beta_rows import beta_rows
from .gram import data_product
from .kernel_rows import kl_rows, weighted_rows
from .least_squares import MAX_SWEEPS, nonnegative_rows, unconstrained_rows
from .mu import cell_terms
from .problem import Fixed, Problem
from .pull import Pull
from .quadratic import curvature, proximal_step
from .step import Solver

__all__ = ["first_rows", "other_rows", "solve_block", "solve_rows"]

START_SWEEPS, START_TOLERANCE = 4, 1e-10  # at the start of a fit, where H is a guess yet: all sweeps
MASKED_SWEEPS = 500  # each row has its own Gram matrix: sweeps are cheap beside making it


def solve_rows(
    problem: Problem, H: np.ndarray | Fixed, tol: float, pool: Workers, sweeps: int = MAX_SWEEPS
) -> Any:
    """Argmin over W ≥ 0 of the loss for fixed H, or a few ``sweeps`` towards it.

    ``H`` may be a `Fixed` that knows more: the columns of a sparse tensor where it stores anything, and the Gram matrix
    and the sums of all of them.

    Returns
    -------
    W : row array of shape (n, k)
    """
    fixed, pull = H if isinstance(H, Fixed) else Fixed(rows=H), problem.row_pull
    fixed.columns, fixed.sums  # noqa: B018 - made once, before the threads ask for them
    if problem.loss.beta == 2:
        fixed.gram  # noqa: B018
    W = pool.empty(problem.source, len(fixed.rows), fixed.rows.dtype)

    def work(block: Block, mine: np.ndarray) -> None:
        mine[...] = solve_block(problem, block, fixed, pull, tol, sweeps)

    for _ in pool.over(problem.source, work, out=(W,), merge=lambda *_: None):
        pass
    return W


def first_rows(problem: Problem, solver: Solver, H: np.ndarray, pool: Workers) -> Any:
    """Where W starts for a given H: at 0 where the solver's first pass does the rest, else after a few sweeps."""
    if solver.from_zero and not problem.penalties:
        return pool.zeros(problem.source, len(H), H.dtype)
    return solve_rows(problem, H, START_TOLERANCE, pool, sweeps=START_SWEEPS)


def solve_block(
    problem: Problem, block: Block, fixed: Fixed, pull: Pull | None, tol: float, sweeps: int = MAX_SWEEPS
) -> np.ndarray:
    """The rows of W of a block; see `solve_rows`."""
    if problem.loss.beta == 2 and not block.is_masked:
        P = data_product(block, fixed)
        if pull is not None and pull.step is not None:
            return _proximal(fixed.gram, P, pull.step, tol, sweeps)
        if pull is not None:
            return nonnegative_rows(fixed.gram + pull.Q, P - pull.linear, pull.low, pull.high, tol, sweeps)
        return nonnegative_rows(fixed.gram, P, 0.0, np.inf, tol, sweeps)
    return other_rows(problem, block, fixed, pull, tol, sweeps)


@by_place
def other_rows(
    problem: Problem, block: Block, fixed: Fixed, pull: Pull | None, tol: float, sweeps: int
) -> np.ndarray:
    """`solve_block` where rows have no Gram matrix in common."""
    if problem.loss.beta in (1, 2):
        return _by_kernel(problem, block, fixed, pull, tol, sweeps)
    return beta_rows(problem.loss, block, fixed.rows, cell_terms(pull), tol, sweeps)


def _proximal(G: np.ndarray, P: np.ndarray, penalty: Combined, tol: float, steps: int) -> np.ndarray:
    """Proximal gradient steps; a row stops when a step no longer moves it."""
    W = penalty.prox(unconstrained_rows(G, P), 0.0)
    L = curvature(G, penalty, W)
    going = np.arange(len(W))
    for _ in range(steps):
        old = W[going]
        new = proximal_step(old, old @ G - P[going], penalty, L)
        W[going] = new
        going = going[np.abs(new - old).max(axis=1) > 0.1 * tol * np.abs(new).max(axis=1)]
        if not going.size:
            break
    return W


def _by_kernel(
    problem: Problem, block: Block, fixed: Fixed, pull: Pull | None, tol: float, sweeps: int
) -> np.ndarray:
    """Coordinate descent for KL, and for least squares over each row's observed cells."""
    H = fixed.rows
    k, dtype = len(H), H.dtype
    linear = np.zeros(k, dtype) if pull is None else pull.linear
    ridge = np.zeros(k, dtype) if pull is None else np.ascontiguousarray(np.diag(pull.Q))
    low, high = (0.0, np.inf) if pull is None else (pull.low, pull.high)
    W = np.full((block.X.shape[0], k), min(max(1.0 / k, low), high), dtype)
    free = np.zeros(k, bool)
    if problem.loss.beta == 1:
        kl_rows(block, W, fixed, linear, ridge, low, high, free, sweeps, tol)
    else:
        weighted_rows(block, W, fixed, linear, ridge, low, high, free, min(sweeps, MASKED_SWEEPS))
        if sweeps == MAX_SWEEPS and low == 0 and high == np.inf:
            _finish_rows(problem, block, W, fixed, linear, ridge, tol)
    return W


def _finish_rows(
    problem: Problem, block: Block, W: np.ndarray, fixed: Fixed, linear: np.ndarray, ridge: np.ndarray, tol: float
) -> None:  # fmt: skip
    """Rows with missing cells that are still above tolerance: exactly, each from its own Gram matrix, in place."""
    from ..kernels import bpp

    H = fixed.rows
    negative, positive = problem.loss.row_terms(block, W, H)
    d = np.sqrt(np.diag(fixed.gram))
    d = np.where(d > 0, d, 1)
    slope = (positive - negative + linear + ridge * W) / d
    violation = np.abs(np.minimum(W * d, slope)).max(axis=1)
    for i in map(int, np.flatnonzero(~(violation <= tol * (negative / d).max(axis=1)))):
        x, weights = _observed_row(block, i)
        G = (H * weights) @ H.T + np.diag(ridge)
        bpp.solve(G, (H @ (weights * x) - linear)[None], W[i : i + 1])


def _observed_row(block: Block, i: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells and weights of a row of a masked block, dense."""
    assert block.weights is not None
    if not block.is_sparse:
        return block.X[i], block.weights[i]
    cells = slice(block.X.indptr[i], block.X.indptr[i + 1])
    x, weights = np.zeros((2, block.X.shape[1]), block.X.dtype)
    x[block.X.indices[cells]], weights[block.X.indices[cells]] = block.X.data[cells], block.weights[cells]
    return x, weights
