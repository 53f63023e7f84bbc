"""In which order an epoch sees the samples, and how they are read: at random in memory, by blocks from storage.

Data in memory are shuffled as a whole. Of other data random rows would be read one by one; there *runs* of neighbouring
blocks are shuffled, the runs are cut into *windows*, and the samples of a window are shuffled among themselves. So an
epoch reads every run once, whole, and holds a window. The order follows from seed, epoch and the source's bounds alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import numpy as np

from nonneg.data import Source
from nonneg.data.block import Block
from nonneg.data.source import BLOCK_BYTES

__all__ = ["Runs", "Shuffle"]

RUN = 2  # blocks of BLOCK_BYTES that are read together
WINDOW = 16  # runs whose samples are mixed: 64 MB
FEWEST = 4  # runs of a window, however large they are


class Shuffle:
    """The order of the samples of a source in each epoch.

    Parameters
    ----------
    source : Source
    seed : int

    Attributes
    ----------
    runs : list of lists of (start, stop)
        The blocks of each run; none where data are in memory.
    window : int
        Runs of a window.
    """

    def __init__(self, source: Source, seed: int) -> None:
        self.n, self.seed = source.shape[0], seed
        bounds = [] if source.in_memory else source.bounds()
        size = 1  # of the largest block
        if bounds and not source.is_sparse:
            rows = max(stop - start for start, stop in bounds)
            size = max(1, rows * source.shape[1] * source.float_dtype.itemsize // BLOCK_BYTES)
        step = max(1, RUN // size)
        self.runs = [bounds[first : first + step] for first in range(0, len(bounds), step)]
        self.window = max(FEWEST, RUN * WINDOW // (step * size))

    def batches(self, epoch: int, size: int, first: int = 0) -> Iterator[np.ndarray]:
        """Yield the samples of the batches of an epoch, from number `first` on."""
        skipped, kept = first * size, np.empty(0, np.intp)
        for rows in self._windows(epoch, skipped):
            kept = np.concatenate([kept, rows]) if len(kept) else rows
            whole = len(kept) - len(kept) % size
            for start in range(0, whole, size):
                yield kept[start : start + size]
            kept = kept[whole:]
        if len(kept):
            yield kept

    def _windows(self, epoch: int, skipped: int) -> Iterator[np.ndarray]:
        """Yield the samples window by window, without the first ``skipped`` ones."""
        key = [self.seed, epoch]
        if len(self.runs) <= self.window:  # one window is one shuffle, as in memory
            yield np.random.Generator(np.random.Philox(key=key)).permutation(self.n)[skipped:]
            return
        order = np.random.Generator(np.random.Philox(key=key)).permutation(len(self.runs))
        for number, start in enumerate(range(0, len(order), self.window), 1):
            runs = [self.runs[run] for run in order[start : start + self.window]]
            held = sum(run[-1][1] - run[0][0] for run in runs)
            if skipped < held:
                rows = np.concatenate([np.arange(run[0][0], run[-1][1]) for run in runs])
                # another counter of the same key: another stream
                generator = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, number]))
                yield generator.permutation(rows)[skipped:]
            skipped = max(0, skipped - held)


class Runs:
    """Reads samples; of data that are not in memory whole runs, of which the latest window's are held.

    Parameters
    ----------
    source : Source
    shuffle : Shuffle
        Its order.
    """

    def __init__(self, source: Source, shuffle: Shuffle) -> None:
        self.source, self.shuffle = source, shuffle
        self.starts = np.array([run[0][0] for run in shuffle.runs], np.intp)
        self.held: OrderedDict[int, list[Block]] = OrderedDict()  # from the one used longest ago on

    def some(self, rows: np.ndarray) -> Block:
        """Return the samples with these numbers, dense, with their weights."""
        runs = np.searchsorted(self.starts, rows, side="right") - 1
        needed = np.unique(runs)
        if not len(self.starts) or not len(rows) or len(needed) > 2 * self.shuffle.window:
            return self.source.some(rows).dense()  # in memory, or all over the data
        for run in needed:
            if run not in self.held:
                cuts = self.shuffle.runs[run]
                alone = self.source.only(cuts)
                self.held[run] = [alone.block(*cut) for cut in cuts]
            self.held.move_to_end(run)
        while len(self.held) > max(len(needed), self.shuffle.window):
            self.held.popitem(last=False)
        return self._gathered(rows, [block for run in needed for block in self.held[run]])

    def _gathered(self, rows: np.ndarray, blocks: list[Block]) -> Block:
        """Put the rows of some blocks together, in this order."""
        shape, dtype = (len(rows), self.source.shape[1]), self.source.float_dtype
        X = np.empty(shape, dtype)
        weights = None if all(block.weights is None for block in blocks) else np.ones(shape, dtype)
        for block in blocks:
            places = np.flatnonzero((rows >= block.start) & (rows < block.stop))
            found = block.some(rows[places] - block.start).dense()
            X[places] = found.X
            if weights is not None and found.weights is not None:
                weights[places] = found.weights
        known = self.source.row_weights
        return Block(0, len(rows), X, weights, None if known is None else known[rows])
