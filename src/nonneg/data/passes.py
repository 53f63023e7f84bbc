"""Passes over blocks by the workers of a Dask client: the same functions, the same order, the same bits.

A block is a task. What it needs of the fit (H, a few scalars) comes to it in the graph of its pass, so that a task can
be made again wherever it was lost; its part of X and its rows of W are already with the workers. What the passes find
comes back in block order. Rows of W stay where they were made, as futures. Each depends on the rows before it, and Dask
remembers all that it would need to make them again; so every few passes they are written to a folder, and reading
them takes the place of their past. Files from which no row array could be made again are deleted.
"""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from ..exceptions import warn_user
from .block import Block
from .far_rows import Rows, Written, gathered
from .parts import DaskSource
from .source import Source
from .tasks import clear, held, loaded, made_of_block, picked, run_block, said, write
from .threads import Workers

__all__ = ["Passes", "lazily"]

T = TypeVar("T")

REST_EVERY = 10  # passes that W may depend on before it is written down


class Passes(Workers):
    """`Workers` whose passes over a `DaskSource` are made by the workers of its client."""

    def __init__(self, client: Any) -> None:
        super().__init__(1)
        self.client = client
        self._folder: str | None = None  # None: not asked for yet; "": there is none that all workers see

    def over(
        self,
        source: Source,
        work: Callable[..., T],
        *rows: Any,
        out: tuple[Any, ...] = (),
        merge: Callable[[T, T], T] | None = None,
    ) -> Iterator[T]:
        """`Workers.over`, with tasks."""
        return self._pass(source, work, rows, out, merge, with_X=True)

    def along(
        self, source: Source, work: Callable[..., T], *rows: Any, out: tuple[Any, ...] = ()
    ) -> Iterator[T]:
        """`Workers.along`, with tasks."""
        return self._pass(source, work, rows, out, None, with_X=False)

    def empty(self, source: Source, k: int, dtype: Any) -> Any:
        """Return a row array that holds nothing yet."""
        return Rows(self.client, source.bounds(), k, dtype)

    def zeros(self, source: Source, k: int, dtype: Any) -> Any:
        """Return a row array of zeros, made by the workers."""
        W = self.empty(source, k, dtype)
        for _ in self.along(source, clear, out=(W,)):
            pass
        return W

    def given(self, source: Source, W: Any) -> Any:
        """Return the row array of an ndarray: its blocks go to the workers by files where they see the same."""
        if isinstance(W, Rows):
            return W
        from dask import delayed

        found = self.empty(source, W.shape[1], W.dtype)
        folder, load, keep = self._shared(), delayed(loaded, pure=False), delayed(held, pure=False)
        if folder:
            written = Written(folder, found.bounds)
            for (start, stop), path in zip(found.bounds, written.paths, strict=True):
                write(W[start:stop], path)
            blocks, found.past = [load(path) for path in written.paths], frozenset([written])
        else:
            blocks = [keep(W[start:stop]) for start, stop in found.bounds]
        for (start, _), future in zip(found.bounds, self._compute(blocks), strict=True):
            found.blocks[start] = (future, 0)
        return found

    def close(self) -> None:
        """Delete what was written down."""
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _compute(self, tasks: list[Any]) -> list[Any]:
        import dask

        # H is in the graph on purpose, however large
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
            return self.client.compute(tasks, optimize_graph=False)

    def _pass(
        self,
        source: Source,
        work: Callable[..., T],
        rows: tuple[Any, ...],
        out: tuple[Any, ...],
        merge: Callable[[T, T], T] | None,
        *,
        with_X: bool,
    ) -> Iterator[T]:
        import cloudpickle
        from dask import delayed

        for array in rows:  # not those in out: what is read may be read again, where a step is taken back
            if isinstance(array, Rows) and array.age >= REST_EVERY and self._shared():
                self._rest(array)
        cuts = source.bounds()
        blob = delayed(cloudpickle.dumps((work, source if with_X else None, merge)), traverse=False)
        ways = [(array.shape[1], array.dtype) for array in out]
        task, saying = delayed(run_block, pure=False), delayed(said, pure=False)
        if with_X:
            source.root(*cuts[0])[0].hold()  # type: ignore[attr-defined]
        blocks = [
            task(
                blob,
                cut,
                _of_X(source, cut) if with_X else None,
                ways,
                [_of_rows(array, cut) for array in rows],
            )
            for cut in cuts
        ]
        futures = self._compute(blocks + [saying(one) for one in blocks if out])
        if out:
            read = [array for array in rows if isinstance(array, Rows)]
            age = max((array.age for array in read), default=-1) + 1
            past = frozenset[Written]().union(*(array.past for array in read))
            for place, array in enumerate(out):
                array.age, array.past = age, past
                array.blocks = {cut[0]: (one, place) for cut, one in zip(cuts, futures, strict=False)}
            futures = futures[len(cuts) :]
        del blocks
        for found in gathered(self.client, futures):
            yield pickle.loads(found)

    def _rest(self, array: Rows) -> None:
        """Write the blocks down, and let reading them be all of their past."""
        from dask import delayed

        written = Written(self._shared(), array.bounds)
        pick, put, load = (delayed(f, pure=False) for f in (picked, write, loaded))
        writing = [
            put(pick(*array.blocks[start], slice(None)), path)
            for (start, _), path in zip(array.bounds, written.paths, strict=True)
        ]
        for _ in gathered(self.client, self._compute(writing)):
            pass
        loading = self._compute([load(path) for path in written.paths])
        array.blocks = {start: (future, 0) for (start, _), future in zip(array.bounds, loading, strict=True)}
        array.age, array.past = 0, frozenset([written])

    def _shared(self) -> str:
        """A folder that this process and all workers see; "" where there is none."""
        if self._folder is None:
            self._folder = _seen_by_all(self.client)
        return self._folder


