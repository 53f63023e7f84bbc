from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from nonneg.experiments import complete, zoo
from nonneg.experiments.ddnmf import compute, runs_of
from nonneg.experiments.evaluate import Codes, Scoring, score
from nonneg.experiments.measures import MEASURES, measure, parts_of, relative_error
from nonneg.experiments.record import Run, load_all
from nonneg.experiments.study import ZOO_PRESETS
from nonneg.experiments.zoo import DEEP_ENTRIES, ENTRIES, OUTSIDE, STACKS, ZOO, stack_layers
from nonneg.experiments.zoo_report import assemble, measures_of

HERE = tuple(name for name in ZOO if name not in OUTSIDE)


@pytest.fixture
def tiny():
    """A zoo of the digits that takes seconds."""
    return replace(
        ZOO_PRESETS["digits"],
        methods=HERE,
        profiles=("fast",),
        seeds=(0,),
        epochs=1,
        hidden=(16, 8),
        scoring=Scoring(clusterings=("argmax", "kmeans"), seeds=(0,), n_init=1),
        n_train=120,
        n_test=40,
    )


def test_every_method_leaves_scores_and_measures(tiny, tmp_path):
    compute(tiny, tmp_path, shown=False)
    result = assemble([tiny], tmp_path)
    assert result.files == [
        "zoo-digits.md",
        "zoo-digits.csv",
        "zoo-digits.json",
        "parts-digits.png",
        "study.json",
    ]
    rows = json.loads((tmp_path / "zoo-digits.json").read_text())
    with (tmp_path / "zoo-digits.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["mean"]) for line in lines] == [row["mean"] for row in rows]
    labels = {"pixels", "NMF", "AE1 ReLU", "AE1 linear", "AE2", "AE2 + NMF", "DDNMF (fast)"}
    labels |= {entry.label for name, entry in ENTRIES.items() if name in HERE}
    scores = [row for row in rows if row["clustering"] is not None]
    assert {row["method"] for row in scores} == labels
    assert {row["metric"] for row in scores} == {"ACC", "NMI", "ARI"}
    measured = {row["method"]: {} for row in rows if row["clustering"] is None}
    for row in rows:
        if row["clustering"] is None:
            assert row["seeds"] == [0]
            measured[row["method"]][row["metric"]] = row["mean"]
    assert set(measured) == labels - {"pixels", "AE2 + NMF"}
    timeless = {"NMF", *(ENTRIES[name].label for name in STACKS)}
    for label, found in measured.items():
        assert set(found) == set(MEASURES) - ({"seconds_per_epoch"} if label in timeless else set())
        assert 0 < found["test_error"] < 1.5
        assert 0 <= found["parts_hoyer"] <= 1
        assert 0 <= found["negative_share"] <= 1
        assert found["units"] == (8 if label == "AE2" else 10)
    for record in load_all(tmp_path):
        run = record["run"]["method"]
        if run in DEEP_ENTRIES:
            assert measured[ENTRIES[run].label]["seconds"] > 0
        if run == "nn-autoencoder":
            assert record["settings"]["calibration"] == 0  # all images are trained on
    assert measured["NMF"]["negative_share"] == 0
    assert measured["AE1 linear"]["negative_share"] > 0.2
    assert "ClustPy" not in result.text


def test_networks_get_equal_layers_epochs_and_training(tiny):
    runs = [
        run for run in runs_of(replace(tiny, profiles=("fast", "best"))) if run.method not in ("raw", "nmf")
    ]
    assert {run.hidden for run in runs} == {(16, 8)}
    trained = [run for run in runs if run.method not in STACKS]
    assert {(run.epochs, run.batch_size) for run in trained} == {(1, 64)}
    assert {run.profile for run in trained if run.method != "ddnmf"} == {"fast"}
    assert [run.profile for run in trained if run.method == "ddnmf" and run.seed == 0] == ["fast", "best"]
    assert all((run.epochs, run.profile) == (None, None) for run in runs if run.method in STACKS)


def test_what_is_there_is_not_computed_again(tiny, tmp_path, monkeypatch):
    study = replace(
        tiny, methods=("nmf", *(name for name in STACKS if name in HERE), "ae1-linear"), seeds=(0,)
    )
    compute(study, tmp_path, shown=False)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*.json")}
    assert len(before) == len(study.methods)
    monkeypatch.setattr(complete, "execute", None)
    compute(study, tmp_path, shown=False)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*.json")} == before


def test_names_of_runs_stay():
    """A change of these would orphan every run file there is."""
    run = Run("mnist", "ddnmf", 0, profile="fast", epochs=30, hidden=(500, 500, 2000))
    assert run.name == "mnist-ddnmf-fast-seed0-e30-9664d5f752"
    assert Run("digits", "raw", 0).name == "digits-raw-seed0-8e9fbdc1dd"


def test_layers_of_a_stack_narrow():
    assert stack_layers((500, 500, 2000), 784, 10) == (500,)
    assert stack_layers((256, 128, 64, 8), 784, 10) == (256, 128, 64)
    assert stack_layers((128, 128, 256), 64, 10) == (25,)


def test_measures_of_a_known_model():
    """Rank-2 data, a decoder without its second unit: everything follows by hand."""
    H = np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 2.0], [0.0, 0.0, 0.0]])
    X = np.array([[3.0, 4.0, 0.0], [6.0, 8.0, 0.0], [0.0, 0.0, 10.0]])
    codes = np.array([[1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])

    def encode(block):
        return codes[[int(np.flatnonzero((row == X).all(axis=1))[0]) for row in block]]

    found = measure(X, encode, lambda W: W @ H, H, np.array([[-1.0, 1.0], [1.0, 0.0]]))
    assert found["test_error"] == pytest.approx(10 / 15)
    assert (found["units"], found["dead_units"], found["duplicate_units"]) == (3, 1, 0)
    tiny = measure(X, encode, lambda W: W @ H, H * 1e-200, np.array([[-1.0, 1.0], [1.0, 0.0]]))
    assert tiny["dead_units"] == 1
    assert found["negative_share"] == 0.25
    hoyer = (np.sqrt(3) - 7 / 5) / (np.sqrt(3) - 1)
    assert found["parts_hoyer"] == pytest.approx((hoyer + 1) / 2)
    spread = np.array([1.0, 0.5, 0.0])
    codes_of_spread = np.stack([1 + spread, 1 - spread])
    assert parts_of(lambda W: W @ H, codes_of_spread) == pytest.approx(spread[:, None] * H)
    assert relative_error(np.zeros((2, 2)), lambda x: x, lambda x: x) == 0


def test_measures_are_means_over_seeds(tiny):
    def record(seed, error, **more):
        run = {
            "dataset": "digits",
            "method": "danmf",
            "seed": seed,
            "hidden": [16, 8],
            "n_train": 120,
            "n_test": 40,
        }
        found = {"method": "danmf", "epoch": None, "test_error": error}
        return {"run": run | more, "scores": [], "measures": [found], "complete": True}

    records = [record(0, 0.5), record(1, 0.7), record(2, 0.0, hidden=[16]), record(3, 0.0, n_test=50)]
    (row,) = measures_of(records, tiny)
    assert (row["method"], row["clustering"], row["metric"], row["seeds"]) == (
        "DANMF",
        None,
        "test_error",
        [0, 1],
    )
    assert row["mean"] == pytest.approx(0.6)
    assert row["sd"] == pytest.approx(0.1414, abs=1e-4)


def test_labels_that_only_a_method_has_are_scored_beside_the_others():
    y = np.repeat(np.arange(10), 6)
    values = np.eye(10)[y] + 0.01 * np.random.default_rng(0).random((60, 10))
    own = {"n2d": lambda seed: (y + seed) % 10 // (1 + seed), "dec": lambda _: y}
    codes = Codes("clustpy-ae", 3, values, values, own=own)
    scoring = Scoring(("kmeans",), (0, 1), 1)
    rows = {(row["clustering"], row["metric"]): row for row in score(codes, y, y, scoring, set())}
    assert rows["dec", "ACC"]["values"] == [1.0] and rows["dec", "ACC"]["seeds"] == [0]
    assert rows["n2d", "ACC"]["seeds"] == [0, 1]
    assert rows["n2d", "ACC"]["values"] == [1.0, 0.5]
    known = {("clustpy-ae", 3, name) for name in ("n2d", "dec", "kmeans", "linear")}
    assert score(codes, y, y, scoring, known) == []


def test_without_clustpy_its_rows_say_so(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "find_spec", lambda _: None)
    study = replace(tiny, methods=("raw", *OUTSIDE))
    compute(study, tmp_path, shown=False)
    assert [record["run"]["method"] for record in load_all(tmp_path)] == ["raw"]
    text = assemble([study], tmp_path, draw=False).text
    for name in OUTSIDE:
        assert f"{ENTRIES[name].label}: not installed" in text
    # a folder shows all that it has, whatever was asked for last
    assert "| pixels" in assemble([replace(study, methods=("nmf",))], tmp_path, draw=False).text
