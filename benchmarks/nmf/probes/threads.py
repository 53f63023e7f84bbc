"""One thread against two on Fashion-MNIST, k = 49: speed-up, and whether W and H are the same bit for bit."""

from __future__ import annotations

import hashlib
import time
import warnings
from typing import Any

import common
import numpy as np


def in_child(arguments: list[str]) -> dict[str, Any]:
    """A fit of 20 iterations after one that loads everything."""
    from nonneg import NMF

    warnings.simplefilter("ignore")
    X = common.tall()[: int(arguments[0])].astype(np.float32)
    NMF(49, max_iter=1, random_state=0).fit(X)
    model = NMF(49, max_iter=20, tol=0.0, random_state=0)
    wall, cpu = time.perf_counter(), time.process_time()
    W = model.fit_transform(X)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    digest = hashlib.sha256(W.tobytes() + model.components_.tobytes()).hexdigest()
    return {"wall": wall, "cpu": cpu, "sha256": digest, "iterations": int(model.n_iter_)}


def measure(quick: bool) -> list[dict[str, Any]]:
    """One row a repetition and number of threads, taking turns."""
    rows = []
    for repetition in range(2 if quick else 5):
        for threads in ((1, 2), (2, 1))[repetition % 2]:
            found = common.child(__file__, 35_000 if quick else 70_000, threads=threads)
            rows.append({"repetition": repetition, "threads": threads, **found})
    return rows


if __name__ == "__main__":
    common.main(measure, in_child)
