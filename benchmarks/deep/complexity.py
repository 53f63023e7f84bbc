"""Seconds and parameters of DDNMF against samples, layers and width: O(tNLD²) and O(LD²), measured.

    OMP_NUM_THREADS=1 python benchmarks/deep/complexity.py [--rounds 5] [--out benchmarks/deep/results]

Chen et al. (2021), section 3.3, give the training time O(tNLD²) and the parameters O(LD²) for t epochs, N samples, L
layers and layers of D units. Here one of N, L and D changes at a time; all hidden layers have D units and the data have
D columns, as the bound assumes (a fixed number of columns would add a term that is linear in D). The three sweeps take
turns in each round, and every setting is trained for two epochs after a warm one; the median over the rounds of its
processor time is fitted by a line in the logarithms, whose slope is the exponent. Written: ``complexity.md``,
``complexity.json`` and a figure.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch

from nonneg.data import as_source
from nonneg.deep import DDNMF
from nonneg.deep.batches import Batches
from nonneg.deep.settings import TrainSettings
from nonneg.deep.train import train

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.nmf.report import processor

K, BATCH, EPOCHS = 10, 128, 2
SWEEPS: dict[str, list[dict[str, int]]] = {
    "N": [{"N": n, "L": 6, "D": 256} for n in (1024, 2048, 4096, 8192)],
    "L": [{"N": 1024, "L": layers, "D": 256} for layers in (2, 4, 8, 16, 32)],
    "D": [{"N": 1024, "L": 6, "D": d} for d in (64, 128, 256, 512, 1024, 2048)],
}
NAMES = {"N": "samples N", "L": "layers L", "D": "units a layer D"}
CLAIMED = {"N": (1, 0), "L": (1, 1), "D": (2, 2)}  # exponents of the time and of the parameters
LARGE = 512  # from this width on products of matrices are what takes the time


def build(setting: dict[str, int]) -> tuple[Any, Batches]:
    """Return a network of L layers (and the two of the NMF module) and its data."""
    n, d = setting["N"], setting["D"]
    X = np.random.default_rng(0).random((n, d), dtype=np.float32)
    model = DDNMF(K, hidden=(d,) * (setting["L"] // 2), max_epochs=1, batch_size=BATCH)
    network = model._build(d, model._resolve(), seed=0)
    return network, Batches(as_source(X), BATCH, seed=0)


def seconds_an_epoch(network: Any, batches: Batches) -> float:
    """Processor seconds of an epoch, a warm one not counted."""
    settings = TrainSettings(1 + EPOCHS, BATCH, 1e-4, device="cpu")
    with closing(train(network, batches, settings)) as epochs:
        next(epochs)
        start = time.process_time()
        for _ in epochs:
            pass
    return (time.process_time() - start) / EPOCHS


def parameters(network: Any) -> int:
    """Weights and biases of both networks."""
    return sum(values.numel() for values in network.parameters())


def exponent(sizes: list[int], values: list[float]) -> float:
    """Slope of log(value) against log(size)."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def measure(rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Time every setting once a round; return it with its seconds of all rounds."""
    found: dict[str, list[dict[str, Any]]] = {
        name: [dict(setting, seconds=[]) for setting in settings] for name, settings in SWEEPS.items()
    }
    for turn in range(rounds):
        for name, rows in found.items():
            for row in rows:
                network, batches = build(row)
                row["parameters"] = parameters(network)
                row["seconds"].append(seconds_an_epoch(network, batches))
            print(f"round {turn + 1} of {rounds}: {name}", flush=True)
    return found


def fits(found: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, float]]:
    """Exponents of each sweep; of D also over its large values alone."""
    result: dict[str, dict[str, float]] = {}
    for name, rows in found.items():
        sizes = [row[name] for row in rows]
        medians = [float(np.median(row["seconds"])) for row in rows]
        result[name] = {
            "time": exponent(sizes, medians),
            "parameters": exponent(sizes, [row["parameters"] for row in rows]),
        }
        if name == "D":
            large = [i for i, size in enumerate(sizes) if size >= LARGE]
            result[name]["time, large"] = exponent([sizes[i] for i in large], [medians[i] for i in large])
    return result


def draw(found: dict[str, list[dict[str, Any]]], slopes: dict[str, dict[str, float]], path: Path) -> None:
    """Draw seconds and parameters against each size, with lines of the claimed exponents."""
    figure, grid = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
    for axes, (name, rows) in zip(grid, found.items(), strict=True):
        sizes = np.array([row[name] for row in rows], dtype=float)
        times = np.array([np.median(row["seconds"]) for row in rows])
        axes.loglog(sizes, times, "o-", label=f"measured, exponent {slopes[name]['time']:.2f}")
        claimed = CLAIMED[name][0]
        line = times[-1] * (sizes / sizes[-1]) ** claimed
        axes.loglog(sizes, line, "k--", linewidth=0.8, label=f"claimed, {claimed}")
        axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
        axes.minorticks_off()
        axes.set_xlabel(NAMES[name])
        axes.legend(fontsize=8)
    grid[0].set_ylabel("seconds an epoch")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def table(found: dict[str, list[dict[str, Any]]], slopes: dict[str, dict[str, float]], rounds: int) -> str:
    """Return the page of results."""
    lines = [
        "# Cost of DDNMF against samples, layers and width",
        "",
        "Exponents, fitted in the logarithms; claimed: O(tNLD²) for the time, O(LD²) for the parameters "
        "(Chen et al. 2021, section 3.3).",
        "",
        "| size | time, measured | time, claimed | parameters, counted | parameters, claimed |",
        "|---|---|---|---|---|",
    ]
    for name, found_here in slopes.items():
        large = f" ({found_here['time, large']:.2f} from {LARGE} on)" if "time, large" in found_here else ""
        lines.append(
            f"| {NAMES[name]} | {found_here['time']:.2f}{large} | {CLAIMED[name][0]} | "
            f"{abs(found_here['parameters']):.2f} | {CLAIMED[name][1]} |"
        )
    lines += [
        "",
        "| N | L | D | parameters | seconds an epoch | lowest to highest |",
        "|---|---|---|---|---|---|",
    ]
    for rows in found.values():
        for row in rows:
            s = row["seconds"]
            lines.append(
                f"| {row['N']} | {row['L']} | {row['D']} | {row['parameters']:,} | {np.median(s):.3f} | "
                f"{min(s):.3f} to {max(s):.3f} |"
            )
    packages = ", ".join(f"{name} {version(name)}" for name in ("nonneg", "torch", "numpy"))
    lines += [
        "",
        f"L layers are without the two of the NMF module (k = {K}); batches of {BATCH}, float32, profile paper; "
        f"medians of {rounds} rounds of processor time, {torch.get_num_threads()} thread(s); seed 0; "
        f"{datetime.now(UTC):%Y-%m-%d}; {processor()}; Python {platform.python_version()}, {packages}.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, fit, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    here = Path(__file__).parent
    parser.add_argument("--out", type=Path, default=here / "results")
    parser.add_argument("--figure", type=Path, default=here.parents[1] / "docs" / "images" / "complexity.png")
    options = parser.parse_args()
    found = measure(options.rounds)
    slopes = fits(found)
    options.out.mkdir(parents=True, exist_ok=True)
    page = table(found, slopes, options.rounds)
    (options.out / "complexity.md").write_text(page, encoding="utf-8")
    (options.out / "complexity.json").write_text(json.dumps({"fits": slopes, "runs": found}, indent=1) + "\n")
    draw(found, slopes, options.figure)
    print(page)


if __name__ == "__main__":
    main()
