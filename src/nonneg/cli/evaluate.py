"""``nonneg evaluate``: how well a fitted model says what is in data, and how well its codes agree with labels."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from nonneg.cli.errors import EXIT_DATA, EXIT_USAGE, CommandError
from nonneg.cli.options import Json, Many, Names, Quiet, Verbose, limit
from nonneg.cli.saved import load_model, open_for, say, weights_from
from nonneg.cli.transform import Missing

__all__ = ["evaluate_model"]

Way = Literal["argmax", "kmeans", "gmm", "gmm-spherical", "gmm-diag", "gmm-full", "umap+gmm", "spectral"]


def evaluate_model(
    model: Path,
    data: str,
    /,
    *,
    labels: str | None = None,
    clustering: Annotated[Sequence[Way], Many] = ("argmax", "kmeans"),
    n_clusters: int | None = None,
    seed: int = 0,
    missing: Missing | None = None,
    layer: str | None = None,
    memory_limit: str | None = None,
    weights: Path | None = None,
    without: Names = (),
    threads: int | None = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json_: Json = False,
) -> int:
    """Say how well a fitted model explains data and, where labels are known, how well its codes agree with them.

    Without labels: relative error, share of the sum of squares that is explained, score, sparsity of codes and parts,
    dead and duplicate components, and how far the fit is from a stationary point on these data (of models that cannot
    say it: at the end of the fit). With labels: accuracy,
    NMI and ARI of clusterings of the codes, and accuracy of a linear classifier (5-fold cross-validation).

    Parameters
    ----------
    model:
        A file that nonneg fit wrote.
    data:
        What nonneg fit takes, with the features of the fit; dataset:NAME brings its own labels, and so does a folder
        of images in folders.
    labels:
        A file with one label a line, or the name of a column: of the table, which is then no feature, or of AnnData's
        obs. Rows without a label are clustered and not scored.
    clustering:
        Ways from codes to clusters. argmax: the component with the largest share in the row; the others make as many
        clusters as there are labels.
    n_clusters:
        Clusters of all but argmax; default: as many as labels.
    seed:
        Of the clusterings and the folds.
    missing:
        As for nonneg fit; default: what the model was fitted with.
    layer:
        Of .h5ad: the layer to take instead of X. Of .h5 and Zarr: the array in it.
    memory_limit:
        How much of the data is held in memory at once where it is read in parts, for instance 2G; default 512M.
    weights:
        File with weights of the cells; 0 means missing.
    without:
        Columns of a table that are no features.
    threads:
        Threads of torch and of the linear algebra; default: as many as these choose themselves.
    """
    from nonneg.cli.measures import agreement, fit_of, parts_of
    from nonneg.cli.rows import labels_of

    limit(threads)
    if n_clusters is not None and n_clusters < 1:
        raise CommandError(EXIT_USAGE, "usage", f"--n-clusters must be at least 1, got {n_clusters}.")
    estimator = load_model(model)
    say(verbose, f"reading {data}")
    opened = open_for(estimator, data, missing, layer, memory_limit, without, labels)
    how = weights_from(weights)
    try:
        say(verbose, f"computing W with {type(estimator).__name__}")
        W = estimator.transform(opened.X, **how)
        truth = labels_of(opened, labels, len(W))
        say(verbose, "comparing X with what the model makes of it")
        report: dict[str, Any] = {"model": type(estimator).__name__.lower(), "data": data}
        report |= fit_of(estimator, opened, W, how) | parts_of(estimator, W)
        if truth is not None:
            say(verbose, f"clustering W: {' '.join(clustering)}")
            shares = None if estimator._any_sign_codes else estimator.memberships(opened.X, **how)
            report["labels"] = agreement(W, shares, truth, clustering, n_clusters, seed)
    except (ValueError, TypeError) as error:
        raise CommandError(EXIT_DATA, "data", f"DATA: {data}: {error}") from error
    print(json.dumps(_plain(report)) if json_ else _text(report))
    return 0


def _plain(value: Any) -> Any:
    """What JSON has: no NaN."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


SAID = {
    "relative_error": "‖X − X̂‖ / ‖X‖", "explained_share": "explained share of ‖X‖²",
    "score": "score (higher is better)", "kkt_residual": "KKT residual", "svd_gap": "gap to the SVD bound",
    "spread_over_starts": "spread over starts", "sparsity_W": "sparsity of rows of W (Hoyer)",
    "zero_share_W": "share of zeros in W", "sparsity_parts": "sparsity of parts (Hoyer)",
    "dead": "dead components", "duplicates": "duplicate components",
}  # fmt: skip


def _text(report: dict[str, Any]) -> str:
    """One line a number, those that there are."""
    lines = [
        f"{report['model']} with {report['n_components']} components on {report['n_samples']} rows of "
        f"{report['n_features']} features ({report['data']})"
    ]
    for key, said in SAID.items():
        value = _plain(report[key])
        if value is not None:
            shown = f"{value:.4g}" if isinstance(value, float) else (value or "none")
            lines.append(f"  {said + ':':<34}{shown}")
    if "labels" in report:
        labels = report["labels"]
        lines.append(f"{labels['n_labelled']} rows with {labels['n_classes']} labels")
        for way, scores in labels["clusterings"].items():
            shown = "  ".join(f"{name} {value:.3f}" for name, value in scores.items())
            lines.append(f"  {way + ':':<34}{shown}")
        if labels["linear_accuracy"] is not None:
            lines.append(f"  {'linear classifier, 5 folds:':<34}ACC {labels['linear_accuracy']:.3f}")
    return "\n".join(lines)
