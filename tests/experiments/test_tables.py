from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from nonneg.experiments.report import assemble
from nonneg.experiments.rows import Selection, codes_of, rows_of
from nonneg.experiments.study import Study
from nonneg.experiments.tables import Table, by_epoch, by_noise, classifier, comparison, write

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


def test_rows_of_ae2_say_whose_supervisor_they_come_from():
    fast, paper = record(seed=0, profile="fast"), record(seed=1, profile="paper")
    for found in (fast, paper):
        for row in found["scores"]:
            row["method"] = "ae2"
    assert [row["method"] for row in acc(rows_of([fast], CHOICE))] == ["AE2"]
    rows = acc(rows_of([fast, paper], CHOICE))
    assert [(row["method"], row["seeds"]) for row in rows] == [
        ("AE2 (as fast)", [0]),
        ("AE2 (as paper)", [1]),
    ]
    paper["run"] |= {"profile": "fast", "options": {"learning_rate": 0.01}}
    names = [row["method"] for row in acc(rows_of([fast, paper], CHOICE))]
    assert names == ["AE2 (as fast)", "AE2 (as fast, learning_rate=0.01)"]


def cells(text, begins):
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {begins}")]
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_methods_of_fewer_seeds_say_so():
    records = [record(seed=seed, values=(seed / 10,)) for seed in (0, 1, 2)]
    assert "seeds" not in comparison(rows_of(records, CHOICE))
    rows = rows_of([*records, record(profile="best", values=(0.9,))], CHOICE)
    assert cells(comparison(rows), "method")[:3] == ["method", "clustering", "seeds"]
    assert cells(comparison(rows), "DDNMF (best)")[2] == "1"
    assert cells(comparison(rows), "DDNMF (paper)")[2] == "3"
    linear = [record(seed=seed, clustering="linear", profile=p) for p, seed in (("a", 0), ("b", 0), ("b", 1))]
    assert cells(classifier(acc(rows_of(linear, CHOICE))), "DDNMF (b)")[1] == "2"


def test_epochs_of_fewer_seeds_say_so():
    records = [record(seed=seed, epochs=30, at=30, values=(0.3,)) for seed in (0, 1)]
    records.append(record(seed=0, epochs=100, values=(0.6,)))
    rows = [row for at in (30, 100) for row in rows_of(records, Selection("mnist", (4,), None, at))]
    assert cells(by_epoch(rows), "DDNMF")[2:] == ["0.300 ± 0.000 [2]", "0.600 [1]"]
    assert cells(by_epoch(rows_of(records[:2], CHOICE)), "DDNMF")[2:] == ["0.300 ± 0.000"]


def caption(tmp_path, study, records, name="table1"):
    """The caption of a table of a folder that holds these records."""
    (tmp_path / "runs").mkdir(parents=True)
    for number, found in enumerate(records):
        found |= {"seconds": {"training": 1, "evaluation": 1}}
        (tmp_path / "runs" / f"{number}.json").write_text(json.dumps(found))
    assemble([study], tmp_path, draw=False)
    return (tmp_path / f"{name}.md").read_text().splitlines()[0]


BIG = Study("mnist", hidden=(4,))


def test_caption_of_different_seeds(tmp_path):
    records = [*(record(seed=seed) for seed in (0, 1, 2)), record(profile="best")]
    text = caption(tmp_path, BIG, records)
    assert "1 to 3 training seeds (their number: column “seeds”) × 3 clustering seeds" in text


def test_caption_of_one_seed(tmp_path):
    records = [record(noise="masking", noise_level=level, epochs=10) for level in (0.1, 0.2)]
    text = caption(tmp_path, BIG, records, "table3")
    assert "over 3 clustering seeds alone, of 1 training seed" in text


def test_captions_follow_the_sizes(tmp_path):
    scores = [{"method": "raw", "epoch": None, "clustering": name, "metric": m, "values": [0.5]}
              for name in ("kmeans", "gmm-full") for m in ("ACC", "NMI", "ARI")]  # fmt: skip
    pixels = {"run": {"dataset": "mnist", "method": "raw", "seed": 0}, "complete": True, "scores": scores}
    wide = [record("ae2", hidden=[200], clustering=name) for name in ("kmeans", "gmm-diag", "gmm-full")]
    text = caption(tmp_path / "wide", replace(BIG, hidden=(200,)), [pixels, *wide])
    assert text.endswith(
        "Fitted to the first 50 principal components: GMM full of pixels; GMM full of AE2's code."
    )
    very = [record("ae2", hidden=[2000], clustering=name) for name in ("kmeans", "gmm-diag", "gmm-full")]
    text = caption(tmp_path / "very", replace(BIG, hidden=(2000,)), very)
    assert text.endswith("components: GMM diagonal, GMM full of AE2's code.")
    narrow = caption(tmp_path / "narrow", BIG, [record("ae2", clustering="gmm-full")])
    assert "principal" not in narrow
    small = [record(n_train=500), record(n_train=500, clustering="linear")]
    caption(tmp_path / "small", replace(BIG, n_train=500), small)
    assert "trained on the codes of all training images" in (tmp_path / "small" / "table1.md").read_text()
    assert "codes of 10,000 training images" in (tmp_path / "very" / "table1.md").read_text()


def test_what_codes_look_like(tmp_path):
    def of(seed, constant):
        found = record(seed=seed)
        found["facts"] = [{"method": "ddnmf", "epoch": 30, "units": 10, "constant_units": constant,
                           "hoyer_rows": 0.25, "mean": 0.5}]  # fmt: skip
        found["history"] = {"epoch": [29, 30], "nmf_relative_error": [0.5, 0.4 - seed / 10]}
        return found

    records = [of(0, 1), of(1, 2)]
    (row,) = codes_of(records, CHOICE)
    assert row["seeds"] == [0, 1]
    assert (row["constant_units"], row["hoyer"]) == (1.5, 0.25)
    assert row["nmf_relative_error"] == pytest.approx(0.35)
    assert caption(tmp_path, BIG, records, "codes").startswith("**Codes** of the clean test images")
    with open(tmp_path / "codes.csv", newline="") as file:
        assert [float(line["hoyer"]) for line in csv.DictReader(file)] == [0.25]


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
