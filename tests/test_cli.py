from __future__ import annotations

import errno
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from scipy import sparse

import nonneg
from nonneg.cli import main
from nonneg.cli import reproduce as command
from nonneg.cli.zoo import reproduce_zoo
from nonneg.files import checkpoint

FAST = ["--n-train", "200", "--n-test", "80", "--hidden", "16", "8", "--epochs", "1", "--noise-epochs", "1"]
FAST += ["--seeds", "0", "--noise-levels", ".5", "--profile", "paper", "--clusterings", "kmeans"]
FAST += ["--jobs", "1"]


def run(capsys, *tokens):
    """Exit code, stdout and stderr of a command line."""
    code = main([str(token) for token in tokens])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def one_line(text):
    return text.count("\n") == 1 and "Traceback" not in text


@pytest.fixture(autouse=True)
def threads_as_before():
    """Commands set the threads of their process for good; this process goes on with other tests."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    with threadpool_limits():
        yield
    torch.set_num_threads(before)


@pytest.fixture
def matrix(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.random((40, 3)) @ rng.random((3, 12)) + 0.05 * rng.random((40, 12))
    np.save(tmp_path / "X.npy", X)
    return X, tmp_path / "X.npy"


def test_help_names_every_command_and_loads_nothing_heavy():
    code = (
        "import sys\nfrom nonneg.cli import main\n"
        "for words in (['--help'], ['reproduce', '--help'], ['reproduce', 'ddnmf', '--help'],\n"
        "              ['reproduce', 'zoo', '--help'], ['fit', '--help'], ['convert', '--help']):\n"
        "    assert main(words) == 0, words\n"
        "heavy = {'torch', 'numba', 'matplotlib', 'sklearn', 'scipy', 'dask'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    for word in (
        "fit",
        "convert",
        "reproduce",
        "ddnmf",
        "zoo",
        "--dataset",
        "--noise-levels",
        "--n-components",
        "--strict",
        "--json",
    ):
        assert word in done.stdout


def test_version(capsys):
    code, out, _ = run(capsys, "--version")
    assert code == 0
    assert out.strip() == nonneg.__version__


def test_choices_are_those_of_the_library():
    from nonneg.datasets import NAMES
    from nonneg.experiments.evaluate import CLUSTERINGS
    from nonneg.experiments.images import NOISES
    from nonneg.experiments.methods import METHODS

    assert get_args(command.Dataset) == NAMES
    assert get_args(command.Method) == METHODS
    assert get_args(command.Clustering) == tuple(CLUSTERINGS)
    assert get_args(command.NoiseKind) == NOISES


ZOO_OPTIONS = {
    "methods": "methods",
    "profiles": "profile",
    "seeds": "seeds",
    "epochs": "epochs",
    "hidden": "hidden",
}
PRESET_OPTIONS = {
    "methods": "methods", "profiles": "profile", "seeds": "seeds", "epochs": "epochs", "hidden": "hidden",
    "noise": "noise", "noise_levels": "noise_levels", "noise_methods": "noise_methods", "noise_seeds": "noise_seeds",
    "noise_epochs": "noise_epochs", "tables": "tables",
}  # fmt: skip


def presets(studies, options):
    """Option → what it is for digits, and for the large data sets, as one writes it."""

    def written(value):
        return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)

    digits, mnist, fashion = (studies[name] for name in ("digits", "mnist", "fashion-mnist"))
    assert replace(mnist, dataset="fashion-mnist") == fashion
    found = {
        option: (written(getattr(digits, field)), written(getattr(mnist, field)))
        for field, option in options.items()
    }
    found["clusterings"] = (written(digits.scoring.clusterings), written(mnist.scoring.clusterings))
    found["batch_size"] = (str(digits.batch_size), "the profile's" if mnist.batch_size is None else "?")
    return found


def parameter_help(function, name):
    """What a command's docstring says of a parameter, on one line."""
    lines = inspect.getdoc(function).splitlines()
    start = lines.index(f"{name}:") + 1
    end = next((i for i in range(start, len(lines)) if not lines[i].startswith(" ")), len(lines))
    return " ".join(" ".join(lines[start:end]).split())


