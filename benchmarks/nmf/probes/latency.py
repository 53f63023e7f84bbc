"""What the first fit of a process takes longer than the second: with an empty and with a filled cache of kernels."""

from __future__ import annotations

import itertools
import tempfile
import time
from typing import Any

import common

CASES = ("frobenius float32", "frobenius float64", "kl float32")


def in_child(arguments: list[str]) -> dict[str, float]:
    """Time the import, numba's import, the first fit and the second."""
    loss, dtype = arguments
    start = time.perf_counter()
    import nonneg

    model = nonneg.NMF(5, loss=loss, random_state=0, max_iter=5, tol=1.0)
    imported = time.perf_counter()
    import numba
    import numpy as np

    with_numba = time.perf_counter()
    X = np.random.default_rng(0).random((200, 40)).astype(dtype)
    clocks = [(time.perf_counter(), time.process_time())]
    for _ in range(2):
        model.fit(X)
        clocks.append((time.perf_counter(), time.process_time()))
    laps = [(after[0] - before[0], after[1] - before[1]) for before, after in itertools.pairwise(clocks)]
    (first, first_cpu), (second, second_cpu) = laps
    return {
        "import": imported - start,
        "numba": with_numba - imported,
        "first": first,
        "second": second,
        "latency": first - second,
        "latency_cpu": first_cpu - second_cpu,
        "numba_version": numba.__version__,
    }


def measure(quick: bool) -> list[dict[str, Any]]:
    """For every case an empty cache, then the cache that this run has filled."""
    rows = []
    for case in CASES[:1] if quick else CASES:
        loss, dtype = case.split()
        for repetition in range(1 if quick else 3):
            with tempfile.TemporaryDirectory() as cache:
                for state in ("cold", "warm"):
                    found = common.child(__file__, loss, dtype, NUMBA_CACHE_DIR=cache)
                    rows.append({"case": case, "cache": state, "repetition": repetition, **found})
    return rows


if __name__ == "__main__":
    common.main(measure, in_child)
