"""X in storage is X: the same blocks, fits, names and errors as the array, within the memory that was allowed."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
import time
import tracemalloc

import anndata
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
import zarr

import nonneg
from nonneg import NMF, as_source
from nonneg.data import stored
from stored_cases import LOADED, NAMED, NAMES, PARQUET, SPARSE, STORED, TIGHT, h5ad, npy

RNG = np.random.default_rng(0)
X = RNG.integers(0, 9, (300, 7)).astype(np.float64)
SOME = 12_000  # bytes: slabs of a block or so, of the five blocks of X
ROWS = np.array([299, 3, 3, 64, 0, 128, 5])

pytestmark = [
    pytest.mark.usefixtures("small_blocks"),
    pytest.mark.filterwarnings(PARQUET),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def fitted(X, **how):
    """Components, codes and score of a fit."""
    with np.errstate(all="raise"):
        model = NMF(2, max_iter=40, tol=1e-3, random_state=0).fit(X, **how)
    return model.components_, model.transform(X, **how), model.score(X, **how)


def equal(found, wanted):
    return all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


def rows_of(source):
    return np.concatenate([block.dense().X for block in source.blocks()])


# -- the same numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tight", [False, True])
@pytest.mark.parametrize("kind", STORED)
def test_a_fit_is_that_of_the_array_bit_for_bit(kind, tight, tmp_path):
    limit = TIGHT[kind] if tight else None
    data, how = STORED[kind](tmp_path, X)
    source = as_source(data, memory_limit=limit, **how)
    assert not source.in_memory and source.bounds() == as_source(X).bounds() and source.dtype == X.dtype
    assert np.array_equal(rows_of(source), X) and np.array_equal(source.take(ROWS), X[ROWS])
    assert np.array_equal(source.some(ROWS).X, X[ROWS])
    assert equal(fitted(data, memory_limit=limit, **how), fitted(X))


@pytest.mark.parametrize("kind", LOADED)
def test_what_is_loaded_is_the_array(kind, tmp_path):
    data, how = LOADED[kind](tmp_path, X)
    assert as_source(data, **how).in_memory and equal(fitted(data, **how), fitted(X))


@pytest.mark.parametrize("kind", SPARSE)
def test_sparse_rows_are_read_as_they_are_needed(kind, tmp_path):
    A = sp.csr_array(np.where(X > 6, X, 0))
    data, how = SPARSE[kind](tmp_path, A.toarray())
    for limit in (None, TIGHT.get(kind, 100_000)):
        source = as_source(data, memory_limit=limit, **how)
        assert source.is_sparse and not source.in_memory and source.bounds() == as_source(A).bounds()
        assert np.array_equal(rows_of(source), A.toarray())
        assert np.array_equal(source.take(ROWS), A.toarray()[ROWS])
        assert source.some(ROWS).is_sparse
        assert equal(fitted(data, memory_limit=limit, **how), fitted(A))


@pytest.mark.parametrize("dtype", ["u1", "<f4", ">f4", "f2", "i4", "bool"])
@pytest.mark.parametrize("kind", [".npy", "Zarr 3", "HDF5", "HDF5 in chunks", ".h5ad", "Parquet"])
def test_dtypes_stay_as_they_are_until_a_block_is_converted(kind, dtype, tmp_path):
    if kind in ("Parquet", "Zarr 3") and dtype in ("f2", ">f4"):
        dtype = "f4"  # such files hold no other
    A = (X > 4).astype(dtype) if dtype == "bool" else X.astype(dtype)
    data, how = STORED[kind](tmp_path, A)
    source = as_source(data, memory_limit=9000, **how)
    assert source.dtype == A.dtype and source.float_dtype == as_source(A).float_dtype
    assert np.array_equal(rows_of(source), A.astype(float)) and equal(fitted(data, **how), fitted(A))


def test_rows_of_a_sample_have_slabs_of_their_own(tmp_path):
    whole = as_source(npy(tmp_path, X)[0], memory_limit=SOME)
    reads = counted(whole)
    cuts = whole.bounds()[::2]
    sample = whole.only(cuts)
    for cut in cuts * 2:
        assert np.array_equal(sample.block(*cut).X, X[slice(*cut)])
    assert sum(stop - start for start, stop in reads) <= 2 * sum(stop - start for start, stop in cuts)


def test_a_fit_that_starts_on_samples_is_that_of_the_array(tmp_path, monkeypatch):
    monkeypatch.setattr("nonneg.data.source.BLOCK_BYTES", 1 << 12)
    rng = np.random.default_rng(1)
    A = (rng.random((24_000, 2)) @ rng.random((2, 4))).astype(np.float32)
    path = npy(tmp_path, A)[0]
    found = NMF(2, max_iter=2, random_state=0).fit(path, memory_limit="50KB")
    assert np.array_equal(found.components_, NMF(2, max_iter=2, random_state=0).fit(A).components_)


def test_weights_and_missing_cells(tmp_path):
    path, holes = npy(tmp_path, X)[0], np.where(RNG.random(X.shape) < 0.2, np.nan, X)
    weights, s = RNG.integers(0, 4, X.shape).astype(float), RNG.random(300) + 0.5
    weights[:, 0] += 1  # no row without an observed cell
    np.save(tmp_path / "w.npy", weights)
    np.save(tmp_path / "holes.npy", holes)

    def mu(X, **how):
        model = NMF(2, solver="mu", max_iter=20, tol=1e-2, missing="ignore", random_state=0).fit(X, **how)
        return model.components_, model.reconstruction_err_

    assert equal(mu(tmp_path / "holes.npy", sample_weight=s), mu(holes, sample_weight=s))
    wanted = mu(X, weights=weights)
    for found in (weights, tmp_path / "w.npy", as_source(tmp_path / "w.npy"), sp.csr_array(weights)):
        assert equal(mu(path, weights=found, memory_limit=SOME), wanted)
    assert equal(mu(X, weights=tmp_path / "w.npy"), wanted)
    assert equal(mu(tmp_path / "holes.npy", weights=weights * 2**9), mu(holes, weights=weights * 2**9))
    assert as_source(path, weights=np.ones(X.shape)).weights is None


def test_weights_in_storage_have_the_limit_of_the_data(tmp_path):
    path = npy(tmp_path, X)[0]
    np.save(tmp_path / "w.npy", X + 1)
    for weights in (tmp_path / "w.npy", np.load(tmp_path / "w.npy", mmap_mode="r")):
        source = as_source(path, weights=weights, memory_limit=SOME)
        assert source.weights.weights.memory_limit == source.memory_limit == SOME
    opened = as_source(tmp_path / "w.npy", memory_limit=2 * SOME)
    assert as_source(path, weights=opened, memory_limit=SOME).weights.weights.memory_limit == 2 * SOME


def test_unstored_cells_may_be_missing(tmp_path):
    A = np.where(X > 3, X, 0)
    data, _ = SPARSE[".h5ad"](tmp_path, A)
    models = [
        NMF(2, solver="mu", max_iter=20, tol=1e-2, missing="unstored", random_state=0).fit(held)
        for held in (data, sp.csr_array(A))
    ]
    assert np.array_equal(models[0].components_, models[1].components_)


@pytest.mark.parametrize("kind", NAMED)
def test_columns_have_the_names_of_the_variables(kind, tmp_path):
    data, how = {**LOADED, **STORED}[kind](tmp_path, X)
    model = NMF(2, max_iter=40, tol=1e-2, random_state=0).fit(data, **how)
    assert list(model.feature_names_in_) == NAMES
    (tmp_path / "other").mkdir()
    other = h5ad(tmp_path / "other", X)[0]
    with h5py.File(other, "r+") as file:
        file["var/_index"][2] = "other"
    with pytest.raises(ValueError, match="column 2 is 'other' in X and 'c' in the fit"):
        model.transform(other, **how)
    assert not hasattr(NMF(2, tol=1e-2, random_state=0).fit(X), "feature_names_in_")


# -- a file behind a source ---------------------------------------------------------------------------------------


def test_parquet_warns_and_names_what_turns_it(tmp_path):
    with pytest.warns(UserWarning, match=r"nonneg\.convert\('.*x\.parquet', 'X\.zarr'\)"):
        source = as_source(STORED["Parquet"](tmp_path, X)[0])
    assert source.names == NAMES


def test_sources_are_copied_and_sent(tmp_path):
    for kind in (".npy", "HDF5 in chunks", "Zarr 3", "Parquet", ".npy by columns"):
        data, how = STORED[kind](tmp_path, X)
        source = as_source(data, memory_limit=SOME, **how)
        source.summary()
        for other in (copy.copy(source), pickle.loads(pickle.dumps(source))):
            assert np.array_equal(rows_of(other), X)


@pytest.mark.parametrize("kind", [".npy", "Zarr", "Parquet"])
def test_what_is_allowed_bounds_what_is_held(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("nonneg.data.source.BLOCK_BYTES", 1 << 17)
    m, allowed, how = 7, 3_000_000, {}
    A = np.tile(X.astype(np.float32), (1000, 1))  # 8.4 MB
    data = tmp_path / "long"
    if kind == "Parquet":
        data = data.with_suffix(".parquet")
        pq.write_table(pa.table(dict(zip(NAMES, A.T, strict=True))), data, row_group_size=20_000)
    elif kind == "Zarr":
        zarr.create_array(data, shape=A.shape, chunks=(9000, 7), dtype=A.dtype)[:] = A
    else:
        data = npy(tmp_path, A)[0]
    as_source(data, memory_limit=allowed, **how).summary()  # imports
    tracemalloc.start()
    try:
        source = as_source(data, memory_limit=allowed, **how)
        for _ in range(2):
            for start, stop in source.bounds():
                assert source.block(start, stop).X.shape == (stop - start, m)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < allowed + 1_500_000 < A.nbytes / 1.5


def test_limits_are_read_and_refused(tmp_path):
    path = npy(tmp_path, X)[0]
    assert stored.StoredSource(as_source(path).store, "20 KiB").memory_limit == 20480
    for amount, what in ((0, "positive"), ("lots", "write '500MB' or '2GB'"), ("-1GB", "no amount")):
        with pytest.raises(ValueError, match=what):
            as_source(path, memory_limit=amount)
    for amount in (1.5, True, [3]):
        with pytest.raises(TypeError, match="memory_limit must be a number of bytes"):
            NMF(2).fit(path, memory_limit=amount)
    with pytest.raises(
        ValueError, match=r"x\.npy takes 3 times 3\.58 KB, the size of a block of rows; allow"
    ):
        as_source(path, memory_limit=5000)
    with h5py.File(tmp_path / "wide.h5", "w") as file:
        file.create_dataset("X", data=X, chunks=(200, 7))
    with pytest.raises(ValueError, match=r"the size of a chunk of rows of its storage; allow 33\.9 KB"):
        as_source(tmp_path / "wide.h5", memory_limit=SOME)


def test_chunks_beyond_the_default_limit_are_said(tmp_path, monkeypatch):
    monkeypatch.setattr("nonneg.data.limit.DEFAULT", SOME)
    with h5py.File(tmp_path / "wide.h5", "w") as file:
        file.create_dataset("X", data=X, chunks=(200, 7))
    with pytest.warns(UserWarning, match=r"wide\.h5/X takes 3 times 11\.2 KB.*nonneg\.convert"):
        source = as_source(tmp_path / "wide.h5")
    assert np.array_equal(rows_of(source), X)


def test_what_is_loaded_must_fit(tmp_path):
    np.savetxt(tmp_path / "x.csv", X, delimiter=",")
    with pytest.raises(ValueError, match="would be loaded whole; write it as Parquet first"):
        NMF(2).fit(tmp_path / "x.csv", memory_limit=SOME)
    np.savez_compressed(tmp_path / "small.npz", X)
    with pytest.raises(ValueError, match="more than memory_limit, and only one uncompressed array"):
        as_source(tmp_path / "small.npz", memory_limit=SOME)
    np.savez(tmp_path / "plain.npz", np.asfortranarray(X))
    source = as_source(tmp_path / "plain.npz", memory_limit=SOME)
    assert not source.in_memory and np.array_equal(rows_of(source), X)


@pytest.mark.parametrize("kind", [".npy", "HDF5 in chunks", ".h5ad", "Parquet"])
@pytest.mark.parametrize("how", ["cut short", "written to", "moved"])
def test_a_file_that_changes_is_named(kind, how, tmp_path):
    data, place = STORED[kind](tmp_path, X)
    source = as_source(data, memory_limit=SOME, **place)
    source.block(0, 64)
    wait_for_readers()
    if how == "moved":
        os.rename(data, tmp_path / "elsewhere")
    elif how == "cut short":
        os.truncate(data, data.stat().st_size - 500)
    else:
        os.utime(data, ns=(0, 0))
    word = {"moved": "the file is gone", "cut short": "changed", "written to": "changed while it was read"}
    with pytest.raises(ValueError, match=f"{data.name}.*{word[how]}"):
        source.summary()


def test_what_is_held_of_a_file_that_changed_is_not_taken(tmp_path):
    source = as_source(npy(tmp_path, X)[0])
    NMF(2, tol=1e-2, random_state=0).fit(source)
    os.utime(tmp_path / "x.npy", ns=(0, 0))
    with pytest.raises(ValueError, match=r"x\.npy: the file changed .*nonneg\.as_source"):
        NMF(2, tol=1e-2, random_state=0).fit(source)


def test_a_file_that_ends_early_is_named(tmp_path):
    path = npy(tmp_path, X)[0]
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(ValueError, match=r"x\.npy"):
        NMF(2).fit(path)
    store = as_source(npy(tmp_path, X)[0]).store
    os.truncate(store.file, store.file.stat().st_size // 2)
    store.stamp()  # as if it had been so
    with pytest.raises(ValueError, match=r"x\.npy: rows 0 to 300 cannot be read .*ends before row 300"):
        store.read(0, 300)


def test_layers_that_are_not_there(tmp_path):
    path = h5ad(tmp_path, X)[0]
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["one"], file["in/two"] = X, X
    group = zarr.open_group(tmp_path / "two.zarr", mode="w")
    group.create_array("one", data=X[:, 0])
    columns = tmp_path / "columns.h5ad"
    anndata.AnnData(sp.csc_matrix(X)).write_h5ad(columns)
    for data, how, what in (
        (path, {"layer": "raw"}, "layer='raw': .*x.h5ad has no such layer; it has counts"),
        (anndata.read_h5ad(path), {"layer": "raw"}, "layer='raw': X has no such layer; it has counts"),
        (tmp_path / "two.h5", {}, "has in/two, one; say which one with layer="),
        (tmp_path / "two.h5", {"layer": "three"}, "has no such array; it has in/two, one"),
        (tmp_path / "two.zarr", {}, "has no matrix"),
        (npy(tmp_path, X)[0], {"layer": "x"}, "layer='x': X has no layers"),
        (X, {"layer": "x"}, "layer='x': X has no layers"),
        (columns, {}, "stored by columns"),
    ):
        with pytest.raises(ValueError, match=what):
            NMF(2).fit(data, **how)


# -- reading ahead ------------------------------------------------------------------------------------------------


def counted(source):
    """The rows that are read from now on."""
    reads, read = [], source.store.read

    def noted(start, stop):
        reads.append((start, stop))
        return read(start, stop)

    source.store.read = noted
    return reads


def wait_for_readers():
    """A thread reads one slab and ends."""
    until = time.monotonic() + 20
    while any(thread.name == "nonneg reads ahead" for thread in threading.enumerate()):
        assert time.monotonic() < until, "a thread is left"
        time.sleep(0.001)


def test_the_next_slab_is_read_while_the_present_one_is_worked_on(tmp_path):
    source = as_source(npy(tmp_path, X)[0], memory_limit=SOME)
    read, began, go_on = source.store.read, threading.Event(), threading.Event()

    def slow(start, stop):
        if start:
            began.set()
            assert go_on.wait(20)
        return read(start, stop)

    source.store.read = slow
    first = source.block(0, 64)  # which is handed out although its successor is not there yet
    assert began.wait(20) and np.array_equal(first.X, X[:64])
    go_on.set()
    assert np.array_equal(rows_of(source), X)
    wait_for_readers()


def test_a_pass_reads_every_row_once(tmp_path, threads):
    for kind in (".npy", "HDF5 in chunks", "Zarr with shards"):
        data, how = STORED[kind](tmp_path, X)
        source = as_source(data, memory_limit=TIGHT[kind], **how)
        reads = counted(source)
        for passes in (1, 2, 3):
            with threads(1):
                source._known.clear()
                source.summary()
            wait_for_readers()
            rows = sum(stop - start for start, stop in reads)
            assert rows == 300 * passes
        edges = {start for start, _ in reads}
        assert all(start % source.store.chunk == 0 for start in edges)


def test_what_fits_is_read_once(tmp_path):
    source = as_source(npy(tmp_path, X)[0])
    reads = counted(source)
    for _ in range(3):
        assert np.array_equal(rows_of(source), X)
    assert reads == [(0, 300)]


def test_blocks_in_any_order_do_not_read_their_neighbours(tmp_path):
    source = as_source(npy(tmp_path, X)[0], memory_limit=SOME)
    reads = counted(source)
    for start, stop in source.bounds()[::-1]:
        assert np.array_equal(source.block(start, stop).X, X[start:stop])
    wait_for_readers()
    assert sum(stop - start for start, stop in reads) <= 300 + 64 * 2


def test_threads_share_what_is_read(tmp_path, threads):
    source = as_source(npy(tmp_path, X)[0], memory_limit=SOME)
    with threads(2):
        for _ in range(20):
            source._known.clear()
            found = source.summary()
            assert found == as_source(X).summary()


def test_an_error_of_the_reader_reaches_whoever_asks_and_is_not_kept(tmp_path):
    source = as_source(npy(tmp_path, X)[0], memory_limit=SOME)
    read, broken = source.store._read, True

    def failing(start, stop):
        if broken and start:
            raise OSError("the disk is tired")
        return read(start, stop)

    source.store._read = failing
    source.block(0, 64)
    with pytest.raises(ValueError, match=r"x\.npy: rows \d+ to \d+ cannot be read \(the disk is tired\)"):
        list(source.blocks())
    broken = False
    assert np.array_equal(rows_of(source), X)


def test_no_thread_and_no_slab_outlive_a_fit(tmp_path):
    path = npy(tmp_path, X)[0]
    NMF(2, tol=1e-2, random_state=0).fit(path, memory_limit=SOME)
    wait_for_readers()
    assert nonneg.as_source(path, memory_limit=SOME)._slabs._held == {}


def test_a_process_waits_for_the_slab_that_is_read_when_it_ends(tmp_path):
    """A thread that is stopped within HDF5 would keep its lock, and the process would never end."""
    code = f"""
import nonneg, time
source = nonneg.as_source({str(npy(tmp_path, np.ones((20_000, 100)))[0])!r}, memory_limit="8MB")
read = source.store.read

def slow(start, stop):
    found = read(start, stop)
    if start:
        time.sleep(0.5)
        print("the next slab is read")
    return found

source.store.read = slow
next(iter(source.blocks()))
"""
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert found.stdout == "the next slab is read\n"
