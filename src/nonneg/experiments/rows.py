"""Run files to the rows of tables: a pure function of what is on disk.

A score's mean and standard deviation are over all pairs of a training seed and a clustering seed. A training with a
constant learning rate that was scored on the way counts for the epochs it was scored at: it is the same training as one
that ends there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from nonneg.experiments.study import Study

__all__ = [
    "CLUSTERING_NAMES",
    "FIELDS",
    "METRICS",
    "Selection",
    "fits",
    "method_label",
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
}
#: Autoencoders are told apart by whose training they share, where there are several.
TRAINED_LIKE = ("ae1-relu", "ae1-linear", "dae1-relu", "dae1-linear")
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
    seeds : tuple of int or None
        Only these training seeds; None: all that are there.
    """

    dataset: str
    hidden: tuple[int, ...]
    noise: str | None
    epoch: int
    n_train: int | None = None
    n_test: int | None = None
    batch_size: int | None = None
    seeds: tuple[int, ...] | None = None


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
        for a single value, `epoch` None for methods without epochs.
    """
    chosen: dict[tuple[Any, ...], tuple[int, list[float], int | None]] = {}
    fitting = [record for record in records if fits(record["run"], selection)]
    several = (
        len({record["run"].get("profile") for record in fitting if record["run"]["method"] in TRAINED_LIKE})
        > 1
    )
    for record in fitting:
        run = record["run"]
        for row in record["scores"]:
            if row["epoch"] not in (None, selection.epoch):
                continue
            if row["epoch"] is not None and run["epochs"] != row["epoch"] and not _constant(record):
                continue
            label = method_label(row["method"], run)
            if several and row["method"] in TRAINED_LIKE:
                label = f"{label} (as {run.get('profile')})"
            key = (label, row["clustering"], run.get("noise_level"), row["metric"], run["seed"])
            # of two trainings that pass this epoch, the one that ends there
            if key not in chosen or run.get("epochs", 0) < chosen[key][0]:
                chosen[key] = (run.get("epochs", 0), row["values"], row["epoch"])
    groups: dict[tuple[Any, ...], list[tuple[int, list[float], int | None]]] = defaultdict(list)
    for (label, clustering, level, metric, seed), (_, values, epoch) in chosen.items():
        groups[label, clustering, level, metric].append((seed, values, epoch))
    rows = [_row(selection.dataset, key, members) for key, members in groups.items()]
    return sorted(rows, key=_order)


def _constant(record: dict[str, Any]) -> bool:
    return record.get("settings", {}).get("schedule", "constant") == "constant"


def fits(run: dict[str, Any], selection: Selection) -> bool:
    """Whether a run belongs to a selection, its epochs aside."""
    if run["dataset"] != selection.dataset or run.get("noise") != selection.noise:
        return False
    if "hidden" in run and (tuple(run["hidden"]), run.get("batch_size")) != (
        selection.hidden,
        selection.batch_size,
    ):
        return False
    if (run.get("n_train"), run.get("n_test")) != (selection.n_train, selection.n_test):
        return False
    return selection.seeds is None or run["method"] == "raw" or run["seed"] in selection.seeds


def method_label(method: str, run: dict[str, Any]) -> str:
    """Name a method with what distinguishes it: DDNMF's profile and options, another training of an autoencoder."""
    name = METHOD_NAMES.get(method, method)
    options = [f"{key}={value}" for key, value in run.get("options", {}).items()]
    if method == "ddnmf":
        return f"{name} ({', '.join([run.get('profile', 'paper'), *options])})"
    return name


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


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    names = list(METHOD_NAMES.values())
    base = row["method"].split(" (")[0]
    clusterings = [*CLUSTERING_NAMES, "linear"]
    metrics = (*METRICS, "linear")
    return (
        names.index(base) if base in names else len(names),
        row["method"],
        row["noise"],
        clusterings.index(row["clustering"]),
        metrics.index(row["metric"]),
    )
