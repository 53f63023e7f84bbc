"""Work on blocks in threads, with results in block order: one thread and N threads agree bit for bit.

Kernels and BLAS release the interpreter lock, so plain threads suffice. While they work BLAS is held at one
thread. The number of threads is the one BLAS would have used: ``threadpoolctl.threadpool_limits`` and
``OMP_NUM_THREADS`` are the user's way to choose it.
"""

from __future__ import annotations

import functools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

__all__ = ["Workers", "workers"]

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
            waiting.append(self._pool.submit(function, item))
            if len(waiting) > 2 * self.threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


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
def workers(tasks: int) -> Iterator[Workers]:
    """Hold BLAS at one thread and offer as many threads as BLAS had, at most one a task."""
    allowed = _HELD.enter()
    pool = Workers(max(1, min(allowed, tasks)))
    try:
        yield pool
    finally:
        pool.close()
        _HELD.leave()
