"""What the workers of a Dask client run: one block of a pass, and the ways of its rows of W.

What a task has made is a pair: the rows that it wrote, a tuple of arrays, and what it found, pickled, so that it comes
to another process in arrays of its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import pickle
from typing import Any

import numpy as np

from ..files import atomic_write
from .parts import Part
from .threads import holding_blas, worked

__all__ = ["clear", "held", "loaded", "made_of_block", "picked", "run_block", "said", "write"]


def run_block(
    blob: bytes, cut: tuple[int, int], of_X: Any, ways: list[tuple[int, Any]], rows: list[Any]
) -> Any:
    """One block of a pass: the rows that it wrote, and what it found; the latter alone where it writes none."""
    keep_memory()
    work, source, merge = pickle.loads(blob)
    written = [np.empty((cut[1] - cut[0], k), dtype) for k, dtype in ways]
    read = [rows_of(array) for array in rows]
    with holding_blas():
        if of_X is None:
            found = work(*written, *read)
        else:
            X, first, weights = of_X
            root = source
            while not isinstance(root, Part):
                root = root.source
            root.hold(first, X, weights)
            found = worked(source, work, cut, [*written, *read], merge)
    said = pickle.dumps(found, protocol=5)
    return (tuple(written), said) if ways else said


@functools.cache
def keep_memory() -> None:
    """Let malloc keep 64 MB of what this worker has freed, where Dask has told it to keep none.

    Dask starts its workers with ``MALLOC_TRIM_THRESHOLD_=65536``. glibc then maps every array of more than 128 kB anew
    and gives it back at once, and the faults of its pages take longer than the products of a block.
    """
    if "MALLOC_TRIM_THRESHOLD_" in os.environ:
        with contextlib.suppress(OSError, AttributeError):  # no glibc
            set_option = ctypes.CDLL(None).mallopt
            set_option(-1, 1 << 26)  # M_TRIM_THRESHOLD
            set_option(-3, 1 << 25)  # M_MMAP_THRESHOLD, the largest that there is


def made_of_block(blob: bytes, cut: tuple[int, int], of_X: Any) -> np.ndarray:
    """One block of `lazily`."""
    return pickle.loads(run_block(blob, cut, of_X, [], []))


def said(made: tuple[Any, bytes]) -> bytes:
    """What a block found."""
    return made[1]


def picked(made: Any, place: int, rows: Any) -> np.ndarray:
    """Rows of one of the arrays that a task wrote, as kernels and BLAS want them."""
    return np.require(made[0][place][rows], requirements=["A", "C"])


def rows_of(array: Any) -> np.ndarray | None:
    """The rows of a row array: in what another task made, at hand, or none."""
    if array is None or isinstance(array, np.ndarray):
        return array
    made, place = array
    return picked(made, place, slice(None))


def clear(mine: np.ndarray) -> None:
    """Rows of zeros."""
    mine[...] = 0


def held(rows: np.ndarray) -> Any:
    """Rows as if a task had written them."""
    return (rows,), b""


def write(rows: np.ndarray, path: str) -> None:
    """Write rows down, whole or not at all."""
    with atomic_write(path) as file:
        np.save(file, rows)


def loaded(path: str) -> Any:
    """Rows that were written down, as if a task had written them."""
    return (np.load(path),), b""