def all_presets():
    """(function of the command, its presets) of both studies."""
    from nonneg.experiments.study import PRESETS, ZOO_PRESETS

    yield command.reproduce_ddnmf, presets(PRESETS, PRESET_OPTIONS)
    yield reproduce_zoo, presets(ZOO_PRESETS, ZOO_OPTIONS)


@pytest.mark.parametrize(("function", "found"), list(all_presets()), ids=["ddnmf", "zoo"])
def test_help_says_what_the_presets_are(function, found):
    for option, (digits, large) in found.items():
        text = parameter_help(function, option)
        if digits == large:
            assert f"efault {digits}." in text
        else:
            assert f"efault {digits} for digits, {large} for mnist and fashion-mnist." in text


@pytest.mark.parametrize(("function", "found"), list(all_presets()), ids=["ddnmf", "zoo"])
def test_the_page_says_what_the_presets_are(function, found):
    page = (Path(__file__).parents[1] / "docs" / "cli.md").read_text()
    start = page.index(f"## nonneg {function.__name__.replace('_', ' ')}")
    page = page[start : page.index("\n## ", start + 1)]
    for option, (digits, large) in found.items():
        assert f"| `--{option.replace('_', '-')}` | {digits} | {large} |" in page


def test_help_and_page_name_every_profile():
    from nonneg.cli.fit import fit_model
    from nonneg.deep.profiles import PROFILES

    page = (Path(__file__).parents[1] / "docs" / "cli.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith(("| `--profile`", "| `--profile …`"))]
    for name in PROFILES:
        assert name in parameter_help(fit_model, "profile").replace(",", "").replace(".", "").split()
        assert (
            name
            in parameter_help(command.reproduce_ddnmf, "profile").replace(",", "").replace(";", "").split()
        )
        assert sum(f"`{name}`" in row for row in rows) == 2
    defaults = inspect.signature(nonneg.DDNMF).parameters
    assert f"{defaults['profile'].default} (the default)" in parameter_help(fit_model, "profile")
    assert f"default {PROFILES['paper']['max_epochs']}." in parameter_help(fit_model, "epochs")
    assert f"default {' '.join(map(str, defaults['hidden'].default))}." in parameter_help(fit_model, "hidden")


# -- fit ------------------------------------------------------------------------------------------------------


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
    assert code == 2 and "--loss" in err and "SemiNMF" in err


def test_names_of_a_table_reach_the_model_and_its_index_does_not(capsys, matrix, tmp_path):
    import pandas as pd

    names = [f"colour {i}" for i in range(12)]
    pd.DataFrame(matrix[0], columns=names).to_csv(tmp_path / "X.csv")
    code, _, err = run(capsys, "fit", tmp_path / "X.csv", "--n-components", 3, "--out", tmp_path / "m")
    assert code == 0, err
    assert nonneg.load(tmp_path / "m").feature_names_in_.tolist() == names


def test_fit_ddnmf_on_a_data_set(capsys, tmp_path):
    words = ["--model", "ddnmf", "--epochs", 1, "--hidden", 16, 8, "--n-components", 4, "--set", "gain=2"]
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
        "--set",
        "tol=1e-12",
    ]
    code, out, _ = run(capsys, *words, "--strict", "--json")
    assert code == 4
    assert json.loads(out)["converged"] is False
    assert (tmp_path / "m").is_file()
    assert run(capsys, *words)[0] == 0


