"""A start for many rows: fit a sample of whole blocks first, then a larger one, then go on with all rows.

H from 1/8 of the rows of a large X is already within a percent of the best H, at an eighth of the cost of a pass. The
samples are strided over X, so sorted data are covered. Parts that only few rows have may be missing in a sample; what
is lost so, or on the way, is looked for when the loss has settled on all rows: see `missed.py`.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..data.sampled import EveryNth
from ..data.threads import Workers
from .gram import data_squares
from .problem import Problem
from .rows import first_rows
from .step import Solver, State

__all__ = ["head_start", "is_many_sparse", "mean_rows", "worth_it"]

MANY_ROWS, TALL = 20_000, 8
MANY_SPARSE_ROWS = 10_000


@dataclass(frozen=True)
class Stage:
    """Every ``step``-th block, until a pass lowers the loss by less than ``until`` of it, at most ``passes`` times."""

    step: int
    until: float
    passes: int


STAGES = (Stage(32, 3e-4, 80), Stage(8, 5e-4, 20))
AVERAGED, AVERAGED_SPARSE, BACKGROUND = 3, 30, 1e-3


def worth_it(problem: Problem) -> bool:
    """Whether the data are tall enough, and plain (no cell weights, no penalties)."""
    n, m = problem.source.shape
    plain = not problem.source.is_masked and not problem.penalties and not problem.source.is_sparse
    return plain and n >= MANY_ROWS and n > TALL * m and len(problem.source.bounds()) >= 2 * STAGES[0].step


def is_many_sparse(problem: Problem) -> bool:
    """Whether means of rows are a better start than an SVD: for many sparse rows they cost less than the first pass."""
    plain = not problem.source.is_masked and not problem.penalties and problem.loss.beta == 2
    return plain and problem.source.is_sparse and problem.source.shape[0] >= MANY_SPARSE_ROWS


def mean_rows(problem: Problem, rng: np.random.Generator) -> np.ndarray:
    """Each row of H is the mean of a few random rows (three; thirty sparse ones), on a little of the mean of X."""
    source, k = problem.source, problem.k
    count, rows = AVERAGED_SPARSE if source.is_sparse else AVERAGED, None
    if worth_it(problem):  # of the first sample alone: the others may have to be read from disk
        rows = EveryNth(source, STAGES[0].step).rows
    n = source.shape[0] if rows is None else len(rows)
    picked = np.sort(rng.choice(n, (k, count), replace=n < count * k), axis=1)
    if rows is not None:
        picked = rows[picked]
    if source.is_sparse:  # dense, they may be many
        H = np.stack([source.take(of_component).mean(axis=0) for of_component in picked])
    else:
        found = source.take(picked.ravel()).reshape(*picked.shape, -1)
        H = np.stack([of_component.mean(axis=0) for of_component in found])
    return H + H.dtype.type(BACKGROUND * problem.unit)


def head_start(problem: Problem, solver: Solver, H: np.ndarray, pool: Workers) -> tuple[Any, np.ndarray]:
    """Run the stages; return where W starts for all rows, and H."""
    state: State | None = None
    before: EveryNth | None = None
    for stage in STAGES:
        sample = EveryNth(problem.source, stage.step)
        squares = sum(pool.over(sample, data_squares, merge=operator.add))
        smaller = replace(problem, source=sample, squares=squares)
        W = first_rows(smaller, solver, H, pool)
        if state is not None and before is not None:
            for here, there in sample.shared(before):
                W[here] = state.W[there]
        state = State(W, H)
        solver.start(smaller, state, pool)
        solver.settle(smaller, state, pool, stage.until, stage.passes)
        H, before = state.H, sample
    return first_rows(problem, solver, H, pool), H
