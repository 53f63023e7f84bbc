"""The same matrix in every kind of storage: what writes it, and what a user passes as X."""

from __future__ import annotations

import warnings

import anndata
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp
import zarr

NAMES = ["a", "b", "c", "d", "e", "f", "g"]
PARQUET = "ignore:.*is Parquet, whose columns:UserWarning"


def npy(folder, X):
    np.save(folder / "x.npy", X)
    return folder / "x.npy", {}


def npy_by_columns(folder, X):
    np.save(folder / "f.npy", np.asfortranarray(X))
    return folder / "f.npy", {}


def slice_of_a_map(folder, X):
    np.save(folder / "long.npy", np.concatenate([X[:11], X, X[:3]]))
    return np.load(folder / "long.npy", mmap_mode="r")[11 : 11 + len(X)], {}


def map_with_every_second_row(folder, X):
    np.save(folder / "double.npy", np.repeat(X, 2, axis=0))
    return np.load(folder / "double.npy", mmap_mode="r")[::2], {}


def copy_on_write_map(folder, X):
    np.save(folder / "zeros.npy", np.zeros_like(X))
    found = np.load(folder / "zeros.npy", mmap_mode="c")
    found[:] = X
    return found, {}


def npz(folder, X):
    np.savez(folder / "x.npz", X)
    return folder / "x.npz", {}


def zarr_array(format_, shards):
    def write(folder, X):
        path = folder / f"x{format_}.zarr"
        array = zarr.create_array(
            path, shape=X.shape, chunks=(30, 3), shards=shards, dtype=X.dtype, zarr_format=format_
        )
        array[:] = X
        return path, {}

    return write


def open_zarr(folder, X):
    return zarr.open(str(zarr_array(3, None)(folder, X)[0]), mode="r"), {}


def zarr_group(folder, X):
    group = zarr.open_group(folder / "group.zarr", mode="w")
    for name in ("one", "two/X"):
        group.create_array(name, data=X)
    return folder / "group.zarr", {"layer": "two/X"}


def hdf5(folder, X):
    with h5py.File(folder / "x.h5", "w") as file:
        file["some/where"] = X
        file["line"] = np.arange(3)
    return folder / "x.h5", {}


def chunked_hdf5(folder, X):
    with h5py.File(folder / "c.hdf5", "w") as file:
        file.create_dataset("X", data=X, chunks=(45, 2), compression="gzip")
        file["Y"] = X + 1
    return folder / "c.hdf5", {"layer": "X"}


def open_hdf5(folder, X):
    return h5py.File(chunked_hdf5(folder, X)[0], "r")["X"], {}


def annotated(X):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = anndata.AnnData(X)
        found.var_names = NAMES[: X.shape[1]]
        found.layers["counts"] = X
    return found


def in_memory(folder, X):
    return annotated(X), {}


def in_memory_layer(folder, X):
    return annotated(X), {"layer": "counts"}


def h5ad(folder, X):
    annotated(X).write_h5ad(folder / "x.h5ad")
    return folder / "x.h5ad", {}


def h5ad_layer(folder, X):
    return h5ad(folder, X)[0], {"layer": "counts"}


def backed(folder, X):
    return anndata.read_h5ad(h5ad(folder, X)[0], backed="r"), {}


def backed_layer(folder, X):
    return backed(folder, X)[0], {"layer": "counts"}


def backed_view(folder, X):
    return anndata.read_h5ad(h5ad(folder, np.concatenate([X, X]))[0], backed="r")[: len(X)], {}


def zarr_of_anndata(folder, X):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        annotated(X).write_zarr(folder / "ann.zarr")
    return folder / "ann.zarr", {"layer": "counts"}


def parquet(folder, X):
    table = pa.table(dict(zip(NAMES, X.T, strict=True)))
    pq.write_table(table, folder / "x.parquet", row_group_size=50)
    return folder / "x.parquet", {}


#: Kinds that hold all of X, which are no different from the array.
LOADED = {
    "npz": npz,
    "AnnData in memory": in_memory,
    "its layer": in_memory_layer,
    "a backed view": backed_view,
}
STORED = {
    ".npy": npy,
    ".npy by columns": npy_by_columns,
    "a slice of a map": slice_of_a_map,
    "every second row of a map": map_with_every_second_row,
    "a private map": copy_on_write_map,
    "Zarr 2": zarr_array(2, None),
    "Zarr 3": zarr_array(3, None),
    "Zarr with shards": zarr_array(3, (90, 6)),
    "an open Zarr array": open_zarr,
    "an array of a Zarr group": zarr_group,
    "HDF5": hdf5,
    "HDF5 in chunks": chunked_hdf5,
    "an open HDF5 data set": open_hdf5,
    ".h5ad": h5ad,
    "a layer of .h5ad": h5ad_layer,
    "backed AnnData": backed,
    "a layer of backed AnnData": backed_layer,
    "AnnData in Zarr": zarr_of_anndata,
    "Parquet": parquet,
}
#: Bytes in which not all of a (300, 7) matrix of float64 fits, and which hold three chunks of the storage.
TIGHT = dict.fromkeys(STORED, 12_000) | {"Zarr with shards": 16_000, "a group of HDF5": 6_000}
for whole in ("an array of a Zarr group", "AnnData in Zarr"):  # in one chunk
    TIGHT[whole] = 100_000
NAMED = ("AnnData in memory", "its layer", "a backed view", ".h5ad", "a layer of .h5ad", "backed AnnData")


def sparse_h5ad(folder, X):
    return h5ad(folder, sp.csr_matrix(X))


def sparse_layer(folder, X):
    return h5ad(folder, sp.csr_matrix(X))[0], {"layer": "counts"}


def sparse_zarr(folder, X):
    return zarr_of_anndata(folder, sp.csr_matrix(X))


def sparse_group(folder, X):
    A = sp.csr_array(X)
    with h5py.File(folder / "csr.h5", "w") as file:
        group = file.create_group("deep/er")
        group.attrs.update({"encoding-type": "csr_matrix", "shape": A.shape})
        for name in ("data", "indices", "indptr"):
            group.create_dataset(name, data=getattr(A, name), chunks=(64,))
    return folder / "csr.h5", {}


def sparse_backed(folder, X):
    return anndata.read_h5ad(sparse_h5ad(folder, X)[0], backed="r"), {}


SPARSE = {
    ".h5ad": sparse_h5ad,
    "a layer": sparse_layer,
    "Zarr": sparse_zarr,
    "a group of HDF5": sparse_group,
    "backed AnnData": sparse_backed,
}
