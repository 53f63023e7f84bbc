"""An n-way array seen as matrices: one source for each way to unfold it, none of them a copy of the whole.

A dense array in C order *is* the matrix (I_1 ⋯ I_p, I_{p+1} ⋯ I_N) for every p; its other unfoldings are read block by
block. A sparse one is unfolded into CSR whose columns are only those index tuples that occur: their number is at most
that of the stored cells, however large the product of the sides.
"""

from __future__ import annotations

import math
import os
from functools import cache
from typing import Any

import numpy as np
import scipy.sparse as sp

from .array import ArraySource, SparseSource
from .as_source import as_source
from .chunked import is_node
from .limit import parse_limit, shown_bytes
from .paths import open_path
from .source import Source
from .store import Store
from .stored import StoredSource
from .trees import tree_matrix, tree_store

__all__ = ["Tensor", "is_coo", "tensor_array", "tensor_matrix", "tensor_weights"]


def tensor_array(
    X: Any, layer: str | None = None, memory_limit: int | str | None = None, name: str = "X"
) -> Any:
    """X as models of n-way arrays hold it: what is in storage is loaded; memory maps stay mapped.

    Raises
    ------
    ValueError
        For data that take more than ``memory_limit``, where one is given.
    """
    if isinstance(X, (str, os.PathLike)):
        X = open_path(X, name, layer=layer, memory_limit=memory_limit)
    if is_node(X):
        node = tree_matrix(X, layer, name)
        X = tree_store(X, layer, name) if hasattr(node, "keys") or len(node.shape) <= 2 else node
    elif layer is not None and not isinstance(X, Store):
        X = as_source(X, layer=layer, name=name)  # AnnData; other data are refused
    if isinstance(X, StoredSource):
        X = X.store
    size = X.size(0, X.shape[0]) if isinstance(X, Store) else int(getattr(X, "nbytes", 0))
    if memory_limit is not None and size > parse_limit(memory_limit):
        raise ValueError(
            f"memory_limit={memory_limit!r}: {name} takes {shown_bytes(size)}, and models of n-way arrays hold all "
            "of it; allow more, or take NMF with the samples as rows"
        )
    if isinstance(X, Store):
        return X.read(0, X.shape[0])
    if is_node(X):
        return X[...]
    return X.view(np.ndarray) if isinstance(X, np.memmap) else X


def is_coo(X: Any) -> bool:
    """Whether X is a sparse array of package ``sparse``."""
    return type(X).__module__.split(".")[0] == "sparse" and hasattr(X, "asformat")


def tensor_matrix(X: Any) -> Any:
    """The matrix (I_1, I_2 ⋯ I_N) of an n-way array, as a view or CSR; ``X`` itself where it has two ways or fewer."""
    if is_coo(X):
        X = X.asformat("coo")
        if X.fill_value != 0:
            raise ValueError(
                f"X has fill_value={X.fill_value!r}; what a sparse tensor does not store must be 0"
            )
        return _csr(np.asarray(X.coords), X.data, X.shape)
    if getattr(X, "ndim", 0) <= 2:
        return X
    return X.reshape(X.shape[0], math.prod(X.shape[1:]))


def tensor_weights(weights: Any, shape: tuple[int, ...]) -> Any:
    """Cell weights of shape ``shape`` as the matrix that `tensor_matrix` makes of X."""
    if weights is None or (len(shape) <= 2 and not is_coo(weights)):
        return weights
    found = tuple(getattr(weights, "shape", None) or np.shape(weights))
    if found != shape:
        raise ValueError(f"weights has shape {found}, X has {shape}; give one weight a cell")
    return tensor_matrix(weights if is_coo(weights) else np.asarray(weights))


def _csr(coords: np.ndarray, data: np.ndarray, shape: tuple[int, ...]) -> sp.csr_array:
    width = math.prod(shape[1:])
    if width >= 2**63:
        raise ValueError(
            f"X: the sides {shape[1:]} after the first have a product beyond 2^63; drop empty slices"
        )
    column = np.zeros(coords.shape[1], np.int64)
    for index, side in zip(coords[1:], shape[1:], strict=True):
        column = column * side + index
    return sp.csr_array((data, (coords[0], column)), shape=(shape[0], width))


