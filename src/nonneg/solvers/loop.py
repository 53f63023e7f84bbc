"""THE loop: start, iterate, stop, and the last pass that makes W what `transform` returns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from ..data.threads import Workers, workers
from ..files import Checkpoint
from ..losses.beta import Stats
from .judge import can_solve_and_judge, judge, solve_and_judge
from .missed import SETTLED, can_look, recover
from .problem import Problem
from .progressive import head_start
from .rows import first_rows, solve_rows
from .solution import History, Solution
from .step import Record, Solver, State

__all__ = ["ROW_TOLERANCE", "iterate", "solve"]

ROW_TOLERANCE = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-10}
SCRATCH = ("spare",)  # buffers of ``state.extra`` that are written before they are read, each like W
CHECKPOINT_EVERY = 5.0  # seconds between two checkpoints
CHECKPOINT_SHARE = 0.05  # of the time, for writing them
PATIENCE = 10  # iterations without a measurable fall of the loss


def solve(
    problem: Problem,
    solver: Solver,
    H: np.ndarray,
    W: np.ndarray | None = None,
    *,
    max_iter: int = 500,
    tol: float = 1e-4,
    max_time: float | None = None,
    callback: Callable[[int, Record, State], bool | None] | None = None,
    checkpoint: Checkpoint | None = None,
    progressive: bool = False,
) -> Solution:
    """Minimise the problem from H (and W, where it is given); ``progressive`` fits a sample of the rows first.

    Stops when the KKT residual is at most ``tol``, when the loss no longer changes in this precision, after
    ``max_iter`` iterations or ``max_time`` seconds, or when ``callback(iteration, record, state)`` returns True. A
    checkpoint is written every few seconds, as long as writing takes less than 5 % of the time, and at the end. The
    time that compiling kernels takes does not count.
    """
    began = time.perf_counter()
    history = History()
    row_tol = ROW_TOLERANCE[H.dtype]
    with workers(len(problem.source.bounds())) as pool, _compiling() as compiling:
        resumed = checkpoint.load_latest() if checkpoint else None
        if resumed:
            done, state, past, limit = _from_checkpoint(resumed, history)
        else:
            H = H.copy()
            if problem.penalties and problem.penalties.H:
                free = ~problem.frozen
                if W is not None and free.all():
                    W, H = problem.penalties.normalise(W, H)
                H[free] = _onto_constraint(problem, H)[free]
            if W is None and progressive:
                W, H = head_start(problem, solver, H, pool)
            if W is None:
                W = first_rows(problem, solver, H, pool)
            done, past, limit = 0, 0.0, tol
            state = State(W, H)
            solver.start(problem, state)
            state.extra["looked"] = np.zeros(2)
        clock = _Clock(began - past, max_time, compiling)
        while True:
            done, status = iterate(
                problem, solver, state, pool, history, clock,
                first=done + 1, max_iter=max_iter, tol=limit, callback=callback, checkpoint=checkpoint,
                resumed=bool(resumed),
            )  # fmt: skip
            resumed = None
            final_H = state.H if problem.penalties else _one_size(problem, state.H)
            final_W, kkt, loss, stats = _final_pass(problem, state, final_H, row_tol, pool)
            if problem.penalties and problem.penalties.holds_W and history.records:
                # of the pair that was fitted: the last pass lets the sizes of W go
                kkt = history.records[-1][2]
            if status != "converged" or kkt <= tol:
                break
            # the exact residual is a little larger than the running one: aim a little lower
            limit *= 0.5
    if kkt <= tol:
        status = "converged"
    return Solution(final_W, final_H, loss, kkt, status, done, history, problem.row_pull, stats)


def _final_pass(
    problem: Problem, state: State, H: np.ndarray, row_tol: float, pool: Workers
) -> tuple[np.ndarray, float, float, Stats]:
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


class _Clock:
    """Seconds since the start, earlier runs of a resumed fit included."""

    def __init__(self, began: float, max_time: float | None, compiling: Any) -> None:
        self.began, self.max_time, self.compiling = began, max_time, compiling
        self.saved = time.perf_counter()  # when the last checkpoint was written, and how long that took
        self.cost = 0.0

    def seconds(self) -> float:
        compiled = self.compiling.duration if self.compiling.done else 0.0
        return time.perf_counter() - self.began - compiled

    def is_over(self) -> bool:
        return self.max_time is not None and self.seconds() >= self.max_time

    def save_due(self) -> bool:
        wait = max(CHECKPOINT_EVERY, self.cost / CHECKPOINT_SHARE)
        return time.perf_counter() - self.saved >= wait

    def has_saved(self, started: float) -> None:
        self.saved = time.perf_counter()
        self.cost = self.saved - started


@contextmanager
def _compiling() -> Iterator[Any]:
    """Yield what knows the seconds (``duration``) that numba has compiled for since."""
    from numba.core import event

    listener = event.TimingListener()
    with event.install_listener("numba:compile", listener):
        yield listener


def iterate(
    problem: Problem,
    solver: Solver,
    state: State,
    pool: Workers,
    history: History,
    clock: _Clock,
    *,
    first: int,
    max_iter: int,
    tol: float,
    callback: Any = None,
    checkpoint: Checkpoint | None = None,
    resumed: bool = False,
) -> tuple[int, str]:
    """Iterate until something ends it; return the last iteration's number and the status."""
    resolution = 4 * np.finfo(state.H.dtype).eps
    done, still = first - 1, _still(history, resolution)
    status = "max_iter"
    if resumed and history.records:  # a fit that was over when it was saved is over
        if history.records[-1][2] <= tol:
            return done, "converged"
        if still >= PATIENCE:
            return done, "stalled"
    looks = can_look(problem)
    kept = state  # the factors between two iterations: what an interrupt leaves
    try:
        while done < max_iter:
            most, kept = max_iter - done if callback is None else 1, _snapshot(state)
            records = solver.advance(problem, state, pool, most, tol)
            kept = state
            for record in records:
                done += 1
                history.add(done, record.loss, record.kkt, record.change, clock.seconds())
            still = _still(history, resolution)
            if callback is not None and callback(done, record, state):
                status = "stopped"
                break
            ended = record.kkt <= tol or still >= PATIENCE
            if looks and _look(problem, solver, state, history, ended, pool):
                continue
            if ended:
                status = "converged" if record.kkt <= tol else "stalled"
                break
            if clock.is_over():
                status = "max_time"
                break
            if checkpoint is not None and clock.save_due():
                started = time.perf_counter()
                _save(checkpoint, done, state, history, tol)
                clock.has_saved(started)
    finally:
        if checkpoint is not None and done >= first:
            _save(checkpoint, done, kept, history, tol)
    return done, status


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


