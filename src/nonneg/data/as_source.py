"""The one place where kinds of data are told apart: anything a user may pass becomes a `Source`."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from textwrap import shorten
from typing import Any

import numpy as np
import scipy.sparse as sp

from .array import ArraySource, SparseSource
from .by_place import is_tensor
from .chunked import is_node
from .dask import DaskSource, from_dask, is_dask, with_client
from .device import DeviceSource, on
from .given_weights import are_ones, cell_weights, row_weights
from .images import ImageStore
from .limit import parse_limit
from .names import column_names, shown_column
from .paths import open_path
from .source import Source
from .store import Store, mapped_store
from .stored import StoredSource
from .stored_weights import StoredCells
from .trees import is_anndata, of_anndata, tree_store

__all__ = ["as_source", "check_cells"]

_MISSING = ("error", "ignore", "unstored")


def as_source(
    X: Any,
    *,
    weights: Any = None,
    sample_weight: Any = None,
    missing: str = "error",
    layer: str | None = None,
    memory_limit: int | str | None = None,
    client: Any = None,
    device: Any = None,
    name: str = "X",
) -> Source:
    """Turn ``X`` into a `Source`, without copying it.

    Parameters
    ----------
    X : array-like, sparse matrix or array, DataFrame, torch tensor, Source, path, or what is read from a file
        Of shape (n_samples, n_features). Read a few blocks at a time: memory maps, ``h5py.Dataset``, ``zarr.Array``,
        backed AnnData, and paths ending in ``.npy``, ``.zarr``, ``.h5``, ``.hdf5``, ``.h5ad`` and ``.parquet``. Loaded:
        AnnData in memory, and paths ending in ``.npz`` (scipy.sparse or one array; with ``memory_limit`` an
        uncompressed array that is larger is read a few blocks at a time), ``.csv``, ``.tsv`` (also ``.gz``) and
        ``.mtx``; a folder of images of one size is loaded as far as ``memory_limit`` allows.
    weights : array-like, sparse or path, of shape (n_samples, n_features), optional
        Non-negative weights of the cells; 0 means missing. A sparse one gives weight 0 to what it does not store.
        Weights may be kept in any way in which X may be kept.
    sample_weight : array-like of shape (n_samples,), optional
        Non-negative weights of the rows.
    missing : {"error", "ignore", "unstored"}
        ``"ignore"``: NaN cells are missing. ``"unstored"``: so are cells that a sparse X does not store.
    layer : str, optional
        AnnData: a layer instead of ``X.X``. HDF5: the data set in the file. Zarr: the array in the group.
    memory_limit : int or str, default="512MB"
        Bytes, or ``"500MB"``, ``"2GB"``: how much of X is held in memory at once where it is read from a file. Factors,
        and what is computed from a block, are not in it.
    client : dask.distributed.Client, optional
        Whose workers do the passes over X.
    device : str or torch.device, optional
        Where torch does the passes over X, which is put there whole: ``"cuda"``, say. Dense X without weights of cells.
        Without it tensors become arrays, but `NMF` fits one that lies elsewhere where it lies.
    name : str
        What messages call X.

    Raises
    ------
    TypeError
        For a kind of data the library does not know, or that cannot be read as real numbers.
    ValueError
        For wrong shapes, complex numbers, no rows or columns, unknown ``missing``, unusable weights; for files that
        cannot be read, and a ``memory_limit`` in which they cannot.
    MissingExtraError
        Where the package that reads a kind of file is not installed.
    """
    if missing not in _MISSING:
        raise ValueError(f"missing={missing!r} is unknown; choose one of {', '.join(map(repr, _MISSING))}")
    if isinstance(X, Source):
        _refuse_layer(layer, name)
        found = X if device is None else on(device, X, name)
        source = copy.copy(found)  # what one fit notes on it is not for the next
        source.scale, source.floor = 1.0, 0.0
        if isinstance(source, StoredSource):
            source.store.check()  # what is held of it may be older than the file
            if memory_limit is not None:
                source.limit(memory_limit)
    else:
        source = _from_data(X, name, layer, memory_limit, device)
    if isinstance(source, DeviceSource):
        source.refuse(weights, missing, client, name)
    source = with_client(source, client, name)
    n, m = source.shape
    if n == 0:
        raise ValueError(
            f"{name}: found array with 0 sample(s) (shape={source.shape}) while a minimum of 1 is required."
        )
    if m == 0:
        raise ValueError(f"{name}: 0 feature(s) (shape={source.shape}) while a minimum of 1 is required.")
    if isinstance(source, DaskSource):
        source.refuse(weights, missing, name)
    source.nan_is_missing = missing != "error" and source.dtype.kind == "f"
    if missing == "unstored":
        if not source.is_sparse:
            raise ValueError(
                f'missing="unstored" needs a sparse {name}; for a dense one mark cells by NaN and use missing="ignore"'
            )
        if weights is None:
            source.weights = (
                np.ones(source.X.nnz, source.float_dtype)
                if isinstance(source, SparseSource)
                else StoredCells()
            )
    if weights is not None:
        found = cell_weights(source, weights, name, stored_only=missing == "unstored")
        source.weights = None if are_ones(found, source.shape) else found
    if sample_weight is not None:
        source.row_weights = row_weights(sample_weight, n, source.float_dtype)
    return source


def _refuse_layer(layer: str | None, name: str) -> None:
    if layer is not None:
        raise ValueError(
            f"layer={layer!r}: {name} has no layers; leave it out (AnnData, HDF5 and Zarr have them)"
        )


def _from_data(
    X: Any, name: str, layer: str | None, memory_limit: int | str | None, device: Any = None
) -> Source:
    if device is not None:
        return on(device, X if is_tensor(X) else _from_data(X, name, layer, memory_limit), name)
    if is_dask(X):
        _refuse_layer(layer, name)
        return from_dask(X, name)
    if isinstance(X, (str, os.PathLike)):
        X = open_path(X, name, layer=layer, memory_limit=memory_limit)
    names = None
    if isinstance(X, ImageStore) and X.size(0, X.shape[0]) <= parse_limit(memory_limit):
        names, X = X.names, X.read(0, X.shape[0])  # decoded once, and not in every pass
    if is_anndata(X):
        held, names = of_anndata(X, layer, name)
        if is_dask(held):
            lazy = from_dask(held, name)
            lazy.names = names
            return lazy
        X, layer = (held, layer) if is_node(held) else (held, None)
    if is_node(X):
        X, layer = tree_store(X, layer, name), None
    _refuse_layer(layer, name)
    if isinstance(X, np.memmap) and X.ndim == 2 and X.dtype.kind in "fiub" and X.size:
        X = mapped_store(X)
    if isinstance(X, Store) and 0 not in X.shape:
        return StoredSource(X, memory_limit)
    source = _in_memory(X, name)
    source.names = names or source.names
    return source


def _in_memory(X: Any, name: str) -> Source:
    if isinstance(X, Store):  # of no rows or columns
        X = np.empty(X.shape, X.dtype)
    if sp.issparse(X):
        return _from_sparse(X, name)
    if isinstance(X, np.ma.MaskedArray):
        raise ValueError(
            f"{name} is a masked array; pass {name}.data with weights=~numpy.ma.getmaskarray({name}), or "
            f"{name}.filled(numpy.nan) with missing='ignore'"
        )
    if hasattr(X, "nodes") and hasattr(X, "edges"):  # networkx is not a dependency
        raise TypeError(
            f"{name} is a graph, which SymmetricNMF(affinity='precomputed') takes; elsewhere pass its matrix, "
            f"networkx.to_scipy_sparse_array({name})"
        )
    array = _as_array(X, name)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    if array.ndim != 2:
        advice = "with .reshape(-1, 1) if it has one feature, .reshape(1, -1) if it is one sample"
        if array.ndim > 2:
            advice = (
                "with .reshape(len(X), -1) if the first axis counts samples (images, say), or take NTF or "
                "NonnegativeTucker, which fit arrays of any number of ways"
            )
        raise ValueError(
            f"{name}: expected a 2-D array (n_samples, n_features), got {array.ndim}-D of shape {array.shape}. "
            f"Reshape your data {advice}."
        )
    source = ArraySource(array)
    source.names = column_names(X)
    return source


def _as_array(X: Any, name: str) -> np.ndarray:
    """Return an array of real numbers, or raise."""
    module, columns = type(X).__module__.split(".")[0], None
    if module == "torch":
        X = X.detach().cpu()
        X = (X.float() if str(X.dtype) == "torch.bfloat16" else X).numpy()
    elif module in ("pandas", "polars"):
        if not hasattr(X, "to_numpy"):
            advice = f"pass {name}.collect()" if hasattr(X, "collect") else "pass a DataFrame"
            raise TypeError(f"{name} is a {module} {type(X).__name__}, which holds no numbers yet; {advice}")
        columns, X = column_names(X), X.to_numpy()
    try:
        array = np.asarray(X)
    except ValueError as error:
        raise ValueError(f"{name} cannot be read as an array of numbers: {error}") from error
    if array.dtype.kind == "c":
        raise ValueError(
            f"Complex data not supported: {name} has dtype {array.dtype}; pass magnitudes, np.abs({name})"
        )
    if array.dtype.kind == "O":
        filled = np.where(_is_missing_value(array), np.nan, array)
        try:
            return filled.astype(np.float64)
        except (TypeError, ValueError) as error:
            why = shorten(str(error), 90, placeholder=" …") + _unreadable_column(filled, columns)
            raise type(error)(f"{name} has dtype object, which cannot be read as numbers: {why}") from error
    if array.dtype.kind not in "fiub":
        advice = "convert it first"
        if array.dtype.kind == "U":
            advice = (
                "texts are counted first (sklearn.feature_extraction.text.CountVectorizer), a path is given alone, not "
                "in a list, and cross-validation needs rows of an array, not a path"
            )
        raise ValueError(f"{name} has dtype {array.dtype}, which is no dtype of numbers; {advice}")
    return array


def _unreadable_column(array: np.ndarray, names: Sequence[str] | None) -> str:
    """Which column of a table of objects is the first that holds something else than numbers, for a message."""
    for j, column in enumerate(array.T if array.ndim == 2 else ()):
        try:
            column.astype(np.float64)
        except (TypeError, ValueError):
            shown = repr(names[j]) if names else str(j)
            return f", in column {shown}; leave the column out, or make numbers of it"
    return ""


def _is_missing_value(array: np.ndarray) -> np.ndarray:
    """Where an object array holds ``pandas.NA`` (which no float is)."""
    return np.asarray(np.frompyfunc(lambda cell: type(cell).__name__ == "NAType", 1, 1)(array), bool)


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


def check_cells(
    source: Source,
    *,
    whom: str,
    name: str = "X",
    non_negative: bool = True,
    takes_missing: bool = True,
) -> None:
    """Raise for NaN, infinite or (if they are not allowed) negative observed cells: count and first position.

    ``takes_missing``: whether the model can leave cells out, which decides what the message advises.

    Raises
    ------
    ValueError
        ``whom`` names the method in the message.
    """
    counts = {"nan": 0, "inf": 0, "neg": 0}
    first: dict[str, str] = {}
    for block in source.blocks():
        values = block.X.data if block.is_sparse else block.X
        with np.errstate(invalid="ignore"):
            tests = {"nan": np.isnan(values), "inf": np.isinf(values), "neg": values < 0}
        for kind, found in tests.items():
            if not found.any():
                continue
            counts[kind] += int(found.sum())
            if kind not in first:
                place = _position(block, np.flatnonzero(found.ravel())[0])
                first[kind] = shown_column(place, source.names)
    if counts["nan"]:
        raise ValueError(
            f"Input {name} contains NaN: {counts['nan']} cell(s), the first at {first['nan']}. "
            + (
                f"{whom} fits missing cells with missing='ignore'."
                if takes_missing
                else f"{whom} needs every cell: {_filler(counts['neg'])}."
            )
        )
    if counts["inf"]:
        raise ValueError(
            f"Input {name} contains infinity (inf): {counts['inf']} cell(s), the first at {first['inf']}. "
            f"Clip them{', or give these cells weight 0' if takes_missing else ''}."
        )
    if non_negative and counts["neg"]:
        raise ValueError(
            f"Negative values in data passed to {whom}: {counts['neg']} cell(s) of {name}, first at {first['neg']}. "
            "Shift or clip them, or take a model for data of any sign: SemiNMF, ConvexNMF or ArchetypalAnalysis."
        )


def _filler(negative: int) -> str:
    if negative:
        return (
            "fill them first (sklearn.impute.KNNImputer, say: X has negative cells, which NMF does not take), or take "
            "nonneg.SemiNMF(missing='ignore')"
        )
    return "fill them first (nonneg.NMF(missing='ignore') has impute)"


def _position(block: Any, flat: int) -> tuple[int, int]:
    if block.is_sparse:
        row = int(np.searchsorted(block.X.indptr, flat, side="right")) - 1
        return block.start + row, int(block.X.indices[flat])
    row, column = divmod(int(flat), block.X.shape[1])
    return block.start + row, column
