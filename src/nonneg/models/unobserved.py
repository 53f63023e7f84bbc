"""Rows and columns of X, and slices of a tensor, of which nothing was observed: the problem says nothing of them.

W of such a row is 1 / n_components in every component: the cold start of `transform`, which nothing moves. H in such a
column is the mean of the component's other entries, so that a prediction there is the mean of the row's others; so are
factors of a tensor in such a slice. Where there are penalties, these alone decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data import Source
from ..data.block import Block
from ..data.tensor import Tensor
from ..data.threads import workers
from ..exceptions import warn_user
from ..solvers.problem import Problem

__all__ = ["Unobserved", "UnobservedSlices", "filled"]


@dataclass(frozen=True)
class Unobserved:
    """Which rows (n,) and columns (m,) have no observed cell."""

    rows: np.ndarray
    columns: np.ndarray

    @classmethod
    def of(cls, source: Source) -> Unobserved:
        """One pass over the weights; none where every cell is observed."""
        rows, columns = np.zeros(source.shape[0], bool), np.zeros(source.shape[1])
        if not source.is_masked:
            return cls(rows, columns > 0)
        with workers(source) as pool:
            for (start, stop), found in zip(source.bounds(), pool.over(source, _observed), strict=True):
                rows[start:stop], columns = found[0] == 0, columns + found[1]
        return cls(rows, columns == 0)

    def warn(self, penalised: bool) -> None:
        """One warning that says how many and which first, if there are any."""
        if penalised:
            self.say("components_ holds what the penalties make of it", "W is what the penalties make of it")
        else:
            mean = "components_ holds the mean of the component's other entries"
            self.say(mean, "W is 1 / n_components throughout")

    def say(self, of_columns: str, of_rows: str) -> None:
        """`warn` in other words, for models that hold other values there."""
        found = []
        if self.columns.any():
            found.append(f"{_named(self.columns, 'column')}: {of_columns} there")
        if self.rows.any():
            found.append(f"{_named(self.rows, 'row')}: {of_rows} there")
        if found:
            warn_user(f"X has no observed cell in {'; and in '.join(found)}")


def _observed(block: Block) -> tuple[np.ndarray, np.ndarray]:
    """Observed cells of the rows, and of the columns in rows that count."""
    if block.weights is None:
        seen: Any = np.ones(block.X.shape, bool)
    elif block.is_sparse:
        seen = block.X.copy()
        seen.data = block.weights > 0
    else:
        seen = block.weights > 0
    counts = np.ones(seen.shape[0]) if block.row_weights is None else block.row_weights > 0
    return np.asarray(seen.sum(axis=1)).ravel(), counts @ seen


@dataclass(frozen=True)
class UnobservedSlices:
    """For every way of a tensor, which of its slices (I_d,) have no observed cell."""

    ways: list[np.ndarray]

    @classmethod
    def of(cls, tensor: Tensor) -> UnobservedSlices:
        """Samples of weight 0 observe nothing of the ways but the first."""
        source, shape = tensor.source, tensor.shape
        if not source.is_masked:
            return cls([np.zeros(side, bool) for side in shape])
        if source.is_sparse and len(shape) > 2:  # the columns may be too many for an array
            return cls(_stored_nowhere(tensor))
        found = Unobserved.of(source)
        columns = found.columns.reshape(shape[1:])
        axes = range(columns.ndim)
        sides = [np.asarray(columns.all(axis=tuple(e for e in axes if e != d))) for d in axes]
        return cls([found.rows, *sides])

    def cleared(self, d: int, F: np.ndarray, held: np.ndarray | None = None) -> np.ndarray:
        """Factor ``d`` with 0 in these slices, where nothing moves it; columns in ``held`` as they are."""
        return self._with(d, F, np.zeros(F.shape[1]), held)

    def filled(self, d: int, F: np.ndarray, held: np.ndarray | None = None) -> np.ndarray:
        """Factor ``d`` with the mean of the column's other entries in these slices; ``held`` as in `cleared`."""
        seen = ~self.ways[d]
        return self._with(d, F, F[seen].mean(axis=0, dtype=np.float64), held)

    def _with(self, d: int, F: np.ndarray, values: np.ndarray, held: np.ndarray | None) -> np.ndarray:
        lost = self.ways[d]
        if not lost.any() or lost.all():
            return F
        free = np.ones(F.shape[1], bool) if held is None else ~held
        return np.where(lost[:, None] & free, values, F).astype(F.dtype)

    def warn(self) -> None:
        """One warning that says how many and which first, if there are any."""
        found = [
            f"{_named(lost, 'slice')} of axis {d}: factors_[{d}] holds the mean of the column's other entries there"
            for d, lost in enumerate(self.ways)
            if d and lost.any()
        ]
        if self.ways[0].any():
            found.append(f"{_named(self.ways[0], 'row')}: W is 1 / n_components throughout there")
        if found:
            warn_user(f"X has no observed cell in {'; and in '.join(found)}")


def _stored_nowhere(tensor: Tensor) -> list[np.ndarray]:
    source, indices = tensor.source, tensor.indices
    seen = (source.weights > 0) & ~np.isnan(source.X.data)  # type: ignore[attr-defined]
    counted = seen if source.row_weights is None else seen & (source.row_weights > 0)[indices[0]]
    ways = [(indices[0], seen), *((index, counted) for index in indices[1:])]
    return [
        np.bincount(index[kept], minlength=side) == 0
        for (index, kept), side in zip(ways, tensor.shape, strict=True)
    ]


def _named(mask: np.ndarray, what: str) -> str:
    count, first = int(mask.sum()), int(np.argmax(mask))
    return f"{what} {first}" if count == 1 else f"{count} {what}s (the first: {first})"


def filled(H: np.ndarray, unobserved: np.ndarray, problem: Problem) -> np.ndarray:
    """H with its unobserved columns at the mean of the others, and the free components at root mean square ``unit``."""
    H = H.copy()
    free = np.flatnonzero(~problem.frozen)
    H[np.ix_(free, unobserved)] = H[np.ix_(free, ~unobserved)].mean(axis=1, keepdims=True, dtype=np.float64)
    sizes = np.sqrt(np.square(H, dtype=np.float64).mean(axis=1))
    moving = ~problem.frozen & (sizes > 0)
    return H * np.where(moving, problem.unit / np.where(sizes > 0, sizes, 1), 1).astype(H.dtype)[:, None]
