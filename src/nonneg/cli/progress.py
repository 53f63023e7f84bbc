"""How a fit goes, on stderr: a bar on a terminal, lines with ``--verbose``, else nothing."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

__all__ = ["Progress", "early_ends"]

EVERY = 10  # iterations between two lines, unless they take long
SECONDS = 1.0  # between two lines in any case


class Progress:
    """What a fit calls after every iteration or epoch, and what is shown of it.

    Parameters
    ----------
    name : str
        Of the model.
    total : int
        Iterations (of all starts) or epochs, at most.
    unit : {"iteration", "epoch"}
        What is counted; the records hold its number under this name.
    objective : str
        What the records call the loss.
    max_time : float, optional
        Seconds after which the fit ends in any case.
    bar, lines : bool
        Whether to draw a bar, and whether to write lines.
    """

    def __init__(
        self,
        name: str,
        total: int,
        unit: str,
        objective: str = "loss",
        max_time: float | None = None,
        *,
        bar: bool,
        lines: bool,
    ) -> None:
        self.name, self.total, self.unit, self.objective = name, total, unit, objective
        self.max_time, self.shown, self.lines = max_time, bar, lines
        self.done = 0
        self._first: tuple[float, int] | None = None  # when the first record came, and what was done then
        self._last = 0  # the number of the last record: a smaller one is of another start
        self._began = self._said = time.perf_counter()
        self._bar: Any = None

    def __enter__(self) -> Progress:
        self._began = self._said = time.perf_counter()
        if self.shown:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn(self.name), BarColumn(), MofNCompleteColumn(), TextColumn(f"{self.unit}s"),
                       TextColumn("{task.description}"), TimeElapsedColumn())  # fmt: skip
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._bar.add_task("", total=self.total)
        return self

    def __call__(self, record: Mapping[str, Any]) -> None:
        """Take note of an iteration or epoch.

        Parameters
        ----------
        record : mapping
            With its number and the loss after it.
        """
        number = int(record[self.unit])
        self.done += number - self._last if number > self._last else number
        self._last = number
        now = time.perf_counter()
        self._first = self._first or (now, self.done)
        loss = float(record[self.objective])
        if self._bar is not None:
            left = self.seconds_left()
            text = f"loss {loss:.6g}" + ("" if left is None else f", at most {left:.0f} s left")
            self._bar.update(self._bar.task_ids[0], completed=self.done, description=text)
        if self.lines and (
            self.unit == "epoch" or number == 1 or number % EVERY == 0 or now - self._said >= SECONDS
        ):
            self._said = now
            terms = "".join(f", {name} {value:.4g}" for name, value in record.items() if name != self.unit)
            print(f"nonneg: {self.name}: {self.unit} {number}{terms}", file=sys.stderr)

    def seconds_left(self) -> float | None:
        """How long the fit takes at most, if its iterations take as long as they did so far; None before the second.

        What comes before the first record is no measure of those to come: a start, kernels that are compiled, and the
        iterations of a fit that goes on from a checkpoint.
        """
        if self._first is None or self.done == self._first[1]:
            return None
        now = time.perf_counter()
        left = (now - self._first[0]) / (self.done - self._first[1]) * (self.total - self.done)
        return max(0.0, left if self.max_time is None else min(left, self._began + self.max_time - now))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


@contextmanager
def early_ends() -> Iterator[list[str]]:
    """Collect what fits warn of when they end before they have converged, for the report; other warnings are shown."""
    from sklearn.exceptions import ConvergenceWarning

    reasons: list[str] = []
    with warnings.catch_warnings():
        show = warnings.showwarning

        def take(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
            if issubclass(category, ConvergenceWarning):
                reasons.append(str(message))
            else:
                show(message, category, *rest, **more)

        warnings.showwarning = take
        warnings.simplefilter("always", ConvergenceWarning)
        yield reasons
