"""The user's weights of cells and rows, checked and brought beside the data they belong to."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import numpy as np
import scipy.sparse as sp

from .array import SparseSource
from .chunked import is_node
from .limit import DEFAULT
from .source import Source
from .stored import StoredSource
from .stored_weights import StoredWeights

__all__ = ["are_ones", "cell_weights", "row_weights"]


def cell_weights(source: Source, weights: Any, name: str, *, stored_only: bool = False) -> Any:
    """Return weights in the form that ``source.weights`` has; ``stored_only``: unstored cells are missing.

    Their mean over the observed cells is brought near 1 by a power of two, which the source remembers as
    ``weight_power``: what a fit finds does not depend on the unit of the weights, and its losses say what it was.

    Raises
    ------
    ValueError
        For a wrong shape, negative or non-finite weights, weights too far apart for the precision of the fit, or a
        weight at a cell that a sparse X does not store.
    TypeError
        For a sparse X in storage, which has no place beside it.
    """
    if isinstance(weights, (str, os.PathLike, Source)) or is_node(weights):
        weights = _opened(weights, source)
    shape = tuple(getattr(weights, "shape", None) or np.shape(weights))
    if shape != source.shape:
        raise ValueError(f"weights has shape {shape}, {name} has {source.shape}; give one weight a cell")
    if isinstance(source, StoredSource):
        return _beside_storage(source, weights, name)
    values = weights.data if sp.issparse(weights) else np.asarray(weights)
    if values.dtype.kind not in "fiub" or not np.isfinite(values).all() or (values < 0).any():
        raise ValueError("weights must be finite and non-negative; 0 means missing")
    if not isinstance(source, SparseSource):
        found = weights.toarray() if sp.issparse(weights) else values
    elif sp.issparse(weights):
        found = _beside_stored(source.X, sp.csr_array(weights))
    elif stored_only:
        found = values[_stored(source.X)]
    else:
        found = values
    found, source.weight_power = _near_one(_without_nan(source, found), source.float_dtype)
    return found


def _opened(weights: Any, source: Source) -> Any:
    """Weights in a file, as a source beside X in storage, as an array beside X in memory."""
    from .as_source import as_source

    found = as_source(weights, memory_limit=_limit(source, weights), name="weights")
    if isinstance(source, StoredSource) or found.shape != source.shape:
        return found
    return found._read(slice(0, found.shape[0]))


def _limit(source: Source, weights: Any) -> int | None:
    """The ``memory_limit`` of weights: as much again as that of X beside it in storage, where the user gave one."""
    if not isinstance(source, StoredSource) or isinstance(weights, Source) or source.memory_limit == DEFAULT:
        return None
    return source.memory_limit


def _beside_storage(source: StoredSource, weights: Any, name: str) -> StoredWeights:
    from .as_source import as_source

    if source.is_sparse:
        raise TypeError(
            f"weights= needs a sparse {name} in memory; load it, or mark missing cells by missing='unstored'"
        )
    weights = as_source(weights, memory_limit=_limit(source, weights), name="weights")
    found = StoredWeights(weights, source)
    source.weight_power = found.power
    return found


def _stored(X: sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of every stored cell."""
    return np.repeat(np.arange(X.shape[0]), np.diff(X.indptr)), X.indices


def _without_nan(source: Any, weights: np.ndarray) -> np.ndarray:
    """The same with weight 0 where X is NaN and that means missing: nothing that stands there may count."""
    if not source.nan_is_missing:
        return weights
    sparse = isinstance(source, SparseSource)
    cells: Any = np.isnan(source.X.data if sparse else source.X)
    if cells.shape != weights.shape:
        rows, columns = _stored(source.X)
        cells = rows[cells], columns[cells]
    if weights[cells].any():
        weights = weights.copy()
        weights[cells] = 0
    return weights


def _near_one(weights: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, int]:
    """Weights · 2^−power as floats of the fit, with a mean of the positive ones near 1; and the power."""
    largest = float(weights.max(initial=0))
    if weights.dtype.kind == "b" or not largest > 0:
        return weights.astype(dtype, copy=False), 0
    if weights.dtype.kind != "f" or weights.dtype.itemsize < 4:
        weights = weights.astype(np.float64)
    top = int(np.frexp(largest)[1])
    mean = float(np.ldexp(weights, -top).sum(dtype=np.float64)) / np.count_nonzero(weights)
    power = top + round(np.log2(mean))
    with np.errstate(over="ignore", under="ignore"):
        found = (np.ldexp(weights, -power) if power else weights).astype(dtype, copy=False)
    lost = (weights > 0) & (found < np.finfo(dtype).tiny)
    if lost.any() or not np.isfinite(found).all():
        raise ValueError(
            f"weights reach from {weights[weights > 0].min():.3g} to {largest:.3g}, too far for {dtype}, the precision "
            "of the fit: beside their mean the smallest would count as missing; set them to 0"
            + (", or pass X as float64" if dtype == np.float32 else "")
        )
    return found, power


def _beside_stored(X: sp.csr_array, weights: sp.csr_array) -> np.ndarray:
    """Weights of the stored cells of X, in their order; X must store every cell that has a weight."""
    weights = weights.copy()
    weights.sum_duplicates()
    weights.eliminate_zeros()
    pattern = sp.csr_array((np.arange(1, X.nnz + 1), X.indices, X.indptr), shape=X.shape)
    places = pattern.multiply(weights != 0).tocsr()
    places.sort_indices()
    if places.nnz != weights.nnz:
        raise ValueError(
            "weights has a positive weight at a cell that X does not store; "
            "store an explicit 0 there, or give dense weights"
        )
    beside = np.zeros(X.nnz, np.float64)
    beside[places.data - 1] = weights.data
    return beside


def are_ones(weights: Any, shape: tuple[int, int]) -> bool:
    """Whether cell weights are 1 in every cell: what is to be solved then is the problem of complete data, as such."""
    if isinstance(weights, StoredWeights):
        return weights.ones
    return weights.size == np.prod(shape, dtype=np.float64) and bool((weights == 1).all())


def row_weights(sample_weight: Any, n: int, dtype: np.dtype) -> np.ndarray:
    """Return (n,) weights of the rows; a number gives every row that weight.

    Raises
    ------
    ValueError
        For a wrong shape, and for weights that are negative, not finite or all zero.
    """
    found = np.asarray(sample_weight)
    if found.ndim == 0:
        found = np.full(n, found)
    if found.shape != (n,):
        raise ValueError(f"sample_weight.shape == {found.shape}, expected ({n},): one weight a row")
    if found.dtype.kind == "O":
        with suppress(TypeError, ValueError):  # refused below
            found = found.astype(np.float64)
    if found.dtype.kind not in "fiub" or not np.isfinite(found).all() or (found < 0).any():
        raise ValueError("sample_weight must be finite and non-negative numbers, one a row")
    if not found.any():
        raise ValueError("sample_weight is zero for every row; at least one row must count")
    with np.errstate(over="ignore", under="ignore"):
        cast = found.astype(dtype)
        largest = cast.max() ** 2
    if not np.finfo(dtype).tiny <= largest < np.inf:
        raise ValueError(
            f"sample_weight has a maximum of {found.max():.3g}, whose square {dtype} (the precision of the fit) cannot "
            "hold; divide the weights by their mean, or pass X as float64"
        )
    return cast
