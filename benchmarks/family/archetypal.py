"""Archetypal analysis beside the package `archetypes` (class AA), in one process, interleaved, one thread.

    OMP_NUM_THREADS=1 python benchmarks/family/archetypal.py [--seeds 3] [--data iris digits hull]

Each run starts from nothing: its seconds hold the initialisation, and what numba compiles for is done once before. The
loss is ½ ‖X − W A‖² of what the run returns. `AA` runs with its own defaults (at most 300 iterations, tol 1e-4) for
each of its methods and two starts; "nonneg to there" is the median time after which nonneg's loss, start included, is
no higher than the peer's final loss of the same seed.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
from archetypes import AA
from sklearn.datasets import load_digits, load_iris

from nonneg import ArchetypalAnalysis

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.nmf.report import processor

warnings.simplefilter("ignore")
RESULT = Path(__file__).parent / "results" / "archetypal.md"
PEERS = [(method, init) for method in ("pgd", "pseudo_pgd", "nnls") for init in ("furthest_sum", "uniform")]


def hull(seed: int, n: int = 5000, m: int = 20, k: int = 8) -> np.ndarray:
    """Mixtures of k corners, with noise a tenth of their spread."""
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(k, 0.5), n) @ (3 * rng.standard_normal((k, m))) + 0.3 * rng.standard_normal(
        (n, m)
    )


DATA = {
    "iris": (lambda seed: load_iris().data, 3),
    "digits": (lambda seed: load_digits().data, 10),
    "hull": (hull, 8),
}


def loss_of(X: np.ndarray, W: np.ndarray, A: np.ndarray) -> float:
    """½ ‖X − W A‖²."""
    return 0.5 * float(np.square(X - W @ A).sum())


def ours(X: np.ndarray, k: int, seed: int) -> tuple[float, float, dict[str, np.ndarray]]:
    """Seconds, loss, and the losses on the way."""
    began = time.perf_counter()
    model = ArchetypalAnalysis(k, random_state=seed)
    W = model.fit_transform(X)
    return time.perf_counter() - began, loss_of(X, W, model.archetypes_), model.history_


def theirs(X: np.ndarray, k: int, seed: int, method: str, init: str) -> tuple[float, float]:
    """Seconds and loss."""
    began = time.perf_counter()
    model = AA(k, method=method, init=init, random_state=seed)
    W = model.fit_transform(X)
    return time.perf_counter() - began, loss_of(X, W, model.archetypes_)


def compare(name: str, seeds: int) -> list[str]:
    """The rows of the table for one data set."""
    make, k = DATA[name]
    seconds: dict[str, list[float]] = {}
    losses: dict[str, list[float]] = {}
    reached: dict[str, list[float]] = {}
    for seed in range(seeds):
        X = make(seed)
        spent, loss, history = ours(X, k, seed)
        runs = {"**nonneg**": (spent, loss)}
        runs |= {f"AA {method}, {init}": theirs(X, k, seed, method, init) for method, init in PEERS}
        for label, (spent, loss) in runs.items():
            seconds.setdefault(label, []).append(spent)
            losses.setdefault(label, []).append(loss)
            below = np.flatnonzero(history["loss"] <= loss * (1 + 1e-9))
            reached.setdefault(label, []).append(
                float(history["seconds"][below[0]]) if len(below) else np.inf
            )
    shape, rows = " × ".join(map(str, X.shape)), []
    for label in seconds:
        ratio = np.median(np.divide(losses[label], losses["**nonneg**"]))
        spent, there = np.median(seconds[label]), np.median(reached[label])
        faster = "" if label == "**nonneg**" else f"{there:.3f} | {spent / there:.0f} ×"
        rows.append(
            f"| {name} {shape}, k = {k} | {label} | {np.median(losses[label]):.6g} | {ratio:.5f} | {spent:.3f} | "
            + (faster or "– | –")
            + " |"
        )
    return rows


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    asked = parser.parse_args()
    ours(load_iris().data, 3, 0)
    theirs(load_iris().data, 3, 0, "pgd", "uniform")
    lines = [
        "# Archetypal analysis: loss and seconds",
        "",
        " ".join(__doc__.split("\n\n", 2)[2].split()),
        "",
        "| data | run | loss, median | over nonneg's | seconds, median | nonneg to there | faster |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in asked.data:
        lines += compare(name, asked.seeds)
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("nonneg", "archetypes", "numpy", "scipy", "numba")
    )
    lines += [
        "",
        f'Seeds 0 to {asked.seeds - 1}, of AA\'s starts and of the data "hull"; '
        f"{datetime.date.today()}; {processor()}; Python {platform.python_version()}, {packages}.",
    ]
    print("\n".join(lines))
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
