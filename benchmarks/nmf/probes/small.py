"""Whole fits of 500 × 100, k = 5: at the defaults of both libraries, and with 200 iterations of both."""

from __future__ import annotations

import time
import warnings
from typing import Any

import common
import numpy as np
from sklearn.decomposition import NMF as Peer

from nonneg import NMF
from nonneg.datasets import make_low_rank

REPEATS = 30


def measure(quick: bool) -> list[dict[str, Any]]:
    """One row a repetition, setting and library; the libraries take turns at going first."""
    X = make_low_rank(500, 100, 5, noise=0.2, random_state=5).data.astype(np.float32)
    settings: dict[str, dict[str, Any]] = {
        "defaults": {},
        "200 iterations": {"max_iter": 200, "tol": 0.0},
    }
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(-1, 5 if quick else REPEATS):
            for setting, changes in settings.items():
                for library in ((NMF, Peer), (Peer, NMF))[seed % 2]:
                    model = library(5, random_state=max(seed, 0), **changes)
                    wall, cpu = time.perf_counter(), time.process_time()
                    W = model.fit_transform(X)
                    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
                    gap = X - W.astype(np.float64) @ model.components_.astype(np.float64)
                    name = "nonneg" if library is NMF else "scikit-learn"
                    if seed >= 0:  # the first round loads what is to be loaded
                        rows.append(
                            {
                                "setting": setting,
                                "library": name,
                                "seed": seed,
                                "wall": wall,
                                "cpu": cpu,
                                "loss": 0.5 * float(np.vdot(gap, gap)),
                                "iterations": int(model.n_iter_),
                            }
                        )
    return rows


if __name__ == "__main__":
    common.main(measure)
