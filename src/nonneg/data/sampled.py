"""Every s-th block of a source: a stratified sample of rows that is read in whole blocks."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from .block import Block
from .source import Source

__all__ = ["EveryNth"]


class EveryNth(Source):
    """The blocks 0, s, 2 s … of another source, as a source of its own; its rows are numbered from 0.

    Attributes
    ----------
    rows : ndarray of int
        The rows of the other source that it has.
    """

    def __init__(self, source: Source, step: int) -> None:
        cuts = source.bounds()[::step]
        self.source, self.step = source.only(cuts), step
        sizes = np.array([stop - start for start, stop in cuts])
        edges = np.concatenate([[0], np.cumsum(sizes)])
        self._cuts = {int(first): cut for first, cut in zip(edges[:-1], cuts, strict=True)}
        self._edges = [(int(a), int(b)) for a, b in itertools.pairwise(edges)]
        self.shape = (int(edges[-1]), source.shape[1])
        self.dtype, self.is_sparse, self.in_memory = source.dtype, source.is_sparse, False
        self.device = source.device
        weights = source.row_weights
        self.row_weights = None if weights is None else weights[self.rows]

    @cached_property
    def rows(self) -> np.ndarray:
        """Made where somebody asks: it may be long."""
        return np.concatenate([np.arange(start, stop) for start, stop in self._cuts.values()])

    def shared(self, other: EveryNth) -> Iterator[tuple[slice, slice]]:
        """Rows of the blocks that another sample of the same source has too: here, and there."""
        there = {cut: slice(*edges) for edges, cut in zip(other.bounds(), other._cuts.values(), strict=True)}
        for edges, cut in zip(self._edges, self._cuts.values(), strict=True):
            if cut in there:
                yield slice(*edges), there[cut]

    def bounds(self) -> list[tuple[int, int]]:
        """Bounds of the blocks in the numbering of the sample."""
        return self._edges

    def block(self, start: int, stop: int) -> Block:
        """Return a block of the other source under its number here."""
        found = self.source.block(*self._there(start, stop))
        return Block(start, stop, found.X, found.weights, found.row_weights)

    def root(self, start: int, stop: int) -> tuple[Source, tuple[int, int]]:
        """Where the other source reads it from."""
        return self.source.root(*self._there(start, stop))

    def _there(self, start: int, stop: int) -> tuple[int, int]:
        """Rows of one block, in the numbering of the other source."""
        edge, _ = self._edges[bisect.bisect_right(self._edges, (start, self.shape[0])) - 1]
        shift = self._cuts[edge][0] - edge
        return start + shift, stop + shift

    def __getstate__(self) -> dict[str, Any]:
        """To other processes it goes without what is as long as X."""
        kept = {name: value for name, value in self.__dict__.items() if name != "rows"}
        return kept | {"row_weights": None}

    def _read(self, rows: slice | np.ndarray) -> np.ndarray | sp.csr_array:
        return self.source._read(self.rows[rows])
