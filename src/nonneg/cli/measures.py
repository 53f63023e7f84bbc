"""What ``nonneg evaluate`` says, as numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nonneg.cli.data import DataFile
from nonneg.clustering import cluster
from nonneg.data import as_source
from nonneg.data.products import half_squares
from nonneg.data.tensor import tensor_matrix, tensor_weights
from nonneg.experiments.evaluate import CLUSTERINGS
from nonneg.metrics import ari, clustering_accuracy, hoyer_sparsity, linear_probe_accuracy, nmi

__all__ = ["agreement", "fit_of", "parts_of"]

FOLDS = 5  # of the linear classifier


def fit_of(model: Any, data: DataFile, W: np.ndarray, how: dict[str, Any]) -> dict[str, Any]:
    """Sizes, ‖X − X̂‖ / ‖X‖ over the observed cells, score, and the certificate where the model has one."""
    error = _relative_error(model, data, W, how)
    certificate = model.certificate(data.X, **how) if hasattr(model, "certificate") else None
    return {
        "n_samples": len(W),
        "n_features": int(model.n_features_in_),
        "n_components": int(model.n_components_),
        "relative_error": error,
        "explained_share": None if error is None else 1 - error**2,
        "score": float(model.score(data.X, **how)),
        "kkt_residual": _number(
            getattr(model, "kkt_residual_", None) if certificate is None else certificate.kkt_residual
        ),
        "svd_gap": None if certificate is None else _number(certificate.svd_gap),
        "spread_over_starts": None if certificate is None else _number(certificate.spread),
    }


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _relative_error(model: Any, data: DataFile, W: np.ndarray, how: dict[str, Any]) -> float | None:
    """‖X − X̂‖ / ‖X‖, views together; None where the model has no X̂, or one of another kind than X."""
    if not hasattr(model, "inverse_transform") or hasattr(
        model, "p_w_given_z_"
    ):  # PLSA has P(w | d), not counts
        return None
    whole = None if model._in_runs else model.inverse_transform(W)
    left = size = 0.0
    for key, source in _sources(model, data.X, how):
        hat = whole if key is None or whole is None else whole[key]

        def predicted(rows: slice, source: Any = source, hat: Any = hat) -> np.ndarray:
            found = model.inverse_transform(W[rows]) if hat is None else hat[rows]
            return source.scale * found.reshape(len(found), -1)

        def nothing(_: slice, width: int = source.shape[1]) -> np.ndarray:
            return np.zeros((1, width))

        if predicted(slice(0, 1)).shape[1] != source.shape[1]:  # an affinity between rows, say
            return None
        left += half_squares(source, predicted)
        size += half_squares(source, nothing)
    return math.sqrt(left / size) if size > 0 else None


def _sources(model: Any, X: Any, how: dict[str, Any]) -> list[tuple[Any, Any]]:
    """(name, source) of every view, or one (None, source), in units in which squares are floats."""
    if getattr(model, "_takes", "matrix") == "ways":
        X, how = tensor_matrix(X), {key: tensor_weights(value, X.shape) for key, value in how.items()}
    views = X.items() if isinstance(X, dict) else [(None, X)]
    found = [(key, as_source(view, missing=getattr(model, "missing", "error"), **how)) for key, view in views]
    for _, source in found:
        summary = source.summary()
        largest = max(abs(summary.minimum), abs(summary.maximum))
        source.scale = math.ldexp(1.0, -math.frexp(largest)[1]) if 0 < largest < math.inf else 1.0
    return found


def parts_of(model: Any, W: np.ndarray) -> dict[str, Any]:
    """Hoyer's sparsity of codes and parts, and components that are useless."""
    summary = model.parts_summary()
    rows = W[np.abs(W).sum(axis=1) > 0]
    sparse = np.asarray(summary["hoyer_sparsity"], float)
    return {
        "sparsity_W": float(hoyer_sparsity(rows, axis=1).mean()) if len(rows) else None,
        "zero_share_W": float((W == 0).mean()),
        "sparsity_parts": float(np.nanmean(sparse)) if np.isfinite(sparse).any() else None,
        "dead": summary["dead"],
        "duplicates": [list(pair) for pair in summary["duplicates"]],
    }


def agreement(
    W: np.ndarray, shares: Any, labels: np.ndarray, ways: Sequence[str], n_clusters: int | None, seed: int
) -> dict[str, Any]:
    """ACC, NMI and ARI of each clustering, and the accuracy of a linear classifier, over the rows with labels."""
    known = np.array([label is not None for label in labels])
    if not known.any():
        raise ValueError("no row has a label")
    truth = labels[known].astype(str)
    classes = len(np.unique(truth))
    found: dict[str, Any] = {}
    for way in dict.fromkeys(ways):
        if way == "argmax":
            if shares is None:
                continue  # codes of any sign are no amounts
            clusters = np.asarray(shares).argmax(axis=1)
        else:
            options = CLUSTERINGS["gmm-full" if way == "gmm" else way]
            clusters = cluster(W, min(n_clusters or classes, len(W)), random_state=seed, **options)
        pair = truth, clusters[known]
        found[way] = {"ACC": clustering_accuracy(*pair), "NMI": nmi(*pair), "ARI": ari(*pair)}
    return {
        "n_labelled": int(known.sum()),
        "n_classes": classes,
        "clusterings": found,
        "linear_accuracy": _linear(W[known], truth, seed),
    }


def _linear(W: np.ndarray, labels: np.ndarray, seed: int) -> float | None:
    """Accuracy of a linear classifier on rows that it has not seen; None where a class has fewer than two rows."""
    from sklearn.model_selection import StratifiedKFold

    counts = np.unique(labels, return_counts=True)[1]
    if len(counts) < 2 or counts.min() < 2:
        return None
    folds = StratifiedKFold(min(FOLDS, int(counts.min())), shuffle=True, random_state=seed)
    right = sum(
        linear_probe_accuracy(W[train], labels[train], W[test], labels[test]) * len(test)
        for train, test in folds.split(W, labels)
    )
    return right / len(W)