USAGE = [
    (["fit"], "DATA"),
    (["fit", "X.npy"], "--out"),
    (["fit", "X.npy", "--out", "m", "--n-components", "x"], "--n-components"),
    (["fit", "X.npy", "--out", "m", "--n-components", "0"], "--n-components"),
    (["fit", "X.npy", "--out", "m", "--model", "pca"], "--model"),
    (["fit", "X.npy", "--out", "m", "--loss", "hinge"], "--loss"),
    (["fit", "X.npy", "--out", "m", "--loss", "frobenuis"], "Did you mean 'frobenius'?"),
    (["fit", "X.npy", "--out", "m", "--set", "tol"], "--set"),
    (["fit", "X.npy", "--out", "m", "--set", "tolerance=1"], "--set"),
    (["fit", "X.npy", "--out", "m", "--set", "tol=-1"], "--set tol"),
    (["fit", "X.npy", "--out", "new/m", "--epochs", "3"], "--epochs"),
    (["fit", "X.npy", "--out", "new/m", "--set", "tol=-1"], "--set tol"),
    (["fit", "dataset:cifar", "--out", "new/m"], "DATA"),
    (["fit", "X.npy", "--out", "m", "--max-iter", "-1"], "--max-iter"),
    (["fit", "X.npy", "--out", "m", "--set", "max_iter=-1"], "--max-iter"),
    (["fit", "X.npy", "--out", "m", "--threads", "0"], "--threads"),
    (["fit", "X.npy", "--out", "m", "--model", "ddnmf", "--hidden", "0"], "--hidden"),
    (["fit", "X.npy", "--out", "m", "--model", "ddnmf", "--max-iter", "5"], "--max-iter"),
    (["fit", "X.npy", "--out", "m", "--model", "ddnmf", "--profile", "none"], "--profile"),
    (["fit", "X.npy", "--out", "m", "--model", "ddnmf", "--set", "noise_level=2"], "--set noise_level=2"),
    (["fit", "dataset:cifar", "--out", "m"], "DATA"),
    (["fit", "dataset:digits:half", "--out", "m"], "DATA"),
    (["reproduce", "ddnmf", "--dataset", "cifar"], "--dataset"),
    (["reproduce", "ddnmf", "--epochs", "0"], "--epochs"),
    (["reproduce", "ddnmf", "--noise-levels", "2"], "--noise-levels"),
    (["reproduce", "ddnmf", "--profile", "none"], "--profile"),
    (["reproduce", "ddnmf", "--seeds", "-1"], "--seeds"),
    (["reproduce", "ddnmf", "--set", "gain"], "--set"),
    (["reproduce", "ddnmf", "--set", "gain=-1"], "--set gain=-1"),
    (["reproduce", "ddnmf", "--set", "nothing=3"], "--set nothing: DDNMF has no such parameter"),
    (["reproduce", "ddnmf", "--set", "n_components=3"], "--set n_components: "),
    (["reproduce", "ddnmf", "--set", "max_epochs=2", "--epochs", "1"], "--set max_epochs: use epochs"),
    (["reproduce", "ddnmf", "--set", "noise_level=3", "--tables", "1"], "--set noise_level=3"),
    (["reproduce", "ddnmf", "--set", "noise_level=.3"], "--set noise_level: Table 3 sets it"),
    (["reproduce", "ddnmf", "--set", "gain=1", "gain=x"], "--set gain='x'"),
    (["reproduce", "ddnmf", "--eval-epochs", "7", "--epochs", "3"], "--eval-epochs must be at most epochs=3"),
    (["reproduce", "ddnmf", "--n-train", "1"], "--n-train must be at least 10"),
    (["reproduce", "ddnmf", "--render", "--out", "typo"], "--out: typo holds no runs"),
    (["reproduce", "ddnmf", "--threads", "0"], "--threads"),
    (["reproduce", "ddnmf", "--jobs", "0"], "--jobs"),
    (["reproduce", "ddnmf", "--dataset", "digits", "mnist"], "--dataset"),
    (["reproduce", "ddnmf", "--colour"], "--colour"),
    (["reproduce", "zoo", "--methods", "elephant"], "--methods must be among raw, "),
    (["reproduce", "zoo", "--methods", "dae1-relu"], "--methods must be among raw, "),
    (["reproduce", "zoo", "--profile", "none"], "--profile"),
    (["reproduce", "zoo", "--epochs", "0"], "--epochs must be at least 1"),
    (["reproduce", "zoo", "--render", "--out", "typo"], "--out: typo holds no runs"),
    (["reproduce", "nothing"], "nothing"),
    (["nothing"], "nothing"),
]


