"""Where rows go: .npy, Zarr or HDF5, written as they come under another name, and put in place when all are there.

Until then the old file stays as it is, also if the disk is full or the process is killed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ..exceptions import MissingExtraError
from .paths import open_path
from .source import Source

__all__ = ["NAME", "check_target", "mapped_rows", "refuse_data", "write_rows"]

NAME = "X"  # of the data set in an HDF5 file
CHUNK_BYTES = 1 << 22  # of a Zarr array


def write_rows(path: str | os.PathLike[str], pieces: Iterable[np.ndarray], n_rows: int) -> Any:
    """Write arrays below each other into one file, and return what `nonneg.data.paths.open_path` gives for it.

    Parameters
    ----------
    path : path
        ``.npy``; ``.zarr`` (a folder); ``.h5`` or ``.hdf5`` (one data set, ``"X"``). What is there is replaced when
        the new one is complete.
    pieces : iterable of ndarray of shape (rows, columns)
        In order; of one dtype, and of one number of columns. One is in memory at a time (for Zarr a chunk's rows).
    n_rows : int
        Rows of all of them.

    Raises
    ------
    ValueError, OSError, MissingExtraError
        As `check_target`; and what goes wrong while writing, a full disk for instance.
    """
    target = check_target(path)
    with _put_in_place(target) as new:
        rows = iter(pieces)
        first = next(rows)
        _WRITERS[target.suffix.lower()](new, chain([first], rows), (n_rows, first.shape[1]), first.dtype)
    return open_path(target)


def mapped_rows(pieces: Iterable[np.ndarray], n_rows: int) -> np.ndarray:
    """Write arrays below each other into a file without a name, and return it as a writable memory map."""
    with tempfile.TemporaryDirectory(prefix="nonneg-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "rows.npy"
        write_rows(path, pieces, n_rows)
        return np.load(path, mmap_mode="r+")


def check_target(path: str | os.PathLike[str], name: str = "out", source: Any = None) -> Path:
    """Return where rows can be written to, or raise before anything is computed.

    Parameters
    ----------
    path : path
    name : str
        What messages call it.
    source : any, optional
        What the rows come from: if it is this file, it is not written over.

    Raises
    ------
    TypeError, ValueError
        For what is no path, an unknown suffix, the data themselves, and for something that is there and is not one
        array: a folder that is no Zarr array, an HDF5 file of several data sets.
    FileNotFoundError
        Where the folder is missing.
    MissingExtraError
        Without the package that writes this kind of file.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{name}={path!r} must be a path that ends in {', '.join(_WRITERS)}")
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in _WRITERS:
        had = f"the suffix {suffix}" if suffix else "no suffix"
        raise ValueError(f"{name}: {target} has {had}; rows are written to {', '.join(_WRITERS)}")
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"{name}: {target} cannot be written, there is no folder {target.parent}; make it first"
        )
    _package(suffix)
    if target.exists():
        _check_old(target, name, source)
    return target


def refuse_data(target: str | os.PathLike[str], data: Any, name: str = "out") -> None:
    """Raise where ``target`` is the file, or the folder of Zarr, that data are read from.

    Parameters
    ----------
    target : path
    data : any
        A path, a memory map, a `Source`; other things are not looked into.
    name : str
        What messages call the target.
    """
    target = Path(target)
    if target.exists() and any(file.exists() and target.samefile(file) for file in _files_of(data)):
        raise ValueError(f"{name}: {target} is the data; give another path")


def _files_of(data: Any) -> Iterator[Path]:
    """The files that data are in, and for an array of Zarr its folder."""
    if isinstance(data, (str, os.PathLike)):
        yield Path(data)
    elif isinstance(data, np.memmap) and data.filename is not None:
        yield Path(os.fspath(data.filename))
    elif isinstance(data, Source):
        file = getattr(getattr(data, "store", None), "file", None)
        if file is not None:
            yield file.parent if file.name in ("zarr.json", ".zarray", ".zgroup") else file
        yield from _files_of(getattr(data.weights, "weights", data.weights))
        for view in getattr(data, "views", ()):
            yield from _files_of(view)


