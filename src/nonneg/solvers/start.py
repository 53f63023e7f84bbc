"""Where the components of a fit start when the user leaves it to the library.

Frobenius loss: from means of a few rows where the rows are many (the passes that follow cost more than a better guess
is worth), from a singular value decomposition elsewhere.

KL: from a few passes of the Frobenius loss on X_ij / √((r_i + s r̄)(c_j + s c̄)), r and c the sums of rows
and columns, r̄ and c̄ their means, s = `SMOOTHING`. Near independence, y_ij ≈ r_i c_j / Σr, the KL divergence
is half the χ² distance Σ (x − y)² / 2y, which with s = 0 is the Frobenius loss here: the optimal scaling for
Poisson noise (Keenan and Kotula 2004, *Surface and Interface Analysis* 36), with the weights of
correspondence analysis. But the premise fails for rare rows with rare columns of their own: with s = 0 a
single count x_ij = r_i = c_j = 1 weighs as much as a whole topic. A pass of HALS costs a small part of a pass
of coordinate descent for KL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..data import Source, Summary
from ..data.scaled import scaled
from ..data.threads import Workers, workers
from ..init import initial_components
from ..losses import as_loss
from .hals import HALS
from .problem import Problem
from .progressive import is_many_sparse, mean_rows, worth_it
from .rows import first_rows
from .select import choose
from .step import Solver, State

__all__ = ["Start", "chi_square_roots", "observed_means", "squares_fit", "starting_point"]

SETTLED, PASSES = 3e-4, 30  # of the χ² fit: it ends when a pass lowers the loss by less than that part of it
SMOOTHING = 0.7  # s above; .3 to 2 do as well
BACKGROUND_H, BACKGROUND_W = (
    0.1,
    0.01,
)  # of the mean of a row of H, a column of W, on top: KL decides on zeros


class Start(NamedTuple):
    """H of shape (k, m); W of shape (n, k), or None; whether a sample of the rows is to be fitted first."""

    H: np.ndarray
    W: np.ndarray | None = None
    progressive: bool = False


def starting_point(
    problem: Problem,
    solver: Solver,
    summary: Summary,
    init: str,
    rng: np.random.Generator,
    *,
    first: bool = True,
) -> Start:
    """Return where a fit begins.

    A named init is taken at its word for the first of several starts; the later ones are random.
    """
    if first and init != "auto":
        return Start(initial_components(init, problem.source, summary, problem.k, rng))
    progressive = isinstance(solver, HALS) and worth_it(problem)
    if problem.source.spread:  # an SVD and a fit of χ² hold arrays of n rows
        if problem.source.is_masked:
            return Start(initial_components("random", problem.source, summary, problem.k, rng))
        return Start(mean_rows(problem, rng), progressive=progressive)
    if progressive or (isinstance(solver, HALS) and is_many_sparse(problem)):
        return Start(mean_rows(problem, rng), progressive=progressive)
    plain = not problem.source.is_masked and not problem.penalties
    if problem.loss.beta == 1 and plain and summary.maximum > 0 and not problem.source.device:
        with workers(len(problem.source.bounds())) as pool:
            return _chi_square(problem, rng, pool, first=first)
    return Start(initial_components(init if first else "random", problem.source, summary, problem.k, rng))


def _chi_square(problem: Problem, rng: np.random.Generator, pool: Workers, *, first: bool) -> Start:
    def begin(chi: Problem, solver: Solver, found: Summary) -> State:
        H = starting_point(chi, solver, found, "auto", rng, first=first).H
        return State(first_rows(chi, solver, H, pool), H)

    return squares_fit(problem, *chi_square_roots(problem.source, pool), begin, pool)


def chi_square_roots(source: Source, pool: Workers) -> tuple[np.ndarray, np.ndarray]:
    """Roots of the sums of rows and columns by which X is divided: the Frobenius loss is then that of χ²."""
    rows, columns = _sums(source, pool)
    return np.sqrt(rows), np.sqrt(columns)


def squares_fit(
    problem: Problem,
    rows: np.ndarray,
    columns: np.ndarray,
    begin: Callable[[Problem, Solver, Summary], State],
    pool: Workers,
    settled: float = SETTLED,
    passes: int = PASSES,
) -> Start:
    """Where passes of the Frobenius loss on X_ij / (rows_i columns_j) lead, as a start for KL on X.

    ``begin(problem, solver, summary)`` says where they start, in the units of that problem.
    """
    source = scaled(problem.source, 1 / rows, 1 / columns)
    found = source.summary()
    chi = Problem(
        source, as_loss("frobenius"), found.mean or 1.0, found.total_weight, found.squares, problem.frozen
    )
    solver = choose("auto", chi.loss, source)
    state = begin(chi, solver, found)
    solver.start(chi, state, pool)
    solver.settle(chi, state, pool, settled, passes)
    W, H = state.W * rows[:, None], state.H * columns
    sizes = H.mean(axis=1) / problem.unit
    sizes = np.where(sizes > 0, sizes, 1)
    H, W = H / sizes[:, None], W * sizes
    H += BACKGROUND_H * H.mean(axis=1, keepdims=True)
    W += BACKGROUND_W * np.average(W, axis=0, weights=problem.source.row_weights)
    return Start(H.astype(state.H.dtype), W.astype(state.W.dtype))


def _sums(source: Source, pool: Workers) -> tuple[np.ndarray, np.ndarray]:
    """Sums of the rows, and weighted sums of the columns, in units of their mean, with `SMOOTHING` on top.

    Where cells are missing or weighted: means, of what is observed.
    """
    rows, columns = np.empty(source.shape[0]), np.zeros(source.shape[1])
    if source.is_masked:
        return _smoothed(*observed_means(source, pool), source)

    def work(cut: tuple[int, int]) -> np.ndarray:
        block = source.block(*cut)
        rows[block.rows] = block.X.sum(axis=1, dtype=np.float64)
        weights = np.ones(block.X.shape[0]) if block.row_weights is None else block.row_weights
        return block.X.T @ weights.astype(block.X.dtype)

    for part in pool.map(work, source.bounds()):
        columns += part
    return _smoothed(rows, columns, source)


def observed_means(source: Source, pool: Workers) -> tuple[np.ndarray, np.ndarray]:
    """Weighted means of the rows and of the columns over their observed cells; 0 where there are none."""
    rows = np.zeros((2, source.shape[0]))

    def work(cut: tuple[int, int]) -> np.ndarray:
        dense = source.block(*cut).dense()
        weights = np.ones_like(dense.X) if dense.weights is None else dense.weights
        pair = [dense.X * weights, weights]
        rows[:, dense.rows] = [V.sum(axis=1, dtype=np.float64) for V in pair]
        s = np.ones(len(weights)) if dense.row_weights is None else dense.row_weights.astype(np.float64)
        return np.stack([s @ V for V in pair])

    columns = sum(pool.map(work, source.bounds()), np.zeros((2, source.shape[1])))
    first, second = [np.divide(V[0], V[1], out=np.zeros(V.shape[1]), where=V[1] > 0) for V in (rows, columns)]
    return first, second


def _smoothed(rows: np.ndarray, columns: np.ndarray, source: Source) -> tuple[np.ndarray, np.ndarray]:
    rows /= np.average(rows, weights=source.row_weights) or 1.0
    columns /= columns.mean() or 1.0
    return (rows + SMOOTHING).astype(source.float_dtype), (columns + SMOOTHING).astype(source.float_dtype)
