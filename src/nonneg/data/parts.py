"""A source of parts that Dask makes, in this process or on the workers of a client."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import scipy.sparse as sp

from .block import Block
from .source import Source

__all__ = ["DaskSource", "Part", "is_dask", "refuse_closed"]

SHARE = 0.5  # of the memory of the workers, for X


def is_dask(X: Any) -> bool:
    """Whether X is a collection of Dask; it need not be installed."""
    return type(X).__module__.split(".")[0] in ("dask", "dask_expr") and hasattr(X, "dask")


def refuse_closed(client: Any) -> None:
    """Raise ValueError for a client that has been closed; asked later, it would fail with errors of its own."""
    if client.status in ("closing", "closed"):
        raise ValueError("client is closed; make a new distributed.Client and pass it as client=")


class Part(Source):
    """What a worker knows of a source: its units, and the rows of one block at a time (`hold`)."""

    in_memory = False

    def __init__(self, shape: tuple[int, int], dtype: np.dtype, settings: dict[str, Any]) -> None:
        self.shape, self.dtype, self.first = shape, dtype, 0
        self.__dict__.update(settings)

    def hold(self, first: int, X: Any, row_weights: np.ndarray | None) -> None:
        """Have these rows from now on, the first of which is number ``first``."""
        self.first, self.X, self.row_weights = first, X, row_weights

    def bounds(self) -> list[tuple[int, int]]:
        """The block that it has."""
        return [(self.first, self.first + self.X.shape[0])]

    def pieces(self, start: int, stop: int) -> list[tuple[int, int]]:
        """As those of `DaskSource`."""
        return in_pieces(self, start, stop)

    def _block(self, rows: Any, start: int, stop: int) -> Block:
        return super()._block(slice(rows.start - self.first, rows.stop - self.first), start, stop)

    def _read(self, rows: slice | np.ndarray) -> Any:
        return self.X[rows]


class DaskSource(Source):
    """Parts of X that dask makes.

    Parameters
    ----------
    parts : list of (start, stop, Delayed)
        Rows, as stored; each is a block.
    shape, dtype, sparse
        Of X.
    client : dask.distributed.Client or None
        Whose workers make them; None: this process.

    Attributes
    ----------
    chosen : bool
        Whether the user named the client: then a model that cannot use it says so.
    """

    in_memory = False
    spread = True
    chosen = False

    def __init__(
        self, parts: list[tuple[int, int, Any]], shape: tuple[int, int], dtype: Any, sparse: bool, client: Any
    ) -> None:
        self.parts = {start: part for start, _, part in parts}
        self._cuts = [(start, stop) for start, stop, _ in parts]
        self.shape, self.dtype, self.is_sparse, self.client = shape, np.dtype(dtype), sparse, client
        self._last = threading.local()  # what this thread has read last: rows are asked for in pieces
        self.held: dict[int, Any] = {}  # futures of what the workers keep; copies with one client share them

    def __reduce__(self) -> tuple[Any, ...]:
        """To other processes it goes without what it holds."""
        names = ("is_sparse", "scale", "floor", "nan_is_missing", "weight_power")
        return Part, (self.shape, self.dtype, {name: getattr(self, name) for name in names})

    def __copy__(self) -> DaskSource:
        found = object.__new__(DaskSource)
        found.__dict__.update(self.__dict__)
        return found

    def hold(self) -> None:
        """Let the workers keep all parts, where these take at most half of their memory; else a pass makes them anew.

        What a sparse X takes is not known before: it is kept. Parts that a restart of the workers, or an error, has
        taken are made again; those of a lost worker Dask makes by itself.

        Raises
        ------
        ValueError
            When the client is closed.
        """
        refuse_closed(self.client)
        if self.held:
            gone = [start for start, future in self.held.items() if future.status in ("cancelled", "error")]
            self._keep(gone)
            return
        size = 0 if self.is_sparse else self.shape[0] * self.shape[1] * self.dtype.itemsize
        known = self.client.scheduler_info(n_workers=-1)["workers"].values()
        limits = [worker["memory_limit"] or np.inf for worker in known]
        if size <= SHARE * sum(limits):
            self._keep(list(self.parts))

    def _keep(self, starts: list[int]) -> None:
        if starts:
            futures = self.client.compute([self.parts[start] for start in starts], optimize_graph=False)
            self.held.update(zip(starts, futures, strict=True))

    def refuse(self, weights: Any, missing: str, name: str) -> None:
        """Raise for weights of cells that would have to be where the parts are."""
        if missing == "unstored" or is_dask(weights):
            what = 'missing="unstored"' if missing == "unstored" else "weights: an array of Dask"
            raise ValueError(
                f"{what} is not taken with a dask array or a client; mark missing cells of a dense {name} by NaN, with "
                'missing="ignore"'
            )
        if weights is not None and self.client is not None:
            raise ValueError(
                f"weights of cells cannot go to the workers of a client; mark missing cells of {name} by NaN, with "
                'missing="ignore", or close the client'
            )

    def bounds(self) -> list[tuple[int, int]]:
        """Bounds of the parts."""
        return self._cuts

    def pieces(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Parts are made to be few; they are worked on in pieces as large as blocks in memory."""
        return in_pieces(self, start, stop)

    def _part(self, start: int) -> Any:
        """The rows of a part, in this process."""
        last = getattr(self._last, "part", None)
        if last is None or last[0] != start:
            last = self._last.part = (start, self._compute([self.held.get(start, self.parts[start])])[0])
        return last[1]

    def _compute(self, wanted: list[Any]) -> list[Any]:
        if self.client is not None:
            return self.client.gather(self.client.compute(wanted))
        import dask

        return list(dask.compute(*wanted, scheduler="synchronous"))

    def _read(self, rows: slice | np.ndarray) -> Any:
        starts = np.array([start for start, _ in self._cuts])
        if isinstance(rows, slice):
            pieces = []
            for start, stop in self._cuts[np.searchsorted(starts, rows.start, side="right") - 1 :]:
                if start >= rows.stop:
                    break
                pieces.append(
                    self._part(start)[max(rows.start, start) - start : min(rows.stop, stop) - start]
                )
            return _stacked(pieces)
        rows = np.arange(self.shape[0])[rows] if rows.dtype == bool or (rows < 0).any() else rows
        places = np.searchsorted(starts, rows, side="right") - 1
        wanted = [int(i) for i in np.unique(places)]
        inside = [rows[places == i] - starts[i] for i in wanted]
        if self.client is None:
            pieces = [self._part(int(starts[i]))[picked] for i, picked in zip(wanted, inside, strict=True)]
        else:
            from dask import delayed

            pick = delayed(lambda part, picked: part[picked], pure=False)
            parts = [self.held.get(int(starts[i]), self.parts[int(starts[i])]) for i in wanted]
            pieces = self._compute([pick(part, of) for part, of in zip(parts, inside, strict=True)])
        order = np.argsort(np.concatenate([np.flatnonzero(places == i) for i in wanted]))
        return _stacked(pieces)[order]


def in_pieces(source: Source, start: int, stop: int) -> list[tuple[int, int]]:
    """Cuts of a part after every ``block_rows`` rows."""
    step = source.block_rows
    return [(first, min(first + step, stop)) for first in range(start, stop, step)]


def _stacked(pieces: list[Any]) -> Any:
    if len(pieces) == 1:
        return pieces[0]
    return sp.vstack(pieces, format="csr") if sp.issparse(pieces[0]) else np.concatenate(pieces)
