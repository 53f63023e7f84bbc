"""Filling missing cells with what the factorization predicts there; positions and names in X that users pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data import Source
from ..data.as_source import check_cells

__all__ = ["check_indices", "checked_names", "imputed", "predicted"]


def imputed(source: Source, W: np.ndarray, H: np.ndarray, name: str) -> np.ndarray:
    """X as a dense float array with its missing cells filled by W @ H; observed cells keep their bits.

    Missing are NaN cells, cells of weight 0 and, with ``missing="unstored"``, cells that a sparse X does not store.
    """
    filled = np.empty(source.shape, source.float_dtype)
    for block in source.blocks():
        rows = block.rows
        raw: Any = source.read(block.start, block.stop)
        dense = block.dense()
        prediction = W[rows] @ H
        if dense.weights is None:
            filled[rows] = dense.X
        else:
            observed = dense.weights > 0
            values = raw.toarray() if block.is_sparse else raw
            filled[rows] = np.where(observed, values, prediction)
    if not np.isfinite(filled).all():
        check_cells(source, whom=f"{name}.impute")
    return filled


def predicted(W: np.ndarray, H: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """(W H)_ij for pairs (i, j), without the n × m product."""
    return np.einsum("ij,ij->i", W[rows], H.T[cols])


def check_indices(name: str, values: Any, size: int) -> np.ndarray:
    """Return indices as an int64 array, or raise naming the argument."""
    indices = np.atleast_1d(np.asarray(values))
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise TypeError(
            f"{name} must be a 1-D array of integers, got dtype {indices.dtype} and shape {indices.shape}"
        )
    if indices.size and (indices.min() < 0 or indices.max() >= size):
        raise ValueError(f"{name} must lie between 0 and {size - 1}, got {indices.min()} to {indices.max()}")
    return indices.astype(np.int64)


def checked_names(names: Any, m: int) -> list[str]:
    """Return m names of features, or raise."""
    if isinstance(names, str) or not hasattr(names, "__len__"):
        raise TypeError(f"names={names!r} must be a sequence of {m} strings, one a feature")
    found = list(names)
    if len(found) != m:
        raise ValueError(
            f"names has {len(found)} entries, but the model has {m} features; give one a feature"
        )
    odd = next((name for name in found if not isinstance(name, str)), None)
    if odd is not None:
        raise TypeError(
            f"names must hold strings, found {odd!r}; convert them with [str(name) for name in names]"
        )
    return [str(name) for name in found]
