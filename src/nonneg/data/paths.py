"""Data files: from a path to what `as_source` can take, without loading what can be mapped."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from .table import read_table

__all__ = ["open_path"]


def open_path(path: str | os.PathLike[str], name: str = "X") -> Any:
    """Return what a file holds: a memory map, an array, a sparse array or a DataFrame.

    Parameters
    ----------
    path : path
        ``.npy`` is mapped; ``.npz`` is a scipy.sparse matrix or one array; ``.csv`` and ``.tsv`` may name columns
        and rows (see `nonneg.data.table.read_table`); ``.mtx`` is Matrix Market.
    name : str
        What messages call the argument.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    TypeError
        For an unknown suffix.
    ValueError
        For a file that cannot be read as what its suffix says.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{name}: no such file: {path}")
    suffix = path.suffix.lower()
    if suffix not in _READERS:
        raise TypeError(
            f"{path}: {suffix or 'no suffix'} is no known kind of data; known: {' '.join(sorted(_READERS))}"
        )
    try:
        return _READERS[suffix](path)
    except (ValueError, EOFError, OSError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise ValueError(f"{path}: cannot be read as {suffix} ({error})") from error


def _npy(path: Path) -> np.ndarray:
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _npz(path: Path) -> Any:
    with np.load(path, allow_pickle=False) as content:
        if "format" in content:
            return sp.load_npz(path)
        if len(content.files) != 1:
            raise ValueError(f"expected one array or a scipy.sparse matrix, found {', '.join(content.files)}")
        return content[content.files[0]]


def _mtx(path: Path) -> Any:
    from scipy.io import mmread

    content = path.read_bytes()
    if not content.startswith(b"%%MatrixMarket"):
        raise ValueError("the line %%MatrixMarket is missing")
    return mmread(io.BytesIO(content))


_READERS: dict[str, Callable[[Path], Any]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".csv": read_table,
    ".tsv": read_table,
    ".mtx": _mtx,
}