def _snapshot(state: State) -> State:
    """The state by reference, its scalars by value: solvers replace factors, and write into scalars and buffers."""
    extra = {name: array.copy() if name == "scalars" else array for name, array in state.extra.items()}
    return State(state.W, state.H, extra)


def _still(history: History, resolution: float) -> int:
    """Iterations at the end of the history in which the loss did not measurably change, at most `PATIENCE`."""
    losses = [record[1] for record in history.records[-PATIENCE - 1 :]]
    for steps, (before, now) in enumerate(zip(losses[-2::-1], losses[:0:-1], strict=True)):
        if abs(before - now) > resolution * abs(now):
            return steps
    return max(len(losses) - 1, 0)


def _save(checkpoint: Checkpoint, done: int, state: State, history: History, limit: float) -> None:
    kept = {f"extra.{name}": array for name, array in state.extra.items() if name not in SCRATCH}
    scratch = [name for name in SCRATCH if name in state.extra]
    meta = {"history": history.records, "limit": limit, "scratch": scratch}
    checkpoint.save(done, {"W": state.W, "H": state.H, **kept}, meta)


def _from_checkpoint(resumed: Any, history: History) -> tuple[int, State, float, float]:
    done, arrays, meta = resumed
    history.records = [tuple(record) for record in meta["history"]]
    extra = {
        name.removeprefix("extra."): array for name, array in arrays.items() if name.startswith("extra.")
    }
    extra |= {name: np.zeros_like(arrays["W"]) for name in meta["scratch"]}
    state = replace(State(arrays["W"], arrays["H"]), extra=extra)
    return done, state, history.records[-1][-1] if history.records else 0.0, meta["limit"]
