"""Rows in storage: what a `StoredSource` asks of a file, and the files whose rows lie in it one after the other.

A store reads rows; it keeps none, and it may be read by several threads, copied and sent to other processes.
"""

from __future__ import annotations

import io
import mmap
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

__all__ = ["MappedStore", "RawStore", "Store", "below", "mapped_store", "rows_of"]


class Store(ABC):
    """Rows of X in storage.

    Attributes
    ----------
    shape : (int, int)
    dtype : dtype
        As stored.
    where : str
        What messages call it: the file, and the place in it.
    file : Path or None
        The file, or one that is there as long as the data are, to notice that they changed.
    chunk : int
        Rows that storage decodes together; 1 where any rows can be read alone.
    nnz : int or None
        Stored cells of sparse data.
    """

    shape: tuple[int, int]
    dtype: np.dtype
    where: str
    file: Path | None = None
    chunk: int = 1
    nnz: int | None = None
    names: list[str] | None = None
    _stamp: tuple[int, ...] | None = None

    def row_names(self) -> list[str] | None:
        """Names of the rows, where storage has them."""
        return None

    @abstractmethod
    def _read(self, start: int, stop: int) -> Any:
        """Rows as stored: a new array (C-ordered, writable), or CSR in canonical form."""

    def read(self, start: int, stop: int) -> Any:
        """Rows ``start:stop`` as stored: a new array, or CSR in canonical form.

        Raises
        ------
        ValueError
            That names the file, where it cannot be read or is not what it was when it was opened.
        """
        self.check()
        try:
            found = self._read(start, stop)
        except (OSError, ValueError, RuntimeError, KeyError, EOFError) as error:
            self.check()
            raise ValueError(
                f"{self.where}: rows {start} to {stop} cannot be read ({error}); restore the file and fit again"
            ) from error
        self.check()
        return found

    def gather(self, cuts: Sequence[tuple[int, int]]) -> Any:
        """Some runs of rows, in increasing order, below each other; what lies in one chunk is read once."""
        parts: list[Any] = []
        group: list[tuple[int, int]] = []
        for cut, follows in zip(cuts, [*cuts[1:], None], strict=True):
            group.append(cut)
            if follows is None or (cut[1] - 1) // self.chunk != follows[0] // self.chunk:
                first = group[0][0]
                found = self.read(first, group[-1][1])
                parts += [rows_of(found, start - first, stop - first) for start, stop in group]
                group = []
        return below(parts)

    def some(self, rows: np.ndarray) -> Any:
        """Any rows, by their numbers in increasing order."""
        return below([self.read(start, stop) for start, stop in _neighbours(rows)])

    def size(self, start: int, stop: int) -> int:
        """Bytes that rows ``start:stop`` take in memory."""
        return (stop - start) * self.shape[1] * self.dtype.itemsize

    def cuts(self, size: int) -> list[tuple[int, int]]:
        """Bounds of runs of rows of about ``size`` bytes (one chunk of rows at least) that are best read together."""
        n = self.shape[0]
        row = max(1, self.size(0, n) // n)
        step = max(self.chunk, size // row // self.chunk * self.chunk)
        return [(start, min(start + step, n)) for start in range(0, n, step)]

    def stamp(self) -> None:
        """Remember what the file is like."""
        self._stamp = None if self.file is None else _stamp_of(self.file)

    def check(self) -> None:
        """Raise where the file is not what it was."""
        if self._stamp is None or self.file is None:
            return
        try:
            now = _stamp_of(self.file)
        except OSError as error:
            raise ValueError(
                f"{self.where}: the file is gone while it is read ({error}); put it back and fit again"
            ) from error
        if now != self._stamp:
            raise ValueError(
                f"{self.where}: the file changed while it was read, or since it was opened; once nothing writes to it, "
                "open it again (nonneg.as_source) and fit again"
            )


def _stamp_of(file: Path) -> tuple[int, ...]:
    found = os.stat(file)
    return found.st_ino, found.st_size, found.st_mtime_ns


def _neighbours(rows: np.ndarray) -> list[tuple[int, int]]:
    """Bounds of runs of neighbouring rows."""
    runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
    return [(int(run[0]), int(run[-1]) + 1) for run in runs]


class RawStore(Store):
    """Rows in C order, uncompressed, from some place of a file on: .npy, and what lies so in .npz and HDF5.

    Parameters
    ----------
    file : path
    offset : int
        Where the first row begins.
    shape : (int, int)
    dtype : dtype
    where : str, optional
        What messages call it. Default: the file.
    """

    def __init__(
        self, file: str | os.PathLike[str], offset: int, shape: tuple[int, int], dtype: Any, where: str = ""
    ) -> None:
        self.file, self.offset = Path(file).absolute(), offset
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.where = where or str(file)
        self.stamp()

    def _read(self, start: int, stop: int) -> np.ndarray:
        return self._spans([(start, stop)])

    def some(self, rows: np.ndarray) -> np.ndarray:
        """Any rows, by their numbers in increasing order, each run of neighbours at once."""
        self.check()
        return self._spans(_neighbours(rows))

    def _spans(self, spans: Sequence[tuple[int, int]]) -> np.ndarray:
        """Spans of rows, below each other."""
        row = self.shape[1] * self.dtype.itemsize
        out = np.empty((sum(stop - start for start, stop in spans), self.shape[1]), self.dtype)
        place, to = 0, memoryview(out.reshape(-1).view(np.uint8).data)
        with io.FileIO(str(self.file)) as file:
            for start, stop in spans:
                file.seek(self.offset + start * row)
                end = place + (stop - start) * row
                while place < end:
                    count = file.readinto(to[place:end])
                    if not count:
                        raise ValueError(f"{self.where}: the file ends before row {stop}; restore it")
                    place += count
        return out


class MappedStore(Store):
    """A memory map whose rows do not lie in C order in its file, or that is not of a file: copied from the map."""

    def __init__(self, X: np.memmap) -> None:
        self.X, self.shape, self.dtype = X, X.shape, X.dtype  # type: ignore[assignment]
        name = getattr(X, "filename", None)
        self.file = None if name is None else Path(os.fspath(name))
        self.where = "a memory map" if name is None else str(name)
        self.stamp()

    def _read(self, start: int, stop: int) -> np.ndarray:
        return np.array(self.X[start:stop], order="C", subok=False)

    def some(self, rows: np.ndarray) -> np.ndarray:
        """Any rows, by their numbers."""
        self.check()
        return np.array(self.X[rows], order="C", subok=False)


def mapped_store(X: np.memmap) -> Store:
    """The store of a memory map; where it can be, one that reads the file, which may end early without a crash."""
    name, row = getattr(X, "filename", None), X.shape[1] * X.dtype.itemsize
    in_order = X.strides == (row, X.dtype.itemsize) or (len(X) == 1 and X.strides[1] == X.dtype.itemsize)
    if name is None or not in_order or X.mode == "c" or not isinstance(X._mmap, mmap.mmap):  # type: ignore[attr-defined]
        return MappedStore(X)
    begins = np.frombuffer(X._mmap, np.uint8).ctypes.data  # type: ignore[attr-defined]
    whole = X.offset - X.offset % mmap.ALLOCATIONGRANULARITY  # a slice of a map says the offset of the whole
    store = RawStore(os.fspath(name), X.ctypes.data - begins + whole, X.shape, X.dtype)  # type: ignore[arg-type]
    if X.mode != "r":
        X.flush()
        store.stamp()
    return store


def below(parts: list[Any]) -> Any:
    """Arrays or CSR below each other; one alone as it is."""
    if len(parts) == 1:
        return parts[0]
    return sp.csr_array(sp.vstack(parts)) if sp.issparse(parts[0]) else np.concatenate(parts)


def rows_of(X: Any, start: int, stop: int) -> Any:
    """Rows of an array or of CSR, without a copy."""
    if not sp.issparse(X):
        return X[start:stop]
    first, last = X.indptr[start], X.indptr[stop]
    return sp.csr_array(
        (X.data[first:last], X.indices[first:last], X.indptr[start : stop + 1] - first),
        shape=(stop - start, X.shape[1]),
    )