@pytest.mark.parametrize(
    ("words", "named"), USAGE, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_usage_errors(capsys, matrix, tmp_path, monkeypatch, words, named):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *words)
    assert code == 2, err
    assert out == ""
    assert named in err
    assert one_line(err)
    code, out, err = run(capsys, *words, "--json")
    assert code == 2
    assert json.loads(out)["error"]["exit_code"] == 2
    assert one_line(err)
    assert os.listdir(tmp_path) == ["X.npy"]  # nothing is made for a command that cannot run


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
        ("X.xls", "known: .csv .h5 .h5ad .hdf5 .mtx .npy .npz .parquet .tsv .zarr"),
        ("X.npz", "write it again with numpy.savez"),
    ):
        file = tmp_path / name
        file.write_bytes(b"PK\x03\x04nothing")
        code, _, err = run(capsys, "fit", file, "--out", tmp_path / "m")
        assert (
            code == 3 and advice in err and err.count(str(file)) == err.count("DATA") == 1 and one_line(err)
        )


def test_help_says_what_becomes_of_missing_cells():
    from nonneg.cli.fit import fit_model
    from nonneg.models.parameters import MATRIX_PARAMETERS

    text = parameter_help(fit_model, "missing")
    (rule,) = MATRIX_PARAMETERS["missing"]
    assert all(f"{word}" in text for word in rule.options) and "error (the default)" in text


def test_missing_data_set(capsys, monkeypatch, tmp_path):
    from nonneg.datasets import fetch

    monkeypatch.setenv("NONNEG_OFFLINE", "1")
    monkeypatch.setattr(fetch, "_folders", lambda name, path: iter([]))
    for words in (["fit", "dataset:mnist"], ["reproduce", "ddnmf", "--dataset", "mnist"]):
        code, _, err = run(capsys, *words, "--out", tmp_path / "m")
        assert code == 3
        assert "train-images-idx3-ubyte.gz" in err
        assert one_line(err)


@pytest.mark.parametrize("words", [["fit", "dataset:digits"], ["reproduce", "ddnmf"]])
def test_a_folder_that_cannot_be_written(capsys, tmp_path, words):
    (tmp_path / "file").write_text("in the way")
    code, _, err = run(capsys, *words, "--out", tmp_path / "file" / "m")
    assert code == 1
    assert "--out" in err
    assert one_line(err)


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
    wild = ["--set", "learning_rate=1e30", "optimizer=sgd"]
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
    words = ["fit", matrix[1], "--max-iter", 5, "--set", "max_iter=6", "--out", tmp_path / "m"]
    code, _, err = run(capsys, *words)
    assert code == 2 and "--max-iter" in err and "once" in err
    assert one_line(err)


