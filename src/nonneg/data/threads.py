"""Passes over blocks, with results in block order: one thread and N threads agree bit for bit.

A pass goes over the blocks of a source and over *row arrays*, arrays with a row for each row of X, such as W. Here
these are ndarrays, and a block's rows of them views; where the passes are made by other processes (`data.dask`) they
are handles. So solvers reach rows of W through `Workers.over` and `Workers.along` alone.

Kernels and BLAS release the interpreter lock, so plain threads suffice. While they work BLAS is held at one
thread. The number of threads is the one BLAS would have used: ``threadpoolctl.threadpool_limits`` and
``OMP_NUM_THREADS`` are the user's way to choose it.
"""

from __future__ import annotations

import contextvars
import functools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

if TYPE_CHECKING:
    from .source import Source

__all__ = ["Workers", "holding_blas", "worked", "workers"]

T = TypeVar("T")


class Workers:
    """Threads that map a function over items and yield the results in order, a few items ahead at most."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def map(self, function: Callable[..., T], items: Iterable[Any]) -> Iterator[T]:
        """``function(item)`` for every item, in order; bounded memory."""
        if self._pool is None:
            yield from map(function, items)
            return
        waiting: deque[Future[T]] = deque()
        for item in items:
            # with the caller's context: what numpy is to say of overflows
            waiting.append(self._pool.submit(contextvars.copy_context().run, function, item))
            if len(waiting) > 2 * self.threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def over(
        self,
        source: Source,
        work: Callable[..., T],
        *rows: Any,
        out: tuple[Any, ...] = (),
        merge: Callable[[T, T], T] | None = None,
    ) -> Iterator[T]:
        """``work(block, *rows of the block)`` for every block of a source, in order.

        Parameters
        ----------
        source : Source
        work : callable
            What it returns comes in block order. It may run elsewhere: all that it needs beside its arguments must be
            small (H, say), and of ``source`` it may ask scalars alone.
        *rows : row array or None
            Of each, work gets the rows that belong to the block (None for None).
        out : tuple of row arrays
            Of each, work gets the rows that it is to write, all of them, right after the block. They are written when
            the results have been taken.
        merge : callable, optional
            What two results of neighbours are together. Then a block may be worked on in `pieces`, and its result is
            theirs, merged in order.
        """

        def do(cut: tuple[int, int]) -> T:
            return worked(
                source, work, cut, [None if a is None else a[slice(*cut)] for a in out + rows], merge
            )

        return self.map(do, source.bounds())

    def along(
        self, source: Source, work: Callable[..., T], *rows: Any, out: tuple[Any, ...] = ()
    ) -> Iterator[T]:
        """`over` without X: ``work(*rows of the block)``."""
        return self.map(
            lambda cut: work(*(None if a is None else a[slice(*cut)] for a in out + rows)), source.bounds()
        )

    def empty(self, source: Source, k: int, dtype: Any) -> Any:
        """Return a row array of k columns, not yet written."""
        return np.empty((source.shape[0], k), dtype)

    def zeros(self, source: Source, k: int, dtype: Any) -> Any:
        """Return a row array of zeros, of k columns."""
        return np.zeros((source.shape[0], k), dtype)

    def given(self, source: Source, W: np.ndarray) -> Any:
        """Return the row array of an ndarray with a row for each row of X."""
        return W

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def worked(
    source: Source,
    work: Callable[..., T],
    cut: tuple[int, int],
    rows: Sequence[np.ndarray | None],
    merge: Callable[[T, T], T] | None,
) -> T:
    """What work finds of a block and its rows: at once, or, where results can be merged, in pieces."""
    if merge is None:
        return work(source.block(*cut), *rows)
    start = cut[0]
    return functools.reduce(
        merge,
        (
            work(
                source.block(a, b),
                *(None if array is None else array[a - start : b - start] for array in rows),
            )
            for a, b in source.pieces(*cut)
        ),
    )


@functools.cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


class _Held:
    """BLAS at one thread while anybody works: fits in several threads overlap, and the last one to end restores it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before: list[int] = []

    def enter(self) -> int:
        """Hold BLAS; return the number of threads it had."""
        with self._lock:
            libraries = _controller().lib_controllers
            if self._users == 0:
                self._before = [library.get_num_threads() for library in libraries]
                for library in libraries:
                    library.set_num_threads(1)
            self._users += 1
            return max(self._before, default=1)

    def leave(self) -> None:
        """Give BLAS its threads back when nobody works any more."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                for library, threads in zip(_controller().lib_controllers, self._before, strict=True):
                    library.set_num_threads(threads)


_HELD = _Held()


@contextmanager
def holding_blas() -> Iterator[int]:
    """Hold BLAS at one thread; yield the number of threads it had."""
    allowed = _HELD.enter()
    try:
        yield allowed
    finally:
        _HELD.leave()


@contextmanager
def workers(tasks: int | Source) -> Iterator[Workers]:
    """Hold BLAS at one thread and offer as many threads as BLAS had, at most one a task.

    For a source: one a block, or, where its blocks belong to a client of Dask, the workers of that client, or, where X
    lies on a device, that.
    """
    with holding_blas() as allowed:
        if not isinstance(tasks, int) and tasks.client is not None:
            from .passes import Passes

            pool: Workers = Passes(tasks.client)
        elif not isinstance(tasks, int) and tasks.device is not None:
            from .device import DevicePasses

            pool = DevicePasses(tasks)
        else:
            count = tasks if isinstance(tasks, int) else len(tasks.bounds())
            pool = Workers(max(1, min(allowed, count)))
        try:
            yield pool
        finally:
            pool.close()
