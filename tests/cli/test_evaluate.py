"""``nonneg evaluate``: numbers that agree with the library's own, and labels from everywhere they may lie."""

from __future__ import annotations

import json

import anndata
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import nonneg
from cli_cases import one_line, run
from nonneg.datasets import load

CLASSES = np.repeat(["red", "green", "blue"], 8)


@pytest.fixture
def blocks(tmp_path):
    """24 rows of three classes, each with columns of its own, and a model of them."""
    rng = np.random.default_rng(0)
    H = np.kron(np.eye(3), np.ones(4))
    X = H[np.repeat([0, 1, 2], 8)] * rng.uniform(1, 2, (24, 1)) + 0.1 * rng.random((24, 12))
    np.save(tmp_path / "X.npy", X)
    nonneg.NMF(3, random_state=0).fit(X).save(tmp_path / "m.nmf")
    return tmp_path, X, nonneg.load(tmp_path / "m.nmf")


def evaluated(capsys, *words):
    code, out, err = run(capsys, "evaluate", *words, "--json")
    assert code == 0 and out.count("\n") == 1, err
    return json.loads(out)


def test_numbers_without_labels(capsys, blocks):
    folder, X, model = blocks
    report = evaluated(capsys, folder / "m.nmf", folder / "X.npy")
    error = np.linalg.norm(X - model.inverse_transform(model.transform(X))) / np.linalg.norm(X)
    assert np.isclose(report["relative_error"], error, rtol=1e-9)
    assert np.isclose(report["explained_share"], 1 - error**2, rtol=1e-9)
    assert report["score"] == model.score(X)
    certificate = model.certificate(X)
    assert report["kkt_residual"] == certificate.kkt_residual and report["svd_gap"] == certificate.svd_gap
    assert report["spread_over_starts"] is None  # one start; NaN is no JSON
    assert report["dead"] == [] and report["duplicates"] == [] and "labels" not in report
    assert 0.5 < report["sparsity_parts"] < 1 and 0.5 < report["sparsity_W"] <= 1


def test_missing_cells_and_extreme_units(capsys, blocks):
    folder, X, model = blocks
    holes = X.copy()
    holes[::3, ::4] = np.nan
    np.save(folder / "X.npy", holes)
    report = evaluated(capsys, folder / "m.nmf", folder / "X.npy", "--missing", "ignore")
    model.set_params(missing="ignore")
    left = np.nan_to_num(holes - model.inverse_transform(model.transform(holes)))
    assert np.isclose(report["relative_error"], np.linalg.norm(left) / np.linalg.norm(np.nan_to_num(holes)))
    for unit in (1e-290, 1e290):
        nonneg.NMF(3, random_state=0).fit(X * unit).save(folder / "far.nmf")
        np.save(folder / "far.npy", X * unit)
        far = evaluated(capsys, folder / "far.nmf", folder / "far.npy")["relative_error"]
        assert np.isclose(
            far, np.linalg.norm(X - model.inverse_transform(model.transform(X))) / np.linalg.norm(X)
        )


def labelled(folder, X, kind):
    """X with its classes in one kind of file: DATA and --labels."""
    frame = pd.DataFrame(X).assign(colour=CLASSES)
    frame.columns = frame.columns.map(str)
    if kind == "csv":
        frame.to_csv(folder / "X.csv", index=False)
        return "X.csv", "colour"
    if kind == "parquet":
        frame.to_parquet(folder / "X.parquet")
        return "X.parquet", "colour"
    if kind == "h5ad":
        obs = pd.DataFrame({"colour": pd.Categorical(CLASSES)}, index=[f"s{i}" for i in range(24)])
        anndata.AnnData(X, obs).write_h5ad(folder / "X.h5ad")
        return "X.h5ad", "colour"
    if kind == "npy":
        np.save(folder / "y.npy", np.unique(CLASSES, return_inverse=True)[1])
        return "X.npy", "y.npy"
    head = "colour\n" if kind == "headed" else ""
    (folder / "y.txt").write_text(head + "\n".join(CLASSES) + "\n")
    return "X.npy", "y.txt"