def test_missing_torch_names_the_extra(capsys, monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.startswith("nonneg.deep")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(nonneg, "deep", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    for words in (["fit", "dataset:digits", "--model", "ddnmf"], ["reproduce", "ddnmf"]):
        code, _, err = run(capsys, *words, "--out", tmp_path / "m")
        assert code == 1
        assert 'pip install "nonneg[deep]"' in err
        assert one_line(err)


def test_a_defect_keeps_its_traceback(capsys, monkeypatch, tmp_path):
    from nonneg.cli import fit

    monkeypatch.setattr(fit, "_estimator", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["fit", "dataset:digits", "--out", str(tmp_path / "m"), "--json"])
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == "defect"


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


@pytest.mark.parametrize("words", [["fit", "dataset:digits", "--model", "ddnmf"], ["reproduce", "ddnmf"]])
def test_layers_beyond_memory(capsys, tmp_path, words):
    if words[0] == "reproduce":
        words = [*words[:2], "--tables", 1, "--methods", "ddnmf", "--jobs", 1]
    code, _, err = run(capsys, *words, "--hidden", 100_000_000, 100_000_000, "--out", tmp_path / "m")
    assert code == 1, err
    assert "hidden" in err and "batch_size" in err
    assert one_line(err)


def test_a_worker_that_died(capsys, monkeypatch, tmp_path):
    from concurrent.futures.process import BrokenProcessPool

    from nonneg.experiments import ddnmf

    def dies(*_args, **_kwargs):
        raise BrokenProcessPool("terminated abruptly")

    monkeypatch.setattr(ddnmf, "run_all", dies)
    code, _, err = run(capsys, "reproduce", "ddnmf", "--methods", "raw", "--out", tmp_path / "m")
    assert code == 1
    assert "a worker process died" in err and "--jobs" in err
    assert one_line(err)


# -- reproduce ------------------------------------------------------------------------------------------------


def test_reproduce_prints_the_table_and_leaves_everything(capsys, tmp_path):
    code, out, err = run(capsys, "reproduce", "ddnmf", *FAST, "--out", tmp_path)
    assert code == 0, err
    assert err == ""  # no bar where there is no terminal
    assert "| DDNMF (paper) | k-means" in out
    (line,) = [line for line in out.splitlines() if line.startswith("DDNMF (paper), digits: nonneg.load(")]
    assert nonneg.load(line.split("'")[1]).n_features_in_ == 64
    names = set(os.listdir(tmp_path))
    assert {
        "table1.md",
        "table1.csv",
        "table1.json",
        "table3.json",
        "figure2.png",
        "figure3.png",
        "losses.png",
    } <= names
    assert {"parts-digits-ddnmf-paper.png", "parts-digits-nmf.png", "runs", "work", "study.json"} <= names

    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*")}
    (tmp_path / "table1.md").unlink()
    code, out, _ = run(capsys, "reproduce", "ddnmf", *FAST, "--out", tmp_path, "--render", "--json")
    assert code == 0
    report = json.loads(out)
    assert out.count("\n") == 1
    assert {"table1.md", "figure3.png"} <= set(report["files"])
    assert report["models"] == {"DDNMF (paper), digits": line.split("'")[1]}
    assert {row["noise"] for row in report["rows"]} == {0.0, 0.5}
    assert (tmp_path / "table1.md").is_file()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*")} == before


def test_what_cannot_be_had_any_more_is_said(capsys, tmp_path):
    words = [
        "reproduce",
        "ddnmf",
        *FAST,
        "--epochs",
        2,
        "--tables",
        1,
        "--methods",
        "ae1-relu",
        "--out",
        tmp_path,
    ]
    words.pop(words.index("--epochs") + 1)
    words.pop(words.index("--epochs"))
    code, _, err = run(capsys, *words)
    assert (code, err) == (0, "")
    code, out, err = run(capsys, *words, "--eval-epochs", 1, "--json")
    assert code == 0
    assert "weights are gone" in err and one_line(err)
    assert json.loads(out)["notes"] == [err.removeprefix("nonneg: ").strip()]


def test_an_option_of_none_is_the_profiles(capsys, tmp_path):
    words = ["reproduce", "ddnmf", *FAST, "--tables", 1, "--methods", "ddnmf", "--out", tmp_path]
    for more in ([], ["--set", "gain=None"]):
        code, _, err = run(capsys, *words, *more)
        assert code == 0, err
    assert len(list(tmp_path.glob("runs/*"))) == 1


def test_reproduce_computes_only_what_is_asked_for(capsys, tmp_path):
    words = ["--methods", "raw", "nmf", "--tables", 1, "--seeds", 3, 4]
    code, _, err = run(
        capsys, "reproduce", "ddnmf", *FAST[:4], "--clusterings", "kmeans", *words, "--out", tmp_path
    )
    assert code == 0, err
    runs = [json.loads(path.read_text())["run"] for path in tmp_path.glob("runs/*")]
    assert sorted((run["method"], run["seed"]) for run in runs) == [("nmf", 3), ("nmf", 4), ("raw", 0)]


def test_a_folder_keeps_the_other_data_set_in_its_tables(capsys, tmp_path):
    """Made from the run files alone: neither data set has to be there for tables."""
    (tmp_path / "runs").mkdir()
    scores = [{"method": "raw", "epoch": None, "clustering": "kmeans", "metric": "ACC", "values": [0.5]}]
    for name in ("mnist", "fashion-mnist"):
        run_file = {"run": {"dataset": name, "method": "raw", "seed": 0}, "complete": True, "scores": scores}
        run_file |= {"seconds": {"training": 0, "evaluation": 1}, "history": {}}
        (tmp_path / "runs" / f"{name}-raw-seed0-x.json").write_text(json.dumps(run_file))
    words = ["reproduce", "ddnmf", "--dataset", "fashion-mnist", "--out", tmp_path, "--render", "--json"]
    code, out, err = run(capsys, *words)
    assert code == 0, err
    assert {"table1.md", "table2.md"} <= set(json.loads(out)["files"])
    assert "Fashion-MNIST" in (tmp_path / "table2.md").read_text()


def test_the_zoo_prints_its_tables_and_draws_them_again(capsys, tmp_path):
    words = [
        *FAST[:9],
        "--seeds",
        0,
        "--jobs",
        1,
        "--clusterings",
        "kmeans",
        "--methods",
        "raw",
        "nmf",
        "ae1-linear",
    ]
    code, out, err = run(capsys, "reproduce", "zoo", *words, "--out", tmp_path)
    assert (code, err) == (0, "")
    assert "| AE1 linear | k-means" in out and "relative error" in out
    assert {"zoo-digits.md", "zoo-digits.csv", "zoo-digits.json", "parts-digits.png", "study.json"} < set(
        os.listdir(tmp_path)
    )
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*")}
    (tmp_path / "zoo-digits.json").unlink()
    code, out, _ = run(capsys, "reproduce", "zoo", *words, "--out", tmp_path, "--render", "--json")
    assert code == 0
    rows = json.loads(out)["rows"]
    assert rows == json.loads((tmp_path / "zoo-digits.json").read_text())
    assert {row["method"] for row in rows} == {"pixels", "NMF", "AE1 linear"}
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*")} == before


# -- Ctrl-C ---------------------------------------------------------------------------------------------------


def interrupted(tmp_path, words, appears):
    """Start a command, press Ctrl-C once a checkpoint is there, return its exit code and stderr."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command_line = [sys.executable, "-m", "nonneg", *map(str, words)]
    process = subprocess.Popen(
        command_line, env=environment, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        # tests that run in the background inherit a SIGINT that is ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        limit = time.monotonic() + 120
        while not list(tmp_path.glob(appears)):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < limit
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    return process.returncode, err


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


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to a process")
@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_leaves_a_study_that_goes_on(tmp_path, jobs):
    words = ["reproduce", "ddnmf", *FAST, "--tables", 1, "--methods", "ddnmf", "--out", tmp_path]
    for option, value in (("--epochs", [100_000]), ("--seeds", [0, 1]), ("--jobs", [jobs])):
        words[words.index(option) : words.index(option) + 2] = [option, *value]
    code, err = interrupted(tmp_path, words, "work/*/checkpoint/checkpoint-*.zip")
    assert code == 130, err
    assert one_line(err)
    assert list(tmp_path.glob("work/*/checkpoint/checkpoint-*.zip"))


# -- models of other data than one matrix ---------------------------------------------------------------------


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
        ("nonnegativetucker", ["--set", "ranks=[3,2,2]"], 3),
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
        (["--set", "max_tim=3"], "no parameter 'max_tim'. Did you mean 'max_time'?"),
        (["--model", "nonnegativetucker", "--n-components", "3"], "Use --set ranks=[3,4,2]"),
        (["--n-components", "3,x"], "--n-components must be a whole number"),
        (["--n-components", "3,4"], "--n-components"),
    ):
        code, _, err = run(capsys, *words, *more)
        assert code == 2 and said in err and one_line(err)
