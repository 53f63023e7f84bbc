"""Rows written below each other: what comes back, what is left after an error, what is not written over."""

import resource
import subprocess
import sys

import numpy as np
import pytest

from nonneg.data import sink
from nonneg.data.sink import check_target, mapped_rows, write_rows

every_kind = pytest.mark.parametrize("name", ["W.npy", "W.zarr", "W.h5"])


def pieces_of(X, heights):
    return np.split(X, np.cumsum(heights)[:-1])


def rows(n=50, m=3, dtype=np.float32, seed=0):
    return (100 * np.random.default_rng(seed).random((n, m))).astype(dtype)


@every_kind
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("heights", [(50,), (1, 20, 0, 7, 22)])
def test_rows_come_back(name, dtype, heights, tmp_path, monkeypatch):
    monkeypatch.setattr(sink, "CHUNK_BYTES", 96)
    X = rows(dtype=dtype)
    found = write_rows(tmp_path / name, pieces_of(X, heights), 50)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found[:], X)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_is_returned_is_mapped_not_loaded(tmp_path):
    assert isinstance(write_rows(tmp_path / "W.npy", [rows()], 50), np.memmap)


@pytest.mark.parametrize("heights", [(50,), (1, 20, 0, 7, 22), (16, 16, 16, 2)])
def test_chunks_are_written_once_and_whole(heights):
    X = rows()
    found = list(sink._regrouped(iter(pieces_of(X, heights)), 8))
    np.testing.assert_array_equal(np.concatenate(found), X)
    assert all(len(part) % 8 == 0 for part in found[:-1])


@every_kind
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_nothing_else(name, error, tmp_path):
    def broken():
        yield rows(seed=1)[:20]
        raise error

    old = rows()
    write_rows(tmp_path / name, [old], 50)
    with pytest.raises(error):
        write_rows(tmp_path / name, broken(), 50)
    np.testing.assert_array_equal(sink.open_path(tmp_path / name)[:], old)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@every_kind
def test_a_full_disk_leaves_the_old_file_and_nothing_else(name, tmp_path):
    """No file may grow beyond 64 kB: what is written there fails as on a full disk."""
    old, noise = rows(), np.random.default_rng(0).random((100_000, 3))
    write_rows(tmp_path / name, [old], 50)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            write_rows(tmp_path / name, np.split(noise, 10), len(noise))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    np.testing.assert_array_equal(sink.open_path(tmp_path / name)[:], old)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["W.npy", "W.zarr"])
def test_a_kill_leaves_the_old_file(name, tmp_path):
    old = rows()
    write_rows(tmp_path / name, [old], 50)
    code = f"""
import os, signal, numpy as np
from nonneg.data.sink import write_rows

def killed():
    yield np.zeros((20, 3), np.float32)
    os.kill(os.getpid(), signal.SIGKILL)

write_rows({str(tmp_path / name)!r}, killed(), 50)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    np.testing.assert_array_equal(sink.open_path(tmp_path / name)[:], old)
    new = rows(seed=1)
    np.testing.assert_array_equal(write_rows(tmp_path / name, [new], 50)[:], new)


@every_kind
def test_the_old_file_is_replaced_by_one_of_another_shape(name, tmp_path):
    write_rows(tmp_path / name, [rows()], 50)
    new = rows(n=7, m=5)
    np.testing.assert_array_equal(write_rows(tmp_path / name, [new], 7)[:], new)


def test_a_map_without_a_name_lives_on():
    X = rows()
    found = mapped_rows(pieces_of(X, (20, 30)), 50)
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, X)
    found[3] = 7
    np.testing.assert_array_equal(found[3], [7, 7, 7])


@pytest.mark.parametrize("given", [3, None, b"W.npy"])
def test_what_is_no_path_is_refused(given):
    with pytest.raises(TypeError, match=r"out=.*\.npy, \.zarr, \.h5, \.hdf5"):
        check_target(given)


@pytest.mark.parametrize("name", ["W.csv", "W"])
def test_unknown_kinds_are_refused(name, tmp_path):
    with pytest.raises(ValueError, match=r"out: .*suffix.*\.npy, \.zarr, \.h5, \.hdf5"):
        check_target(tmp_path / name)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        check_target(tmp_path / "nowhere" / "W.npy")


def test_the_data_are_not_written_over(tmp_path):
    path = tmp_path / "X.npy"
    np.save(path, rows())
    with pytest.raises(ValueError, match="is the data"):
        check_target(path, source=str(path))


def test_folders_and_files_with_other_things_are_not_written_over(tmp_path):
    import h5py
    import zarr

    for name in ("W.npy", "notes.zarr"):
        (tmp_path / name).mkdir()
    (tmp_path / "notes.zarr" / "notes.txt").write_text("mine")
    zarr.open_group(str(tmp_path / "group.zarr"), mode="w").create_array("X", shape=(2, 2), dtype="f4")
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["a"], file["b"] = [1], [2]
    (tmp_path / "text.h5").write_text("mine")
    for name, problem in {
        "W.npy": "is a folder",
        "notes.zarr": "other things than one Zarr array",
        "group.zarr": "other things than one Zarr array",
        "two.h5": "other things than one data set",
        "text.h5": "other things than one data set",
    }.items():
        with pytest.raises(ValueError, match=problem):
            check_target(tmp_path / name)
