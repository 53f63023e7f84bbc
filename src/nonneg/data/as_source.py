"""The one place where kinds of data are told apart: anything a user may pass becomes a `Source`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from .array import ArraySource, SparseSource
from .mapped import MappedSource
from .source import Source

__all__ = ["as_source", "check_cells"]

_MISSING = ("error", "ignore", "unstored")


def as_source(
    X: Any,
    *,
    weights: Any = None,
    sample_weight: Any = None,
    missing: str = "error",
    name: str = "X",
) -> Source:
    """Turn ``X`` into a `Source`, without copying it.

    Parameters
    ----------
    X : array-like, sparse matrix or array, DataFrame, memmap, torch tensor or path, (n_samples, n_features)
        Paths: ``.npy`` (mapped, not loaded), ``.npz`` (scipy.sparse or one array), ``.csv``, ``.tsv``, ``.mtx``.
    weights : array-like or sparse of shape (n_samples, n_features), optional
        Non-negative weights of the cells; 0 means missing. A sparse one gives weight 0 to what it does not store.
    sample_weight : array-like of shape (n_samples,), optional
        Non-negative weights of the rows.
    missing : {"error", "ignore", "unstored"}
        ``"ignore"``: NaN cells are missing. ``"unstored"``: so are cells that a sparse X does not store.
    name : str
        What messages call X.

    Raises
    ------
    TypeError
        For a kind of data the library does not know, or that cannot be read as real numbers.
    ValueError
        For wrong shapes, complex numbers, no rows or columns, unknown ``missing``, unusable weights.
    """
    if missing not in _MISSING:
        raise ValueError(f"missing={missing!r} is unknown; choose one of {', '.join(map(repr, _MISSING))}")
    if isinstance(X, Source):
        source = X
    else:
        source = _from_data(X, name)
    n, m = source.shape
    if n == 0:
        raise ValueError(
            f"{name}: found array with 0 sample(s) (shape={source.shape}) while a minimum of 1 is required."
        )
    if m == 0:
        raise ValueError(f"{name}: 0 feature(s) (shape={source.shape}) while a minimum of 1 is required.")
    source.nan_is_missing = missing != "error" and source.dtype.kind == "f"
    if missing == "unstored":
        if not isinstance(source, SparseSource):
            raise ValueError(
                f'missing="unstored" needs a sparse {name}; for a dense one mark cells by NaN and use missing="ignore"'
            )
        if weights is None:
            source.weights = np.ones(source.X.nnz, source.float_dtype)
    if weights is not None:
        source = _with_weights(source, weights, name)
    if sample_weight is not None:
        source.row_weights = _row_weights(sample_weight, n, source.float_dtype)
    return source


def _from_data(X: Any, name: str) -> Source:
    if isinstance(X, (str, os.PathLike)):
        return _from_path(Path(X), name)
    if sp.issparse(X):
        return _from_sparse(X, name)
    if isinstance(X, np.memmap) and X.ndim == 2 and X.dtype.kind in "fiub":
        return MappedSource(X)
    module = type(X).__module__.split(".")[0]
    if module == "torch":
        X = X.detach().cpu().numpy()
    elif module in ("pandas", "polars"):
        X = X.to_numpy()
    array = np.asarray(X)
    if array.dtype.kind == "c":
        raise ValueError(
            f"Complex data not supported: {name} has dtype {array.dtype}; pass magnitudes, np.abs({name})"
        )
    if array.dtype.kind not in "fiub":
        try:
            array = array.astype(np.float64)
        except ValueError as error:
            raise ValueError(
                f"{name} has dtype {array.dtype}, which cannot be read as numbers: {error}"
            ) from error
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    if array.ndim != 2:
        raise ValueError(
            f"{name}: expected a 2-D array (n_samples, n_features), got {array.ndim}-D of shape {array.shape}. "
            "Reshape your data with .reshape(-1, 1) if it has one feature, .reshape(1, -1) if it is one sample."
        )
    return ArraySource(array)


def _from_sparse(X: Any, name: str) -> SparseSource:
    if X.dtype.kind == "c":
        raise ValueError(
            f"Complex data not supported: {name} has dtype {X.dtype}; pass magnitudes, abs({name})"
        )
    if X.ndim != 2:
        raise ValueError(
            f"{name}: expected a 2-D sparse array, got {X.ndim}-D of shape {X.shape}. Reshape your data."
        )
    if X.dtype.kind not in "fiub" or X.dtype.itemsize > 8:
        X = X.astype(np.float64)
    csr = sp.csr_array(X)
    if not csr.has_canonical_format:
        csr = csr.copy()
        csr.sum_duplicates()
    return SparseSource(csr)


def _from_path(path: Path, name: str) -> Source:
    if not path.exists():
        raise FileNotFoundError(f"{name}: no such file: {path}")
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return _from_data(np.load(path, mmap_mode="r", allow_pickle=False), name)
    if suffix == ".npz":
        with np.load(path, allow_pickle=False) as content:
            if "indptr" not in content:
                if len(content.files) != 1:
                    raise ValueError(
                        f"{path}: expected one array or a scipy.sparse matrix, found {content.files}"
                    )
                return _from_data(content[content.files[0]], name)
        return _from_data(sp.load_npz(path), name)
    if suffix in (".csv", ".tsv"):
        import pandas as pd

        return _from_data(pd.read_csv(path, sep="\t" if suffix == ".tsv" else ","), name)
    if suffix == ".mtx":
        from scipy.io import mmread

        return _from_data(mmread(path), name)
    raise TypeError(
        f"{path}: {suffix or 'no suffix'} is no known kind of data; known: .npy .npz .csv .tsv .mtx"
    )


def _with_weights(source: Source, weights: Any, name: str) -> Source:
    if tuple(getattr(weights, "shape", np.shape(weights))) != source.shape:
        raise ValueError(
            f"weights has shape {getattr(weights, 'shape', np.shape(weights))}, {name} has {source.shape}; give one weight a cell"
        )
    if isinstance(source, MappedSource):
        raise TypeError(
            f"weights= needs {name} in memory; for a memory map mark missing cells by NaN and use missing='ignore'"
        )
    values = weights.data if sp.issparse(weights) else np.asarray(weights)
    if values.dtype.kind not in "fiub" or not np.isfinite(values).all() or (values < 0).any():
        raise ValueError("weights must be finite and non-negative; 0 means missing")
    dtype = source.float_dtype
    if isinstance(source, SparseSource):
        if sp.issparse(weights):
            source.weights = _beside_stored(source.X, sp.csr_array(weights)).astype(dtype)
            return source
        source.weights = values.astype(dtype, copy=False)
        return source
    assert isinstance(source, ArraySource)
    source.weights = (
        weights.toarray().astype(dtype) if sp.issparse(weights) else values.astype(dtype, copy=False)
    )
    return source


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


def _row_weights(sample_weight: Any, n: int, dtype: np.dtype) -> np.ndarray | None:
    row_weights = np.asarray(sample_weight)
    if row_weights.ndim == 0:
        row_weights = np.full(n, row_weights)
    if row_weights.shape != (n,):
        raise ValueError(f"sample_weight.shape == {row_weights.shape}, expected ({n},): one weight a row")
    row_weights = row_weights.astype(dtype)
    if not np.isfinite(row_weights).all() or (row_weights < 0).any():
        raise ValueError("sample_weight must be finite and non-negative")
    if not row_weights.any():
        raise ValueError("sample_weight is zero for every row; at least one row must count")
    return row_weights


def check_cells(source: Source, *, whom: str, name: str = "X", non_negative: bool = True) -> None:
    """Raise for NaN, infinite or (if they are not allowed) negative observed cells: count and first position.

    Raises
    ------
    ValueError
        ``whom`` names the method in the message.
    """
    counts = {"nan": 0, "inf": 0, "neg": 0}
    first: dict[str, tuple[int, int]] = {}
    for block in source.blocks():
        values = block.X.data if block.is_sparse else block.X
        with np.errstate(invalid="ignore"):
            tests = {"nan": np.isnan(values), "inf": np.isinf(values), "neg": values < 0}
        for kind, found in tests.items():
            if not found.any():
                continue
            counts[kind] += int(found.sum())
            if kind not in first:
                first[kind] = _position(block, np.flatnonzero(found.ravel())[0])
    if counts["nan"]:
        raise ValueError(
            f"Input {name} contains NaN: {counts['nan']} cell(s), the first at {first['nan']}. "
            f"{whom} fits missing cells with missing='ignore'."
        )
    if counts["inf"]:
        raise ValueError(
            f"Input {name} contains infinity (inf): {counts['inf']} cell(s), the first at {first['inf']}. "
            "Clip them, or give these cells weight 0."
        )
    if non_negative and counts["neg"]:
        raise ValueError(
            f"Negative values in data passed to {whom}: {counts['neg']} cell(s) of {name}, first at {first['neg']}. "
            "Shift or clip them, or take a model for data of any sign."
        )


def _position(block: Any, flat: int) -> tuple[int, int]:
    if block.is_sparse:
        row = int(np.searchsorted(block.X.indptr, flat, side="right")) - 1
        return block.start + row, int(block.X.indices[flat])
    row, column = divmod(int(flat), block.X.shape[1])
    return block.start + row, column
