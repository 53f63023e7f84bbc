"""What the command line says: help without Python in it, advice as one types it, and errors that nothing swallows."""

from __future__ import annotations

import errno
import io
import json
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

import nonneg.cli
from cli_cases import one_line, run
from nonneg.cli import build_app, main

HELP = [
    "fit", "transform", "report", "evaluate", "inspect", "models", "datasets list", "datasets fetch", "convert",
    "reproduce ddnmf", "reproduce zoo",
]  # fmt: skip


@pytest.mark.parametrize("words", HELP)
def test_help_is_not_written_in_python(capsys, words):
    code, out, _ = run(capsys, *words.split(), "--help")
    assert code == 0 and words.split()[0] in nonneg.cli.COMMANDS
    text = " ".join(out.replace("│", " ").split())
    assert "[ARGS]" not in text and "default: (" not in text and "default: None" not in text
    assert {"--json", "--quiet", "--verbose"} <= set(text.split())


def test_every_command_is_known_to_be_none_of_the_options():
    known = {name for name in build_app() if not name.startswith("-")}
    assert known == set(nonneg.cli.COMMANDS)


@pytest.mark.parametrize("content", ["[fit]\nn-components = 2\n", 'models = "ntf"\n', "[report]\n"])
def test_a_heading_in_a_file_of_options_is_not_passed_over(capsys, matrix, tmp_path, content):
    (tmp_path / "o.toml").write_text(content)
    code, _, err = run(capsys, "fit", matrix[1], "--config", tmp_path / "o.toml", "--out", tmp_path / "m")
    assert code == 2 and "is a command, no option" in err and one_line(err)
    assert not (tmp_path / "m").exists()


def test_advice_is_what_one_types(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame(np.arange(1.0, 13).reshape(4, 3), columns=list("abc"))
    frame.to_parquet("X.parquet")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        _, _, err = run(capsys, "fit", "X.parquet", "--n-components", 1, "--out", "m")
    assert "nonneg convert X.parquet X.zarr does that once" in err
    frame.iloc[1, 1] = np.nan
    frame.to_csv("holes.csv")
    code, _, err = run(capsys, "fit", "holes.csv", "--n-components", 1, "--out", "m")
    assert code == 3 and "with --missing ignore." in err and "missing=" not in err
    (tmp_path / "ids.csv").write_text("id,a\n" + "".join(f"{i},{i * i}\n" for i in range(9)))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        _, _, err = run(capsys, "fit", "ids.csv", "--n-components", 1, "--out", "m")
    assert "column 'id' counts the rows, and is fitted as a feature; leave it out (--without), or" in err


class Full(io.StringIO):
    """A disk without room."""

    def write(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_behind_stdout_is_one_line(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Full())
    assert main(["datasets", "list", "--json"]) == 1
    err = capsys.readouterr().err
    assert "No space left" in err and one_line(err)


def test_a_name_of_no_model_is_about_that_argument(capsys):
    code, out, err = run(capsys, "models", "nmff", "--json")
    assert code == 2 and err.startswith("nonneg: NAME must be one of") and "Did you mean 'nmf'?" in err
    assert json.loads(out)["error"]["kind"] == "usage"


@pytest.mark.parametrize(
    ("words", "said"), [(["fit"], "the same command goes on"), (["inspect"], "nothing is written")]
)
def test_what_an_interruption_leaves(capsys, monkeypatch, words, said):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(nonneg.cli, "build_app", interrupt)
    code, _, err = run(capsys, *words, "X.npy")
    assert code == 130 and said in err and one_line(err)


def test_a_report_is_refused_before_it_is_computed(capsys, matrix, tmp_path, monkeypatch):
    nonneg.NMF(2, random_state=0, tol=1e-2).fit(matrix[0]).save(tmp_path / "m.nmf")
    monkeypatch.setattr("nonneg.report.write_report", lambda *_, **__: pytest.fail("it was computed"))
    for out, said in ((tmp_path / "none" / "r.html", "there is no folder"), (tmp_path, "is a folder")):
        code, _, err = run(capsys, "report", tmp_path / "m.nmf", matrix[1], "--out", out)
        assert code == 1 and said in err and one_line(err)
