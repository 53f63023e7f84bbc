"""What a fit says of all rows of W at once: found block by block, wherever the blocks are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data import Source
from ..data.by_place import by_place
from ..data.threads import Workers, workers
from ..solvers.kkt import column_squares
from .inputs import shares
from .units import times

__all__ = ["RowFacts", "lazy_rows", "rows_times"]


@dataclass(frozen=True)
class RowFacts:
    """Facts about W of shape (n, k) beside H of shape (k, m).

    Attributes
    ----------
    finite : bool
        Whether every entry of W is a finite number.
    labels : ndarray of int, shape (n,)
        The component with the largest share in each row.
    means, norms : ndarray of shape (k,)
        Means and Euclidean norms of the columns.
    """

    finite: bool
    labels: np.ndarray
    means: np.ndarray
    norms: np.ndarray

    @classmethod
    def of(cls, source: Source, W: Any, H: np.ndarray, pool: Workers) -> RowFacts:
        """The facts of a row array."""

        def work(mine: np.ndarray) -> tuple[bool, np.ndarray, np.ndarray]:
            return facts(mine, H)

        finite, labels, sums = True, [], np.zeros((2, len(H)))
        for is_finite, of_block, found in pool.along(source, work, W):
            finite, sums = finite and is_finite, sums + found
            labels.append(of_block)
        return cls(finite, np.concatenate(labels), sums[0] / source.shape[0], np.sqrt(sums[1]))


@by_place
def facts(mine: np.ndarray, H: np.ndarray) -> tuple[bool, np.ndarray, np.ndarray]:
    """Of a block of rows: whether it is finite, its labels, sums and sums of squares of its columns."""
    with np.errstate(invalid="ignore", over="ignore"):  # W may not be finite, which is what is asked
        sums = np.stack([mine.sum(axis=0, dtype=np.float64), column_squares(mine)])
        return bool(np.isfinite(mine).all()), shares(mine, H).argmax(axis=1), sums


@by_place
def times_into(mine: np.ndarray, before: np.ndarray, power: int) -> None:
    """Write W · 2^power of a block of rows into the first."""
    mine[...] = times(before, power)


def lazy_rows(source: Source, W: Any) -> Any:
    """W as a dask array where X is one (or belongs to a client), else W as an ndarray."""
    if not source.spread:
        return np.asarray(W)
    if not isinstance(W, np.ndarray):
        return W.lazy()
    import dask.array as da

    return da.from_array(W, chunks=(tuple(stop - start for start, stop in source.bounds()), -1))


def rows_times(source: Source, W: Any, power: int) -> Any:
    """W · 2^power of a row array; W itself where the power is 0."""
    if power == 0:
        return W
    with workers(source) as pool:
        found = pool.empty(source, W.shape[1], W.dtype)

        def work(mine: np.ndarray, before: np.ndarray) -> None:
            times_into(mine, before, power)

        for _ in pool.along(source, work, W, out=(found,)):
            pass
    return found
