"""W for given components: the convex sub-problem of every row, solved on its own, to tolerance.

This *is* `transform`, and the last pass of every fit. The cold start is a function of H and the row alone, and each
row stops by its own residual, so a subset of rows gets the same answer.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from ..data.block import Block
from ..data.threads import Workers
from ..penalties import Combined
from .gram import data_product
from .mu import multiply
from .problem import Fixed, Problem
from .pull import Pull
from .quadratic import curvature, proximal_step

__all__ = ["solve_rows"]

MAX_SWEEPS = 2000


def solve_rows(
    problem: Problem, H: np.ndarray, tol: float, pool: Workers, sweeps: int = MAX_SWEEPS
) -> np.ndarray:
    """Argmin over W ≥ 0 of the loss for fixed H, or a few ``sweeps`` towards it (the start of a fit).

    Returns
    -------
    W : ndarray of shape (n, k)
    """
    fixed, pull = Fixed(rows=H), problem.row_pull
    fixed.columns, fixed.gram, fixed.sums  # noqa: B018 - made once, before the threads ask for them
    W = np.empty((problem.source.shape[0], H.shape[0]), H.dtype)

    def work(cut: tuple[int, int]) -> None:
        block = problem.source.block(*cut)
        W[block.rows] = _solve_block(problem, block, fixed, pull, tol, sweeps)

    for _ in pool.map(work, problem.source.bounds()):
        pass
    return W


def _solve_block(
    problem: Problem, block: Block, fixed: Fixed, pull: Pull | None, tol: float, sweeps: int
) -> np.ndarray:
    if problem.loss.beta == 2 and not block.is_masked:
        P = data_product(block, fixed)
        if pull is not None and pull.step is not None:
            return _proximal(fixed.gram, P, pull.step, tol, sweeps)
        if pull is not None:
            return _least_squares(fixed.gram + pull.Q, P - pull.linear, pull.low, pull.high, tol, sweeps)
        return _least_squares(fixed.gram, P, 0.0, np.inf, tol, sweeps)
    return _multiplicative(problem, block, fixed, tol, sweeps)


def _least_squares(
    G: np.ndarray, P: np.ndarray, low: float, high: float, tol: float, sweeps: int
) -> np.ndarray:
    """Coordinate descent to tolerance; rows it leaves above tolerance are finished by pivoting."""
    from ..kernels.hals import solve_rows as descend

    W = np.clip(_unconstrained(G, P), low, high)
    residual = np.empty(len(W), W.dtype)
    descend(W, G, P, low, high, sweeps, tol, residual)
    late = np.flatnonzero(~(residual <= tol))
    if late.size and sweeps == MAX_SWEEPS and low == 0 and high == np.inf:
        W[late] = _active_set(G, P[late])
    return W


def _active_set(G: np.ndarray, P: np.ndarray) -> np.ndarray:
    """The exact answer by Lawson and Hanson's active sets, for rows on which coordinate descent is slow."""
    values, vectors = np.linalg.eigh(G.astype(np.float64))
    kept = values > values[-1] * np.finfo(np.float64).eps * len(G)
    root = np.sqrt(values[kept])
    factor, images = root[:, None] * vectors[:, kept].T, (P @ vectors[:, kept]) / root
    return np.array([nnls(factor, image)[0] for image in images], dtype=P.dtype)


def _unconstrained(G: np.ndarray, P: np.ndarray) -> np.ndarray:
    """P G⁻¹, the answer without bounds (with a small ridge, because G may be singular)."""
    k = len(G)
    ridge = max(float(np.trace(G, dtype=np.float64)) / k, np.finfo(np.float64).tiny) * 1e-6
    return P @ np.linalg.inv(G.astype(np.float64) + ridge * np.eye(k)).astype(P.dtype)


def _proximal(G: np.ndarray, P: np.ndarray, penalty: Combined, tol: float, steps: int) -> np.ndarray:
    """Proximal gradient steps; a row stops when a step no longer moves it."""
    W = penalty.prox(_unconstrained(G, P), 0.0)
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


def _multiplicative(problem: Problem, block: Block, fixed: Fixed, tol: float, sweeps: int) -> np.ndarray:
    """Multiplicative updates from a flat start, row by row until its own residual is small."""
    loss, H = problem.loss, fixed.rows
    k = len(H)
    W = np.full((block.X.shape[0], k), 1.0 / k, H.dtype)
    scale = np.sqrt(np.einsum("ij,ij->i", H, H, dtype=np.float64))
    scale[scale == 0] = 1
    for _ in range(sweeps):
        negative, positive = loss.row_terms(block, W, H)
        violation = np.abs(np.minimum(W * scale, (positive - negative) / scale)).max(axis=1)
        going = violation > tol * np.maximum((negative / scale).max(axis=1), np.finfo(H.dtype).tiny)
        if not going.any():
            break
        moved = W[going]
        multiply(moved, negative[going], positive[going], loss.exponent, 1.0)
        W[going] = moved
    return W
