"""Weights of the cells of X in storage: read beside its rows, wherever they are kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from .source import Source

__all__ = ["StoredCells", "StoredWeights"]


class StoredCells:
    """Weight 1 for the cells that a sparse X stores: the others are missing."""

    ones = False

    def rows(self, source: Source, rows: slice | np.ndarray) -> np.ndarray:
        """Weights beside the stored cells of some rows of X."""
        return np.ones(source._read(rows).nnz, source.float_dtype)


class StoredWeights:
    """Weights of all cells, w · 2^−power with a mean near 1.

    Parameters
    ----------
    weights : Source
        Of the shape of X.
    source : Source
        X; where NaN means missing, weights beside it do not count.

    Attributes
    ----------
    power : int
    ones : bool
        Whether all weights are 1.

    Raises
    ------
    ValueError
        For weights that are negative or not finite, or too far apart for the precision of X.
    """

    def __init__(self, weights: Source, source: Source) -> None:
        self.weights, self.power = weights, 0
        tops, sums, counts, least, self.ones = [], [], 0, np.inf, True
        for start, stop in source.bounds():
            rows = slice(start, stop)
            values = self._values(rows)
            if not np.isfinite(values).all() or (values < 0).any():
                raise ValueError("weights must be finite and non-negative; 0 means missing")
            if source.nan_is_missing:
                values = np.where(_is_nan(source._read(rows)), 0, values)
            self.ones = self.ones and bool((values == 1).all())
            positive = values[values > 0]
            if positive.size:
                tops.append(int(np.frexp(positive.max())[1]))
                sums.append(float(np.ldexp(positive, -tops[-1]).sum(dtype=np.float64)))
                counts += positive.size
                least = min(least, float(positive.min()))
        if tops and weights.dtype.kind != "b":
            top = max(tops)
            mean = sum(np.ldexp(part, own - top) for part, own in zip(sums, tops, strict=True)) / counts
            self.power = top + round(np.log2(mean))
            self._check_reach(least, top, source.float_dtype)

    def _check_reach(self, least: float, top: int, dtype: np.dtype) -> None:
        with np.errstate(over="ignore", under="ignore"):
            ends = np.ldexp([least, np.ldexp(1.0, top)], -self.power).astype(dtype)
        if ends[0] < np.finfo(dtype).tiny or not np.isfinite(ends[1]):
            raise ValueError(
                f"weights reach from {least:.3g} to about 2^{top}, too far for {dtype}, the precision of the fit: "
                "beside their mean the smallest would count as missing; set them to 0"
                + (", or pass X as float64" if dtype == np.float32 else "")
            )

    def _values(self, rows: slice | np.ndarray) -> np.ndarray:
        """As the user gave them, in floats that hold them."""
        found = self.weights._read(rows)
        found = found.toarray() if sp.issparse(found) else np.asarray(found)
        return found if found.dtype.kind == "f" and found.dtype.itemsize >= 4 else found.astype(np.float64)

    def rows(self, source: Source, rows: slice | np.ndarray) -> np.ndarray:
        """Weights of some rows of X."""
        with np.errstate(under="ignore"):
            return np.ldexp(self._values(rows), -self.power).astype(source.float_dtype)


def _is_nan(X: Any) -> np.ndarray:
    return np.isnan(X.toarray() if sp.issparse(X) else X)
