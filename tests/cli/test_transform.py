"""``nonneg transform``: every kind of file in, every kind out, names kept, and nothing written over."""

from __future__ import annotations

import json
import os

import anndata
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import sparse

import nonneg
from cli_cases import one_line, run
from nonneg.data.paths import open_path

ROWS = [f"s{i}" for i in range(12)]
GENES = list("abcdef")
COMPONENTS = ["nmf0", "nmf1"]
X = np.random.default_rng(0).random((12, 2)) @ np.random.default_rng(1).random((2, 6))
X.setflags(write=False)


@pytest.fixture
def files(tmp_path):
    """A model of X, and X in several kinds of file; in one beside labels."""
    frame = pd.DataFrame(X, columns=GENES, index=ROWS)
    kind = pd.Series(np.where(X[:, 0] > np.median(X[:, 0]), "u", "v"), ROWS)
    frame.to_csv(tmp_path / "X.csv")
    frame.assign(kind=kind).to_csv(tmp_path / "labelled.tsv.gz", sep="\t")
    frame.assign(kind=kind).to_parquet(tmp_path / "X.parquet")
    obs = pd.DataFrame({"kind": pd.Categorical(kind), "depth": X.sum(axis=1)}, index=ROWS)
    data = anndata.AnnData(sparse.csr_matrix(X), obs, pd.DataFrame(index=GENES))
    data.layers["half"] = X / 2
    data.write_h5ad(tmp_path / "X.h5ad")
    model = nonneg.NMF(2, random_state=0).fit(frame)
    model.save(tmp_path / "m.nmf")
    return tmp_path, model, model.transform(frame)


def table(path):
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    separator = "\t" if ".tsv" in path.name else ","
    return pd.read_csv(path, sep=separator, index_col=0, float_precision="round_trip")


@pytest.mark.parametrize("kind", ["csv", "tsv", "csv.gz", "tsv.gz", "parquet"])
def test_tables_name_rows_and_components(capsys, files, kind):
    folder, _, W = files
    code, out, err = run(
        capsys, "transform", folder / "m.nmf", folder / "X.csv", "--out", folder / f"W.{kind}"
    )
    assert (code, err) == (0, "") and "12 rows of 2 float64" in out
    found = table(folder / f"W.{kind}")
    assert list(found.columns) == COMPONENTS and list(found.index) == ROWS
    assert np.array_equal(found.to_numpy(), W)  # to the last bit, also as text


@pytest.mark.parametrize("data", ["labelled.tsv.gz", "X.parquet", "X.h5ad"])
@pytest.mark.filterwarnings("ignore:.* is Parquet:UserWarning")
def test_rows_have_names_in_every_kind_of_file(capsys, files, data):
    folder, _, W = files
    without = [] if data.endswith("h5ad") else ["--without", "kind"]
    words = ["transform", folder / "m.nmf", folder / data, "--out", folder / "W.csv", *without]
    code, _, err = run(capsys, *words, "--quiet")
    assert (code, err) == (0, "")
    found = table(folder / "W.csv")
    assert list(found.index) == ROWS
    assert np.allclose(found, W, atol=1e-12)


def test_data_without_names_give_a_table_without(capsys, files):
    folder, _, W = files
    np.save(folder / "X.npy", X)
    nonneg.NMF(2, random_state=0).fit(X).save(folder / "plain.nmf")
    words = ["transform", folder / "plain.nmf", folder / "X.npy", "--out", folder / "W.csv", "--json"]
    code, out, _ = run(capsys, *words)
    report = json.loads(out)
    assert code == 0 and (report["n_samples"], report["n_columns"]) == (12, 2) and out.count("\n") == 1
    assert np.allclose(pd.read_csv(folder / "W.csv")[COMPONENTS], W, atol=1e-12)


@pytest.mark.parametrize("kind", ["npy", "zarr", "h5"])
@pytest.mark.parametrize("what", [[], ["--memberships"], ["--reconstruct"]])
def test_arrays(capsys, files, kind, what):
    folder, model, W = files
    target = folder / f"W.{kind}"
    for _ in range(2):  # what is there is replaced
        code, _, err = run(capsys, "transform", folder / "m.nmf", folder / "X.csv", "--out", target, *what)
        assert (code, err) == (0, "")
    frame = open_path(folder / "X.csv")
    wanted = (
        model.memberships(frame) if "--memberships" in what else model.inverse_transform(W) if what else W
    )
    assert np.array_equal(np.asarray(open_path(target)[:]), wanted)


