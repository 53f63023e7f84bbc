"""``nonneg inspect``: what a model's file holds, said to people and to programs."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import nonneg
from cli_cases import one_line, run
from nonneg.penalties import L1


def inspected(capsys, *words):
    code, out, err = run(capsys, "inspect", *words, "--json")
    assert code == 0 and out.count("\n") == 1, err
    return json.loads(out)


def test_everything_that_is_in_the_file(capsys, matrix, tmp_path):
    X, _ = matrix
    names = [f"gene{j}" for j in range(12)]
    model = nonneg.NMF(3, penalty_H=L1(0.01), random_state=0).fit(pd.DataFrame(X, columns=names))
    model.save(tmp_path / "m.nmf")
    report = inspected(capsys, tmp_path / "m.nmf", "--features", 2)
    assert report["model"] == "NMF" and report["versions"]["nonneg"] == nonneg.__version__
    assert (
        report["parameters"]["penalty_H"] == "L1(strength=0.01)" and report["parameters"]["max_iter"] == 500
    )
    assert report["changed"] == ["n_components", "penalty_H", "random_state"]
    assert report["feature_names"] == names and report["components"] == ["nmf0", "nmf1", "nmf2"]
    assert report["bytes"] == (tmp_path / "m.nmf").stat().st_size
    assert report["n_iter"] == model.n_iter_ and report["converged"] is True
    best = names[int(model.components_[1].argmax())]
    assert [len(top) for top in report["top_features"]] == [2, 2, 2] and report["top_features"][1][0][
        0
    ] == best
    code, out, _ = run(capsys, "inspect", tmp_path / "m.nmf")
    for words in ("penalty_H", best, "(converged)", "gene0, gene1", "dead components"):
        assert words in out
    assert code == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda X: nonneg.NTF(2, random_state=0).fit(X.reshape(40, 4, 3)),
        lambda X: nonneg.JointNMF(2, random_state=0).fit({"a": X[:, :5], "b": X[:, 5:]}),
        lambda X: nonneg.TriNMF((2, 3), random_state=0).fit(X),
        lambda X: nonneg.SeparableNMF(2).fit(X),
        lambda X: nonneg.NMF(2, missing="ignore", random_state=np.random.RandomState(0)).fit(X),
    ],
)
def test_other_models(capsys, matrix, tmp_path, make):
    model = make(matrix[0])
    model.save(tmp_path / "m.nmf")
    report = inspected(capsys, tmp_path / "m.nmf")
    assert report["model"] == type(model).__name__ and report["n_features"] == 12
    assert len(report["top_features"]) == len(model.parts())
    assert run(capsys, "inspect", tmp_path / "m.nmf", "-v")[0] == 0


def test_what_is_no_model(capsys, matrix, tmp_path):
    for words, code, said in (
        ([tmp_path / "none.nmf"], 3, "is not there"),
        ([matrix[1]], 3, "not a nonneg file"),
        ([tmp_path], 3, "is a folder"),
        ([matrix[1], "--features", 0], 2, "--features"),
    ):
        found, _, err = run(capsys, "inspect", *words)
        assert found == code and said in err and one_line(err)
