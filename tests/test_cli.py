from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

import nonneg
from cli_cases import interrupted, one_line, run
from nonneg.cli import build_app, main
from nonneg.cli import reproduce as command
from nonneg.cli.zoo import reproduce_zoo

FAST = ["--n-train", "200", "--n-test", "80", "--hidden", "16", "8", "--epochs", "1", "--noise-epochs", "1"]
FAST += ["--seeds", "0", "--noise-levels", ".5", "--profile", "paper", "--clusterings", "kmeans"]
FAST += ["--jobs", "1"]


@pytest.fixture(autouse=True)
def threads_as_before():
    """Commands set the threads of their process for good; this process goes on with other tests."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    with threadpool_limits():
        yield
    torch.set_num_threads(before)


def test_help_names_every_command_and_loads_nothing_heavy():
    code = (
        "import sys\nfrom nonneg.cli import main\n"
        "for words in (['--help'], ['reproduce', '--help'], ['reproduce', 'ddnmf', '--help'],\n"
        "              ['reproduce', 'zoo', '--help'], ['convert', '--help'], ['transform', '--help']):\n"
        "    assert main(words) == 0, words\n"
        "heavy = {'torch', 'numba', 'matplotlib', 'sklearn', 'scipy', 'dask'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert main(['fit', '--help']) == 0\n"  # which shows the parameters of NMF
        "heavy = {'torch', 'numba', 'matplotlib', 'dask'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    words = "fit convert transform reproduce ddnmf zoo --install-completion --config --dataset --noise-levels"
    for word in [
        *words.split(),
        "--n-components",
        "--penalty-H",
        "--strict",
        "--json",
        "--quiet",
        "--verbose",
    ]:
        assert word in done.stdout


def test_help_has_paragraphs_for_terminals_of_any_width():
    app = build_app(["fit"])
    for command_, start, end in (
        (app["fit"], "A .npy, ", "its views."),
        (app["reproduce"]["zoo"], "One or ", "downloaded."),
    ):
        (line,) = [
            line for line in command_.default_command.__doc__.splitlines() if line.strip().startswith(start)
        ]
        assert line.endswith(end)


def test_version(capsys):
    code, out, _ = run(capsys, "--version")
    assert code == 0
    assert out.strip() == nonneg.__version__


def test_choices_are_those_of_the_library():
    from nonneg.experiments.evaluate import CLUSTERINGS
    from nonneg.experiments.images import NOISES
    from nonneg.experiments.methods import METHODS
    from nonneg.experiments.study import PRESETS, ZOO_PRESETS

    assert get_args(command.Dataset) == tuple(PRESETS) == tuple(ZOO_PRESETS)
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
    from nonneg.deep.profiles import PROFILES

    page = (Path(__file__).parents[1] / "docs" / "cli.md").read_text()
    (row,) = [
        line for line in page.splitlines() if line.startswith("| `--profile …` | profiles of DDNMF, of")
    ]
    text = parameter_help(command.reproduce_ddnmf, "profile").replace(",", "").replace(";", "").split()
    for name in PROFILES:
        assert f"`{name}`" in row and name in text


# -- errors ------------------------------------------------------------------------------------------------


USAGE = [
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
def test_usage_errors(capsys, tmp_path, monkeypatch, words, named):
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
    assert os.listdir(tmp_path) == []  # nothing is made for a command that cannot run


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
    assert run(capsys, *words, "--eval-epochs", 1, "--quiet")[2] == ""


def test_an_option_of_none_is_the_profiles(capsys, tmp_path):
    words = ["reproduce", "ddnmf", *FAST, "--tables", 1, "--methods", "ddnmf", "--out", tmp_path]
    for more in ([], ["--set", "gain=None"]):
        code, _, err = run(capsys, *words, *more)
        assert code == 0, err
    assert len(list(tmp_path.glob("runs/*"))) == 1


def test_reproduce_computes_only_what_is_asked_for(capsys, tmp_path):
    words = ["--methods", "raw", "nmf", "--tables", 1, "--seeds", 3, 4, "--verbose"]
    code, _, err = run(
        capsys, "reproduce", "ddnmf", *FAST[:4], "--clusterings", "kmeans", *words, "--out", tmp_path
    )
    assert code == 0, err
    runs = [json.loads(path.read_text())["run"] for path in tmp_path.glob("runs/*")]
    assert sorted((run["method"], run["seed"]) for run in runs) == [("nmf", 3), ("nmf", 4), ("raw", 0)]
    assert all(line.startswith("nonneg: digits ") for line in err.splitlines()) and err.count("begins") == 3


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
