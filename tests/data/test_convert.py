"""`nonneg.convert`, and ``nonneg convert`` on the command line: the same numbers in another kind of file."""

import json
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

import nonneg
from nonneg.cli import main


def numbers(n=300, m=5, dtype=np.float32):
    return (100 * np.random.default_rng(0).random((n, m))).astype(dtype)


def parquet(X, path, names=None):
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = names or [f"c{j}" for j in range(X.shape[1])]
    pq.write_table(pa.table(dict(zip(names, X.T, strict=True))), path, row_group_size=70)
    return path


@pytest.mark.parametrize("out", ["X.npy", "X.zarr", "X.h5"])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float32, np.dtype(">f8")])
def test_dtype_and_bits_stay(out, dtype, small_blocks, tmp_path):
    X = numbers(dtype=dtype)
    found = nonneg.convert(X, tmp_path / out)
    assert found.dtype.name == X.dtype.name  # Zarr hands out numbers in the order of the machine
    np.testing.assert_array_equal(found[:], X)


def test_nan_and_infinity_stay(tmp_path):
    X = np.array([[np.nan, np.inf], [-np.inf, -0.0]])
    assert nonneg.convert(X, tmp_path / "X.npy").tobytes() == X.tobytes()


@pytest.mark.parametrize("out", ["X.npy", "X.zarr", "X.h5"])
def test_what_is_written_is_what_a_fit_takes(out, tmp_path):
    X = numbers()
    nonneg.convert(X, tmp_path / out)
    model = nonneg.NMF(2, tol=1e-3, random_state=0)
    whole = model.fit(X).components_.copy()
    np.testing.assert_array_equal(model.fit(tmp_path / out).components_, whole)


def test_row_groups_of_parquet_become_rows_without_the_advice_to_do_so(small_blocks, tmp_path):
    X = numbers()
    path = parquet(X, tmp_path / "X.parquet")
    np.testing.assert_array_equal(nonneg.convert(path, tmp_path / "X.npy"), X)


def test_one_kind_of_storage_into_another_and_a_layer(small_blocks, tmp_path):
    import h5py

    X = numbers(dtype=np.uint8)
    with h5py.File(tmp_path / "both.h5", "w") as file:
        file["counts"], file["other"] = X, X[:3]
    found = nonneg.convert(tmp_path / "both.h5", tmp_path / "X.zarr", layer="counts")
    np.testing.assert_array_equal(found[:], X)
    again = nonneg.convert(found, tmp_path / "X.npy", memory_limit="5KB")
    np.testing.assert_array_equal(again, X)


def test_a_table_becomes_numbers(tmp_path):
    (tmp_path / "X.csv").write_text("a,b\n1,2\n3,4.5\n")
    np.testing.assert_array_equal(nonneg.convert(tmp_path / "X.csv", tmp_path / "X.npy"), [[1, 2], [3, 4.5]])


def test_memory_does_not_grow_with_X(tmp_path):
    """40 MB of Parquet in row groups of half a megabyte, 3 MB at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    X = np.random.default_rng(0).random((500_000, 10))
    pq.write_table(pa.table({str(j): column for j, column in enumerate(X.T)}), tmp_path / "X.parquet", 7000)
    nonneg.convert(X[:10], tmp_path / "Y.npy")
    tracemalloc.start()
    try:
        nonneg.convert(tmp_path / "X.parquet", tmp_path / "Y.npy", memory_limit="10MB")
        assert tracemalloc.get_traced_memory()[1] < 25e6
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(np.load(tmp_path / "Y.npy"), X)


def test_sparse_data_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"X is sparse.*save_npz"):
        nonneg.convert(sp.eye_array(3), tmp_path / "X.npy")


def test_the_data_are_not_written_over(tmp_path):
    np.save(tmp_path / "X.npy", numbers())
    with pytest.raises(ValueError, match="is the data"):
        nonneg.convert(tmp_path / "X.npy", tmp_path / "X.npy")


@pytest.mark.parametrize("out", ["X.npy", "X.zarr", "X.h5"])
def test_data_that_are_open_are_not_written_over(out, tmp_path):
    opened, path = nonneg.convert(numbers(), tmp_path / out), tmp_path / out
    model = nonneg.NMF(2, tol=1e-2, random_state=0).fit(numbers())
    for X in (opened, nonneg.as_source(path)):
        with pytest.raises(ValueError, match="is the data"):
            nonneg.convert(X, path)
        with pytest.raises(ValueError, match="is the data"):
            model.transform(X, out=path)
        with pytest.raises(ValueError, match="is the data"):
            model.transform(X, weights=path, out=path)
    with pytest.raises(ValueError, match="is the data"):
        model.transform(numbers(), weights=path, out=path)
    np.testing.assert_array_equal(opened[:], numbers())


def test_the_index_of_a_frame_is_no_feature(tmp_path):
    import pandas as pd

    frame = pd.DataFrame(numbers(8, 2), columns=["a", "b"])
    for index in (pd.Index(range(50, 58), name="cell"), pd.Index([*"stuvwxyz"]), frame.index):
        frame.set_index(index).to_parquet(tmp_path / "X.parquet")
        with pytest.warns(UserWarning, match="Parquet"):
            source = nonneg.as_source(tmp_path / "X.parquet")
        assert source.names == ["a", "b"]
        np.testing.assert_array_equal(source.read(2, 8), frame[2:])


def test_the_command_writes_and_reports(tmp_path, capsys):
    X = numbers()
    path = parquet(X, tmp_path / "X.parquet")
    assert main(["convert", str(path), str(tmp_path / "X.npy"), "--memory-limit", "1MB", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    sizes = {"n_samples": 300, "n_features": 5, "dtype": "float32"}
    assert report == {"out": str(tmp_path / "X.npy"), **sizes, "names": False}
    np.testing.assert_array_equal(np.load(tmp_path / "X.npy"), X)


@pytest.mark.parametrize(
    ("data", "out", "code", "said"),
    [
        ("X.npy", "X.xlsx", 2, "OUT: "),
        ("X.npy", "X.npy", 2, "is the data"),
        ("nothing.npy", "Y.npy", 3, "there is no file"),
        ("S.npz", "Y.npy", 3, "X is sparse"),
        ("X.npy", "nowhere/Y.npy", 1, "there is no folder"),
    ],
)
def test_the_command_says_what_is_wrong(data, out, code, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("X.npy", numbers())
    sp.save_npz("S.npz", sp.eye_array(3, format="csr"))
    assert main(["convert", data, out]) == code
    assert said in capsys.readouterr().err
