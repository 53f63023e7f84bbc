"""Seconds per epoch of DDNMF, and its share of the processor's GEMM peak, beside a plain PyTorch loop.

    python benchmarks/ddnmf_training.py [--rows 12800] [--rounds 5] [--threads 1] [--out FOLDER]

Three trainings of the paper's network (784-500-500-2000-[10]-2000-500-500-784 and its supervisor) take turns, so that
whatever else the machine does hits all of them: ``DDNMF`` in float32 (profile "paper"), ``DDNMF`` in profile "fast",
and the loop a user would write: DataLoader, nn.Sequential, Adam, float32, batches of 128. Before each, a product of two
float32 matrices (2048 x 2048) measures what the core can do at that moment. Seconds are for 60,000 samples; ``cpu`` is
processor time, which other processes disturb less than ``wall``. Written: ``ddnmf_training.md`` and ``.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import nonneg
from nonneg.data import as_source
from nonneg.deep import DDNMF
from nonneg.deep.batches import Batches
from nonneg.deep.settings import TrainSettings, resolve_precision
from nonneg.deep.train import train

WIDTHS = (784, 500, 500, 2000)
K = 10
EPOCH = 60_000


def flops_per_sample() -> float:
    """Count floating-point operations of a sample: 2 forward, 4 backward a weight; no gradient for the input."""
    stack = sum(a * b for a, b in pairwise(WIDTHS))
    return 6.0 * (2 * 2 * stack + 2 * K * WIDTHS[-1]) - 2 * 2.0 * WIDTHS[0] * WIDTHS[1]


def gemm_peak(size: int = 2048) -> float:
    """FLOP/s of a float32 product, the best of three, by processor time."""
    a = torch.rand(size, size)
    seconds = []
    for _ in range(3):
        start = time.process_time()
        a @ a
        seconds.append(time.process_time() - start)
    return 2.0 * size**3 / min(seconds) * torch.get_num_threads()


class Plain(nn.Module):
    """What a user would write."""

    def __init__(self) -> None:
        super().__init__()

        def stack(*widths: int) -> nn.ModuleList:
            return nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

        self.supervisor = stack(*WIDTHS, *WIDTHS[-2::-1])
        self.encoder, self.decoder = stack(*WIDTHS), stack(*WIDTHS[::-1])
        self.project = nn.Linear(WIDTHS[-1], K, bias=False)
        self.base = nn.Linear(K, WIDTHS[-1], bias=False)

    def forward(self, x: torch.Tensor, noisy: torch.Tensor) -> torch.Tensor:
        """Return the interpretability loss."""

        def run(layers: nn.ModuleList, h: torch.Tensor, last: bool) -> list[torch.Tensor]:
            taps = []
            for number, layer in enumerate(layers):
                h = layer(h)
                if last or number < len(layers) - 1:
                    h = torch.relu(h)
                taps.append(h)
            return taps

        taps = run(self.supervisor, x, False)
        encoded = run(self.encoder, noisy, True)
        z_hat = torch.relu(self.base(torch.sigmoid(self.project(encoded[-1]))))
        student = encoded + run(self.decoder, z_hat, False)
        loss = F.mse_loss(taps[-1], x) + F.mse_loss(z_hat, encoded[-1])
        for teacher, pupil in zip(taps, student, strict=True):
            loss = loss + 0.01 * F.mse_loss(pupil, teacher.detach())
        return loss


class PlainRun:
    """Epochs of the plain loop."""

    def __init__(self, X: np.ndarray) -> None:
        torch.manual_seed(0)
        data = torch.utils.data.TensorDataset(torch.from_numpy(X.astype(np.float32) / 255.0))
        self.loader = torch.utils.data.DataLoader(data, batch_size=128, shuffle=True)
        self.model = Plain()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)

    def __call__(self) -> None:
        """One epoch."""
        for (x,) in self.loader:
            noisy = x * (torch.rand_like(x) > 0.1)
            loss = self.model(x, noisy)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            loss.item()


class LibraryRun:
    """Epochs of the library's loop."""

    def __init__(self, X: np.ndarray, profile: str) -> None:
        self.values = DDNMF(profile=profile)._resolve()
        precision = resolve_precision(self.values["precision"], torch.device("cpu"))
        model = DDNMF(profile=profile)._build(X.shape[1], self.values, seed=0)
        settings = TrainSettings(
            10**6, self.values["batch_size"], self.values["learning_rate"], precision=precision, device="cpu"
        )
        batches = Batches(as_source(X), self.values["batch_size"], seed=0, scale=255.0)
        self.epochs = train(model, batches, settings)
        self.label = f"DDNMF, profile {profile!r}: {precision}, batch {self.values['batch_size']}"

    def __call__(self) -> None:
        """One epoch."""
        next(self.epochs)


