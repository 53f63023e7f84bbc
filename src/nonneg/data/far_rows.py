"""Rows of W that stay with the workers of a Dask client: a row array whose blocks are futures."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

from .tasks import picked

__all__ = ["Rows", "Written", "gathered"]

AT_ONCE = 64  # results that are fetched together


class Written:
    """A folder within another one for the blocks of a row array, deleted when nobody holds this any more."""

    def __init__(self, parent: str, bounds: list[tuple[int, int]]) -> None:
        folder = tempfile.mkdtemp(dir=parent)
        self.paths = [os.path.join(folder, f"{start}.npy") for start, _ in bounds]
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)


class Rows:
    """A row array whose blocks are with the workers of a client.

    Parameters
    ----------
    client : Client
    bounds : list of (int, int)
    k : int
    dtype : dtype

    Attributes
    ----------
    age : int
        Passes since its blocks, or what they were made from, were given or written down.
    past : frozenset of Written
        What its blocks would be made from again: a row array keeps these files, and when no array does they go.
    """

    def __init__(self, client: Any, bounds: list[tuple[int, int]], k: int, dtype: Any) -> None:
        self.client, self.bounds, self.dtype, self.age = client, bounds, np.dtype(dtype), 0
        self.shape = (bounds[-1][1], k)
        self.blocks: dict[int, tuple[Any, int]] = {}  # by first row: a future, and which of its arrays
        self.past: frozenset[Written] = frozenset()

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("rows of W stay with the workers: give them to a pass as row arrays")

    def copy(self) -> Rows:
        """The same blocks; writing to one array leaves the other."""
        found = Rows(self.client, self.bounds, self.shape[1], self.dtype)
        found.blocks, found.age, found.past = dict(self.blocks), self.age, self.past
        return found

    def __getitem__(self, rows: slice | np.ndarray) -> Any:
        """A block for a slice that is one; an ndarray of the rows with some numbers, in ascending order."""
        if isinstance(rows, slice):
            return self.blocks[rows.start]
        starts = np.array([start for start, _ in self.bounds])
        places = np.searchsorted(starts, rows, side="right") - 1
        pieces = self._fetched(
            [(int(starts[i]), rows[places == i] - starts[i]) for i in map(int, np.unique(places))]
        )
        return np.concatenate(list(pieces))

    def __setitem__(self, rows: slice, block: Any) -> None:
        self.blocks[rows.start] = block

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All rows, in this process."""
        found = np.empty(self.shape, self.dtype)
        for (start, stop), piece in zip(
            self.bounds, self._fetched([(start, slice(None)) for start, _ in self.bounds]), strict=True
        ):
            found[start:stop] = piece
        return found if dtype is None else found.astype(dtype, copy=False)

    def _fetched(self, wanted: list[tuple[int, Any]]) -> Iterator[np.ndarray]:
        from dask import delayed

        pick = delayed(picked, pure=False)
        tasks = [pick(*self.blocks[start], rows) for start, rows in wanted]
        yield from gathered(self.client, self.client.compute(tasks, optimize_graph=False))

    def lazy(self) -> Any:
        """The dask array of it, (n, k)."""
        import dask.array as da
        from dask import delayed

        pick = delayed(picked, pure=False)
        pieces = [
            da.from_delayed(
                pick(*self.blocks[start], slice(None)), (stop - start, self.shape[1]), dtype=self.dtype
            )
            for start, stop in self.bounds
        ]
        return da.concatenate(pieces)


def gathered(client: Any, futures: list[Any]) -> Iterator[Any]:
    """The results of futures in order, some at a time; each future is let go with its result."""
    futures = futures[::-1]
    while futures:
        now = [futures.pop() for _ in range(min(AT_ONCE, len(futures)))]
        found = client.gather(now)[::-1]
        del now
        while found:
            yield found.pop()