def test_annotated_data_come_back_whole(capsys, files):
    folder, model, _ = files
    for what in ([], ["--memberships"]):
        words = ["transform", folder / "m.nmf", folder / "X.h5ad", "--out", folder / "W.h5ad", *what]
        assert run(capsys, *words, "--quiet") == (0, "", "")
    found = anndata.read_h5ad(folder / "W.h5ad")
    assert np.allclose(
        found.obsm["X_nmf_memberships"], model.memberships(open_path(folder / "X.csv")), atol=1e-12
    )
    assert np.allclose(found.obsm["X_nmf_memberships"].sum(axis=1), 1)
    assert np.array_equal(found.varm["NMF"], model.components_.T)
    assert sparse.issparse(found.X) and np.array_equal(found.X.toarray(), X)
    assert list(found.obs.columns) == ["kind", "depth"] and list(found.layers) == ["half"]
    before = anndata.read_h5ad(folder / "X.h5ad")
    assert not before.obsm and list(found.obs_names) == ROWS and list(found.var_names) == GENES


def test_other_data_become_annotated_ones_with_names(capsys, files):
    folder, _, W = files
    assert run(capsys, "transform", folder / "m.nmf", folder / "X.csv", "--out", folder / "W.h5ad")[0] == 0
    found = anndata.read_h5ad(folder / "W.h5ad")
    assert np.array_equal(found.obsm["X_nmf"], W) and found.X is None
    assert list(found.obs_names) == ROWS and list(found.var_names) == GENES


def test_a_layer_and_missing_cells_with_weights(capsys, files):
    folder, _, W = files
    words = ["transform", folder / "m.nmf", folder / "X.h5ad", "--layer", "half", "--out", folder / "W.csv"]
    assert run(capsys, *words)[0] == 0
    assert np.allclose(table(folder / "W.csv"), W / 2, atol=1e-9)
    frame = pd.DataFrame(X.copy(), columns=GENES, index=ROWS)
    frame.iloc[3, 2] = np.nan
    frame.to_csv(folder / "holes.csv")
    words = ["transform", folder / "m.nmf", folder / "holes.csv", "--out", folder / "W.csv"]
    code, _, err = run(capsys, *words)
    assert code == 3 and "(3, 2) in column 'c'" in err and one_line(err)
    assert run(capsys, *words, "--missing", "ignore")[0] == 0
    assert np.allclose(table(folder / "W.csv"), W, atol=1e-3)
    assert run(capsys, *words, "--missing", "ignore", "--impute")[0] == 0
    filled = table(folder / "W.csv")
    assert list(filled.columns) == GENES and list(filled.index) == ROWS
    assert np.isclose(filled.iloc[3, 2], X[3, 2], rtol=1e-2)
    assert np.array_equal(filled.drop(columns="c"), frame.drop(columns="c"))
    np.save(folder / "w.npy", np.where(frame.isna(), 0.0, 1.0))
    frame.fillna(9.0).to_csv(folder / "filled.csv")
    words[2] = folder / "filled.csv"
    assert run(capsys, *words, "--weights", folder / "w.npy")[0] == 0
    assert np.allclose(table(folder / "W.csv"), W, atol=1e-3)


def test_images_in_colour_go_by_their_names(capsys, tmp_path):
    folder = tmp_path / "faces"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (11, 3, 4, 3), np.uint8)
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{i}.png")
    words = ["--n-components", 2, "--max-iter", 5, "--out", tmp_path / "m.nmf"]
    assert run(capsys, "fit", folder, "--colour", *words)[0] == 0
    assert nonneg.load(tmp_path / "m.nmf").feature_names_in_[-1] == "y2x3b"
    assert run(capsys, "transform", tmp_path / "m.nmf", folder, "--out", tmp_path / "W.csv")[0] == 0
    assert list(table(tmp_path / "W.csv").index) == [f"{i}.png" for i in range(11)]


