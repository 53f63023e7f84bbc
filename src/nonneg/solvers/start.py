"""Where the components of a fit start when the user leaves it to the library.

Frobenius loss: from means of a few rows where the rows are many (the passes that follow cost more than a better guess
is worth), from a singular value decomposition elsewhere.

KL: from a few passes of the Frobenius loss on X̃_ij = X_ij / √(r_i c_j), with r and c the sums of rows and columns.
Near independence, y_ij ≈ r_i c_j / Σr, the KL divergence is half the χ² distance, Σ (x − y)² / 2y, and on these data
that is the Frobenius loss: WH ↦ diag(r)^-½ W H diag(c)^-½ is its optimal scaling for Poisson noise (Keenan and Kotula
2004, *Surface and Interface Analysis* 36; the weights are those of correspondence analysis). A pass of HALS costs a
small part of a pass of coordinate descent for KL.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..data import Source, Summary
from ..data.scaled import scaled
from ..data.threads import Workers, workers
from ..init import initial_components
from ..losses import as_loss
from .hals import HALS
from .problem import Problem
from .progressive import head_start, is_many_sparse, mean_rows, worth_it
from .rows import first_rows
from .select import choose
from .step import Solver, State

__all__ = ["Start", "starting_point"]

SETTLED, PASSES = 3e-4, 30  # of the χ² fit: it ends when a pass lowers the loss by less than that part of it
BACKGROUND = (
    0.1,
    0.01,
)  # of the mean of a component (of a column of W), added to its cells: KL decides on zeros


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
    if isinstance(solver, HALS):
        progressive = worth_it(problem)
        if progressive or is_many_sparse(problem):
            return Start(mean_rows(problem, rng), progressive=progressive)
    plain = not problem.source.is_masked and not problem.penalties
    if problem.loss.beta == 1 and plain and summary.maximum > 0:
        with workers(len(problem.source.bounds())) as pool:
            return _chi_square(problem, rng, pool, first=first)
    return Start(initial_components(init if first else "random", problem.source, summary, problem.k, rng))


def _chi_square(problem: Problem, rng: np.random.Generator, pool: Workers, *, first: bool) -> Start:
    rows, columns = _sums(problem.source, pool)
    source = scaled(problem.source, _inverse_root(rows), _inverse_root(columns))
    found = source.summary()
    chi = Problem(
        source, as_loss("frobenius"), found.mean or 1.0, found.total_weight, found.squares, problem.frozen
    )
    solver = choose("hals", chi.loss, source)
    begin = starting_point(chi, solver, found, "auto", rng, first=first)
    if begin.progressive:
        W, H = head_start(chi, solver, begin.H, pool)
    else:
        W, H = first_rows(chi, solver, begin.H, pool), begin.H
    state = State(W, H)
    solver.start(chi, state)
    loss = np.inf
    for _ in range(PASSES):
        record = solver.iterate(chi, state, pool)
        if loss - record.loss < SETTLED * record.loss:
            break
        loss = record.loss
    W, H = state.W * np.sqrt(rows)[:, None], state.H * np.sqrt(columns)
    sizes = np.where(H.any(axis=1), H.mean(axis=1), 1) / problem.unit
    H, W = H / sizes[:, None], W * sizes
    H += BACKGROUND[0] * H.mean(axis=1, keepdims=True)
    W += BACKGROUND[1] * np.average(W, axis=0, weights=problem.source.row_weights)
    return Start(H.astype(state.H.dtype), W.astype(state.W.dtype))


def _sums(source: Source, pool: Workers) -> tuple[np.ndarray, np.ndarray]:
    """Sums of the rows, and weighted sums of the columns, each divided by their largest."""
    rows, columns = np.empty(source.shape[0]), np.zeros(source.shape[1])

    def work(cut: tuple[int, int]) -> np.ndarray:
        block = source.block(*cut)
        rows[block.rows] = block.X.sum(axis=1, dtype=np.float64)
        weights = np.ones(len(rows[block.rows])) if block.row_weights is None else block.row_weights
        return block.X.T @ weights.astype(block.X.dtype)

    for part in pool.map(work, source.bounds()):
        columns += part
    dtype = source.float_dtype
    return (rows / (rows.max() or 1.0)).astype(dtype), (columns / (columns.max() or 1.0)).astype(dtype)


def _inverse_root(sums: np.ndarray) -> np.ndarray:
    return 1 / np.sqrt(np.where(sums > 0, sums, 1))
