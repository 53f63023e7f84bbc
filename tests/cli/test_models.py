"""``nonneg models`` and ``nonneg datasets``: lists that hold what the library holds."""

from __future__ import annotations

import json

import pytest

import nonneg
from cli_cases import one_line, run
from nonneg.datasets import NAMES
from nonneg.registry import MODELS


def as_json(capsys, *words):
    code, out, err = run(capsys, *words, "--json")
    assert code == 0 and out.count("\n") == 1, err
    return json.loads(out)


def test_every_model_has_a_line_and_says_what_it_takes(capsys):
    rows = {row["name"]: row for row in as_json(capsys, "models")["models"]}
    assert list(rows) == [name.lower() for name in MODELS]
    assert all(len(row["summary"]) > 20 for row in rows.values())
    assert rows["nmf"]["data"] == "a matrix, no negative cells, missing cells, weights of cells"
    assert "any sign" in rows["seminmf"]["data"] and "n ways" in rows["ntf"]["data"]
    assert "several views" in rows["jointnmf"]["data"] and "no weights" in rows["convexnmf"]["data"]
    code, out, _ = run(capsys, "models", "-v")
    assert code == 0 and all(name in out for name in rows)


@pytest.mark.parametrize("name", ["nmf", "NTF", "ddnmf"])
def test_a_model_lists_every_parameter(capsys, name):
    report = as_json(capsys, "models", name)
    cls = getattr(nonneg, {known.lower(): known for known in MODELS}[name.lower()])
    beside = {"checkpoint", "verbose"}  # the command's own
    wanted = {f"--{parameter.replace('_', '-')}" for parameter in set(cls._get_param_names()) - beside}
    assert {option["option"] for option in report["parameters"]} == wanted
    assert all(option["type"] and option["help"] for option in report["parameters"])
    code, out, _ = run(capsys, "models", name)
    assert code == 0 and all(option in out for option in wanted)


def test_a_model_that_there_is_not(capsys):
    code, _, err = run(capsys, "models", "nmff")
    assert code == 2 and "nmf" in err and one_line(err)


def test_networks_without_torch_are_listed_with_what_to_install(capsys, monkeypatch):
    from nonneg.cli import estimators
    from nonneg.exceptions import MissingExtraError

    real = estimators.model_class

    def without_torch(name):
        if name == "ddnmf":
            raise MissingExtraError("torch", "deep", "nonneg.deep")
        return real(name)

    monkeypatch.setattr(estimators, "model_class", without_torch)
    rows = {row["name"]: row["summary"] for row in as_json(capsys, "models")["models"]}
    assert 'pip install "nonneg[deep]"' in rows["ddnmf"] and len(rows) == len(MODELS)


def test_data_sets_are_listed(capsys):
    rows = as_json(capsys, "datasets", "list")["datasets"]
    assert [row["name"] for row in rows] == list(NAMES)
    assert all(row["description"] and row["source"] for row in rows)
    code, out, _ = run(capsys, "datasets", "list")
    assert code == 0 and "fashion-mnist" in out


def test_a_data_set_is_fetched(capsys, monkeypatch, tmp_path):
    report = as_json(capsys, "datasets", "fetch", "digits")
    assert (report["n_samples"], report["n_features"], report["image_shape"]) == (1797, 64, [8, 8])
    assert report["labels"] == list("0123456789")
    code, out, _ = run(capsys, "datasets", "fetch", "digits", "--split", "test", "-v")
    assert code == 0 and "360 rows of 64 features" in out
    report = as_json(capsys, "datasets", "fetch", "pbmc68k-reduced")
    assert (report["n_samples"], report["n_features"], report["sparse"]) == (700, 765, True)
    monkeypatch.setenv("NONNEG_OFFLINE", "1")
    monkeypatch.setenv("NONNEG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("nonneg.datasets.fetch._cache", lambda name: tmp_path / name)
    for name, code, said in (
        ("mnist", 3, "NONNEG_OFFLINE"),
        ("cifar", 2, "NAME: name must be one of digits"),
    ):
        found, _, err = run(capsys, "datasets", "fetch", name)
        assert found == code and said in err and one_line(err)
