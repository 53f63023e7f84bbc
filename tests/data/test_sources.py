"""Whatever holds X, the library sees the same numbers: kinds of data, layouts, dtypes, paths."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import torch
from scipy.io import mmwrite

from nonneg.data import Source, as_source

X = np.random.default_rng(0).integers(0, 5, (150, 7)).astype(np.float64) / 4


def whole(source: Source) -> np.ndarray:
    """All rows, through the blocks."""
    found = np.concatenate([block.dense().X for block in source.blocks()])
    assert found.shape == source.shape
    return found


def read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.setflags(write=False)
    return array


def unaligned(array: np.ndarray) -> np.ndarray:
    raw = np.zeros(array.nbytes + 1, np.uint8)
    view = raw[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


LAYOUTS = {
    "C": lambda A: np.ascontiguousarray(A),
    "Fortran": lambda A: np.asfortranarray(A),
    "every second": lambda A: np.repeat(np.repeat(A, 2, axis=0), 2, axis=1)[::2, ::2],
    "negative strides": lambda A: np.ascontiguousarray(A[::-1, ::-1])[::-1, ::-1],
    "read-only": read_only,
    "unaligned": unaligned,
    "big-endian": lambda A: A.astype(A.dtype.newbyteorder(">")),
    "little-endian": lambda A: A.astype(A.dtype.newbyteorder("<")),
}
SPARSE = {
    kind.__name__: kind
    for kind in (
        sp.csr_array, sp.csc_array, sp.coo_array, sp.csr_matrix, sp.csc_matrix, sp.coo_matrix,
        sp.lil_array, sp.dok_array, sp.bsr_array,
    )
}  # fmt: skip
OTHERS = {
    "list": lambda A: A.tolist(),
    "tuple of rows": lambda A: tuple(map(tuple, A)),
    "pandas": lambda A: pd.DataFrame(A, columns=[f"c{j}" for j in range(A.shape[1])]),
    "pandas nullable": lambda A: pd.DataFrame(A).convert_dtypes(),
    "polars": lambda A: pl.DataFrame(A, schema=[f"c{j}" for j in range(A.shape[1])]),
    "torch": torch.from_numpy,
    "torch with gradient": lambda A: torch.from_numpy(A).requires_grad_(),
    "object": lambda A: A.astype(object),
    "long double": lambda A: A.astype(np.longdouble),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.uint8, np.int32])
def test_memory_layouts_agree(layout, dtype, small_blocks):
    A = (X * 4).astype(dtype)
    source = as_source(LAYOUTS[layout](A))
    assert np.array_equal(whole(source), A)
    for block in source.blocks():
        assert block.X.dtype == source.float_dtype and block.X.dtype.isnative
        assert block.X.flags.c_contiguous and block.X.flags.aligned and block.X.flags.writeable


@pytest.mark.parametrize("kind", SPARSE)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8, np.int64, bool])
def test_sparse_kinds_agree_and_stay_sparse(kind, dtype, small_blocks):
    A = (X > 0.5).astype(dtype) if dtype is bool else (X * 4).astype(dtype)
    source = as_source(SPARSE[kind](A))
    assert source.is_sparse and all(block.is_sparse for block in source.blocks())
    assert np.array_equal(whole(source), A)
    assert all(block.X.data.dtype == source.float_dtype for block in source.blocks())


@pytest.mark.parametrize("kind", OTHERS)
def test_other_kinds_agree(kind):
    source = as_source(OTHERS[kind](X))
    assert np.array_equal(whole(source), X)
    assert source.float_dtype == np.float64


@pytest.mark.parametrize(
    ("stored", "computed"),
    [
        *((name, "float64") for name in ("float64", "int32", "int64", "uint32", "uint64", "longdouble")),
        *((name, "float32") for name in ("float32", "float16", "bool", "uint8", "int8", "int16", "uint16")),
    ],
)
def test_dtype_map_of_the_contract(stored, computed):
    A = np.ones((3, 2), stored)
    assert as_source(A).float_dtype == np.dtype(computed)
    if stored not in ("float16", "longdouble"):
        assert as_source(sp.csr_array(A)).float_dtype == np.dtype(computed)
    assert as_source(A.astype(A.dtype.newbyteorder(">"))).float_dtype == np.dtype(computed)


def test_integers_and_bytes_are_never_converted_whole():
    for dtype in (np.uint8, np.int32, bool, np.float32):
        A = np.ones((300, 4), dtype)
        assert as_source(A).X is A
    S = sp.csr_array(np.eye(40, dtype=np.uint8))
    assert as_source(S).X.data.base is S.data or np.shares_memory(as_source(S).X.data, S.data)


def test_the_users_data_are_not_written_to(small_blocks):
    A = np.asfortranarray(X)
    S = sp.coo_array((np.ones(4), ([0, 0, 2, 2], [1, 1, 0, 3])), shape=(3, 4))  # with duplicates
    C = sp.csr_array((np.array([1.0, 2.0, 3.0]), np.array([2, 0, 1]), np.array([0, 2, 3])), shape=(2, 3))
    before = A.copy(), S.data.copy(), C.indices.copy()
    for data in (A, S, C):
        source = as_source(data)
        source.scale = 0.5
        for block in source.blocks():
            (block.X.data if block.is_sparse else block.X)[...] *= 1  # writable, but must not be the user's
    assert np.array_equal(A, before[0]) and np.array_equal(S.data, before[1])
    assert np.array_equal(C.indices, before[2])
    assert np.array_equal(whole(as_source(S)), S.toarray())
    assert np.array_equal(whole(as_source(C)), [[2, 0, 1], [0, 3, 0]])


def test_missing_values_of_data_frames_are_nan():
    frame = pd.DataFrame({"a": [1, None, 3], "b": [4, 5, 6]}).convert_dtypes()
    wanted = np.array([[1, 4], [np.nan, 5], [3, 6]])
    for data in (frame, pl.from_pandas(frame), [[1, 4], [None, 5], [3, 6]]):
        assert np.array_equal(as_source(data).read(0, 3), wanted, equal_nan=True)


def test_a_source_is_a_source_and_keeps_no_trace_of_a_fit():
    first = as_source(X)
    first.scale = 0.5
    second = as_source(first)
    assert second.scale == 1.0 and first.scale == 0.5 and second.X is X


def test_sparse_with_long_indices_explicit_zeros_and_empty_rows(small_blocks):
    A = np.where(np.arange(150)[:, None] % 3 == 0, X, 0)
    S = sp.csr_array(A)
    S.data[::4] = 0
    S.indices, S.indptr = S.indices.astype(np.int64), S.indptr.astype(np.int64)
    assert np.array_equal(whole(as_source(S)), S.toarray())


# --- paths ---------------------------------------------------------------------------------------------


def written(folder, suffix):
    path = folder / f"data{suffix}"
    if suffix == ".npy":
        np.save(path, X)
    elif suffix == ".npz":
        np.savez(path, X)
    elif suffix in (".csv", ".tsv"):
        pd.DataFrame(X, columns=list("abcdefg")).to_csv(
            path, sep="," if suffix == ".csv" else "\t", index=False
        )
    else:
        mmwrite(path, sp.coo_array(X))
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv", ".tsv", ".mtx"])
@pytest.mark.parametrize("as_text", [False, True])
def test_paths(tmp_path, suffix, as_text, small_blocks):
    path = written(tmp_path, suffix)
    assert np.array_equal(whole(as_source(str(path) if as_text else path)), X)


@pytest.mark.parametrize("kind", [sp.csr_array, sp.csc_array, sp.coo_array, sp.csr_matrix])
def test_path_of_a_sparse_matrix(tmp_path, kind):
    sp.save_npz(tmp_path / "s.npz", kind(X))
    source = as_source(tmp_path / "s.npz")
    assert source.is_sparse and np.array_equal(whole(source), X)


def test_a_table_without_a_header_loses_no_row(tmp_path):
    np.savetxt(tmp_path / "plain.csv", X, delimiter=",")
    assert np.array_equal(whole(as_source(tmp_path / "plain.csv")), X)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", "u1", ">i4"])
def test_memory_maps(tmp_path, order, dtype, small_blocks):
    A = np.asarray(X * 4, dtype=dtype, order=order)
    np.save(tmp_path / "m.npy", A)
    mapped = np.load(tmp_path / "m.npy", mmap_mode="r")
    for source in (as_source(mapped), as_source(tmp_path / "m.npy")):
        assert not source.in_memory
        assert np.array_equal(whole(source), X * 4)
        assert np.array_equal(source.take([5, 0, 5]), (X * 4)[[5, 0, 5]])


# --- blocks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 63, 64, 65, 128, 1000])
def test_bounds_cover_every_row_once_in_order(n, small_blocks):
    for data in (np.ones((n, 3)), sp.csr_array(np.ones((n, 3))), sp.csr_array((n, 3))):
        bounds = as_source(data).bounds()
        assert np.array_equal(np.concatenate([np.arange(*cut) for cut in bounds]), np.arange(n))
        assert len(bounds) == -(-n // 64)


def test_bounds_do_not_depend_on_threads(threads):
    source = as_source(np.ones((5000, 200)))
    found = []
    for count in (1, 2):
        with threads(count):
            found.append(source.bounds())
    assert found[0] == found[1] and len(found[0]) > 2


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_take_and_columns(kind):
    source = as_source(kind((X * 4).astype(np.uint8)))
    rows = np.array([3, 149, 0, 3])
    assert np.array_equal(source.take(rows), (X * 4)[rows])
    assert source.take(rows).dtype == np.float32 and isinstance(source.take(rows), np.ndarray)
    turned = source.columns()
    assert turned.shape == (7, 150) and turned.is_sparse == source.is_sparse
    assert np.array_equal(whole(turned), (X * 4).T)


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8, np.float16])
def test_scale_is_a_factor_of_everything_handed_out(kind, dtype):
    if kind is sp.csr_array and dtype is np.float16:
        dtype = np.float32  # scipy.sparse has no half precision
    A = (X * 4).astype(dtype)
    source = as_source(kind(A))
    source.scale = 0.25
    assert np.array_equal(whole(source), X)
    assert np.array_equal(source.take([2, 1]), X[[2, 1]])
    assert np.array_equal(whole(source.columns()), X.T)
    assert source.summary().maximum == X.max()


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_scale_beyond_the_range_of_float32(kind):
    A = np.array([[1e-44, 3e-45], [0, 1e-42]], np.float32)
    source = as_source(kind(A))
    source.scale = 2.0**140
    assert np.array_equal(whole(source), A.astype(np.float64) * 2.0**140)


def test_summary():
    A = np.array([[0, 3, 1], [0, 0, 0], [5, 0, 0]], np.int64)
    for data in (A, sp.csr_array(A)):
        found = as_source(data).summary()
        assert (found.minimum, found.maximum, found.sum, found.total_weight, found.n_zero_rows) == (
            0,
            5,
            9,
            9,
            1,
        )
        assert found.mean == 1
        found = as_source(data, sample_weight=[2, 1, 0]).summary()
        assert (found.sum, found.total_weight) == (8, 9)
    found = as_source(sp.csr_array(A), missing="unstored").summary()
    assert (found.minimum, found.maximum, found.sum, found.total_weight) == (1, 5, 9, 3)
    found = as_source(A, weights=[[1, 0, 2], [0, 1, 0], [0, 1, 0]], sample_weight=[1, 1, 3]).summary()
    assert (found.minimum, found.maximum, found.sum, found.total_weight) == (0, 1, 2, 7)
