"""Run files to the rows of tables: a pure function of what is on disk.

A score's mean and standard deviation are over all pairs of a training seed and a clustering seed. A training with a
constant learning rate that was scored on the way counts for the epochs it was scored at: it is the same training as one
that ends there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nonneg.experiments.zoo import DEEP_ENTRIES, ENTRIES, OUTSIDE

if TYPE_CHECKING:
    from nonneg.experiments.study import Study

__all__ = [
    "CLUSTERING_NAMES",
    "CODE_FIELDS",
    "FIELDS",
    "METHOD_NAMES",
    "METRICS",
    "Selection",
    "codes_of",
    "finished",
    "fits",
    "method_label",
    "method_order",
    "picked",
    "rows_of",
    "selection",
]

METRICS = ("ACC", "NMI", "ARI")
CLUSTERING_NAMES = {
    "argmax": "argmax",
    "kmeans": "k-means",
    "gmm-spherical": "GMM spherical",
    "gmm-diag": "GMM diagonal",
    "gmm-full": "GMM full",
    "umap+gmm": "UMAP + GMM",
    "spectral": "spectral",
    "n2d": "N2D",
    "dec": "its own",
}
METHOD_NAMES = {
    "raw": "pixels",
    "nmf": "NMF",
    "ae2": "AE2",
    "ae2+nmf": "AE2 + NMF",
    "ae1-relu": "AE1 ReLU",
    "ae1-linear": "AE1 linear",
    "dae1-relu": "denoising AE1 ReLU",
    "dae1-linear": "denoising AE1 linear",
    "ddnmf": "DDNMF",
} | {name: entry.label for name, entry in ENTRIES.items()}
#: Autoencoders are told apart by whose training they share, where there are several.
TRAINED_LIKE = (
    *("ae1-relu", "ae1-linear", "dae1-relu", "dae1-linear", "ae2", "ae2+nmf"), *DEEP_ENTRIES, *OUTSIDE
)  # fmt: skip
CODE_FIELDS = (
    "dataset", "method", "epoch", "seeds", "units", "constant_units", "hoyer", "nmf_relative_error",
)  # fmt: skip
FIELDS = ("dataset", "method", "clustering", "noise", "metric", "mean", "sd", "seeds", "n", "epoch")


@dataclass(frozen=True)
class Selection:
    """Which runs a table is made of.

    Attributes
    ----------
    dataset : str
        Of the images.
    hidden : tuple of int
        Layers of the deep methods.
    noise : str or None
        Kind of noise; None for clean images.
    epoch : int
        After which the deep methods are scored.
    n_train, n_test : int or None
        The images used.
    batch_size : int or None
        Of the deep methods; None: the profile's.
    """

    dataset: str
    hidden: tuple[int, ...]
    noise: str | None
    epoch: int
    n_train: int | None = None
    n_test: int | None = None
    batch_size: int | None = None


def selection(study: Study, *, noise: bool = False, epoch: int | None = None) -> Selection:
    """Return which runs a study shows."""
    return Selection(
        study.dataset,
        study.hidden,
        study.noise if noise else None,
        epoch or (study.noise_epochs if noise else study.epochs),
        study.n_train,
        study.n_test,
        study.batch_size,
    )


def rows_of(records: Iterable[dict[str, Any]], selection: Selection) -> list[dict[str, Any]]:
    """Return one row a method, clustering, noise level and metric, in the order of the methods.

    Parameters
    ----------
    records : iterable of dict
        Run files, complete or not.
    selection : Selection
        Which of them.

    Returns
    -------
    list of dict
        `dataset, method, clustering, noise, metric, mean, sd, seeds, n, epoch`; `noise` is the level, `sd` is None
        for a single value, `seeds` are those of the training, `epoch` None for methods without epochs.
    """
    groups: dict[tuple[Any, ...], list[tuple[int, list[float], int | None]]] = defaultdict(list)
    for label, entry, record in picked(records, selection, "scores"):
        run = record["run"]
        key = (label, entry["clustering"], run.get("noise_level"), entry["metric"])
        groups[key].append((run["seed"], entry["values"], entry["epoch"]))
    rows = [_row(selection.dataset, key, members) for key, members in groups.items()]
    return sorted(rows, key=_order)


def codes_of(records: Iterable[dict[str, Any]], selection: Selection) -> list[dict[str, Any]]:
    """Return one row a method: what its codes look like, as means over training seeds.

    Parameters
    ----------
    records : iterable of dict
        Run files, complete or not.
    selection : Selection
        Which of them.

    Returns
    -------
    list of dict
        `dataset, method, epoch, seeds, units, constant_units, hoyer, nmf_relative_error`: width of the code, units that
        say the same of every image, Hoyer's sparsity of a row (0 … 1), and the relative error of DDNMF's NMF module
        (None for other methods).
    """
    groups: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = defaultdict(list)
    for label, fact, record in picked(records, selection, "facts"):
        groups[label].append((fact, record))
    rows = []
    for label, members in groups.items():
        row = {
            "dataset": selection.dataset,
            "method": label,
            "epoch": members[0][0]["epoch"],
            "seeds": sorted(record["run"]["seed"] for _, record in members),
            "units": members[0][0]["units"],
            "constant_units": _mean(fact["constant_units"] for fact, _ in members),
            "hoyer": _mean(fact["hoyer_rows"] for fact, _ in members),
            "nmf_relative_error": _mean(_module_error(fact, record) for fact, record in members),
        }
        rows.append(row)
    return sorted(rows, key=lambda row: method_order(row["method"]))


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(np.mean(known)), 4) if known else None


def _module_error(fact: dict[str, Any], record: dict[str, Any]) -> float | None:
    """The relative error of the NMF module after the epoch of a fact."""
    history = record.get("history", {})
    if fact["method"] != "ddnmf" or fact["epoch"] not in history.get("epoch", []):
        return None
    return history["nmf_relative_error"][history["epoch"].index(fact["epoch"])]


def picked(
    records: Iterable[dict[str, Any]], selection: Selection, kind: str
) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Return (label, entry, record) of every entry of `kind` ("scores" or "facts") that a selection shows."""
    chosen: dict[tuple[Any, ...], tuple[int, str, dict[str, Any], dict[str, Any]]] = {}
    fitting = [record for record in records if fits(record["run"], selection)]
    trainings = {
        _training(record["run"])
        for record in fitting
        if any(row["method"] in TRAINED_LIKE for row in record["scores"])
    }
    for record in fitting:
        run = record["run"]
        for entry in record.get(kind, []):
            if entry["epoch"] not in (None, selection.epoch):
                continue
            if entry["epoch"] is not None and run["epochs"] != entry["epoch"] and not _constant(record):
                continue
            label = method_label(entry["method"], run)
            if len(trainings) > 1 and entry["method"] in TRAINED_LIKE:
                label = f"{label} (as {_training(run)})"
            key = (label, run.get("noise_level"), run["seed"], entry.get("clustering"), entry.get("metric"))
            # of two trainings that pass this epoch, the one that ends there
            if key not in chosen or run.get("epochs", 0) < chosen[key][0]:
                chosen[key] = (run.get("epochs", 0), label, entry, record)
    return [found[1:] for found in chosen.values()]