def _check_old(target: Path, name: str, source: Any) -> None:
    """Refuse to replace what is more than the result of an earlier call."""
    refuse_data(target, source, name)
    suffix = target.suffix.lower()
    if target.is_dir() != (suffix == ".zarr"):
        what = "a folder" if target.is_dir() else "a file"
        raise ValueError(
            f"{name}: {target} is {what}, and {suffix} is written as another kind; remove it first"
        )
    if suffix == ".zarr" and any(target.iterdir()) and not _is_zarr_array(target):
        raise ValueError(
            f"{name}: the folder {target} holds other things than one Zarr array; give another path"
        )
    if suffix in (".h5", ".hdf5") and not _is_single(target):
        raise ValueError(f"{name}: {target} holds other things than one data set; give another path")


def _is_zarr_array(folder: Path) -> bool:
    zarr = _package(".zarr")
    try:
        zarr.open_array(str(folder), mode="r")
    except Exception:  # of several kinds, none of which Zarr promises
        return False
    return True


def _is_single(path: Path) -> bool:
    h5py = _package(".h5")
    try:
        with h5py.File(path, "r") as file:
            return all(isinstance(file[key], h5py.Dataset) for key in file) and len(file) <= 1
    except OSError:  # no HDF5
        return False


@contextmanager
def _put_in_place(target: Path) -> Iterator[Path]:
    """Give a path in a temporary folder beside ``target``; what is there at the end takes its place."""
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    try:
        new = folder / target.name
        yield new
        for path in [new, *new.rglob("*")]:
            _sync(path)
        if target.is_dir():  # a folder cannot replace another one in one step
            os.rename(target, folder / "old")
            try:
                os.rename(new, target)
            except BaseException:
                os.rename(folder / "old", target)
                raise
        else:
            os.replace(new, target)
        _sync(target.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sync(path: Path) -> None:
    """Wait until a file, or a folder where the system can, is on the disk."""
    if path.is_dir() and os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# -- kinds of files -----------------------------------------------------------------------------------------------


def _write_npy(path: Path, pieces: Iterator[np.ndarray], shape: tuple[int, int], dtype: np.dtype) -> None:
    with open(path, "wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for rows in pieces:
            file.write(np.ascontiguousarray(rows).data)


def _write_zarr(path: Path, pieces: Iterator[np.ndarray], shape: tuple[int, int], dtype: np.dtype) -> None:
    step = max(1, min(shape[0], CHUNK_BYTES // (shape[1] * dtype.itemsize)))
    array = _package(".zarr").open_array(
        str(path), mode="w", shape=shape, chunks=(step, shape[1]), dtype=dtype
    )
    start = 0
    for rows in _regrouped(pieces, step):
        array[start : start + len(rows)] = rows
        start += len(rows)


def _write_hdf5(path: Path, pieces: Iterator[np.ndarray], shape: tuple[int, int], dtype: np.dtype) -> None:
    file = _package(".h5").File(path, "w")
    try:
        data, start = file.create_dataset(NAME, shape, dtype), 0
        for rows in pieces:
            data[start : start + len(rows)] = rows
            start += len(rows)
        file.flush()
    except BaseException:
        with suppress(RuntimeError):  # where the disk is full, closing fails as well
            file.close()
        raise
    file.close()


def _regrouped(pieces: Iterator[np.ndarray], step: int) -> Iterator[np.ndarray]:
    """The same rows in runs of a multiple of ``step``, but for the last: chunks are written once and whole."""
    waiting: list[np.ndarray] = []
    for piece in pieces:
        waiting.append(piece)
        held = sum(map(len, waiting))
        if held >= step:
            rows = np.concatenate(waiting)
            whole = held // step * step
            yield rows[:whole]
            waiting = [rows[whole:].copy()]
    rest = np.concatenate(waiting)
    if len(rest):
        yield rest


def _package(suffix: str) -> Any:
    """The package that writes such files; numpy alone writes .npy."""
    try:
        if suffix == ".zarr":
            import zarr

            return zarr
        if suffix in (".h5", ".hdf5"):
            import h5py

            return h5py
    except ImportError as error:
        raise MissingExtraError(error.name or "a writer", "data", f"writing {suffix}") from error
    return np


_WRITERS: dict[str, Callable[[Path, Iterator[np.ndarray], tuple[int, int], np.dtype], None]] = {
    ".npy": _write_npy,
    ".zarr": _write_zarr,
    ".h5": _write_hdf5,
    ".hdf5": _write_hdf5,
}
