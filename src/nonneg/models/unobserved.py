"""Rows and columns of X of which nothing was observed: the problem says nothing of them, so this module does.

W of such a row is 1 / n_components in every component: the cold start of `transform`, which nothing moves. H in such a
column is the mean of the component's other entries, so that a prediction there is the mean of the row's others. Where
there are penalties, these alone decide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data import Source
from ..exceptions import warn_user
from ..solvers.problem import Problem

__all__ = ["Unobserved", "filled"]


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
        for block in source.blocks():
            if block.weights is None:
                seen = np.ones(block.X.shape, bool)
            elif block.is_sparse:
                seen = block.X.copy()
                seen.data = block.weights > 0
            else:
                seen = block.weights > 0
            rows[block.rows] = np.asarray(seen.sum(axis=1)).ravel() == 0
            counts = np.ones(len(rows[block.rows])) if block.row_weights is None else block.row_weights > 0
            columns += counts @ seen
        return cls(rows, columns == 0)

    def warn(self, penalised: bool) -> None:
        """One warning that says how many and which first, if there are any."""
        found = []
        if self.columns.any():
            value = (
                "what the penalties make of it" if penalised else "the mean of the component's other entries"
            )
            found.append(f"{_named(self.columns, 'column')}: components_ holds {value} there")
        if self.rows.any():
            value = "what the penalties make of it" if penalised else "1 / n_components throughout"
            found.append(f"{_named(self.rows, 'row')}: W is {value} there")
        if found:
            warn_user(f"X has no observed cell in {'; and in '.join(found)}")


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
