"""What the captions of tables say: over what a mean is, how was trained, what was reduced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nonneg.experiments import tables
from nonneg.experiments.evaluate import PRINCIPAL, is_reduced
from nonneg.experiments.rows import CLUSTERING_NAMES

if TYPE_CHECKING:
    from nonneg.experiments.study import Study

__all__ = ["N_PIXELS", "N_TRAIN", "TITLE", "how", "over", "reduced"]

N_TRAIN = {"digits": 1437, "mnist": 60_000, "fashion-mnist": 60_000}
N_PIXELS = {"digits": 64, "mnist": 784, "fashion-mnist": 784}
TITLE = {"digits": "the digits of scikit-learn", "mnist": "MNIST", "fashion-mnist": "Fashion-MNIST"}


def over(rows: list[dict[str, Any]], study: Study, where: str) -> str:
    """What the mean and ± of rows are over; `where` says where the seeds are, if methods have different numbers."""
    clusterings = _count(len(study.scoring.seeds), "clustering seed")
    counts = tables.seed_counts(rows)
    text = "mean ± standard deviation over"
    if counts <= {1}:
        return f"{text} {clusterings} alone{', of 1 training seed' if counts else ''}"
    if len(counts) == 1:
        return f"{text} {_count(max(counts), 'training seed')} × {clusterings}"
    several = f"{min(counts)} to {max(counts)} training seeds (their number: {where})"
    return f"{text} {several} × {clusterings}; with 1 training seed ± is over clusterings alone"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def how(study: Study) -> str:
    """How a study's models are trained and scored."""
    layers = "-".join(map(str, study.hidden))
    train = "the training images" if study.n_train is None else f"the first {study.n_train} training images"
    test = "the test images" if study.n_test is None else f"the first {study.n_test} test images"
    batch = "" if study.batch_size is None else f", batches of {study.batch_size}"
    return f"Trained on {train}, scored on {test}; encoder {layers}-10{batch}."


def reduced(study: Study, rows: list[dict[str, Any]]) -> str:
    """Which clusterings of the table see principal components only."""
    found = []
    for label, name, width in (
        (tables.PIXELS, "pixels", N_PIXELS[study.dataset]),
        ("AE2", "AE2's code", study.hidden[-1]),
    ):
        used = dict.fromkeys(row["clustering"] for row in rows if row["method"].split(" (")[0] == label)
        names = [CLUSTERING_NAMES[clustering] for clustering in used if is_reduced(width, clustering)]
        if names:
            found.append(f"{', '.join(names)} of {name}")
    return f" Fitted to the first {PRINCIPAL} principal components: {'; '.join(found)}." if found else ""
