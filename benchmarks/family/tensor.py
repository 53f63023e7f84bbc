"""NTF beside tensorly's `non_negative_parafac_hals` on Indian Pines (145 × 145 × 200), in one process, interleaved.

    OMP_NUM_THREADS=1 python benchmarks/family/tensor.py [--seeds 3] [--components 5 10 20] [--iterations 60]

Every run starts from nothing: its seconds hold the initialisation; what numba compiles for is done once before.
tensorly gets X as float32 (the precision in which nonneg computes integers of 16 bits, and faster for it than float64),
the conversion not counted, and makes so many iterations without looking at its tolerance. Its error is
‖X − model‖ / ‖X‖ of the factors it returns, in float64. nonneg gets X as it is stored (uint16) and as many seconds as
tensorly took; "nonneg to there" is when its error, start included, is first no higher than tensorly's last one: from a
start of its own with the same seed, and from the random factors that tensorly starts from.
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
import tensorly
from tensorly.cp_tensor import CPTensor
from tensorly.decomposition import non_negative_parafac_hals

from nonneg import NTF

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.nmf.report import processor

warnings.simplefilter("ignore")
RESULT = Path(__file__).parent / "results" / "tensor.md"
DATA = Path(tensorly.__file__).parent / "datasets" / "data" / "Indian_pines_corrected.npy"


def error_of(X: np.ndarray, factors: list[np.ndarray], weights: np.ndarray) -> float:
    """‖X − model‖ / ‖X‖, one slice after the other."""
    A, B, C = (np.asarray(F, np.float64) for F in factors)
    squares = sum(
        float(np.square(slab - ((a * weights) * B) @ C.T).sum())
        for a, slab in zip(A, X.astype(np.float64), strict=True)
    )
    return float(np.sqrt(squares) / np.linalg.norm(X.astype(np.float64)))


def starts(X: np.ndarray, k: int, seed: int) -> list[np.ndarray]:
    """Random factors, as float32."""
    rng = np.random.default_rng(seed)
    return [rng.random((side, k)).astype(np.float32) for side in X.shape]


def theirs(X: np.ndarray, k: int, seed: int, init: str, iterations: int) -> tuple[float, float]:
    """Seconds and error."""
    began = time.perf_counter()
    start = CPTensor((np.ones(k, np.float32), starts(X, k, seed))) if init == "random" else init
    found = non_negative_parafac_hals(X, k, n_iter_max=iterations, init=start, tol=0, random_state=seed)
    seconds = time.perf_counter() - began
    return seconds, error_of(X, found.factors, np.asarray(found.weights, np.float64))


def ours(X: np.ndarray, k: int, seed: int, limit: float, given: bool) -> tuple[np.ndarray, np.ndarray]:
    """Seconds and errors of all iterations; the last error is checked against the factors."""
    began = time.perf_counter()
    factors = starts(X, k, seed) if given else [None, None, None]
    H = factors[1:] if given else None
    model = NTF(k, random_state=seed, max_iter=10**6, tol=0, max_time=limit).fit(
        X, W_init=factors[0], H_init=H
    )
    rest = (
        time.perf_counter() - began - model.history_["seconds"][-1]
    )  # reading X before, the last pass after
    errors = np.sqrt(2 * model.history_["loss"]) / np.linalg.norm(X.astype(np.float64))
    assert error_of(X, model.factors_, model.weights_) <= errors[-1] * (1 + 1e-4)
    return model.history_["seconds"] + rest, errors


def reached(seconds: np.ndarray, errors: np.ndarray, aim: float) -> float:
    """When the error is first at the aim; infinite where it never is."""
    there = np.flatnonzero(errors <= aim)
    return float(seconds[there[0]]) if there.size else np.inf


def row(X: np.ndarray, k: int, init: str, seeds: int, iterations: int) -> str:
    """One line of the table: medians over the seeds."""
    floats, found = X.astype(np.float32), []
    for seed in range(seeds):
        seconds, aim = theirs(floats, k, seed, init, iterations)
        own, own_errors = ours(X, k, seed, seconds, given=False)
        given, given_errors = ours(X, k, seed, seconds, given=True)
        to_own, to_given = reached(own, own_errors, aim), reached(given, given_errors, aim)
        found.append((seconds, aim, to_own, to_given, seconds / to_own, seconds / to_given, own_errors[-1]))
        print(k, init, seed, *(f"{value:.4g}" for value in found[-1]), flush=True)
    t, aim, to_own, to_given, ratio, given_ratio, last = np.median(found, axis=0)
    worst = min(min(entry[4:6]) for entry in found)
    return (
        f"| {k} | {init} | {t:.1f} | {aim:.5f} | {to_own:.2f} | {to_given:.2f} | {ratio:.1f} | {given_ratio:.1f} | "
        f"{worst:.1f} | {last:.5f} |"
    )


def main() -> None:
    """Run all, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--components", type=int, nargs="+", default=[5, 10, 20])
    parser.add_argument("--inits", nargs="+", default=["random", "svd"])
    parser.add_argument("--iterations", type=int, default=60)
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    X = np.load(DATA)
    for given in (False, True):
        ours(X[:40], 5, 0, 1.0, given)
    rows = [
        row(X, k, init, options.seeds, options.iterations)
        for k in options.components
        for init in options.inits
    ]
    head = [
        "# NTF beside tensorly's HALS, Indian Pines 145 × 145 × 200",
        "",
        " ".join(__doc__.split("\n\n", 2)[2].split()),
        "",
        "| k | tensorly's init | tensorly, s | its error | nonneg to there, s | from tensorly's start, s "
        "| faster, times | from that start | least of all runs | nonneg's error then |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    packages = ", ".join(f"{name} {version(name)}" for name in ("nonneg", "tensorly", "numpy", "numba"))
    foot = (
        f"Medians over the seeds 0 to {options.seeds - 1}, {options.iterations} iterations of tensorly; "
        f"{datetime.date.today()}; {processor()}; Python {platform.python_version()}, {packages}."
    )
    text = "\n".join([*head, *rows, "", foot, ""])
    print(text)
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
