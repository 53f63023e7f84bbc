"""What stderr gets: a live bar where it is a terminal, and warnings of a line each."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, TextIO

__all__ = ["Bar", "show_warning"]


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Write a warning on one line of stderr, without the file and the source line; for `warnings.showwarning`."""
    print(f"nonneg: warning: {' '.join(str(message).split())}", file=sys.stderr)


class Bar:
    """How much of a study is done, in epochs.

    Parameters
    ----------
    total : int
        Epochs of all runs (a run without epochs counts as one).
    shown : bool, optional
        Draw it; None: where stderr is a terminal.
    lines : bool, default=False
        Write a line for every epoch instead.
    """

    def __init__(self, total: int, shown: bool | None = None, lines: bool = False) -> None:
        self.total = total
        self.lines = lines
        self.shown = not lines and (sys.stderr.isatty() if shown is None else shown)
        self._epochs: dict[str, int] = {}
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Bar:
        if self.shown:
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeElapsedColumn,
                TimeRemainingColumn,
            )

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("epochs"),
                       TimeElapsedColumn(), TimeRemainingColumn())  # fmt: skip
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task("starting", total=self.total)
        return self

    def tick(self, name: str, epoch: int) -> None:
        """Say how many epochs of a run are done; 0 when it begins."""
        before, self._epochs[name] = self._epochs.get(name), epoch
        if self.lines and epoch != before:
            print(f"nonneg: {name}: {f'epoch {epoch}' if epoch else 'begins'}", file=sys.stderr)
        if self._bar is not None:
            self._bar.update(self._task, description=name, completed=sum(self._epochs.values()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
