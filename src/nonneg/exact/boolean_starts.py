"""Where Boolean factors start: associations of columns (ASSO), and formal concepts (GreConD).

ASSO (Miettinen, Mielikäinen, Gionis, Das and Mannila 2008, *The discrete basis problem*, IEEE TKDE 20): for column j
and a share t, the columns that are 1 in at least t of the rows in which j is 1 are a candidate; the candidates that
mend the most cells are taken one after another. GreConD (Belohlavek and Vychodil 2010, *Discovery of optimal factors in
binary data via a novel method of matrix decomposition*, Journal of Computer and System Sciences 76, algorithm 2): the
component that covers the most ones not yet covered, grown column by column; it never covers a zero.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .unions import Ones, covered, dense

__all__ = ["asso", "associations", "fill", "grecond"]

SHARES = (0.3, 0.5, 0.7, 0.9, 1.0)
WORK = 1e10  # multiplications, which limit the number of columns that make candidates
MOST = 128


def _sum(parts: Any) -> Any:
    return functools.reduce(np.add, parts)


def _full_columns(ones: Ones, work: float) -> tuple[np.ndarray, np.ndarray]:
    """The columns with the most ones, as many as ``work`` multiplications each allow; and all counts."""
    counts = _sum(ones.map(lambda X, s, rows: X.T @ s))
    most = int(np.clip(WORK / work, 8, MOST))
    order = np.argsort(-counts, kind="stable")[:most]
    return order[counts[order] > 0], counts


def associations(ones: Ones, k: int) -> np.ndarray:
    """The candidates of ASSO, (c, m) of zeros and ones."""
    n, m = ones.source.shape
    columns, counts = _full_columns(ones, n * m * k * len(SHARES))
    if not len(columns):
        return np.zeros((0, m), np.float32)
    together = _sum(ones.map(lambda X, s, rows: dense(X[:, columns]).T @ (dense(X) * s[:, None])))
    shares = together / counts[columns, None]
    every = np.concatenate([shares >= t * (1 - 1e-9) for t in SHARES])
    return np.unique(every, axis=0).astype(np.float32)


def fill(ones: Ones, candidates: np.ndarray, W: np.ndarray, H: np.ndarray, j: int) -> bool:
    """Let component j, which is zero, become the candidate that mends the most cells, in place; whether one does."""

    def gains(X: Any, rows: slice, candidates: np.ndarray) -> np.ndarray:
        free = 1 - covered(W[rows], H)
        return (2 * dense(X) * free - free) @ candidates.T

    def mended(X: Any, s: np.ndarray, rows: slice) -> np.ndarray:
        return s @ np.maximum(gains(X, rows, candidates), 0)

    found = _sum(ones.map(mended)) if len(candidates) else np.zeros(1)
    best = int(found.argmax())
    if found[best] <= 0:
        return False
    W[:, j] = np.concatenate(list(ones.map(lambda X, s, rows: gains(X, rows, candidates[best]) > 0)))
    H[j] = candidates[best]
    return True


def asso(ones: Ones, k: int, candidates: np.ndarray) -> np.ndarray:
    """H (k, m) of zeros and ones."""
    n, m = ones.source.shape
    W, H = np.zeros((n, k), np.int64), np.zeros((k, m), np.int64)
    for j in range(k):
        if not fill(ones, candidates, W, H, j):
            break
    return H


def grecond(ones: Ones, k: int) -> np.ndarray:
    """H (k, m) of zeros and ones."""
    n, m = ones.source.shape
    columns, _ = _full_columns(ones, 3 * n * m * k)
    W, H = np.zeros((n, k), np.int64), np.zeros((k, m), np.int64)

    def rows_of(X: Any, s: np.ndarray, rows: slice, intent: np.ndarray) -> np.ndarray:
        return np.asarray((dense(X[:, np.flatnonzero(intent)]) > 0).all(axis=1))

    def grown(X: Any, s: np.ndarray, rows: slice, intent: np.ndarray) -> np.ndarray:
        """For every column y: how many rows have the intent and y; with which other columns; how much is new there."""
        kept = rows_of(X, s, rows, intent)
        X, s = dense(X)[kept], s[kept]
        free = 1 - covered(W[rows][kept], H)
        with_y = X[:, columns] * s[:, None]
        size = np.repeat(with_y.sum(axis=0)[:, None], m, axis=1)
        return np.stack([size, with_y.T @ X, with_y.T @ (X * free)])

    for j in range(k):
        intent, value = np.zeros(m, bool), 0.0
        while len(columns):
            size, with_other, new = _sum(ones.map(functools.partial(grown, intent=intent)))
            closed = (with_other >= size * (1 - 1e-9)) & (size > 0)
            values = (new * closed).sum(axis=1)
            best = int(values.argmax())
            if values[best] <= value:
                break
            intent, value = closed[best], float(values[best])
        if value == 0:
            break
        H[j] = intent
        W[:, j] = np.concatenate(list(ones.map(functools.partial(rows_of, intent=intent))))
    return H
