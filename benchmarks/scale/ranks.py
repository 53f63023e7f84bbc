"""DDNMF on two processes against one: seconds an epoch, and how far their parameters are apart.

    python benchmarks/scale/ranks.py [--rounds 3] [--epochs 3] [--out benchmarks/scale/results]

20,000 rows of 784 grey values, profile fast (batches of 256). In turns: one process with one thread, one with two, two
processes (torchrun, gloo) with one each. The first epoch of a fit is not counted. Written: ``ranks.md`` and ``.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.nmf.report import processor

WAYS = {"one process, 1 thread": (1, 1), "one process, 2 threads": (1, 2), "two processes": (2, 1)}
KINDS = {"auto": "as in the profile", "float32": "float32", "float64": "float64"}
SEED = 0


def images(n: int = 20_000, m: int = 784) -> np.ndarray:
    """Rows of uint8, half of their cells 0, that forty smooth patterns make."""
    rng = np.random.default_rng(SEED)
    side = int(m**0.5)
    y, x = np.mgrid[:side, :side]
    centres, widths = rng.uniform(4, side - 4, (40, 2)), rng.uniform(1.0, 3.0, 40)
    spots = [
        np.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * w**2)) for (a, b), w in zip(centres, widths, strict=True)
    ]
    amounts = rng.gamma(0.3, 1.0, (n, 40)) * (rng.random((n, 40)) < 0.2)
    grey = amounts @ np.array(spots).reshape(40, m)
    return np.clip(255 * grey, 0, 255).astype(np.uint8)


def work(precision: str, epochs: int, target: Path) -> None:
    """Fit in this process (or with the others of torchrun) and write seconds and parameters."""
    import torch

    from nonneg.deep import DDNMF

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    how: dict[str, Any] = {
        "profile": "fast",
        "precision": precision,
        "max_epochs": epochs,
        "random_state": SEED,
    }
    model = DDNMF(10, **how, device="cpu").fit(images())
    if os.environ.get("RANK", "0") == "0":
        state = model._get_state()
        weights = {
            f"{net}/{name}": a for net in ("supervisor_", "student_") for name, a in state[net].items()
        }
        np.savez(target, seconds=np.diff(model.history_["seconds"], prepend=0.0), used=model.profile_["precision"],
                 error=model.reconstruction_err_, **weights)  # fmt: skip


def run(way: str, precision: str, epochs: int) -> dict[str, np.ndarray]:
    """`work` in processes of their own."""
    processes, threads = WAYS[way]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "found.npz"
        subprocess.run(
            [
                *(sys.executable, *(launcher if processes > 1 else []), __file__),
                *("--work", precision, "--epochs", str(epochs), "--target", str(target)),
            ],
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            check=True,
        )
        with np.load(target) as found:
            return dict(found)


def apart(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> float:
    """The largest difference of two parameters."""
    return max(float(np.abs(a[name] - b[name]).max()) for name in a if "/" in name)


def measure(rounds: int, epochs: int) -> list[dict[str, Any]]:
    """Every way and precision in turns; differences are to the first way."""
    rows: list[dict[str, Any]] = []
    for precision in KINDS:
        long = precision != "float64"  # that one shows differences, not seconds
        first: dict[str, np.ndarray] = {}
        here = {way: {"precision": precision, "way": way, "seconds": []} for way in WAYS}
        for _ in range(rounds if long else 1):
            for way, row in here.items():
                found = run(way, precision, epochs if long else 1)
                first = first or found
                row["used"], row["apart"] = str(found["used"]), apart(found, first)
                row["error"] = float(found["error"])
                row["seconds"] += found["seconds"][1 if long else 0 :].tolist()
                print(row, flush=True)
        rows += here.values()
    return rows


def table(rows: list[dict[str, Any]], rounds: int, epochs: int) -> str:
    """Return the page of results."""
    lines = [
        "# DDNMF on two processes",
        "",
        "| precision | | seconds an epoch | lowest to highest | largest difference of a parameter | error of the fit |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        s, kind = row["seconds"], KINDS[row["precision"]]
        kind = f"{kind}: {row['used']}" if row["precision"] == "auto" else kind
        difference = "" if row["way"] == next(iter(WAYS)) else f"{row['apart']:.1e}"
        lines.append(
            f"| {kind} | {row['way']} | {np.median(s):.2f} | {min(s):.2f} to {max(s):.2f} | {difference} | "
            f"{row['error']:.6g} |"
        )
    packages = ", ".join(f"{name} {version(name)}" for name in ("nonneg", "torch", "numpy"))
    lines += [
        "",
        f"20,000 × 784 uint8, hidden layers 500, 500, 2000, k = 10, batches of 256 (79 steps an epoch), profile fast, "
        f"seed {SEED}. Seconds: median over {rounds} fits of {epochs} epochs, the first of each left out (float64: one "
        "fit of one epoch). Differences are to one process with one thread after the last epoch; those of two threads "
        f"are the roundings of another order of sums. {datetime.now(UTC):%Y-%m-%d}; {processor()}, {os.cpu_count()} "
        f"cores; Python {platform.python_version()}, {packages}; gloo.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and write; or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--target", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.epochs, options.target)
        return
    rows = measure(options.rounds, options.epochs)
    page = table(rows, options.rounds, options.epochs)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "ranks.md").write_text(page, encoding="utf-8")
    (options.out / "ranks.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
