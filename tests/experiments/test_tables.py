from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from nonneg.experiments.rows import Selection, rows_of
from nonneg.experiments.tables import Table, by_epoch, by_noise, comparison, write

CHOICE = Selection("mnist", (4,), None, 30)


def record(method="ddnmf", seed=0, epochs=30, at=None, values=(0.5, 0.7), clustering="kmeans", **more):
    run = {
        "dataset": "mnist",
        "method": method,
        "seed": seed,
        "profile": "paper",
        "hidden": [4],
        "epochs": epochs,
    }
    rows = [
        {
            "method": method,
            "epoch": at or epochs,
            "clustering": clustering,
            "metric": m,
            "values": list(values),
        }
        for m in ("ACC", "NMI", "ARI")
    ]
    return {"run": run | more, "scores": rows, "complete": True, "settings": {"schedule": "constant"}}


def acc(rows):
    return [row for row in rows if row["metric"] == "ACC"]


def test_mean_and_sd_are_over_training_and_clustering_seeds():
    (row,) = acc(rows_of([record(seed=0, values=(0.5, 0.7)), record(seed=1, values=(0.9, 0.7))], CHOICE))
    assert row["mean"] == pytest.approx(0.7)
    assert row["sd"] == pytest.approx(np.std([0.5, 0.7, 0.9, 0.7], ddof=1), abs=1e-4)
    assert row["seeds"] == [0, 1]
    assert row["n"] == 4
    (single,) = acc(rows_of([record(values=(0.5,))], CHOICE))
    assert single["sd"] is None


def test_a_longer_training_counts_for_the_epoch_it_was_scored_at():
    long = record(seed=0, epochs=100, at=30, values=(0.4,))
    (row,) = acc(rows_of([long, record(seed=1, values=(0.6,))], CHOICE))
    assert row["mean"] == pytest.approx(0.5)
    assert row["seeds"] == [0, 1]
    # but not under a learning rate that decays, and not beside a training that ends there
    long["settings"]["schedule"] = "cosine"
    assert acc(rows_of([long], CHOICE)) == []
    both = [record(seed=0, epochs=100, at=30, values=(0.1,)), record(seed=0, epochs=30, values=(0.6,))]
    assert [row["mean"] for row in acc(rows_of(both, CHOICE))] == [0.6]
    assert [row["mean"] for row in acc(rows_of(both[::-1], CHOICE))] == [0.6]


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "digits"},
        {"hidden": [5]},
        {"noise": "masking", "noise_level": 0.1},
        {"n_train": 100},
        {"batch_size": 7},
    ],
)
def test_other_runs_stay_out(change):
    assert rows_of([record(**change)], CHOICE) == []


def test_profiles_and_options_are_told_apart_and_methods_ordered():
    records = [
        record(profile="best", options={"gain": 8}),
        record(),
        record("ae1-linear"),
        {"run": {"dataset": "mnist", "method": "raw", "seed": 0}, "complete": True, "scores": [
            {"method": "raw", "epoch": None, "clustering": "kmeans", "metric": "ACC", "values": [0.5]}]},
    ]  # fmt: skip
    names = [row["method"] for row in acc(rows_of(records, CHOICE))]
    assert names == ["pixels", "AE1 linear", "DDNMF (best, gain=8)", "DDNMF (paper)"]


def test_markdown_of_the_comparison_marks_the_best():
    rows = rows_of([record("ae1-relu", values=(0.5,)), record(values=(0.6,))], CHOICE)
    lines = comparison(rows).splitlines()
    assert lines[0].split("|")[1].strip() == "method"
    assert "**0.600**" in lines[3]
    assert "**" not in lines[2]
    assert len({len(line) for line in lines}) == 1


def test_markdown_of_noise_has_a_column_a_level():
    choice = Selection("mnist", (4,), "masking", 30)
    records = [record(noise="masking", noise_level=level, values=(level,)) for level in (0.1, 0.8)]
    records.append(record("ae1-relu", noise="masking", noise_level=0.1, values=(0.3,)))
    text = by_noise(rows_of(records, choice))
    assert text.count("| 10%") == 3
    (line,) = [line for line in text.splitlines() if line.startswith("| AE1 ReLU")][:1]
    assert [cell.strip() for cell in line.split("|")[3:5]] == ["0.300", "–"]


def test_markdown_by_epoch():
    rows = [
        row
        for epoch in (10, 30)
        for row in rows_of(
            [record(epochs=30, at=epoch, values=(epoch / 100,))], Selection("mnist", (4,), None, epoch)
        )
    ]
    assert by_epoch(rows).splitlines()[2].split("|")[3:5] == [" 0.100 ", " 0.300 "]


def test_files_agree(tmp_path):
    rows = rows_of([record(seed=0), record(seed=1, values=(0.9,))], CHOICE)
    names = write(Table("table1", "**Table 1.** Caption.", rows, comparison(rows)), tmp_path)
    assert names == ["table1.md", "table1.csv", "table1.json"]
    assert json.loads((tmp_path / "table1.json").read_text()) == rows
    with open(tmp_path / "table1.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["mean"]) for line in lines] == [row["mean"] for row in rows]
    assert lines[0]["seeds"] == "0 1"
    assert (tmp_path / "table1.md").read_text().startswith("**Table 1.** Caption.\n\n| method")
