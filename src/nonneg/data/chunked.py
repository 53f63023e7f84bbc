"""Arrays and sparse matrices of HDF5 and Zarr, which look alike: rows are slices, and chunks are decoded whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from .store import RawStore, Store

__all__ = ["ChunkedStore", "CsrStore", "array_store", "csr_store", "is_hdf5", "is_node", "place_of"]

SHARD_BYTES = 64_000_000  # a larger shard is read a few of its chunks at a time


def is_node(X: Any) -> bool:
    """Whether X is an array or a group of HDF5 or Zarr."""
    return type(X).__module__.split(".")[0] in ("h5py", "zarr") and hasattr(X, "attrs")


def is_hdf5(X: Any) -> bool:
    """Whether it is of HDF5."""
    return type(X).__module__.split(".")[0] == "h5py"


def place_of(node: Any) -> tuple[str, Path | None]:
    """What messages call an array or group, and a file that says whether it is still the same."""
    if is_hdf5(node):
        file = Path(node.file.filename).absolute()
        return (
            f"{node.file.filename}{'' if node.name == '/' else node.name}",
            file if file.is_file() else None,
        )
    inside = str(node.path).strip("/")
    root = getattr(node.store, "root", None)
    if root is None:
        return f"{node.store}{'/' if inside else ''}{inside}", None
    folder = Path(root) / inside
    kinds = ("zarr.json", ".zarray", ".zgroup")
    return str(folder), next((folder / kind for kind in kinds if (folder / kind).is_file()), None)


class _Reopened:
    """A node that finds itself again in another process."""

    def __init__(self, node: Any) -> None:
        self.node = node

    def __reduce__(self) -> tuple[Any, ...]:
        if is_hdf5(self.node):
            return _reopened, (str(Path(self.node.file.filename).absolute()), self.node.name)
        return type(self), (self.node,)


def _reopened(file: str, name: str) -> _Reopened:
    import h5py

    return _Reopened(h5py.File(file, "r")[name])


class ChunkedStore(Store):
    """A two-dimensional array of HDF5 or Zarr.

    Parameters
    ----------
    node : h5py.Dataset or zarr.Array
    """

    def __init__(self, node: Any) -> None:
        self._held = _Reopened(node)
        self.shape, self.dtype = tuple(map(int, node.shape)), np.dtype(node.dtype)  # type: ignore[assignment]
        self.where, self.file = place_of(node)
        self.chunk = _chunk_rows(node)
        self.stamp()

    def _read(self, start: int, stop: int) -> np.ndarray:
        node = self._held.node
        if not is_hdf5(node):
            return np.require(node[start:stop], requirements=["C", "W"])
        out = np.empty((stop - start, self.shape[1]), self.dtype)
        if out.size:
            node.read_direct(out, np.s_[start:stop])
        return out


def _chunk_rows(node: Any) -> int:
    """Rows of a shard, where there are some, or of a chunk; 1 without chunks."""
    chunk = int((getattr(node, "chunks", None) or (1,))[0])
    shard: Any = getattr(node, "shards", None)
    if shard:
        row = max(1, int(np.prod(node.shape[1:]))) * np.dtype(node.dtype).itemsize
        chunk = int(shard[0]) if int(shard[0]) * row <= SHARD_BYTES else chunk
    return max(1, min(chunk, int(node.shape[0])))


def array_store(node: Any) -> Store:
    """The store of an array; of one in HDF5 that lies whole in a file that nobody writes, one that reads the file."""
    if is_hdf5(node) and node.file.mode == "r" and node.chunks is None and node.file.userblock_size == 0:
        offset, (where, file) = node.id.get_offset(), place_of(node)
        whole = node.compression is None and not node.external and not node.is_virtual
        if offset is not None and file is not None and whole:
            return RawStore(file, offset, node.shape, node.dtype, where)
    return ChunkedStore(node)


class CsrStore(Store):
    """A sparse matrix in rows, as AnnData writes it: a group of ``data``, ``indices`` and ``indptr``.

    Where rows begin (``indptr``) is held in memory, 8 bytes a row.

    Parameters
    ----------
    group : h5py.Group or zarr.Group
    shape : (int, int)
    """

    def __init__(self, group: Any, shape: tuple[int, int]) -> None:
        self._held = _Reopened(group)
        self.shape, self.dtype = shape, np.dtype(group["data"].dtype)
        self.where, self.file = place_of(group)
        self.indptr = np.asarray(group["indptr"][:]).astype(np.int64)
        if len(self.indptr) != shape[0] + 1:
            raise ValueError(f"{self.where}: indptr has {len(self.indptr)} entries for {shape[0]} rows")
        self.nnz = int(self.indptr[-1])
        self.cell = self.dtype.itemsize + np.dtype(group["indices"].dtype).itemsize
        per_chunk = _chunk_rows(group["data"])
        self.chunk = max(1, min(shape[0], per_chunk * shape[0] // max(1, self.nnz)))
        self.stamp()

    def _read(self, start: int, stop: int) -> sp.csr_array:
        group = self._held.node
        first, last = int(self.indptr[start]), int(self.indptr[stop])
        found = sp.csr_array(
            (
                np.asarray(group["data"][first:last]),
                np.asarray(group["indices"][first:last]),
                self.indptr[start : stop + 1] - first,
            ),
            shape=(stop - start, self.shape[1]),
        )
        if not found.has_canonical_format:
            found.sum_duplicates()
        return found

    def size(self, start: int, stop: int) -> int:
        """Bytes of the stored cells of these rows."""
        return int(self.indptr[stop] - self.indptr[start]) * self.cell + 8 * (stop - start)

    def cuts(self, size: int) -> list[tuple[int, int]]:
        """Bounds of runs of rows of about ``size`` bytes."""
        n = self.shape[0]
        ends = self.indptr[1:] * self.cell + 8 * np.arange(1, n + 1)
        cuts, start = [], 0
        while start < n:
            before = int(ends[start - 1]) if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, before + size, side="right")))
            cuts.append((start, stop))
            start = stop
        return cuts


def csr_store(group: Any, name: str) -> CsrStore:
    """The store of a sparse matrix in a group.

    Raises
    ------
    ValueError
        For one that is stored by columns, whose rows cannot be read.
    """
    attributes: dict[str, Any] = dict(group.attrs)
    kind = attributes.get("encoding-type", attributes.get("h5sparse_format", "csr_matrix"))
    shape = tuple(map(int, attributes.get("shape", attributes.get("h5sparse_shape", ()))))
    if len(shape) != 2:
        raise ValueError(f"{name}: {place_of(group)[0]} does not say the shape of its sparse matrix")
    if not str(kind).startswith("csr"):
        raise ValueError(
            f"{name}: {place_of(group)[0]} is stored by columns ({kind}), so that rows cannot be read from it; load it "
            "(anndata.read_h5ad(path)), or write it again with rows together (scipy.sparse.csr_matrix)"
        )
    return CsrStore(group, shape)  # type: ignore[arg-type]
