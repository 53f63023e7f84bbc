"""``nonneg fit``: from a file to a model, with every option, in every state of failure."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

import nonneg
from cli_cases import interrupted, one_line, run
from nonneg.cli import progress
from nonneg.files import checkpoint
from nonneg.penalties import L1, Box

USAGE = [
    (["fit"], "DATA"),
    (["fit", "X.npy"], "--out"),
    (["fit", "X.npy", "--out", "m", "--n-components", "x"], "--n-components"),
    (["fit", "X.npy", "--out", "m", "--n-components", "0"], "--n-components"),
    (["fit", "X.npy", "--out", "m", "--model", "pca"], "--model"),
    (["fit", "X.npy", "--out", "m", "--loss", "hinge"], "--loss"),
    (["fit", "X.npy", "--out", "m", "--loss", "frobenuis"], "Did you mean 'frobenius'?"),
    (["fit", "X.npy", "--out", "m", "--tolerance", "1"], "--tolerance"),
    (["fit", "X.npy", "--out", "m", "--tol=-1"], "--tol"),
    (["fit", "X.npy", "--out", "new/m", "--epochs", "3"], "--epochs"),
    (["fit", "X.npy", "--out", "new/m", "--tol=-1"], "--tol"),
    (["fit", "dataset:cifar", "--out", "new/m"], "DATA"),
    (["fit", "X.npy", "--out", "m", "--max-iter", "-1"], "--max-iter"),
    (["fit", "X.npy", "--out", "m", "--threads", "0"], "--threads"),
    (["fit", "X.npy", "--out", "m", "--quiet", "--verbose"], "--quiet"),
    (["fit", "X.npy", "--out", "m", "--penalty-H", "L1(-1)"], "--penalty-H"),
    (["fit", "X.npy", "--out", "m", "--solver", "als", "--loss", "kl"], "--solver"),
    (["fit", "X.npy", "--out", "m", "--config", "none.toml"], "--config"),
    (["fit", "X.npy", "--out", "m", "--config"], "--config"),
    (["fit", "X.npy", "--out", "m", "--model", "ddnmf", "--hidden", "0"], "--hidden"),
    (["fit", "X.npy", "--out", "m", "--model", "ddnmf", "--max-iter", "5"], "--max-iter"),
    (["fit", "X.npy", "--out", "m", "--model", "ddnmf", "--profile", "none"], "--profile"),
    (["fit", "X.npy", "--out", "m", "--model", "ddnmf", "--noise-level", "2"], "--noise-level"),
    (["fit", "dataset:cifar", "--out", "m"], "DATA"),
    (["fit", "dataset:digits:half", "--out", "m"], "DATA"),
]


@pytest.mark.parametrize(
    ("words", "named"), USAGE, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_usage_errors(capsys, matrix, tmp_path, monkeypatch, words, named):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *words, *(["--json"] if words[-1] != "--config" else []))
    assert code == 2, err
    assert json.loads(out or '{"error": {"exit_code": 2}}')["error"]["exit_code"] == 2
    assert named in err
    assert one_line(err)
    assert os.listdir(tmp_path) == ["X.npy"]  # nothing is made for a command that cannot run


def test_fit_saves_a_model_that_loads(capsys, matrix, tmp_path):
    X, file = matrix
    code, out, err = run(capsys, "fit", file, "--n-components", 3, "--out", tmp_path / "new" / "m.nonneg")
    assert code == 0, err
    assert str(tmp_path / "new" / "m.nonneg") in out
    model = nonneg.load(tmp_path / "new" / "m.nonneg")
    W = model.transform(X)
    assert np.linalg.norm(X - W @ model.components_) < 0.05 * np.linalg.norm(X)
    assert os.listdir(tmp_path / "new") == ["m.nonneg"]  # no checkpoint is left


@pytest.mark.parametrize("kind", ["npz", "sparse", "csv"])
def test_every_kind_of_file_gives_the_same_model(capsys, matrix, tmp_path, kind):
    X, file = matrix
    other = tmp_path / ("X.csv" if kind == "csv" else "X.npz")
    if kind == "npz":
        np.savez(other, X)
    elif kind == "sparse":
        sparse.save_npz(other, sparse.csr_array(X))
    else:
        np.savetxt(
            other, X, delimiter=",", header=",".join(f"f{i}" for i in range(12)), comments="", fmt="%.17g"
        )
    reports = []
    for source in (file, other):
        code, out, err = run(capsys, "fit", source, "--n-components", 3, "--out", tmp_path / "m", "--json")
        assert code == 0, err
        reports.append(json.loads(out))
    assert reports[0]["reconstruction_err"] == pytest.approx(reports[1]["reconstruction_err"], rel=0.01)


@pytest.mark.parametrize("name", ["seminmf"])
@pytest.mark.filterwarnings("ignore:SemiNMF only attains")
def test_other_models_go_by_their_names(capsys, matrix, tmp_path, name):
    X, file = matrix
    words = ["--model", name, "--n-components", 2, "--out", tmp_path / "m", "--json"]
    code, out, err = run(capsys, "fit", file, *words)
    assert code == 0, err
    assert json.loads(out)["model"] == name
    assert nonneg.load(tmp_path / "m").transform(X).shape == (len(X), 2)


def test_an_option_that_the_model_lacks(capsys, matrix, tmp_path):
    _, file = matrix
    code, _, err = run(capsys, "fit", file, "--model", "seminmf", "--loss", "kl", "--out", tmp_path / "m")
    assert code == 2 and "--loss" in err and "nonneg fit --model seminmf --help" in err


def test_names_of_a_table_reach_the_model_and_its_index_does_not(capsys, matrix, tmp_path):
    import pandas as pd

    names = [f"colour {i}" for i in range(12)]
    pd.DataFrame(matrix[0], columns=names).to_csv(tmp_path / "X.csv")
    code, _, err = run(capsys, "fit", tmp_path / "X.csv", "--n-components", 3, "--out", tmp_path / "m")
    assert code == 0, err
    assert nonneg.load(tmp_path / "m").feature_names_in_.tolist() == names


def test_fit_ddnmf_on_a_data_set(capsys, tmp_path):
    words = ["--model", "ddnmf", "--epochs", 1, "--hidden", 16, 8, "--n-components", 4, "--gain", 2]
    code, out, err = run(capsys, "fit", "dataset:digits:test", *words, "--out", tmp_path / "m", "--json")
    assert code == 0, err
    report = json.loads(out)
    assert (report["model"], report["n_components"], report["n_features"], report["n_iter"]) == (
        "ddnmf",
        4,
        64,
        1,
    )
    model = nonneg.load(tmp_path / "m")
    assert model.gain == 2
    assert model.checkpoint is None


def test_strict_tells_convergence(capsys, matrix, tmp_path):
    words = [
        "fit",
        matrix[1],
        "--n-components",
        3,
        "--out",
        tmp_path / "m",
        "--max-iter",
        1,
        "--tol",
        1e-12,
    ]
    code, out, _ = run(capsys, *words, "--strict", "--json")
    assert code == 4
    report = json.loads(out)
    assert report["converged"] is False and "max_iter=1 " in report["reason"]
    assert (tmp_path / "m").is_file()
    code, out, err = run(capsys, *words)
    assert (code, err) == (0, "") and out.endswith(f"{tmp_path / 'm'}. {report['reason']}\n")


def test_names_of_features_from_a_file(capsys, tmp_path):
    X = np.random.default_rng(0).poisson(2.0, size=(9, 4))
    sparse.save_npz(tmp_path / "X.npz", sparse.csr_array(X))
    words = [
        "fit",
        tmp_path / "X.npz",
        "--n-components",
        2,
        "--tol",
        1,
        "--out",
        tmp_path / "m",
        "--feature-names",
    ]
    for text in ("ein\nzwei\ndrei\nvier\n", "word\nein\nzwei\ndrei\nvier"):
        (tmp_path / "names.txt").write_text(text)
        assert run(capsys, *words, tmp_path / "names.txt")[0] == 0
        assert list(nonneg.load(tmp_path / "m").feature_names_in_) == ["ein", "zwei", "drei", "vier"]
    (tmp_path / "names.txt").write_text("ein\nzwei\n")
    code, _, err = run(capsys, *words, tmp_path / "names.txt")
    assert code == 3 and one_line(err) and "2 lines, and DATA has 4 columns" in err
    assert run(capsys, *words, tmp_path / "none.txt")[0] == 3
    (tmp_path / "X.csv").write_text("a,b\n1,2\n3,4\n")
    code, _, err = run(capsys, "fit", tmp_path / "X.csv", *words[2:], tmp_path / "names.txt")
    assert code == 2 and one_line(err) and "name their columns themselves" in err


@pytest.mark.parametrize(
    "damage", ["absent", "negative", "nan", "text", "truncated", "garbage", "one-dimensional"]
)
def test_data_errors(capsys, matrix, tmp_path, damage):
    X, file = matrix
    if damage == "absent":
        file = tmp_path / "no.npy"
    elif damage == "text":
        file = tmp_path / "X.csv"
        file.write_text("a,b\n1,two\n")
    elif damage == "truncated":
        file.write_bytes(file.read_bytes()[:200])
    elif damage == "garbage":
        file = tmp_path / "X.npz"
        file.write_bytes(b"PK\x03\x04nothing")
    elif damage == "one-dimensional":
        np.save(file, X[0])
    else:
        X[3, 2] = -1 if damage == "negative" else np.nan
        np.save(file, X)
    code, out, err = run(capsys, "fit", file, "--out", tmp_path / "m", "--json")
    assert code == 3, err
    assert json.loads(out)["error"]["kind"] == "data"
    assert "DATA" in err
    assert file.name in err
    assert one_line(err)
    assert not (tmp_path / "m").exists()


def test_an_unknown_suffix_and_a_damaged_file_say_what_to_do(capsys, matrix, tmp_path):
    for name, advice in (
        ("X.xls", "known: .csv .csv.gz .h5 .h5ad .hdf5 .mtx .npy .npz .parquet .tsv .tsv.gz .zarr"),
        ("X.npz", "write it again with numpy.savez"),
    ):
        file = tmp_path / name
        file.write_bytes(b"PK\x03\x04nothing")
        code, _, err = run(capsys, "fit", file, "--out", tmp_path / "m")
        assert (
            code == 3 and advice in err and err.count(str(file)) == err.count("DATA") == 1 and one_line(err)
        )


def test_out_is_a_folder(capsys, tmp_path):
    code, _, err = run(capsys, "fit", "dataset:digits", "--out", tmp_path)
    assert code == 1
    assert "is a folder" in err


def test_a_foreign_checkpoint(capsys, matrix, tmp_path):
    words = [
        "--model",
        "ddnmf",
        "--hidden",
        8,
        "--epochs",
        1,
        "--checkpoint",
        tmp_path / "c",
        "--out",
        tmp_path / "m",
    ]
    assert run(capsys, "fit", matrix[1], *words)[0] == 0
    code, _, err = run(capsys, "fit", matrix[1], *words, "--seed", 5)
    assert code == 1
    assert "belongs to other data or parameters" in err
    assert one_line(err)


def test_a_diverged_fit_is_not_in_the_way_of_the_next(capsys, matrix, tmp_path):
    words = ["--model", "ddnmf", "--hidden", 8, "--epochs", 2, "--out", tmp_path / "m"]
    wild = ["--learning-rate", 1e30, "--optimizer", "sgd"]
    code, _, err = run(capsys, "fit", matrix[1], *words, *wild)
    assert code == 1 and "training diverged" in err
    assert "m.checkpoint" not in os.listdir(tmp_path)
    assert run(capsys, "fit", matrix[1], *words)[0] == 0


def test_the_folder_of_an_interrupted_fit_says_whose_it_is(capsys, matrix, tmp_path):
    words = ["fit", matrix[1], "--model", "ddnmf", "--hidden", 8, "--epochs", 1]
    kept = tmp_path / "m.checkpoint"
    assert run(capsys, *words, "--checkpoint", kept, "--out", tmp_path / "other")[0] == 0
    code, _, err = run(capsys, *words, "--seed", 5, "--out", tmp_path / "m")
    assert code == 1 and "left by an interrupted fit with this --out" in err
    assert one_line(err)


def test_a_full_disk_is_not_called_the_work_of_an_interrupted_fit(capsys, matrix, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_bundle", full)
    code, _, err = run(capsys, "fit", matrix[1], "--max-iter", 3, "--out", tmp_path / "m")
    assert code == 1 and "could not be written" in err and "No space left" in err
    assert "interrupted" not in err and one_line(err)


def test_an_option_given_twice(capsys, matrix, tmp_path):
    words = ["fit", matrix[1], "--max-iter", 5, "--max-iter", 6, "--out", tmp_path / "m"]
    code, _, err = run(capsys, *words)
    assert code == 2 and "--max-iter" in err and one_line(err)


def test_warnings_are_one_line_without_a_place_in_the_source(capsys, tmp_path):
    import warnings

    np.save(tmp_path / "X.npy", np.outer(np.arange(1.0, 21.0), np.arange(1.0, 7.0)))
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)  # an error elsewhere in these tests
        code, _, err = run(capsys, "fit", tmp_path / "X.npy", "--n-components", 3, "--out", tmp_path / "m")
    assert code == 0
    assert err.startswith("nonneg: warning: components [")
    assert ".py" not in err
    assert one_line(err)


@pytest.fixture
def cube(tmp_path):
    rng = np.random.default_rng(0)
    X = np.einsum("ik,jk,lk->ijl", rng.random((20, 2)), rng.random((6, 2)), rng.random((4, 2)))
    np.save(tmp_path / "T.npy", X)
    return X, tmp_path / "T.npy"


@pytest.mark.parametrize(
    ("name", "words", "k"),
    [
        ("ntf", ["--n-components", 2], 2),
        ("nonnegativetucker", ["--ranks", 3, 2, 2], 3),
        ("NTF", ["--n-components", 2, "--missing", "ignore"], 2),
    ],
)
def test_tensors(capsys, cube, tmp_path, name, words, k):
    X, file = cube
    code, out, err = run(capsys, "fit", file, "--model", name, *words, "--out", tmp_path / "m", "--json")
    assert code == 0, err
    assert json.loads(out)["n_components"] == k and json.loads(out)["n_features"] == 24
    model = nonneg.load(tmp_path / "m")
    W = model.transform(X)
    assert W.shape == (20, k)
    assert np.linalg.norm(model.inverse_transform(W) - X) < 0.05 * np.linalg.norm(X)


def test_views(capsys, matrix, tmp_path):
    X, _ = matrix
    np.savez(tmp_path / "views.npz", left=X[:, :8], right=X[:, 8:])
    words = ["fit", tmp_path / "views.npz", "--n-components", 3, "--out", tmp_path / "m"]
    code, _, err = run(capsys, *words, "--model", "jointnmf")
    assert code == 0, err
    model = nonneg.load(tmp_path / "m")
    assert model.view_names_ == ["left", "right"] and model.transform({"left": X[:, :8]}).shape == (40, 3)
    code, _, err = run(capsys, *words)
    assert code == 3 and "only JointNMF takes several" in err and one_line(err)
    np.savez(tmp_path / "views.npz", left=X, right=X[None])
    code, _, err = run(capsys, *words, "--model", "jointnmf")
    assert code == 3 and "right: expected a 2-D array" in err and one_line(err)
    np.save(tmp_path / "T.npy", X[None])
    code, _, err = run(capsys, "fit", tmp_path / "T.npy", "--model", "jointnmf", "--out", tmp_path / "m")
    assert code == 3 and "jointnmf needs matrices of the same rows in one .npz file" in err and one_line(err)


@pytest.mark.parametrize(("text", "shape"), [("3", (3, 3)), ("3,2", (3, 2))])
def test_a_pair_of_numbers_of_parts(capsys, matrix, tmp_path, text, shape):
    words = ["--model", "TriNMF", "--n-components", text, "--out", tmp_path / "m"]
    code, _, err = run(capsys, "fit", matrix[1], *words)
    assert code == 0, err
    assert nonneg.load(tmp_path / "m").core_.shape == shape


def test_names_are_guessed(capsys, matrix, tmp_path):
    words = ["fit", matrix[1], "--out", tmp_path / "m"]
    for more, said in (
        (["--max-tim", "3"], "Did you mean --max-time?"),
        (["--model", "semnmf"], "Did you mean 'seminmf'?"),
        (["--solver", "hasl"], "Did you mean 'hals'?"),
        (["--model", "ddnmf", "--noise", "maskin"], "Did you mean 'masking'?"),
        (["--n-components", "3,x"], "--n-components must be int, got '3,x'"),
        (["--n-components", "3,4"], "--n-components"),
        (["--max-iter", "1.5"], "--max-iter"),
        (["--model", "kernelnmf", "--kernel", "my.kernel"], "Functions cannot be given here"),
    ):
        code, _, err = run(capsys, *words, *more)
        assert code == 2 and said in err and one_line(err), err


# -- values -----------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:NMF stopped after max_iter")
def test_a_fit_is_that_of_python(capsys, matrix, tmp_path):
    X, file = matrix
    rng = np.random.default_rng(1)
    given = {
        "weights": rng.integers(0, 3, X.shape).astype(float),
        "sample_weight": rng.random(40),
        "W_init": rng.random((40, 3)),
        "H_init": rng.random((3, 12)),
    }
    words = [
        "--n-components",
        3,
        "--frozen",
        "[1]",
        "--penalty-H",
        "[L1(0.01), Box(0, 5)]",
        "--max-iter",
        20,
        "--out",
        tmp_path / "m",
    ]
    for name, array in given.items():
        np.save(tmp_path / f"{name}.npy", array)
        words += [f"--{name.replace('_', '-')}", tmp_path / f"{name}.npy"]
    code, _, err = run(capsys, "fit", file, *words)
    assert code == 0, err
    found = nonneg.load(tmp_path / "m")
    own = nonneg.NMF(3, frozen=[1], penalty_H=[L1(0.01), Box(0, 5)], max_iter=20, random_state=0)
    own.fit(str(file), **given)
    assert np.array_equal(found.components_, own.components_)
    assert np.array_equal(found.components_[1], given["H_init"][1])
    assert found.get_params() == own.get_params()


def test_factors_of_tensors_and_views_start_from_npz(capsys, cube, tmp_path):
    X, file = cube
    rng = np.random.default_rng(2)
    factors = [rng.random((6, 2)), rng.random((4, 2))]
    np.savez(tmp_path / "H.npz", *factors)
    words = ["--model", "ntf", "--n-components", 2, "--H-init", tmp_path / "H.npz", "--out", tmp_path / "m"]
    code, _, err = run(capsys, "fit", file, *words)
    assert code == 0, err
    own = nonneg.NTF(2, random_state=0).fit(X, H_init=factors)
    assert np.array_equal(nonneg.load(tmp_path / "m").components_, own.components_)
    views = {"left": X[:, :, 0], "right": X[:, :3, 1]}
    weights = {name: np.ones_like(view) for name, view in views.items()}
    weights["left"][0, 0] = 0
    np.savez(tmp_path / "X.npz", **views)
    np.savez(tmp_path / "w.npz", **weights)
    words = [
        "--model",
        "jointnmf",
        "--n-components",
        2,
        "--weights",
        tmp_path / "w.npz",
        "--out",
        tmp_path / "m",
    ]
    code, _, err = run(capsys, "fit", tmp_path / "X.npz", *words, "--view-weights", "{'left': 1, 'right': 2}")
    assert code == 0, err
    own = nonneg.JointNMF(2, view_weights={"left": 1, "right": 2}, random_state=0).fit(views, weights=weights)
    assert np.array_equal(nonneg.load(tmp_path / "m").components_, own.components_)


def test_files_beside_the_data_are_told_from_options(capsys, matrix, tmp_path):
    np.save(tmp_path / "w.npy", np.ones(3))
    words = ["fit", matrix[1], "--n-components", 3, "--out", tmp_path / "m"]
    for more, expected, said in (
        (["--sample-weight", tmp_path / "w.npy"], 3, "--sample-weight"),
        (["--weights", tmp_path / "w.npy"], 3, "--weights"),
        (["--weights", tmp_path / "none.npy"], 2, "--weights must be array-like"),
        (
            ["--W-init", matrix[1], "--model", "nonnegativetucker"],
            2,
            "nonneg: NonnegativeTucker takes no start values",
        ),
        (["--weights", matrix[1], "--model", "convexnmf"], 2, "Unknown option: --weights"),
    ):
        code, _, err = run(capsys, *words, *more)
        assert code == expected and said in err and one_line(err), err


def test_a_column_that_is_no_feature(capsys, tmp_path):
    pd = pytest.importorskip("pandas")
    X = np.random.default_rng(0).random((20, 4))
    pd.DataFrame(X, columns=list("abcd")).assign(kind="x").to_csv(tmp_path / "X.csv", index=False)
    words = ["fit", tmp_path / "X.csv", "--n-components", 2, "--out", tmp_path / "m"]
    assert run(capsys, *words)[0] == 3
    code, _, err = run(capsys, *words, "--without", "kind")
    assert code == 0, err
    assert nonneg.load(tmp_path / "m").feature_names_in_.tolist() == list("abcd")


def test_the_seed_is_zero_unless_given(capsys, matrix, tmp_path):
    words = ["fit", matrix[1], "--n-components", 3, "--init", "random", "--max-iter", 2]
    for i, more in enumerate(([], ["--seed", 0], ["--random-state", 0], ["--seed", 1])):
        assert run(capsys, *words, *more, "--out", tmp_path / f"m{i}")[0] == 0
    first, *others = (nonneg.load(tmp_path / f"m{i}") for i in range(4))
    assert [np.array_equal(first.components_, model.components_) for model in others] == [True, True, False]
    assert first.random_state == 0


# -- options from a file ----------------------------------------------------------------------------------------


def test_options_come_from_a_file_and_the_command_line_wins(capsys, matrix, tmp_path):
    lines = ["model = 'nmf'", "n-components = 4", "penalty_H = '[L1(0.01), Box(0, 5)]'", "max-iter = 7"]
    lines += ["json = true", "frozen = [0]", f"out = '{tmp_path / 'm'}'"]
    (tmp_path / "fit.toml").write_text("\n".join(lines))
    np.save(tmp_path / "H.npy", np.ones((2, 12)))
    words = ["--config", tmp_path / "fit.toml", "--n-components", 2, "--H-init", tmp_path / "H.npy"]
    code, out, err = run(capsys, "fit", matrix[1], *words)
    assert code == 0, err
    assert json.loads(out)["n_components"] == 2
    model = nonneg.load(tmp_path / "m")
    assert (model.penalty_H, model.max_iter, model.frozen) == ([L1(0.01), Box(0, 5)], 7, [0])


def test_a_file_names_the_model(capsys, tmp_path):
    (tmp_path / "fit.toml").write_text(
        "model = 'symmetricnmf'\nmust-link = [[0, 1], [2, 3]]\nn_components = 2\n"
    )
    A = np.random.default_rng(0).random((8, 3))
    np.save(tmp_path / "A.npy", A @ A.T)
    code, _, err = run(
        capsys, "fit", tmp_path / "A.npy", f"--config={tmp_path / 'fit.toml'}", "--out", tmp_path / "m"
    )
    assert code == 0, err
    labels = nonneg.load(tmp_path / "m").labels_
    assert labels[0] == labels[1] and labels[2] == labels[3]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("n-componets = 4", "Did you mean --n-components?"),
        ("loss = 'hinge'", "--loss"),
        ("loss = ", "cannot be read"),
        ("model = 'semnmf'", "Did you mean 'seminmf'?"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(capsys, matrix, tmp_path, text, said):
    (tmp_path / "fit.toml").write_text(text)
    words = ["--config", tmp_path / "fit.toml", "--out", tmp_path / "m"]
    code, _, err = run(capsys, "fit", matrix[1], *words)
    assert code == 2 and said in err and one_line(err)


# -- what is said meanwhile --------------------------------------------------------------------------------------

MODELS = [
    (["--n-components", 3, "--n-init", 2, "--max-iter", 12, "--tol", 0], "iteration"),
    (["--model", "convexnmf", "--n-components", 3, "--max-iter", 20, "--tol", 0], "iteration"),
    (["--model", "autoencoder", "--n-components", 2, "--hidden", "4", "--epochs", 3], "epoch"),
]


@pytest.mark.parametrize(("words", "unit"), MODELS)
def test_lines_with_verbose_and_nothing_with_quiet(capsys, matrix, tmp_path, words, unit):
    words = ["fit", matrix[1], *words, "--out", tmp_path / "m"]
    code, out, err = run(capsys, *words)
    assert (code, err) == (0, "") and out.count("\n") == 1  # no terminal: no bar
    plain = nonneg.load(tmp_path / "m")
    code, out, err = run(capsys, *words, "--verbose")
    assert code == 0 and out.count("\n") == 1
    lines = err.splitlines()
    assert all(line.startswith("nonneg: ") and f"{unit} " in line for line in lines) and len(lines) >= 3
    told = nonneg.load(tmp_path / "m")
    assert np.array_equal(plain.components_, told.components_) and told.verbose == 0
    assert run(capsys, *words, "--quiet") == (0, "", "")
    code, out, err = run(capsys, *words, "-q", "--json")
    assert json.loads(out)["n_iter"] == plain.n_iter_ and err == ""


def test_losses_of_lines_are_those_of_the_history(capsys, matrix, tmp_path):
    X, file = matrix
    np.save(file, 1e150 * X)
    words = [
        "fit",
        file,
        "--n-components",
        3,
        "--max-iter",
        1,
        "--tol",
        0,
        "--out",
        tmp_path / "m",
        "--verbose",
    ]
    code, _, err = run(capsys, *words)
    assert code == 0 and one_line(err)
    loss = float(err.partition("loss ")[2].partition(",")[0])
    assert loss == pytest.approx(nonneg.load(tmp_path / "m").history_["loss"][0], rel=1e-3)


def test_quiet_leaves_out_warnings(capsys, tmp_path):
    import warnings

    np.save(tmp_path / "X.npy", np.outer(np.arange(1.0, 21.0), np.arange(1.0, 7.0)))
    words = ["fit", tmp_path / "X.npy", "--n-components", 3, "--out", tmp_path / "m"]
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        assert "warning" in run(capsys, *words)[2]
        assert run(capsys, *words, "--quiet") == (0, "", "")


def test_a_bar_on_a_terminal(capsys, matrix, tmp_path, monkeypatch):
    words = ["fit", matrix[1], "--n-components", 3, "--max-iter", 12, "--tol", 0, "--out", tmp_path / "m"]
    seen = []
    draw = progress.Progress.__call__
    monkeypatch.setattr(
        progress.Progress, "__call__", lambda bar, record: (draw(bar, record), seen.append(bar))
    )
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    code, out, _ = run(capsys, *words)
    assert code == 0 and out.count("\n") == 1
    assert len(seen) == 12 and seen[-1].done == seen[-1].total == 12
    (task,) = seen[-1]._bar.tasks
    assert task.completed == 12 and task.description.endswith("at most 0 s left")
    run(capsys, *words, "--quiet")
    assert len(seen) == 12


def test_seconds_left():
    with progress.Progress("nmf", 20, "iteration", bar=False, lines=False) as bar:
        assert bar.seconds_left() is None
        bar({"iteration": 1, "loss": 1.0, "kkt": 0.1})
        assert bar.seconds_left() is None
        for number in (2, 3, 1, 2):  # of two starts
            bar({"iteration": number, "loss": 1.0, "kkt": 0.1})
        assert bar.done == 5
        began, done = bar._first
        bar._first, bar._began = (began - 8, done), bar._began - 10
        assert bar.seconds_left() == pytest.approx(8 / 4 * 15, rel=0.1)
        bar.max_time = 15
        assert bar.seconds_left() == pytest.approx(5, rel=0.1)
        bar.max_time = 1
        assert bar.seconds_left() == 0


# -- Ctrl-C -----------------------------------------------------------------------------------------------------


def test_ctrl_c_keeps_the_checkpoint_of_a_matrix_model(capsys, matrix, tmp_path, monkeypatch):
    words = ["fit", matrix[1], "--n-components", 3, "--max-iter", 20, "--tol", 0, "--out", tmp_path / "m"]
    assert run(capsys, *words)[0] == 0
    whole = nonneg.load(tmp_path / "m")
    (tmp_path / "m").unlink()

    def pressed(bar, record):
        if record["iteration"] == 8:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(progress.Progress, "__call__", pressed)
        code, out, err = run(capsys, *words, "--verbose")
    assert (code, out) == (130, "") and "interrupted" in err and one_line(err)
    assert list((tmp_path / "m.checkpoint").glob("*-000000008.zip")) and not (tmp_path / "m").exists()
    assert run(capsys, *words)[0] == 0
    assert np.array_equal(nonneg.load(tmp_path / "m").components_, whole.components_)
    assert not (tmp_path / "m.checkpoint").exists()


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to a process")
def test_ctrl_c_leaves_a_fit_that_goes_on(capsys, tmp_path):
    words = ["fit", "dataset:digits:test", "--model", "ddnmf", "--hidden", 8, "--out", tmp_path / "m"]
    code, err = interrupted(tmp_path, [*words, "--epochs", 100_000], "m.checkpoint/checkpoint-*.zip")
    assert code == 130, err
    assert one_line(err)
    assert not (tmp_path / "m").exists()
    newest = max((tmp_path / "m.checkpoint").glob("checkpoint-*.zip"))
    steps = int(newest.stem.rpartition("-")[2])
    epochs = steps // 3 + 2  # 360 rows in batches of 128: 3 steps an epoch
    code, out, err = run(capsys, *words, "--epochs", epochs, "--json")
    assert code == 0, err
    model = nonneg.load(tmp_path / "m")
    assert len(model.history_["epoch"]) == epochs
    assert json.loads(out)["n_iter"] == epochs
    assert not Path(tmp_path / "m.checkpoint").exists()