@pytest.mark.parametrize("kind", ["csv", "parquet", "h5ad", "npy", "lines", "headed"])
@pytest.mark.filterwarnings("ignore:.* is Parquet:UserWarning", "ignore:X has feature names:UserWarning")
def test_labels_of_every_kind(capsys, blocks, monkeypatch, kind):
    folder, X, _ = blocks
    monkeypatch.chdir(folder)
    data, labels = labelled(folder, X, kind)
    found = evaluated(
        capsys, "m.nmf", data, "--labels", labels, "--clustering", "argmax", "kmeans", "gmm-diag"
    )
    perfect = {"ACC": 1.0, "NMI": 1.0, "ARI": 1.0}
    clusterings = found["labels"]["clusterings"]
    assert list(clusterings) == ["argmax", "kmeans", "gmm-diag"]
    for scores in clusterings.values():
        assert {key: round(value, 9) for key, value in scores.items()} == perfect
    assert found["labels"]["linear_accuracy"] == 1.0
    assert (found["labels"]["n_labelled"], found["labels"]["n_classes"]) == (24, 3)


def test_rows_without_a_label_are_not_scored(capsys, blocks):
    folder, _, _ = blocks
    lines = CLASSES.copy()
    lines[[0, 10]] = ""
    lines[[1, 11]] = "red"  # two of the 22 are wrong: one is red already
    (folder / "y.txt").write_text("\n".join(lines) + "\n")
    words = [folder / "m.nmf", folder / "X.npy", "--labels", folder / "y.txt"]
    found = evaluated(capsys, *words)["labels"]
    assert found["n_labelled"] == 22
    assert np.isclose(found["clusterings"]["argmax"]["ACC"], 21 / 22)
    two = evaluated(capsys, *words, "--n-clusters", 2, "--clustering", "kmeans")["labels"]["clusterings"]
    assert list(two) == ["kmeans"] and two["kmeans"]["ACC"] < 0.8


def test_a_data_set_brings_its_labels(capsys, tmp_path):
    digits = load("digits", "test")
    nonneg.NMF(10, random_state=0, tol=1e-2).fit(digits.data).save(tmp_path / "m.nmf")
    code, out, _ = run(capsys, "evaluate", tmp_path / "m.nmf", "dataset:digits:test")
    assert code == 0 and "360 rows with 10 labels" in out and "argmax:" in out and "KKT residual" in out
    report = evaluated(capsys, tmp_path / "m.nmf", "dataset:digits:test", "--seed", 3)["labels"]
    assert 0.4 < report["clusterings"]["argmax"]["ACC"] < 0.9 and 0.7 < report["linear_accuracy"] < 0.99
    assert report == evaluated(capsys, tmp_path / "m.nmf", "dataset:digits:test", "--seed", 3)["labels"]


def test_folders_of_images_are_their_labels(capsys, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(4):
            image = rng.integers(0, 20, (4, 4), np.uint8)
            image[:, : 2 if name == "cat" else 4] += 200 if name == "cat" else 100
            Image.fromarray(image).save(tmp_path / "pets" / name / f"{i}.png")
    words = ["--n-components", 2, "--out", tmp_path / "m.nmf", "--quiet"]
    assert run(capsys, "fit", tmp_path / "pets", *words)[0] == 0
    report = evaluated(capsys, tmp_path / "m.nmf", tmp_path / "pets")
    assert report["labels"]["n_classes"] == 2 and report["labels"]["clusterings"]["kmeans"]["ACC"] == 1.0


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda X: nonneg.KernelNMF(3, random_state=0).fit(X), False),
        (lambda X: nonneg.ConvolutiveNMF(3, width=2, random_state=0).fit(X), True),
        (lambda X: nonneg.PLSA(3, random_state=0).fit(X), False),
        (lambda X: nonneg.ConvexNMF(3, random_state=0).fit(X), True),
        (lambda X: nonneg.SymmetricNMF(3, affinity="rbf", random_state=0).fit(X), False),
        (lambda X: nonneg.Autoencoder(3, hidden=(8,), max_epochs=2, random_state=0).fit(X), True),
    ],
)
def test_other_models(capsys, blocks, make, error):
    folder, X, _ = blocks
    make(X).save(folder / "o.nmf")
    (folder / "y.txt").write_text("\n".join(CLASSES))
    report = evaluated(capsys, folder / "o.nmf", folder / "X.npy", "--labels", folder / "y.txt")
    assert (report["relative_error"] is not None) == error
    assert ("argmax" in report["labels"]["clusterings"]) == (report["model"] != "autoencoder")