def lazily(source: Source, work: Callable[[Block], np.ndarray], k: int, dtype: Any) -> Any:
    """The dask array of what ``work(block)`` makes of every block of a `DaskSource`, k columns; nothing is computed."""
    import cloudpickle
    import dask.array as da
    from dask import delayed

    blob, task = (
        delayed(cloudpickle.dumps((work, source, _stacked)), traverse=False),
        delayed(made_of_block, pure=False),
    )
    pieces = [
        da.from_delayed(task(blob, cut, _of_X(source, cut)), (cut[1] - cut[0], k), dtype=dtype)
        for cut in source.bounds()
    ]
    return da.concatenate(pieces)


def _stacked(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.concatenate([a, b])


def _of_X(source: Source, cut: tuple[int, int]) -> tuple[Any, int, np.ndarray | None]:
    """The part that a block is read from, its first row, and the weights of its rows."""
    root, (start, stop) = source.root(*cut)
    assert isinstance(root, DaskSource)
    weights = None if root.row_weights is None else root.row_weights[start:stop]
    return root.held.get(start, root.parts[start]), start, weights


def _of_rows(array: Any, cut: tuple[int, int]) -> Any:
    """The rows of a block: where they are, or an ndarray of them."""
    return None if array is None else array[slice(*cut)]


def _seen_by_all(client: Any) -> str:
    """A new folder where all workers find what this process writes: a name, "" if there is none."""
    import dask

    for parent in (dask.config.get("temporary-directory", None), tempfile.gettempdir()):
        if parent is None:
            continue
        folder = tempfile.mkdtemp(prefix="nonneg-", dir=parent)
        if all(client.run(os.path.isdir, folder).values()):
            return folder
        os.rmdir(folder)
    warn_user(
        "client: no folder that this process and all workers see; rows of W that a lost worker held will be made anew "
        "from the start of the fit. Set dask's temporary-directory to a folder that all machines share"
    )
    return ""
