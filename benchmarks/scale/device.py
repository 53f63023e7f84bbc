"""NMF of a matrix on a GPU: a pass against the time in which the card can read X, and against the processor.

    python benchmarks/scale/device.py [--gigabytes 8] [--features 1000] [--components 10] [--iterations 30] [--seed 0]
        [--device cuda] [--results benchmarks/scale/results]

Makes a planted matrix on the card (float32; and the same as bytes), and measures

- *bandwidth*: bytes read and written by a copy of a part of it, the best of ten;
- *bound*: a pass needs X twice, for X Hᵀ and for Wᵀ X, so two readings at that bandwidth are the least it can take;
- *pass*: the median time between two iterations of ``NMF(components).fit(X)``, for the Frobenius loss (coordinate
  descent) and for KL (multiplicative updates), which reads and writes arrays of the size of X besides;
- *processor*: the same fit on a tenth of the rows, times ten;
- *agreement*: the loss after as many iterations from one start, there and by the processor, on these rows;
- *torchnmf*: an iteration of ``torchnmf.nmf.NMF(...).fit``, where that package is installed.

Without a GPU it says so and measures nothing; ``--device cpu`` runs it all with torch on the processor, to try it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
LOSSES = {"frobenius": "hals", "kl": "mu"}
SHARE = 10  # of the rows go to the processor too


def main() -> None:
    options = parse()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("There is no GPU that torch can use here: nothing was measured.")
        return
    rows = int(options.gigabytes * 1e9 / 4 / options.features)
    X = planted(rows, options)
    whole = X.numel() * X.element_size()
    speed = bandwidth(X)
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if options.device == "cuda" else "cpu",
        "torch": torch.__version__, "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": rows, "features": options.features, "components": options.components,
        "gigabytes_a_second": speed / 1e9, "bound": 2 * whole / speed,
    }  # fmt: skip
    for loss, solver in LOSSES.items():
        found[loss] = measured(X, loss, solver, options)
    bytes_of_X = (X * (255 / float(X.max()))).to(torch.uint8)
    found["frobenius, bytes"] = {"pass": fitted(bytes_of_X, "frobenius", "hals", options)[0]}
    if importlib.util.find_spec("torchnmf"):
        found["torchnmf"] = {"iteration": torchnmf_iteration(X, options)}
    report(found, options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=8.0, help="of the matrix, powers of 1000")
    parser.add_argument("--features", type=int, default=1000)
    parser.add_argument("--components", type=int, default=10)
    parser.add_argument("--iterations", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--results", type=Path, help="folder for device.json")
    return parser.parse_args()


def planted(rows: int, options: argparse.Namespace) -> torch.Tensor:
    """W H of sparse non-negative parts, plus noise, made where it is to lie."""
    generator = torch.Generator(options.device).manual_seed(options.seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator, device=options.device)

    k, m = options.components, options.features
    H = random(k, m) * (random(k, m) < 0.3)
    X = random(rows, m).mul_(0.1)
    step = max(1, rows // 16)
    for start in range(0, rows, step):
        count = min(step, rows - start)
        X[start : start + count].addmm_(random(count, k) * (random(count, k) < 0.5), H)
    return X


def bandwidth(X: torch.Tensor) -> float:
    """Bytes a second that a copy reads and writes."""
    part = X[: max(1, len(X) // 4)]
    to = torch.empty_like(part)
    best = min(timed(lambda: to.copy_(part)) for _ in range(10))
    return 2 * part.numel() * part.element_size() / best


def timed(work: Callable[[], object]) -> float:
    """Seconds until the device has done it."""
    wait = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    wait()
    began = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - began


def measured(X: torch.Tensor, loss: str, solver: str, options: argparse.Namespace) -> dict[str, float]:
    """Seconds a pass there and by the processor, and how far the losses of some rows are apart."""
    some = X[: len(X) // SHARE]
    of_processor, here = fitted(some.cpu().numpy(), loss, solver, options)
    _, there = fitted(some, loss, solver, options)
    seconds, _ = fitted(X, loss, solver, options)
    return {"pass": seconds, "processor": SHARE * of_processor, "apart": abs(there / here - 1)}


def fitted(X: Any, loss: str, solver: str, options: argparse.Namespace) -> tuple[float, float]:
    """Median seconds of an iteration, and √(2 · loss) at the end."""
    sys.path.insert(0, str(HERE.parents[1] / "src"))
    from nonneg import NMF
    from nonneg.exceptions import ConvergenceWarning

    k, m = options.components, options.features
    H_init = np.random.default_rng(options.seed).random((k, m))
    device = None if isinstance(X, np.ndarray) else options.device
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = NMF(k, loss=loss, solver=solver, max_iter=options.iterations, tol=0)
        model.fit(X, H_init=H_init, device=device)
    return float(np.median(np.diff(model.history_["seconds"]))), float(model.reconstruction_err_)


def torchnmf_iteration(X: torch.Tensor, options: argparse.Namespace) -> float:
    """Seconds of an iteration of multiplicative updates for the Frobenius loss."""
    from torchnmf.nmf import NMF

    net = NMF(X.shape, rank=options.components).to(X.device)
    net.fit(X, beta=2, tol=0, max_iter=2)
    return timed(lambda: net.fit(X, beta=2, tol=0, max_iter=options.iterations)) / options.iterations


def report(found: dict[str, Any], options: argparse.Namespace) -> None:
    print(
        f"{found['device']}: {found['gigabytes_a_second']:.0f} GB/s; two readings of X {found['bound']:.4f} s"
    )
    for name, values in found.items():
        if isinstance(values, dict):
            shown = ", ".join(f"{what} {value:.3g}" for what, value in values.items())
            ratio = f"; {values['pass'] / found['bound']:.2f} times the bound" if name in LOSSES else ""
            print(f"{name}: {shown}{ratio}")
    if options.results:
        options.results.mkdir(parents=True, exist_ok=True)
        (options.results / "device.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
