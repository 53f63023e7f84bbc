"""``nonneg report``: a page from a model, with or without data, and what is said of bad arguments."""

import json

import numpy as np
import pytest

import nonneg
from nonneg.cli import main
from page_cases import Page

RNG = np.random.default_rng(0)
X = RNG.gamma(0.5, size=(30, 3)) @ RNG.gamma(0.5, size=(3, 6))


@pytest.fixture
def model(tmp_path):
    """A model of a table with a column of labels, both in files; and where the page goes."""
    table = tmp_path / "table.csv"
    lines = [",".join(["name", *"abcdef"][1:]) + ",kind"]
    lines += [",".join(f"{value:.6g}" for value in row) + f",{'ab'[i % 2]}" for i, row in enumerate(X)]
    table.write_text("\n".join(lines) + "\n")
    import pandas as pd

    features = pd.read_csv(table)[list("abcdef")]
    path = tmp_path / "model.nmf"
    nonneg.NMF(3, random_state=0, max_iter=50, tol=0.01).fit(features).save(path)
    return str(path), str(table), str(tmp_path / "page.html")


def test_a_page_with_rows_and_labels(model, capsys):
    path, table, out = model
    assert main(["report", path, table, "--labels", "kind", "--map", "none", "--out", out, "--json"]) == 0
    page = Page(out)
    assert page.faults == []
    assert json.loads(capsys.readouterr().out) == {"out": out, "bytes": len(page.source.encode())}
    assert ["From", table] in page.tables["X in numbers"]
    assert [
        row[0]
        for row in page.tables["Mean share of each component in the rows of each label, in percent"][1:]
    ] == ["a", "b"]
    assert page.tables["Versions"][1][1] == nonneg.__version__


def test_a_page_of_the_model_alone(model, capsys):
    path, _, out = model
    assert main(["report", path, "--out", out, "--title", "Parts <1>", "-q"]) == 0
    assert capsys.readouterr().out == ""
    page = Page(out)
    assert page.faults == [] and page.headings[0] == (1, "Parts <1>") and "amounts" not in page.ids


def test_data_sets_bring_labels_and_the_shape_of_their_images(tmp_path, capsys):
    digits = nonneg.datasets.load("digits", "test")
    path, out = str(tmp_path / "digits.nmf"), str(tmp_path / "digits.html")
    nonneg.NMF(4, random_state=0, max_iter=20, tol=0.01).fit(digits.data).save(path)
    assert main(["report", path, "dataset:digits:test", "--map", "none", "--out", out]) == 0
    assert "written to" in capsys.readouterr().out
    page = Page(out)
    assert page.source.count("<img ") == 4 and "labels" in page.ids


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--labels", "kind"], 2, "--labels is about the rows of DATA"),
        (["--weights", "w.npy"], 2, "--weights is about the rows of DATA"),
        (["--image-shape", "7,7"], 2, "--image-shape=(7, 7)"),
        (["--image-shape", "wide"], 2, "--image-shape must be ROWS,COLUMNS"),
        (["--parts", "images"], 2, "--parts='images' needs image_shape"),
        (["--map", "pca"], 2, "--map"),
        (["TABLE", "--labels", "colour"], 2, "there is no column 'colour'"),
        (["absent.csv"], 3, "absent.csv"),
    ],
)
def test_bad_arguments(arguments, code, words, model, capsys):
    path, table, out = model
    arguments = [table if word == "TABLE" else word for word in arguments]
    assert main(["report", path, *arguments, "--out", out]) == code
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


def test_files_that_cannot_be(model, tmp_path, capsys):
    path, table, out = model
    assert main(["report", table, "--out", out]) == 3
    assert main(["report", str(tmp_path / "no.nmf"), "--out", out]) == 3
    assert main(["report", path, "--out", path]) == 2
    assert main(["report", path, "--out", str(tmp_path / "no" / "page.html")]) == 1
    assert capsys.readouterr().err.count("nonneg: ") == 4
