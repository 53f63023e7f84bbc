"""HDF5, Zarr and AnnData: which of the arrays in a file or group is X, and what its columns are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..exceptions import MissingExtraError
from .chunked import array_store, csr_store, is_hdf5, place_of
from .store import Store

__all__ = [
    "annotated_names",
    "is_anndata",
    "is_annotated",
    "of_anndata",
    "open_tree",
    "tree_matrix",
    "tree_store",
]

SPARSE_PARTS = {"data", "indices", "indptr"}
SHOWN = 20  # names in a message


def open_tree(path: Path, layer: str | None = None) -> Any:
    """Open a file of HDF5 or a folder of Zarr, for reading.

    Returns
    -------
    node : array or group
        The only array (or sparse matrix) that is in it, where ``layer`` is None; else all of it.

    Raises
    ------
    MissingExtraError
        Without h5py or zarr.
    """
    try:
        if path.is_dir():
            import zarr

            root: Any = zarr.open(str(path), mode="r")
        else:
            import h5py

            root = h5py.File(path, "r")
    except ImportError as error:
        raise MissingExtraError(error.name or "h5py", "data", f"reading {path.suffix}") from error
    if layer is None and _is_group(root) and not is_annotated(root):
        found = _matrices(root)
        if len(found) == 1:
            return root[found[0]]
    return root


def tree_store(node: Any, layer: str | None, name: str) -> Store:
    """The store of an array, or of the matrix in a group that ``layer`` names; with names of columns from AnnData.

    Raises
    ------
    ValueError
        Where there is none of that name, or several and no name; for an array of other than two ways.
    """
    found = tree_matrix(node, layer, name)
    if _is_group(found):
        store: Store = csr_store(found, name)
    else:
        _check_array(found, name)
        store = array_store(found)
    store.names = annotated_names(node, "var") if _is_group(node) and is_annotated(node) else None
    return store


def tree_matrix(node: Any, layer: str | None, name: str) -> Any:
    """The array, of any number of ways, or the group of a sparse matrix that is meant: see `tree_store`."""
    if _is_group(node) and is_annotated(node):
        node = _layer_of(node, layer, name)
    elif layer is not None:
        if not _is_group(node):
            raise ValueError(f"layer={layer!r}: {name} is a single array, {place_of(node)[0]}; leave it out")
        if layer not in node:
            raise ValueError(
                f"layer={layer!r}: {place_of(node)[0]} has no such array; it has {_listed(node)}"
            )
        node = node[layer]
    if _is_group(node) and not _is_sparse(node):
        found = _matrices(node)
        if len(found) != 1:
            raise ValueError(f"{name}: {place_of(node)[0]} has {_listed(node)}; say which one with layer=")
        node = node[found[0]]
    return node


def _is_group(node: Any) -> bool:
    return hasattr(node, "keys") and not hasattr(node, "dtype")


def _is_sparse(node: Any) -> bool:
    return _is_group(node) and set(node.keys()) >= SPARSE_PARTS


def is_annotated(node: Any) -> bool:
    """Whether a group is what AnnData writes."""
    return node.attrs.get("encoding-type") == "anndata" or {"X", "obs", "var"} <= set(node.keys())


def _matrices(group: Any, at: str = "") -> list[str]:
    """Paths of the arrays of numbers and sparse matrices in a group and its groups."""
    found = []
    for key in sorted(group.keys()):
        node = group[key]
        if _is_group(node) and not _is_sparse(node):
            found += _matrices(node, f"{at}{key}/")
        elif _is_group(node) or len(node.shape) > 1:
            found.append(at + key)
    return found


def _listed(group: Any) -> str:
    found = _matrices(group)
    if not found:
        return "no matrix"
    return ", ".join(found[:SHOWN]) + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")


def _check_array(node: Any, name: str) -> None:
    kind = np.dtype(node.dtype).kind
    if kind == "c":
        raise ValueError(f"Complex data not supported: {name} has dtype {node.dtype}; store magnitudes")
    if kind not in "fiub":
        raise ValueError(f"{name} has dtype {node.dtype}, which is no dtype of numbers; convert it first")
    if len(node.shape) != 2:
        raise ValueError(
            f"{name}: expected a 2-D array (n_samples, n_features), got {len(node.shape)}-D of shape "
            f"{tuple(node.shape)} in {place_of(node)[0]}; arrays of more ways are for NTF and NonnegativeTucker"
        )


# -- AnnData --------------------------------------------------------------------------------------------------------


def is_anndata(X: Any) -> bool:
    """Whether X is an AnnData object."""
    return type(X).__module__.split(".")[0] == "anndata" and hasattr(X, "var_names")


def of_anndata(X: Any, layer: str | None, name: str) -> tuple[Any, list[str]]:
    """What holds the matrix of an AnnData object (where it is backed: all of its file), and names of columns."""
    names = [str(one) for one in X.var_names]
    if X.isbacked and not X.is_view:
        return X.file["var"].file, names
    if layer is None:
        if X.X is None:
            raise ValueError(f"{name}: this AnnData has no X; say which layer with layer=")
        return X.X, names
    if layer not in X.layers:
        raise ValueError(f"layer={layer!r}: {name} has no such layer; it has {_shown(X.layers)}")
    return X.layers[layer], names


def _layer_of(group: Any, layer: str | None, name: str) -> Any:
    layers = group.get("layers", {})
    if layer is None:
        if "X" not in group or (not _is_group(group["X"]) and group["X"].shape in ((), None)):
            raise ValueError(f"{name}: {place_of(group)[0]} has no X; layers: {_shown(layers)}")
        return group["X"]
    if layer not in layers:
        where = place_of(group)[0]
        raise ValueError(f"layer={layer!r}: {where} has no such layer; it has {_shown(layers)}")
    return layers[layer]


def _shown(layers: Any) -> str:
    return ", ".join(sorted(layers)[:SHOWN]) or "none"


def annotated_names(group: Any, axis: str) -> list[str]:
    """Names of the columns (``axis="var"``) or of the rows (``"obs"``), as AnnData stores them."""
    table = group[axis]
    if not _is_group(table):
        raise ValueError(
            f"{place_of(group)[0]} was written by a very old AnnData; write it again: "
            "anndata.read_h5ad(path).write_h5ad(path)"
        )
    index = table[table.attrs.get("_index", "_index")]
    index = index["values"] if _is_group(index) else index
    found = index.asstr()[:] if is_hdf5(index) and index.dtype.kind == "O" else index[:]
    return [one.decode() if isinstance(one, bytes) else str(one) for one in found]