def timed(run: Callable[[], None]) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def measure(rows: int, rounds: int) -> list[dict[str, Any]]:
    """Let the three trainings take turns, after one epoch each to warm up."""
    rng = np.random.default_rng(0)
    X = (rng.integers(0, 256, (rows, WIDTHS[0])) * (rng.random((rows, WIDTHS[0])) < 0.2)).astype(np.uint8)
    paper, fast = LibraryRun(X, "paper"), LibraryRun(X, "fast")
    runs = {"plain loop: float32, batch 128": PlainRun(X), paper.label: paper, fast.label: fast}
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in runs}
    with closing(paper.epochs), closing(fast.epochs):
        for turn in range(rounds + 1):
            for name, run in runs.items():
                peak = gemm_peak()
                wall, cpu = timed(run)
                if turn:
                    found[name].append((wall * EPOCH / rows, cpu * EPOCH / rows, peak))
    lines = []
    plain = next(iter(found.values()))
    for name, values in found.items():
        wall, cpu, peak = (list(column) for column in zip(*values, strict=True))
        threads = torch.get_num_threads()
        share = [flops_per_sample() * EPOCH / (c / threads) / p for c, p in zip(cpu, peak, strict=True)]
        lines.append(
            {
                "training": name,
                "wall_seconds_per_epoch": round(median(wall), 2),
                "cpu_seconds_per_epoch": round(median(cpu), 2),
                "gemm_peak_gflops": round(median(peak) / 1e9, 1),
                "share_of_peak": round(median(share), 3),
                "times_plain": round(median(p[1] / c for p, c in zip(plain, cpu, strict=True)), 2),
            }
        )
    return lines


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=12_800)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    lines = measure(arguments.rows, arguments.rounds)
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor(),
        "threads": arguments.threads,
        "load_average": round(os.getloadavg()[0], 1),
        "rows": arguments.rows,
        "rounds": arguments.rounds,
        "seed": 0,
        "mflop_per_sample": round(flops_per_sample() / 1e6, 2),
        "versions": {
            "nonneg": nonneg.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    content = json.dumps({"about": about, "results": lines}, indent=1) + "\n"
    (arguments.out / "ddnmf_training.json").write_text(content)
    text = markdown(about, lines)
    (arguments.out / "ddnmf_training.md").write_text(text)
    print(text)


def processor() -> str:
    """Kind of processor, and its instructions that matter here."""
    known = {name for name, there in torch.cpu.get_capabilities().items() if there is True}
    wanted = sorted(known & {"avx2", "avx512_f", "avx512_bf16", "amx_bf16", "bf16"})
    return " ".join([platform.machine(), *wanted])


def markdown(about: dict[str, Any], lines: list[dict[str, Any]]) -> str:
    """Return the table."""
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    rows = [
        "# DDNMF: seconds per epoch of 60,000 samples",
        "",
        f"{about['date']}; {about['processor']}; {about['threads']} thread(s), load average "
        f"{about['load_average']}; medians of {about['rounds']} rounds of "
        f"{about['rows']} rows, seed 0; {about['mflop_per_sample']} MFLOP a sample; {versions}.",
        "",
        "| training | wall s | cpu s | GEMM peak, GFLOP/s | share of peak | times plain |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for line in lines:
        rows.append("| " + " | ".join(str(value) for value in line.values()) + " |")
    rows += ["", "Share of peak: of the float32 peak measured beside it, so bfloat16 may exceed 1.", ""]
    return "\n".join(rows)


if __name__ == "__main__":
    main()