def finished(study: Study, records: Iterable[dict[str, Any]], methods: Sequence[str]) -> list[dict[str, Any]]:
    """Return the first seed's longest finished clean run of each method and profile, in the order of `methods`."""
    wanted = selection(study)
    best: dict[str, dict[str, Any]] = {}
    for record in records:
        run = record["run"]
        usable = record["complete"] and not record.get("failed") and fits(run, wanted)
        if not usable or run["method"] not in methods or run.get("epochs", 0) > study.epochs:
            continue
        key = method_label(run["method"], run)
        rank = (-run["seed"], run.get("epochs", 0))
        if key not in best or rank > (-best[key]["run"]["seed"], best[key]["run"].get("epochs", 0)):
            best[key] = record
    return sorted(best.values(), key=lambda record: methods.index(record["run"]["method"]))


def _training(run: dict[str, Any]) -> str:
    """What an autoencoder's training, or a supervisor's, is told apart by."""
    options = [f"{key}={value}" for key, value in run.get("options", {}).items()]
    return ", ".join([run.get("profile", "paper"), *options])


def _constant(record: dict[str, Any]) -> bool:
    return record.get("settings", {}).get("schedule", "constant") == "constant"


def fits(run: dict[str, Any], selection: Selection) -> bool:
    """Whether a run belongs to a selection, its epochs aside."""
    if run["dataset"] != selection.dataset or run.get("noise") != selection.noise:
        return False
    if "hidden" in run and tuple(run["hidden"]) != selection.hidden:
        return False
    if "epochs" in run and run.get("batch_size") != selection.batch_size:
        return False
    return (run.get("n_train"), run.get("n_test")) == (selection.n_train, selection.n_test)


def method_label(method: str, run: dict[str, Any]) -> str:
    """Name a method with what distinguishes it: DDNMF's profile and options, another training of an autoencoder."""
    name = METHOD_NAMES.get(method, method)
    return f"{name} ({_training(run)})" if method == "ddnmf" else name


def _row(
    dataset: str, key: tuple[Any, ...], members: list[tuple[int, list[float], int | None]]
) -> dict[str, Any]:
    label, clustering, level, metric = key
    values = np.array([value for _, found, _ in members for value in found])
    return {
        "dataset": dataset,
        "method": label,
        "clustering": clustering,
        "noise": level or 0.0,
        "metric": metric,
        "mean": round(float(values.mean()), 4),
        "sd": round(float(values.std(ddof=1)), 4) if len(values) > 1 else None,
        "seeds": sorted({seed for seed, _, _ in members}),
        "n": len(values),
        "epoch": members[0][2],
    }


def method_order(label: str) -> tuple[int, str]:
    """Where a method stands in tables."""
    names = list(METHOD_NAMES.values())
    base = label.split(" (")[0]
    return names.index(base) if base in names else len(names), label


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    clusterings = [*CLUSTERING_NAMES, "linear"]
    metrics = (*METRICS, "linear")
    return (
        *method_order(row["method"]),
        row["noise"],
        clusterings.index(row["clustering"]),
        metrics.index(row["metric"]),
    )
