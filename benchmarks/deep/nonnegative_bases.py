"""DDNMF with bases of any sign and with bases W ≥ 0: units that die, parts, and what it costs in accuracy.

    OMP_NUM_THREADS=1 python benchmarks/deep/nonnegative_bases.py [--dataset mnist] [--units 32] [--epochs 5]

Both trainings are those of profile "best" on the training images; the codes of the test images are clustered. A unit is
dead when the norm of its part is below a thousandth of the largest. Prints a line a training (JSON), then a table.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from nonneg import DDNMF, datasets
from nonneg.clustering import cluster
from nonneg.metrics import clustering_accuracy

COLUMNS = (
    "dead",
    "k-means ACC",
    "GMM ACC",
    "relative error",
    "relative error of the NMF module",
    "sparsity",
    "below 0",
)


def measure(
    train: np.ndarray, test: np.ndarray, target: np.ndarray, seed: int, **how: object
) -> dict[str, float]:
    """Train once and return what the table shows."""
    model = DDNMF(profile="best", random_state=seed, **how).fit(train)
    found, H = model.parts_summary(), model.transform(test)
    accuracy = {
        method: np.mean(
            [
                clustering_accuracy(target, cluster(H, 10, method=method, random_state=start))
                for start in range(starts)
            ]
        )
        for method, starts in (("kmeans", 3), ("gmm", 1))
    }
    wide = test.astype(np.float64)
    values = (
        len(found["dead"]),
        accuracy["kmeans"],
        accuracy["gmm"],
        np.linalg.norm(wide - model.inverse_transform(H)) / np.linalg.norm(wide),
        model.history_["nmf_relative_error"][-1],
        np.nanmean(found["hoyer_sparsity"]),
        found["negative_share"],
    )
    return dict(zip(COLUMNS, map(float, values), strict=True))


def main() -> None:
    """Train all, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--units", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    train = datasets.load(options.dataset).data
    test = datasets.load(options.dataset, split="test")
    print("| W | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|", sep="\n")
    for held in (True, False):
        rows = []
        for seed in options.seeds:
            how = {"n_components": options.units, "nonnegative_weights": held, "max_epochs": options.epochs}
            rows.append(measure(train, test.data, test.target, seed, **how))
            print(json.dumps({"nonnegative_weights": held, "seed": seed} | rows[-1]), flush=True)
        table = np.array([list(row.values()) for row in rows])
        spread = table.std(axis=0, ddof=1) if len(table) > 1 else np.zeros(len(COLUMNS))
        cells = [f"{mean:.3f} ± {sd:.3f}" for mean, sd in zip(table.mean(axis=0), spread, strict=True)]
        print(f"| {'≥ 0' if held else 'any sign'} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
