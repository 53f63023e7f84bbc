"""How sparse a vector or matrix is, between 0 (all entries equal) and 1 (one entry)."""

from __future__ import annotations

from typing import Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["hoyer_sparsity"]


@overload
def hoyer_sparsity(X: ArrayLike, *, axis: None = None) -> float: ...
@overload
def hoyer_sparsity(X: ArrayLike, *, axis: Literal[0, 1]) -> NDArray[np.float64]: ...
def hoyer_sparsity(X: ArrayLike, *, axis: Literal[0, 1] | None = None) -> float | NDArray[np.float64]:
    r"""Hoyer's sparsity of a vector x with d entries.

    .. math:: s(x) = \frac{\sqrt{d} - \|x\|_1 / \|x\|_2}{\sqrt{d} - 1}

    0 when all entries have one magnitude, 1 when a single entry is not zero. It does not depend on the scale of x.

    Parameters
    ----------
    X : array-like of shape (d,) or (n, d)
        Finite numbers; signs are ignored.
    axis : {None, 0, 1}, default=None
        None: one number for the whole array as one vector. 1: one number a row. 0: one number a column.

    Returns
    -------
    float, or ndarray of shape (n,) or (d,)
        A zero vector is NaN: it is neither sparse nor dense. A vector of one entry that is not zero is 1.

    Raises
    ------
    ValueError
        X is empty, not finite, has more than two dimensions, or `axis` does not fit.

    References
    ----------
    Hoyer (2004), Non-negative matrix factorization with sparseness constraints, JMLR 5, section 3.1.
    """
    values = np.abs(np.asarray(X, dtype=np.float64))
    if values.ndim not in (1, 2) or values.size == 0:
        raise ValueError(f"X must be a non-empty vector or matrix, got shape {values.shape}.")
    if not np.isfinite(values).all():
        raise ValueError("X holds NaN or infinite entries: sparsity is defined for finite numbers only.")
    if axis not in (None, 0, 1) or (axis is not None and values.ndim == 1):
        raise ValueError(
            f"axis must be None, or 0 or 1 for a matrix, got axis={axis} for shape {values.shape}."
        )
    vectors = values.reshape(1, -1) if axis is None else (values if axis == 1 else values.T)
    # dividing by the largest entry first keeps squares of 1e±200 from leaving the range of float64
    largest = vectors.max(axis=1, keepdims=True)
    scaled = vectors / np.where(largest > 0, largest, 1.0)
    d = vectors.shape[1]
    root = np.sqrt(d)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = scaled.sum(axis=1) / np.linalg.norm(scaled, axis=1)
    result = (
        np.clip((root - ratio) / (root - 1.0), 0.0, 1.0)
        if d > 1
        else np.where(largest[:, 0] > 0, 1.0, np.nan)
    )
    return float(result[0]) if axis is None else result
