"""An iteration of HALS with 8 sweeps beside its bare data products X Hᵀ and Wᵀ X: the physical limit.

float32, Fashion-MNIST, k = 49. The products go block by block (512 rows), as the library's do; they and the library's
fits take turns.
"""

from __future__ import annotations

import time
import warnings
from typing import Any
from unittest import mock

import common
import numpy as np

from nonneg import NMF
from nonneg.models import nmf

K, BLOCK, PASSES = 49, 512, 4


def bare_pass(X: np.ndarray, W: np.ndarray, H: np.ndarray) -> None:
    """Both products, nothing else."""
    Ht = np.ascontiguousarray(H.T)
    B = np.zeros_like(H)
    for start in range(0, len(X), BLOCK):
        x = X[start : start + BLOCK]
        x @ Ht
        B += W[start : start + BLOCK].T @ x


def now() -> tuple[float, float]:
    """Wall and processor time."""
    return time.perf_counter(), time.process_time()


def middle_lap(clocks: list[tuple[float, float]]) -> tuple[float, float]:
    """Return medians of the differences."""
    wall, cpu = np.median(np.diff(np.array(clocks), axis=0), axis=0)
    return float(wall), float(cpu)


def watched_fit(X: np.ndarray, seed: int) -> list[tuple[float, float]]:
    """Clocks between the iterations of a fit; from a random start it sees all rows from the first one on."""
    clocks: list[tuple[float, float]] = []
    solve = nmf.solve

    def watched(*args: Any, **kwargs: Any) -> Any:
        return solve(*args, **{**kwargs, "callback": lambda *_: clocks.append(now())})

    with mock.patch.object(nmf, "solve", watched):
        NMF(K, solver="hals", init="random", max_iter=10, tol=0.0, random_state=seed).fit(X)
    return clocks


def measure(quick: bool) -> list[dict[str, Any]]:
    """One row a repetition: seconds a bare pass, seconds an iteration."""
    X = common.tall().astype(np.float32)
    if quick:
        X = X[::4].copy()
    rng = np.random.default_rng(0)
    W, H = rng.random((len(X), K), np.float32), rng.random((K, X.shape[1]), np.float32)
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        NMF(K, solver="hals", init="random", max_iter=1, random_state=0).fit(X)
        for repetition in range(3 if quick else 5):
            clocks = [now()]
            for _ in range(PASSES):
                bare_pass(X, W, H)
                clocks.append(now())
            bare, bare_cpu = middle_lap(clocks)
            iteration, iteration_cpu = middle_lap(watched_fit(X, repetition))
            rows.append(
                {
                    "repetition": repetition,
                    "rows": len(X),
                    "bare": bare,
                    "iteration": iteration,
                    "ratio": iteration / bare,
                    "ratio_cpu": iteration_cpu / bare_cpu,
                }
            )
    return rows


if __name__ == "__main__":
    common.main(measure)
