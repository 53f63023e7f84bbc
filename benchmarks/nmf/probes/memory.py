"""Peak memory of a fit beyond X, W, H and one copy of W and H, in units of X.

Each case is a process of its own. ``resident``: the largest resident set during the fit less that before it, so BLAS
and kernels count. ``traced``: what numpy and Python allocated (tracemalloc), in a second fit. X counts as float32 where
it is dense (also where it is stored as uint8), as its three arrays where it is sparse.
"""

from __future__ import annotations

import ctypes
import gc
import threading
import time
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import common
import numpy as np

CASES = (
    ("nonneg", "dense float32"),
    ("nonneg", "dense uint8"),
    ("nonneg", "sparse frobenius"),
    ("nonneg", "sparse kl"),
    ("scikit-learn", "dense float32"),
    ("scikit-learn", "sparse kl"),
)
PAGE = 4096


class Peak:
    """The largest resident set while a block runs, looked at every millisecond and by the kernel's own mark."""

    def __enter__(self) -> Peak:
        self.before, self.largest, self._over = resident(), 0, threading.Event()
        self._marked = self._reset_mark()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.largest = max(self.largest, resident(), high_water() if self._marked else 0)

    def _reset_mark(self) -> bool:
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            return False
        return high_water() <= self.before + 2**22

    def _watch(self) -> None:
        while not self._over.is_set():
            self.largest = max(self.largest, resident())
            time.sleep(1e-3)


def resident() -> int:
    """Bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def high_water() -> int:
    """Bytes; 0 where the system does not tell."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


def in_child(arguments: list[str]) -> dict[str, float]:
    """Fit once under the resident set's watch, once under tracemalloc's."""
    library, kind, rows = arguments[0], arguments[1], int(arguments[2])
    loss = "kl" if kind.endswith("kl") else "frobenius"
    k = 20 if kind.startswith("sparse") else 49
    X = data(kind, rows)
    warnings.simplefilter("ignore")

    def model() -> Any:
        if library == "nonneg":
            from nonneg import NMF

            return NMF(k, loss=loss, max_iter=5, tol=0.0, random_state=0)
        from sklearn.decomposition import NMF as Peer

        if loss == "kl":
            return Peer(k, solver="mu", beta_loss="kullback-leibler", max_iter=5, tol=0.0, random_state=0)
        return Peer(k, max_iter=5, tol=0.0, random_state=0)

    model().fit(X[:: max(1, X.shape[0] // 200)])  # kernels and libraries are loaded
    if library == "nonneg" and not kind.startswith("sparse"):
        model().fit(X[:35_000].copy())  # those of the start on a sample of the rows as well
    gc.collect()
    trim()
    with Peak() as peak:
        W, H = factors(model(), X)
    copies = 2 * (W.nbytes + H.nbytes)
    size = 4 * X.shape[0] * X.shape[1] if not kind.startswith("sparse") else csr_bytes(X)
    del W, H
    gc.collect()
    tracemalloc.start()
    factors(model(), X)
    traced = tracemalloc.get_traced_memory()[1]
    return {
        "size": size,
        "resident": (peak.largest - peak.before - copies) / size,
        "traced": (traced - copies) / size,
    }


def factors(model: Any, X: Any) -> tuple[np.ndarray, np.ndarray]:
    W = model.fit_transform(X)
    return W, model.components_


def csr_bytes(X: Any) -> int:
    return X.data.nbytes + X.indices.nbytes + X.indptr.nbytes


def trim() -> None:
    """Give freed memory back to the system, so that the fit cannot use it unseen."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        return


def data(kind: str, rows: int) -> Any:
    """Return X."""
    if kind.startswith("sparse"):
        from benchmarks.nmf.harness import datasets

        topics = datasets()["topics"]()
        return topics.get_data()[:rows]
    X = common.tall()[:rows].copy()
    return X if kind.endswith("uint8") else X.astype(np.float32)


def measure(quick: bool) -> list[dict[str, Any]]:
    """One row a case."""
    rows = []
    for library, kind in CASES:
        whole = 20_000 if kind.startswith("sparse") else 70_000
        found = common.child(__file__, library, kind, whole // 4 if quick else whole)
        rows.append({"library": library, "case": kind, **found})
    return rows


if __name__ == "__main__":
    common.main(measure, in_child)