class Tensor:
    """A source of shape (I_1, I_2 ⋯ I_N) with what it needs to be unfolded along any of its modes.

    Parameters
    ----------
    source : Source
        Its scale, weights and row weights are those of the tensor.
    shape : tuple of int
        (I_1, …, I_N).
    """

    def __init__(self, source: Source, shape: tuple[int, ...]) -> None:
        self.source, self.shape = source, shape
        self.unfold, self.places = cache(self._unfold), cache(self._places)

    @property
    def modes(self) -> range:
        """0, …, N − 1."""
        return range(len(self.shape))

    def matrix(self, p: int) -> Source:
        """The matrix (I_1 ⋯ I_p, I_{p+1} ⋯ I_N) of a dense tensor, without weights of cells; rows keep theirs."""
        if p == 1:
            return self.source
        X = self.source.X.reshape(math.prod(self.shape[:p]), -1)  # type: ignore[attr-defined]
        weights = self.source.row_weights
        rows = None if weights is None else np.repeat(weights, math.prod(self.shape[1:p]))
        return self._like(ArraySource(X), rows)

    def others(self, d: int) -> list[int]:
        """All modes but ``d``, in order."""
        return [e for e in self.modes if e != d]

    def _places(self, d: int) -> list[np.ndarray] | None:
        """For every other mode, its index in each column of `unfold`; None where the columns are all of them."""
        if not self.source.is_sparse or len(self.shape) == 2:
            return None
        return list(np.unravel_index(self._columns(d)[0], [self.shape[e] for e in self.others(d)]))

    def _columns(self, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distinct columns of the unfolding that store anything, and row and column of each stored cell."""
        index = self.indices
        column = np.zeros(len(index[0]), np.int64)
        for e in self.others(d):
            column = column * self.shape[e] + index[e]
        distinct, column = np.unique(column, return_inverse=True)
        return distinct, index[d], column

    @property
    def indices(self) -> list[np.ndarray]:
        """Of every stored cell of a sparse tensor, its place along each way."""
        X = self.source.X  # type: ignore[attr-defined]
        rows = np.repeat(np.arange(self.shape[0]), np.diff(X.indptr))
        return [rows, *np.unravel_index(X.indices, self.shape[1:])]

    def _unfold(self, d: int) -> Source:
        """Mode ``d`` against all others."""
        if not self.source.is_sparse:
            return self.source if d == 0 else self._like(_Unfolded(self.source, self.shape, d))
        if len(self.shape) == 2:
            return self.source if d == 0 else self.source.columns()
        X, weights = self.source.X, self.source.weights  # type: ignore[attr-defined]
        distinct, rows, columns = self._columns(d)
        shape = (self.shape[d], len(distinct))
        order = np.lexsort((columns, rows))
        indptr = np.searchsorted(rows[order], np.arange(shape[0] + 1))
        kind = np.int32 if max(X.nnz, *shape) < 2**31 else np.int64
        parts = (X.data[order], columns[order].astype(kind), indptr.astype(kind))
        unfolded = SparseSource(
            sp.csr_array(parts, shape=shape), weights=None if weights is None else weights[order]
        )
        return self._like(unfolded, self.source.row_weights if d == 0 else None)

    def _like(self, other: Source, row_weights: np.ndarray | None = None) -> Source:
        mine = self.source
        other.scale, other.nan_is_missing, other.floor = mine.scale, mine.nan_is_missing, mine.floor
        other.row_weights = row_weights
        return other


class _Unfolded(Source):
    """Mode ``d`` of a dense array against all others, read block by block."""

    def __init__(self, source: Any, shape: tuple[int, ...], d: int) -> None:
        self.X = np.moveaxis(source.X.reshape(shape), d, 0)
        self.shape = (shape[d], math.prod(shape) // shape[d])
        self.dtype = source.dtype
        self.weights = source.weights
        self._weights = None if self.weights is None else np.moveaxis(self.weights.reshape(shape), d, 0)

    def _read(self, rows: slice | np.ndarray) -> np.ndarray:
        return self.X[rows].reshape(-1, self.shape[1])

    def _read_weights(self, rows: slice | np.ndarray) -> np.ndarray | None:
        return None if self._weights is None else self._weights[rows].reshape(-1, self.shape[1])
