"""Iterate until something ends it: the one place that counts, looks at the clock, and writes checkpoints.

It knows neither losses nor factors. What moves is a function ``advance(most, tol)`` that makes between 1 and ``most``
iterations and returns a `Record` of each; what it moves is a state that can be copied and written down. `loop.solve`
(X ≈ W H with all its losses, penalties and data) and `descend` (models with other factors) stand on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..exceptions import CheckpointError, warn_user
from ..files import Checkpoint
from .solution import History, Outcome
from .step import Record

__all__ = ["Arrays", "Clock", "Run", "State", "compiling", "descend"]

CHECKPOINT_EVERY = 5.0  # seconds between two checkpoints
CHECKPOINT_SHARE = 0.05  # of the time, for writing them
PATIENCE = 10  # iterations without a measurable fall of the loss


class State(Protocol):
    """What moves."""

    def snapshot(self) -> Any:
        """Return the state as it is now: what an interrupt in the next iteration must not change."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all of it, for a checkpoint."""


class Arrays(dict[str, np.ndarray]):
    """A state of named arrays. A step puts new arrays in; it does not write into those it found."""

    def snapshot(self) -> Arrays:
        """Return the same arrays under the same names."""
        return Arrays(self)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays."""
        return dict(self)


class Clock:
    """Seconds since the start, earlier runs of a resumed fit included, without what numba compiled for."""

    def __init__(self, began: float, max_time: float | None, compiled: Any) -> None:
        self.began, self.max_time, self.compiled = began, max_time, compiled
        self.saved = time.perf_counter()  # when the last checkpoint was written, and how long that took
        self.cost = 0.0

    def seconds(self) -> float:
        """Seconds of work."""
        compiled = self.compiled.duration if self.compiled.done else 0.0
        return time.perf_counter() - self.began - compiled

    def is_over(self) -> bool:
        """Whether ``max_time`` has passed."""
        return self.max_time is not None and self.seconds() >= self.max_time

    def save_due(self) -> bool:
        """Whether it is time for a checkpoint."""
        wait = max(CHECKPOINT_EVERY, self.cost / CHECKPOINT_SHARE)
        return time.perf_counter() - self.saved >= wait

    def has_saved(self, started: float) -> None:
        """Note that a checkpoint was written."""
        self.saved = time.perf_counter()
        self.cost = self.saved - started


@contextmanager
def compiling() -> Iterator[Any]:
    """Yield what knows the seconds (``duration``) that numba has compiled for since."""
    from numba.core import event

    listener = event.TimingListener()
    with event.install_listener("numba:compile", listener):
        yield listener


@dataclass
class Run:
    """What surrounds the iterations: how long they may go on, who is told, where they are saved.

    Parameters
    ----------
    history : History
        Grows by one record an iteration.
    clock : Clock
    max_iter : int
        The number of the last iteration.
    resolution : float
        A relative change of the loss below it is none.
    callback : callable, optional
        ``callback(iteration, record, state)``; True ends the iterations.
    checkpoint : Checkpoint, optional
    look : callable, optional
        ``look(ended)``, asked after each iteration; True when it changed the state, so that the search goes on.
    """

    history: History
    clock: Clock
    max_iter: int
    resolution: float
    callback: Callable[[int, Record, Any], bool | None] | None = None
    checkpoint: Checkpoint | None = None
    look: Callable[[bool], bool] | None = None
    # whether ``look`` has answered about the last record, and whether it changed the state
    asked: bool = False
    moved: bool = False

    def iterate(
        self,
        advance: Callable[[int, float], list[Record]],
        state: State,
        *,
        done: int,
        tol: float,
        resumed: bool = False,
    ) -> tuple[int, str]:
        """Iterate from number ``done`` on until something ends it; return the last number and the status.

        With a checkpoint its folder is locked meanwhile. The state is saved before the first iteration, so that a long
        start is made once and a full disk is found out at the start; later saves that fail end the iterations, but
        for the last one: what was found is worth more than its copy.
        """
        with self.checkpoint or nullcontext():
            if resumed and self.history.records:  # a fit that was over when it was saved is over
                status = self._verdict(tol)
                if status is None and self.clock.is_over():
                    status = "max_time"
                if status is not None:
                    return done, status
            if done == 0 and not resumed:
                self._save(self._now(state, done), tol)
            return self._iterate(advance, state, done, tol)

    def _iterate(
        self, advance: Callable[[int, float], list[Record]], state: State, done: int, tol: float
    ) -> tuple[int, str]:
        history, clock, first = self.history, self.clock, done
        status = "max_iter"
        kept = self._now(state.snapshot(), done)  # between two iterations: what an interrupt leaves
        try:
            while done < self.max_iter:
                kept = self._now(state.snapshot(), done)
                most = self.max_iter - done if self.callback is None else 1
                for record in advance(most, tol):
                    done += 1
                    history.add(done, record.loss, record.kkt, record.change, clock.seconds())
                self.asked = self.moved = False
                kept = self._now(state.snapshot(), done)
                if self.callback is not None and self.callback(done, record, state):
                    status = "stopped"
                    break
                verdict = self._verdict(tol)
                kept = self._now(state, done)
                if verdict is not None or clock.is_over():
                    status = verdict or "max_time"
                    break
                if self.checkpoint is not None and clock.save_due():
                    self._save(kept, tol)
        except CheckpointError:
            first = done  # it will not be written a moment later either
            raise
        finally:
            if kept[1] > first:
                try:
                    self._save(kept, tol)
                except CheckpointError as error:
                    warn_user(str(error))
        return done, status

    def _now(self, state: State, done: int) -> tuple[State, int, bool, bool]:
        """All that a checkpoint needs beside the history, in one value: an interrupt finds all of it or none."""
        return state, done, self.asked, self.moved

    def _verdict(self, tol: float) -> str | None:
        """How the search ends after the last record, None when it goes on; asks ``look`` about this record, once."""
        kkt = self.history.records[-1][2]
        ended = kkt <= tol or self._still() >= PATIENCE
        if not self.asked:
            self.moved = self.look is not None and self.look(ended)
            self.asked = True
        if self.moved or not ended:
            return None
        return "converged" if kkt <= tol else "stalled"

    def _still(self) -> int:
        """Iterations at the end of the history in which the loss did not measurably change, at most `PATIENCE`."""
        losses = [record[1] for record in self.history.records[-PATIENCE - 1 :]]
        for steps, (before, now) in enumerate(zip(losses[-2::-1], losses[:0:-1], strict=True)):
            if abs(before - now) > self.resolution * abs(now):
                return steps
        return max(len(losses) - 1, 0)

    def _save(self, kept: tuple[State, int, bool, bool], limit: float) -> None:
        if self.checkpoint is None:
            return
        started = time.perf_counter()
        state, done, asked, moved = kept
        meta = {"history": self.history.records[:done], "limit": limit, "asked": asked, "moved": moved}
        self.checkpoint.save(done, state.arrays(), meta)
        self.clock.has_saved(started)

    def resume(self) -> tuple[int, dict[str, np.ndarray], float] | None:
        """The iteration, arrays and aim of the newest checkpoint, the history and the clock set to it."""
        resumed = self.checkpoint.load_latest() if self.checkpoint else None
        if resumed is None:
            return None
        done, arrays, meta = resumed
        self.history.records = [tuple(record) for record in meta["history"]]
        self.asked, self.moved = meta["asked"], meta["moved"]
        if self.history.records:
            self.clock.began -= self.history.records[-1][-1]
        return done, dict(arrays), meta["limit"]


def descend(
    start: Callable[[], dict[str, np.ndarray]],
    step: Callable[[Arrays], Record],
    *,
    max_iter: int,
    tol: float,
    dtype: np.dtype,
    max_time: float | None = None,
    callback: Callable[[int, Record, Any], bool | None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> Outcome:
    """Move named arrays from ``start()`` by ``step`` until the KKT residual is at most ``tol``, or else what ends it.

    Parameters
    ----------
    start : callable
        Returns the arrays; not called when a checkpoint has them.
    step : callable
        Puts moved arrays into the state it is given, and returns a `Record` of a point that it accepted. It must
        not write into the arrays it finds there.
    max_iter, tol, max_time, callback, checkpoint
        As for `nonneg.solvers.loop.solve`.
    dtype : dtype
        Of the arrays: decides when a loss no longer changes.

    Returns
    -------
    Outcome
        ``arrays`` holds the factors; ``loss`` and ``kkt`` are those of the last record.
    """
    began, history = time.perf_counter(), History()
    with compiling() as compiled:
        clock = Clock(began, max_time, compiled)
        run = Run(history, clock, max_iter, 4 * float(np.finfo(dtype).eps), callback, checkpoint)
        resumed = run.resume()
        state, done = (Arrays(resumed[1]), resumed[0]) if resumed else (Arrays(start()), 0)
        done, status = run.iterate(
            lambda most, tol: [step(state)], state, done=done, tol=tol, resumed=bool(resumed)
        )
    _, loss, kkt, _, _ = history.records[-1]
    return Outcome(loss, kkt, status, done, history, dict(state))
