"""Independent jobs in processes of their own, with a word on their progress.

Workers ignore Ctrl-C: the parent ends them. What they were computing goes on from its last checkpoint another time.
"""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from importlib import import_module
from multiprocessing.context import SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any

from nonneg.experiments.progress import show_warning

__all__ = ["limit_threads", "run_all"]

Tick = Callable[[str, int], None]

_queue: Any = None  # of a worker: where its progress goes


def run_all(
    work: Callable[..., None], jobs: Sequence[tuple[Any, ...]], n_workers: int, threads: int, tick: Tick
) -> None:
    """Call ``work(*job, tick)`` for every job, in this process or in several.

    Parameters
    ----------
    work : callable
        A function of a module: workers import it.
    jobs : sequence of tuple
        Its arguments, which can be pickled.
    n_workers : int
        1: in this process, one after the other.
    threads : int
        Threads of each worker's linear algebra; not used with one worker, which runs here.
    tick : callable
        Gets (name of a job, number), in this process.

    Raises
    ------
    Exception
        The first error of a job; the other workers are ended then.
    """
    if n_workers <= 1 or len(jobs) <= 1:
        for job in jobs:
            work(*job, tick)
        return
    context = _Context()
    queue = context.SimpleQueue()
    reader = threading.Thread(target=_listen, args=(queue, tick), daemon=True)
    reader.start()
    executor = ProcessPoolExecutor(
        min(n_workers, len(jobs)), mp_context=context, initializer=_start, initargs=(queue, threads)
    )
    try:
        futures = [executor.submit(_run, work, job) for job in jobs]
        for future in as_completed(futures):
            future.result()
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        for process in context.started:
            process.terminate()
        raise  # the queue is left alone: a worker may have died with its lock in hand
    executor.shutdown()
    queue.put(None)
    reader.join()
    queue.close()


class _Context(SpawnContext):
    """Spawns (a fork would copy the locks of torch's and BLAS' threads) and remembers what it spawned.

    The caller may have children of its own, which are none of our business.
    """

    def __init__(self) -> None:
        super().__init__()
        self.started: list[BaseProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        process = super().Process(*args, **kwargs)
        self.started.append(process)
        return process


def _listen(queue: Any, tick: Tick) -> None:
    while (message := queue.get()) is not None:
        tick(*message)


def _start(queue: Any, threads: int) -> None:
    """Set a worker up."""
    global _queue
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.showwarning = show_warning
    _queue = queue
    limit_threads(threads)


def limit_threads(threads: int) -> None:
    """Hold torch, BLAS and OpenMP at a number of threads, for good.

    A limit reaches only libraries that are loaded: they are loaded first. Two spinning threads of a small product take
    ten times as long as one where another process wants the core.
    """
    import_module("nonneg.clustering")  # numpy, scipy and scikit-learn, with all their thread pools
    with suppress(ImportError):
        import_module("torch").set_num_threads(threads)
    import_module("threadpoolctl").threadpool_limits(threads)


def _run(work: Callable[..., None], job: tuple[Any, ...]) -> None:
    work(*job, lambda name, number: _queue.put((name, number)))