def test_tensors_and_views(capsys, blocks):
    folder, X, _ = blocks
    np.save(folder / "T.npy", X.reshape(24, 4, 3))
    np.savez(folder / "V.npz", left=X[:, :5], right=X[:, 5:])
    for model, data, file in (
        (nonneg.NTF(3, random_state=0), X.reshape(24, 4, 3), "T.npy"),
        (nonneg.JointNMF(3, random_state=0), {"left": X[:, :5], "right": X[:, 5:]}, "V.npz"),
    ):
        model.fit(data).save(folder / "o.nmf")
        found = model.inverse_transform(model.transform(data))
        found = np.hstack([found[key] for key in data]) if isinstance(data, dict) else found.reshape(24, 12)
        report = evaluated(capsys, folder / "o.nmf", folder / file)
        assert np.isclose(report["relative_error"], np.linalg.norm(X - found) / np.linalg.norm(X))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["none.nmf", "X.npy"], 3, "is not there"),
        (["X.npy", "X.npy"], 3, "not a nonneg file"),
        (["m.nmf", "none.npy"], 3, "there is no file"),
        (["m.nmf", "few.npy"], 3, "expecting 12 features"),
        (["m.nmf", "X.npy", "--labels", "short.txt"], 3, "has 3 labels, and DATA has 24 rows"),
        (["m.nmf", "X.npy", "--labels", "colour"], 2, "colour is no file"),
        (
            ["m.nmf", "X.csv", "--labels", "color"],
            2,
            "no such file, and in X.csv there is no column 'color'; did you mean 'col",
        ),
        (
            ["m.nmf", "X.csv", "--labels", "colour", "--without", "q"],
            2,
            "--without: in X.csv there is no column 'q'",
        ),
        (["m.nmf", "X.npy", "--labels", "blank.txt"], 3, "no row has a label"),
        (["m.nmf", "X.npy", "--labels", "X.npy"], 3, "one label a row"),
        (["m.nmf", "X.npy", "--labels", "broken.npy"], 3, "broken.npy cannot be read"),
        (["m.nmf", "X.npy", "--clustering", "dbscan"], 2, "--clustering"),
        (["m.nmf", "X.npy", "--n-clusters", "0"], 2, "--n-clusters"),
        (["m.nmf", "X.npy", "--weights", "none.npy"], 3, "--weights"),
    ],
)
@pytest.mark.filterwarnings("ignore:X has feature names:UserWarning")
def test_what_goes_wrong_is_said_in_one_line(capsys, blocks, monkeypatch, words, code, said):
    folder, X, _ = blocks
    monkeypatch.chdir(folder)
    np.save("few.npy", X[:, :4])
    labelled(folder, X, "csv")
    (folder / "short.txt").write_text("a\nb\nc\n")
    (folder / "blank.txt").write_text("\n" * 24)
    (folder / "broken.npy").write_text("no array")
    found, out, err = run(capsys, "evaluate", *words, "--json")
    assert found == code, err
    assert said in err and one_line(err)
    assert json.loads(out)["error"]["exit_code"] == code
