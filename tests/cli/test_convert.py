"""``nonneg convert``: numbers and names survive, also of more than memory may hold, and sparse ones stay sparse."""

from __future__ import annotations

import json

import anndata
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import sparse

import nonneg
from cli_cases import one_line, run
from nonneg import as_source
from nonneg.data.paths import open_path

X = np.random.default_rng(0).random((40, 6)).astype(np.float32)
NAMES, ROWS = list("abcdef"), [f"r{i}" for i in range(40)]


@pytest.fixture
def table(tmp_path):
    pd.DataFrame(X, columns=NAMES, index=ROWS).to_csv(tmp_path / "X.csv")
    return tmp_path


@pytest.mark.parametrize("kind", ["csv", "tsv.gz", "parquet", "h5ad"])
@pytest.mark.filterwarnings("ignore:.* is Parquet:UserWarning")
def test_names_of_rows_and_columns_come_along(capsys, table, kind):
    first, last = table / f"Y.{kind}", table / "Z.h5ad"
    code, out, err = run(capsys, "convert", table / "X.csv", first, "--json")
    assert (code, err) == (0, "") and json.loads(out)["names"] is True
    assert run(capsys, "convert", first, last)[0] == 0  # and back to names
    found = anndata.read_h5ad(last)
    assert list(found.var_names) == NAMES and list(found.obs_names) == ROWS
    assert np.array_equal(found.X, pd.read_csv(table / "X.csv", index_col=0, float_precision="round_trip"))
    model = nonneg.NMF(2, random_state=0).fit(last)
    assert list(model.feature_names_in_) == NAMES


def test_arrays_have_no_names_and_it_is_said(capsys, table):
    code, out, _ = run(capsys, "convert", table / "X.csv", table / "Y.npy")
    assert code == 0 and "40 rows of 6 float64" in out and "without names" in out
    assert run(capsys, "convert", table / "X.csv", table / "Y.zarr", "--quiet") == (0, "", "")


def test_sparse_data_stay_sparse(capsys, tmp_path):
    A = sparse.random_array((300, 50), density=0.05, format="csr", random_state=np.random.default_rng(0))
    sparse.save_npz(tmp_path / "A.npz", sparse.csr_matrix(A))
    assert run(capsys, "convert", tmp_path / "A.npz", tmp_path / "A.h5ad")[0] == 0
    found = anndata.read_h5ad(tmp_path / "A.h5ad")
    assert sparse.issparse(found.X) and (found.X != A).nnz == 0
    assert as_source(tmp_path / "A.h5ad").is_sparse
    code, _, err = run(capsys, "convert", tmp_path / "A.npz", tmp_path / "A.csv")
    assert code == 3 and "give a .h5ad file" in err and one_line(err)


def test_a_data_set_with_names(capsys, tmp_path):
    assert run(capsys, "convert", "dataset:pbmc68k-reduced", tmp_path / "p.h5ad")[0] == 0
    found = anndata.read_h5ad(tmp_path / "p.h5ad")
    bunch = nonneg.datasets.load("pbmc68k-reduced")
    assert list(found.var_names) == list(bunch.feature_names) and list(found.obs_names) == list(
        bunch.sample_names
    )
    assert (bunch.data != found.X).nnz == 0


def test_images_and_columns_that_are_left_out(capsys, tmp_path):
    (tmp_path / "faces").mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (3, 4, 5, 3), np.uint8)
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "faces" / f"{i}.png")
    assert run(capsys, "convert", tmp_path / "faces", tmp_path / "f.parquet", "--colour")[0] == 0
    frame = pd.read_parquet(tmp_path / "f.parquet")
    assert list(frame.index) == ["0.png", "1.png", "2.png"] and list(frame.columns)[:2] == ["y0x0r", "y0x0g"]
    assert (frame.dtypes == np.uint8).all() and np.array_equal(frame, pixels.reshape(3, -1))
    words = ["convert", tmp_path / "f.parquet", tmp_path / "f.csv", "--without", "y0x0r", "y0x0g"]
    assert run(capsys, *words)[0] == 0
    assert np.array_equal(open_path(tmp_path / "f.csv"), pixels.reshape(3, -1)[:, 2:])


def test_more_than_memory_may_hold(capsys, tmp_path):
    big = np.random.default_rng(0).random((5000, 512), np.float32)  # 10 MB
    np.save(tmp_path / "big.npy", big)
    words = ["convert", tmp_path / "big.npy", tmp_path / "big.h5ad", "--memory-limit", "8M"]
    assert run(capsys, *words)[0] == 0
    assert np.array_equal(as_source(tmp_path / "big.h5ad").read(0, 5000), big)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["X.csv", "X.csv"], 2, "is the data"),
        (["X.csv", "X.xlsx"], 2, "the suffix .xlsx; known: .csv"),
        (["none.csv", "Y.npy"], 3, "there is no file"),
        (["X.csv", "none/Y.csv"], 1, "there is no folder"),
        (["X.csv", "Y.npy", "--without", "q"], 2, "--without: in X.csv there is no column 'q'"),
        (["dataset:none", "Y.npy"], 2, "DATA"),
        (["dataset:digits", "Y.npy", "--memory-limit", "2X"], 2, "--memory-limit"),
    ],
)
def test_what_goes_wrong_is_said_in_one_line(capsys, table, monkeypatch, words, code, said):
    monkeypatch.chdir(table)
    found, out, err = run(capsys, "convert", *words, "--json")
    assert found == code and said in err and one_line(err), err
    assert json.loads(out)["error"]["exit_code"] == code
    assert [path.name for path in table.iterdir()] == ["X.csv"]
