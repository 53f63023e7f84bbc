"""Codes of the test images to scores: every clustering, every metric, and a linear classifier.

What is fitted to the test codes is the clustering alone; labels are used to score it, never to choose anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nonneg.clustering import cluster
from nonneg.metrics import ari, clustering_accuracy, hoyer_sparsity, linear_probe_accuracy, nmi

__all__ = ["CLUSTERINGS", "FIXED", "Codes", "Scoring", "describe", "is_reduced", "score"]

#: Names of clusterings → arguments of `nonneg.clustering.cluster`.
CLUSTERINGS: dict[str, dict[str, Any]] = {
    "argmax": {"method": "argmax"},
    "kmeans": {"method": "kmeans"},
    "gmm-spherical": {"method": "gmm", "covariance_type": "spherical"},
    "gmm-diag": {"method": "gmm", "covariance_type": "diag"},
    "gmm-full": {"method": "gmm", "covariance_type": "full"},
    "umap+gmm": {"method": "umap+gmm"},
    "spectral": {"method": "spectral"},
}
#: Ways to labels that have nothing random: one seed stands for all.
FIXED = ("argmax", "dec", "linear")
DEFAULT_CLUSTERINGS = ("argmax", "kmeans", "gmm-spherical", "gmm-diag", "gmm-full")

#: Codes with more columns than this (pixels, AE2) get one start a clustering seed, and full covariances see their
#: first 50 principal components; beyond the second number all mixtures do.
WIDE, VERY_WIDE = 100, 1000
PRINCIPAL = 50


@dataclass(frozen=True)
class Codes:
    """What a method made of the images at some epoch.

    Attributes
    ----------
    label : str
        Name of the method whose codes these are ("ae2" may come out of a run of "ddnmf").
    epoch : int or None
        After which epoch; None for methods without epochs.
    test : ndarray (n_test, k)
        Codes of the test images.
    probe : ndarray (n_probe, k)
        Codes of the training images that the linear classifier is trained on.
    memberships : bool
        Whether the units may be read as clusters (non-negative codes): ``argmax`` is tried then.
    own : mapping of str to callable
        Clusterings that only this method has: name → labels of the test images from a seed.
    """

    label: str
    epoch: int | None
    test: NDArray
    probe: NDArray
    memberships: bool = False
    own: Mapping[str, Callable[[int], NDArray]] = field(default_factory=dict)


@dataclass(frozen=True)
class Scoring:
    """How codes are scored.

    Attributes
    ----------
    clusterings : tuple of str
        Keys of `CLUSTERINGS`.
    seeds : tuple of int
        Seeds of each clustering.
    n_init : int
        Starts of each clustering.
    """

    clusterings: tuple[str, ...] = DEFAULT_CLUSTERINGS
    seeds: tuple[int, ...] = (0, 1, 2)
    n_init: int = 5


def score(
    codes: Codes, y_test: NDArray, y_probe: NDArray, scoring: Scoring, known: set[tuple[str, int | None, str]]
) -> list[dict[str, Any]]:
    """Return rows ``{method, epoch, clustering, metric, values, seeds}`` that are not known yet.

    Parameters
    ----------
    codes : Codes
        Of the test images and of some training images.
    y_test, y_probe : ndarray
        Their labels.
    scoring : Scoring
        Which clusterings.
    known : set of (method, epoch, clustering)
        What has been scored already.

    Returns
    -------
    list of dict
        `values` has one number a clustering seed, and one for the linear classifier (clustering ``linear``, which
        has no ``seeds``).
    """
    rows: list[dict[str, Any]] = []
    n_classes = len(np.unique(y_test))
    principal = lru_cache(lambda: _principal(codes.test))

    def add(name: str, labels: list[NDArray], seeds: tuple[int, ...]) -> None:
        for metric, function in (("ACC", clustering_accuracy), ("NMI", nmi), ("ARI", ari)):
            values = [round(function(y_test, found), 6) for found in labels]
            rows.append(_row(codes, name, metric, values) | {"seeds": list(seeds)})

    for name in scoring.clusterings:
        if (codes.label, codes.epoch, name) in known:
            continue
        if name == "argmax" and not (codes.memberships and codes.test.shape[1] == n_classes):
            continue
        test = principal() if is_reduced(codes.test.shape[1], name) else codes.test
        n_init = 1 if codes.test.shape[1] > WIDE else scoring.n_init
        seeds = scoring.seeds[:1] if name in FIXED else scoring.seeds
        labels = [
            cluster(test, n_classes, n_init=n_init, random_state=seed, **CLUSTERINGS[name]) for seed in seeds
        ]
        add(name, labels, seeds)
    for name, labels_of in codes.own.items():
        if (codes.label, codes.epoch, name) not in known:
            seeds = scoring.seeds[:1] if name in FIXED else scoring.seeds
            add(name, [labels_of(seed) for seed in seeds], seeds)
    if (codes.label, codes.epoch, "linear") not in known:
        accuracy = linear_probe_accuracy(codes.probe, y_probe, codes.test, y_test)
        rows.append(_row(codes, "linear", "ACC", [round(accuracy, 6)]))
    return rows


def _row(codes: Codes, clustering: str, metric: str, values: list[float]) -> dict[str, Any]:
    return {
        "method": codes.label,
        "epoch": codes.epoch,
        "clustering": clustering,
        "metric": metric,
        "values": values,
    }


def is_reduced(width: int, clustering: str) -> bool:
    """Whether a clustering of codes of this width sees principal components only."""
    if clustering in ("gmm-full", "umap+gmm", "spectral"):
        return width > WIDE
    return width > VERY_WIDE and clustering.startswith("gmm")


def _principal(test: NDArray) -> NDArray[np.float64]:
    """The first 50 principal components: full covariances of hundreds of columns cannot be estimated."""
    centred = np.asarray(test, dtype=np.float64)
    centred = centred - centred.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    return centred @ axes[:, ::-1][:, :PRINCIPAL]


def describe(codes: Codes) -> dict[str, Any]:
    """Return the size, sparsity and number of constant units of a code."""
    test = np.asarray(codes.test, dtype=np.float64)
    spread = test.std(axis=0)
    alive = spread > 1e-3 * spread.max() if spread.max() > 0 else np.zeros(len(spread), dtype=bool)
    rows = test[np.abs(test).sum(axis=1) > 0]
    return {
        "method": codes.label,
        "epoch": codes.epoch,
        "units": test.shape[1],
        "constant_units": int((~alive).sum()),
        "hoyer_rows": round(float(np.mean(hoyer_sparsity(rows, axis=1))), 4) if len(rows) else None,
        "mean": round(float(test.mean()), 6),
    }
