"""A source in runs of its blocks, for what is computed and written row by row: one run is worked on at a time.

A row must not notice what run it is in. So a run has the blocks of the whole, and its summary, in whatever units it is
asked for, is that of the whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .block import Block
from .source import Source, Summary

__all__ = ["Run", "runs"]

RUN_BYTES = 1 << 23  # of what is made of a run; computing it takes a few times that
RUN_BLOCKS = 32


def runs(source: Source, summary: Summary, width: int) -> Iterator[Run]:
    """Yield the rows of a source in order, each run as a source of its own.

    Parameters
    ----------
    source : Source
    summary : Summary
        Its summary as it is now.
    width : int
        Numbers that are made of a row: where they are many, runs are short.
    """
    bounds, units = source.bounds(), (source.scale, source.floor)
    known = {units: summary}
    block = (bounds[0][1] - bounds[0][0]) * width * source.float_dtype.itemsize
    step = max(1, min(RUN_BLOCKS, RUN_BYTES // block))
    for first in range(0, len(bounds), step):
        yield Run(source, bounds[first : first + step], units, known)


class Run(Source):
    """Consecutive blocks of another source; its rows are numbered from 0.

    Parameters
    ----------
    source : Source
        Its ``scale`` and ``floor`` follow those of the run that reads from it.
    cuts : list of (int, int)
        Bounds of the blocks, in the numbering of ``source``.
    units : (float, float)
        ``scale`` and ``floor`` to begin with.
    known : dict
        Summaries of ``source`` by scale and floor; new ones are added.

    Attributes
    ----------
    first : int
        The row of the other source that is its row 0.
    """

    in_memory = False

    def __init__(
        self,
        source: Source,
        cuts: list[tuple[int, int]],
        units: tuple[float, float],
        known: dict[tuple[float, float], Summary],
    ) -> None:
        self.source, self.first, self._known = source, cuts[0][0], known
        self._edges = [(start - self.first, stop - self.first) for start, stop in cuts]
        self.shape = (self._edges[-1][1], source.shape[1])
        self.dtype, self.is_sparse, self.names = source.dtype, source.is_sparse, source.names
        self.weight_power, self.device = source.weight_power, source.device
        self.scale, self.floor = units
        weights = source.row_weights
        self.row_weights = None if weights is None else weights[cuts[0][0] : cuts[-1][1]]

    @property
    def float_dtype(self) -> np.dtype:
        """That of the other source."""
        return self.source.float_dtype

    @property
    def is_masked(self) -> bool:
        """Whether any cell of the other source may have a weight other than 1."""
        return self.source.is_masked

    def bounds(self) -> list[tuple[int, int]]:
        """Bounds of the blocks in the numbering of the run."""
        return self._edges

    def summary(self) -> Summary:
        """That of the whole."""
        units = (self.scale, self.floor)
        if units not in self._known:
            self._known[units] = self._in_units().summary()
        return self._known[units]

    def block(self, start: int, stop: int) -> Block:
        """Rows ``start:stop`` of the run."""
        found = self._in_units().block(self.first + start, self.first + stop)
        return Block(start, stop, found.X, found.weights, found.row_weights)

    def root(self, start: int, stop: int) -> tuple[Source, tuple[int, int]]:
        """Where the other source reads it from."""
        return self._in_units().root(self.first + start, self.first + stop)

    def some(self, rows: np.ndarray) -> Block:
        """Any rows of the run, by their numbers in it."""
        return self._in_units().some(self.first + np.asarray(rows))

    def _in_units(self) -> Source:
        self.source.scale, self.source.floor = self.scale, self.floor
        return self.source

    def _read(self, rows: slice | np.ndarray) -> Any:
        if isinstance(rows, slice):
            return self.source._read(slice(self.first + rows.start, self.first + rows.stop))
        return self.source._read(self.first + rows)
