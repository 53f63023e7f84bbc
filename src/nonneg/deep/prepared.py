"""Some rows of a source on the scale a network wants: every feature minus its offset, divided by its span."""

from __future__ import annotations

from typing import Any

import numpy as np

from nonneg.data import Source
from nonneg.data.block import Block

__all__ = ["Prepared", "scale_of"]


class Prepared(Source):
    """(x_ij − offset_j) / span_j, dense, made when rows are read; a missing cell holds ``fill_j``.

    Parameters
    ----------
    source : Source
    offset, span, fill : ndarray of shape (n_features,), float64
        ``fill`` on the new scale.
    rows : ndarray of int, optional
        The rows to have, numbered from 0 here. Default: all.
    """

    def __init__(
        self,
        source: Source,
        offset: np.ndarray,
        span: np.ndarray,
        fill: np.ndarray,
        rows: np.ndarray | None = None,
    ) -> None:
        self.source, self.offset, self.span, self.fill, self.rows = source, offset, span, fill, rows
        self.shape = (source.shape[0] if rows is None else len(rows), source.shape[1])
        self.dtype = source.float_dtype
        self.in_memory = source.in_memory  # for the order of samples; there are no `columns`
        self.nan_is_missing = source.is_masked  # its blocks come with their weights
        weights = source.row_weights
        self.row_weights = weights if weights is None or rows is None else weights[rows]

    def _block(self, rows: slice | np.ndarray, start: int, stop: int) -> Block:
        places = rows if self.rows is None else self.rows[rows]
        if isinstance(places, slice):
            found = self.source.block(start, stop).dense()
        else:
            found = self.source.some(places).dense()
        with np.errstate(over="ignore"):  # rows far from those of the fit; `Batches` refuses infinity
            X = found.X - self.offset.astype(found.X.dtype)
            X /= self.span.astype(X.dtype)
        if found.weights is not None:
            X = np.where(found.weights == 0, self.fill.astype(X.dtype), X)
        return Block(start, stop, X, found.weights, found.row_weights)

    def _read(self, rows: slice | np.ndarray) -> Any:
        numbers = np.arange(self.shape[0])[rows]
        return self._block(numbers, 0, len(numbers)).X


def scale_of(
    source: Source, rows: np.ndarray, scaling: str
) -> tuple[str, np.ndarray, np.ndarray, np.ndarray]:
    """Return the scaling that ``"auto"`` means, and offset, span and fill of `Prepared`, from these rows.

    "minmax": every feature on [0, 1], its mean in missing cells; "max": X divided by its largest absolute value, 0 in
    missing cells; "auto": "max" where the smallest cell is 0, else "minmax". A constant feature has span 1.

    Raises
    ------
    ValueError
        A range that no float holds, or only one that processors take for zero when they train.
    """
    none = np.zeros(source.shape[1])
    low, high, mean = _feature_ranges(Prepared(source, none, none + 1, none, rows))
    if scaling == "auto":
        scaling = "max" if low.min() == 0 else "minmax"
    if scaling == "max":
        low, high, mean = none, np.full_like(none, max(-low.min(), high.max())), none
    half = high / 2 - low / 2  # the difference of two floats may be infinite
    if (half > np.finfo(np.float64).max / 2).any():
        raise ValueError("X: the range of a feature exceeds the largest float; divide X by a number")
    varies = half > 4 * np.finfo(source.float_dtype).eps * np.maximum(np.abs(low), np.abs(high))
    span = np.where(varies, 2 * half, 1.0)
    least = float(np.finfo(source.float_dtype).tiny)
    if span.min() < least:
        raise ValueError(
            f"X: feature {int(span.argmin())} has a range of {span.min():g}, below the smallest normal number of "
            f"{source.float_dtype.name}, {least:.2g}; multiply X by a number"
        )
    return scaling, low, span, (mean - low) / span


def _feature_ranges(source: Source) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Smallest, largest and mean observed value of every feature, float64; 0, 0, 0 where none is observed.

    Rows of weight 0 do not count. Cells and rows count in the mean by their weights.
    """
    m = source.shape[1]
    low, high = np.full(m, np.inf), np.full(m, -np.inf)
    total, weight = np.zeros(m), np.zeros(m)
    for block in source.blocks():
        dense = block.dense()
        counted = np.ones(dense.X.shape) if dense.weights is None else dense.weights.astype(np.float64)
        if dense.row_weights is not None:
            counted = counted * dense.row_weights[:, None]
        seen = counted > 0
        low = np.minimum(low, np.where(seen, dense.X, np.inf).min(axis=0, initial=np.inf))
        high = np.maximum(high, np.where(seen, dense.X, -np.inf).max(axis=0, initial=-np.inf))
        weight += counted.sum(axis=0)
        total += (counted * dense.X).sum(axis=0)
    known = weight > 0
    mean = np.divide(total, weight, out=np.zeros(m), where=known)
    return np.where(known, low, 0.0), np.where(known, high, 0.0), np.where(known, mean, 0.0)
