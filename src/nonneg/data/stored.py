"""X in storage: read in *slabs* of many blocks, the next one while the present one is worked on.

The bounds of blocks are those of the same data in memory, so a fit is that of the same solver on the array, bit for
bit. A slab is as long as memory allows (a third of ``memory_limit``, at most 64 MB) and begins at a chunk of its
storage. Where all of X is no larger than ``memory_limit``, it is read once.
"""

from __future__ import annotations

import copy
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..exceptions import warn_user
from .limit import parse_limit, shown_bytes
from .slabs import Key, Slabs
from .source import BLOCK_BYTES, Source, Summary
from .store import Store, below, rows_of

__all__ = ["StoredSource"]

SLAB_BYTES = 64_000_000
FEW = 8  # rows of a piece for which all of it is read
SLABS = 3  # one that is left, one that is worked on, one that is read


class _Run(NamedTuple):
    """Neighbouring rows of a slab."""

    start: int
    stop: int
    slab: int
    offset: int  # of its first row in the slab


class StoredSource(Source):
    """Rows of a `Store`. It has no column blocks: its data are not in memory.

    Parameters
    ----------
    store : Store
    memory_limit : int, str or None
        As for `as_source`.

    Raises
    ------
    ValueError
        Where less than three blocks, or three chunks of the storage, fit into ``memory_limit``.
    """

    in_memory = False

    def __init__(self, store: Store, memory_limit: int | str | None = None) -> None:
        self.store = store
        self.shape, self.dtype, self.names = store.shape, store.dtype, store.names
        self.is_sparse = store.nnz is not None
        self._known: dict[tuple[float, float, bool], Summary] = {}
        self.limit(memory_limit)

    def limit(self, memory_limit: int | str | None) -> None:
        """Read within this much memory from now on."""
        limit, store, n = parse_limit(memory_limit), self.store, self.shape[0]
        self.memory_limit = limit
        total, rows = store.size(0, n), max(self.block_rows, store.chunk)
        least = max(1, total * min(n, rows) // n)
        if SLABS * least > limit < total and memory_limit is None:
            warn_user(
                f"reading {store.where} takes {SLABS} times {shown_bytes(least)}, what its storage decodes at once; "
                "nonneg.convert writes it with rows that are read in less memory"
            )
        elif SLABS * least > limit < total:
            what = "block of rows" if rows > store.chunk else "chunk of rows of its storage"
            raise ValueError(
                f"memory_limit={memory_limit!r} is too small: reading {store.where} takes {SLABS} times "
                f"{shown_bytes(least)}, the size of a {what}; allow {shown_bytes(1.01 * SLABS * least)} or more"
            )
        self._slab_bytes = max(least, min(limit // SLABS, SLAB_BYTES))
        self._slabs = Slabs(store, limit if total <= limit else SLABS * self._slab_bytes)
        self._set_plan([(cut,) for cut in store.cuts(self._slab_bytes)])

    def only(self, cuts: Sequence[tuple[int, int]]) -> StoredSource:
        """The same source for someone who reads these blocks alone: slabs of them, in the memory of this one."""
        keys: list[Key] = []
        for cut in cuts:
            if keys and sum(self.store.size(*held) for held in (*keys[-1], cut)) <= self._slab_bytes:
                keys[-1] = (*keys[-1], cut)
            else:
                keys.append((cut,))
        found = copy.copy(self)
        found._set_plan(keys)
        return found

    def _set_plan(self, keys: list[Key]) -> None:
        """Say which rows are read together, in increasing order."""
        self._keys, self._runs = keys, []
        for slab, key in enumerate(keys):
            offset = 0
            for start, stop in key:
                self._runs.append(_Run(start, stop, slab, offset))
                offset += stop - start
        self._starts = [run.start for run in self._runs]

    def _stored_per_row(self) -> int:
        return self.shape[1] if self.store.nnz is None else -(-self.store.nnz // max(1, self.shape[0]))

    def summary(self) -> Summary:
        """Of all rows; known from an earlier pass where it can be."""
        if self.weights is not None or self.row_weights is not None:
            return super().summary()
        units = (self.scale, self.floor, self.nan_is_missing)
        if units not in self._known:
            self._known[units] = super().summary()
        return self._known[units]

    # -- reading --------------------------------------------------------------------------------------------

    def _read(self, rows: slice | np.ndarray) -> Any:
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(self.shape[0])
            return below(list(self._parts(start, stop)))
        return self._picked(np.asarray(rows))

    def _read_weights(self, rows: slice | np.ndarray) -> np.ndarray | None:
        return None if self.weights is None else self.weights.rows(self, rows)

    def _parts(self, start: int, stop: int) -> Iterator[Any]:
        """Rows of a block: of one slab, or of two where a slab ends within the block."""
        place = bisect_right(self._starts, start) - 1
        first = start
        while start < stop:
            run = self._runs[place] if place < len(self._runs) else None
            if run is None or not run.start <= start < run.stop:  # no row of the plan
                yield self._direct(start, stop)
                return
            end = min(stop, run.stop)
            yield self._part(run, start, end, first)
            start, place = end, place + 1

    def _part(self, run: _Run, start: int, stop: int, first: int) -> Any:
        """Rows of one slab, if who reads goes through slabs in order; blocks in any other order are read alone."""
        key = self._keys[run.slab]
        begins = first <= run.start and run.offset == 0
        if not self._slabs.holds(key) and not (
            begins and (run.slab == 0 or self._slabs.holds(self._keys[run.slab - 1]))
        ):
            return self._direct(start, stop)
        ahead = self._keys[run.slab + 1] if begins and run.slab + 1 < len(self._keys) else None
        slab = self._slabs.get(key, ahead)
        offset = run.offset - run.start
        return rows_of(slab, start + offset, stop + offset)

    def _direct(self, start: int, stop: int) -> Any:
        """Rows that no slab has; where storage decodes chunks of rows, these are held."""
        if self.store.chunk == 1 or start == stop:
            return self.store.read(start, stop)
        edges = self._edges
        first, last = np.searchsorted(edges, [start, stop - 1], side="right") - 1
        return below(
            [
                rows_of(self._piece(i), max(start, edges[i]) - edges[i], min(stop, edges[i + 1]) - edges[i])
                for i in range(first, last + 1)
            ]
        )

    def _picked(self, rows: np.ndarray) -> Any:
        """Any rows: piece by piece where that reads little in vain, else one by one."""
        if not len(rows):
            return self.store.read(0, 0)
        rows = np.where(rows < 0, rows + self.shape[0], rows)
        order = np.argsort(rows, kind="stable")
        wanted = rows[order]
        of = np.searchsorted(self._edges, wanted, side="right") - 1
        pieces, firsts = np.unique(of, return_index=True)
        if self.store.chunk == 1 and len(rows) < FEW * len(pieces):
            found = self.store.some(wanted)
        else:
            groups = zip(pieces, np.split(wanted, firsts[1:]), strict=True)
            found = below([self._piece(i)[group - self._edges[i]] for i, group in groups])
        return found[np.argsort(order)]

    @cached_property
    def _edges(self) -> np.ndarray:
        """Where pieces begin, and the end: rows that are read together for whoever wants some of them."""
        return np.array([start for start, _ in self.store.cuts(BLOCK_BYTES)] + [self.shape[0]])

    def _piece(self, i: int) -> Any:
        return self._slabs.get(((int(self._edges[i]), int(self._edges[i + 1])),))
