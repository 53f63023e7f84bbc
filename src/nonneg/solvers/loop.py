"""THE loop: start, iterate, stop, and the last pass that makes W what `transform` returns."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..data.threads import Workers, workers
from ..files import Checkpoint
from ..losses.beta import Stats
from .iterate import Clock, Run, compiling
from .judge import can_solve_and_judge, judge, solve_and_judge
from .missed import SETTLED, can_look, recover
from .problem import Problem
from .progressive import head_start
from .rows import first_rows, solve_rows
from .solution import History, Solution
from .start import Start
from .step import Record, Solver, State

__all__ = ["ROW_TOLERANCE", "solve"]

ROW_TOLERANCE = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-10}


def solve(
    problem: Problem,
    solver: Solver,
    start: Callable[[], Start],
    *,
    max_iter: int = 500,
    tol: float = 1e-4,
    max_time: float | None = None,
    callback: Callable[[int, Record, State], bool | None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> Solution:
    """Minimise the problem from ``start()``, which is not asked when a checkpoint has a later point.

    Stops when the KKT residual is at most ``tol``, when the loss no longer changes in this precision, after
    ``max_iter`` iterations or ``max_time`` seconds, or when ``callback(iteration, record, state)`` returns True. A
    checkpoint is written every few seconds, as long as writing takes less than 5 % of the time, and at the end. The
    time that compiling kernels takes does not count; the time of the start does.
    """
    began, history = time.perf_counter(), History()
    dtype = problem.source.float_dtype
    with workers(problem.source) as pool, compiling() as compiled:
        clock = Clock(began, max_time, compiled)
        run = Run(history, clock, max_iter, 4 * float(np.finfo(dtype).eps), callback, checkpoint)
        resumed = run.resume()
        if resumed:
            done, limit, state = resumed[0], resumed[2], State.of(resumed[1]).placed(problem, pool)
        else:
            done, limit, state = 0, tol, _begin(problem, solver, start(), pool)
        if can_look(problem):
            run.look = lambda ended: _look(problem, solver, state, history, ended, pool)
        going_on = bool(resumed)
        while True:
            done, status = run.iterate(
                lambda most, tol: solver.advance(problem, state, pool, most, tol),
                state,
                done=done,
                tol=limit,
                resumed=going_on,
            )
            going_on = False
            final_H = state.H if problem.penalties else _one_size(problem, state.H)
            final_W, kkt, loss, stats = _final_pass(problem, state, final_H, ROW_TOLERANCE[dtype], pool)
            if problem.penalties and problem.penalties.holds_W and history.records:
                # of the pair that was fitted: the last pass lets the sizes of W go
                kkt = history.records[-1][2]
            if status != "converged" or kkt <= tol:
                break
            # the exact residual is a little larger than the running one: aim a little lower
            limit *= 0.5
    if kkt <= tol:
        status = "converged"
    factors = {"W": final_W, "H": final_H}
    return Solution(loss, kkt, status, done, history, factors, problem.row_pull, stats)


def _begin(problem: Problem, solver: Solver, start: Start, pool: Workers) -> State:
    """The state from which the first iteration goes."""
    H, W, progressive = start
    if problem.penalties and problem.penalties.H:
        H, free = H.copy(), ~problem.frozen
        if W is not None and free.all():
            W, H = problem.penalties.normalise(W, H)
        H[free] = _onto_constraint(problem, H)[free]
    if W is not None:
        W = pool.given(problem.source, W)
    if W is None and progressive:
        W, H = head_start(problem, solver, H, pool)
    if W is None:
        W = first_rows(problem, solver, H, pool)
    state = State(W, H)
    solver.start(problem, state, pool)
    state.extra["looked"] = np.zeros(2)
    return state


def _final_pass(
    problem: Problem, state: State, H: np.ndarray, row_tol: float, pool: Workers
) -> tuple[Any, float, float, Stats]:
    """W as `transform` would find it (unless the user's penalty couples rows), KKT residual, data loss, statistics."""
    if can_solve_and_judge(problem):
        return solve_and_judge(problem, H, row_tol, pool, state.extra.get("spare"))
    W, penalties = state.W, problem.penalties
    if penalties:
        problem.row_pull = penalties.on_new_rows(W, H)
    if not (penalties and penalties.whole_by_choice):
        W = solve_rows(problem, H, row_tol, pool)
    return W, *judge(problem, W, H, pool)


def _one_size(problem: Problem, H: np.ndarray) -> np.ndarray:
    """H with the free components at one size, the root mean square ``unit``: W then says how much there is of each."""
    sizes = np.sqrt(np.einsum("ij,ij->i", H, H, dtype=np.float64) / H.shape[1])
    moving = ~problem.frozen & (sizes > 0)
    return H * np.where(moving, problem.unit / np.where(sizes > 0, sizes, 1), 1).astype(H.dtype)[:, None]


def _onto_constraint(problem: Problem, H: np.ndarray) -> np.ndarray:
    """A start that meets the penalty on H, from one in the units of X."""
    penalties = problem.penalties
    assert penalties is not None
    if penalties.pins_H:
        sizes = H.sum(axis=1, keepdims=True) if penalties.H.proximal is not None else problem.unit
        H = H / np.where(sizes > 0, sizes, 1).astype(H.dtype)
    return penalties.H.prox(H, 0.0)


def _look(
    problem: Problem, solver: Solver, state: State, history: History, ended: bool, pool: Workers
) -> bool:
    """Look for a missed part when the loss has settled, and again at the end; True when one was put in its place.

    ``state.extra["looked"]`` holds whether the first look is over, and the parts found so far.
    """
    settled, found = state.extra["looked"]
    if not ended:
        losses = [record[1] for record in history.records[-2:]]
        if settled or len(losses) < 2 or losses[0] - losses[1] > SETTLED * losses[1]:
            return False
    if found >= problem.k:
        return False
    changed = recover(problem, solver, state, history.records[-1][1], pool)
    state.extra["looked"] = np.array([1.0, found + changed])
    return changed