def test_tensors_and_views(capsys, tmp_path):
    np.save(tmp_path / "T.npy", X.reshape(12, 3, 2))
    np.savez(tmp_path / "V.npz", left=X[:, :4], right=X[:, 4:])
    model = nonneg.NTF(2, random_state=0).fit(X.reshape(12, 3, 2))
    model.save(tmp_path / "t.nmf")
    nonneg.JointNMF(2, random_state=0).fit({"left": X[:, :4], "right": X[:, 4:]}).save(tmp_path / "j.nmf")
    words = ["transform", tmp_path / "t.nmf", tmp_path / "T.npy", "--out", tmp_path / "W.npy"]
    assert run(capsys, *words)[0] == 0 and np.load(tmp_path / "W.npy").shape == (12, 2)
    assert run(capsys, *words, "--reconstruct")[0] == 0
    wanted = model.inverse_transform(model.transform(X.reshape(12, 3, 2)))
    assert np.array_equal(np.load(tmp_path / "W.npy"), wanted.reshape(12, 6))
    words = ["transform", tmp_path / "j.nmf", tmp_path / "V.npz", "--out", tmp_path / "W.csv"]
    assert run(capsys, *words)[0] == 0 and table(tmp_path / "W.csv").shape == (12, 1)
    code, _, err = run(capsys, *words, "--reconstruct")
    assert code == 2 and "several views" in err and one_line(err)


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"model": "none.nmf"}, 3, "none.nmf is not there"),
        ({"model": "."}, 3, "is a folder"),
        ({"model": "X.csv"}, 3, "not a nonneg file, or damaged"),
        ({"model": "cut.nmf"}, 3, "not a nonneg file, or damaged"),
        ({"data": "none.csv"}, 3, "there is no file"),
        ({"data": "fewer.csv"}, 3, "expecting 6 features"),
        ({"data": "other.csv"}, 3, "feature names"),
        ({"data": "labelled.tsv.gz"}, 3, "column 'kind' holds text"),
        ({"data": "labelled.tsv.gz"}, 3, "leave it out (--without)"),
        ({"out": "X.csv"}, 2, "X.csv is the data"),
        ({"out": "m.nmf"}, 2, "the suffix .nmf; known: .csv"),
        ({"out": "there/W.csv"}, 1, "there is no folder"),
        ({"out": "there/W.npy"}, 1, "there is no folder"),
        ({"out": "folder.csv"}, 1, "is a folder"),
        ({"out": "W.h5ad", "more": ["--reconstruct"]}, 2, "takes W or memberships"),
        ({"more": ["--memberships", "--impute"]}, 2, "one at a time"),
        ({"more": ["--without", "g"]}, 2, "no column 'g'"),
        ({"more": ["--memory-limit", "2 cows"]}, 2, "--memory-limit"),
        ({"more": ["--weights", "none.npy"]}, 3, "none.npy"),
        ({"more": ["--missing", "unstored"]}, 3, "sparse"),
        ({"more": ["--quiet", "--verbose"]}, 2, "--quiet"),
    ],
)
def test_what_goes_wrong_is_said_in_one_line(capsys, files, monkeypatch, change, code, said):
    folder, _, _ = files
    monkeypatch.chdir(folder)
    (folder / "cut.nmf").write_bytes((folder / "m.nmf").read_bytes()[:-9])
    (folder / "folder.csv").mkdir()
    frame = pd.DataFrame(X, columns=GENES)
    np.save("fewer.npy", X[:, :5])
    pd.DataFrame(X[:, :5]).to_csv("fewer.csv", index=False, header=False)
    frame.rename(columns={"b": "B"}).to_csv("other.csv", index=False)
    nonneg.NMF(2, random_state=0).fit(X).save("plain.nmf")
    model = "plain.nmf" if change.get("data") == "fewer.csv" else change.get("model", "m.nmf")
    words = ["transform", model, change.get("data", "X.csv"), "--out", change.get("out", "W.csv")]
    before = {name: os.path.getmtime(name) for name in os.listdir(".")}
    found, out, err = run(capsys, *words, *change.get("more", []), "--json")
    assert found == code, err
    assert said in err and one_line(err)
    assert json.loads(out)["error"]["exit_code"] == code
    assert {name: os.path.getmtime(name) for name in os.listdir(".")} == before


def test_models_that_cannot(capsys, files):
    folder, _, _ = files
    nonneg.KernelNMF(2, random_state=0).fit(X).save(folder / "k.nmf")
    np.save(folder / "X.npy", X)
    for more, said in (
        (["--reconstruct"], "no inverse_transform"),
        (["--impute"], "no impute"),
        (["--missing", "ignore"], "takes no missing cells"),
        (["--device", "cuda"], "device"),
    ):
        words = ["transform", folder / "k.nmf", folder / "X.npy", "--out", folder / "W.csv", *more]
        code, _, err = run(capsys, *words)
        assert code == 2 and said in err and one_line(err)


def test_torch_computes_the_same_where_a_device_is_named(capsys, files):
    folder, _, W = files
    words = ["transform", folder / "m.nmf", folder / "X.csv", "--out", folder / "W.csv", "--device", "cpu"]
    assert run(capsys, *words, "--quiet") == (0, "", "")
    found = table(folder / "W.csv")
    assert np.allclose(found, W, atol=1e-9) and list(found.index) == ROWS


def test_verbose_says_what_is_done(capsys, files):
    folder, _, _ = files
    code, _, err = run(
        capsys, "transform", folder / "m.nmf", folder / "X.csv", "--out", folder / "W.npy", "-v"
    )
    assert code == 0 and "computing W with NMF" in err
