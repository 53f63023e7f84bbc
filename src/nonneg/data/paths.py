"""Data files: from a path to what `as_source` can take, without loading what can be mapped."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, is_zipfile

import numpy as np
import scipy.sparse as sp
from numpy.lib.format import MAGIC_PREFIX

from .table import read_table

__all__ = ["open_path"]


def open_path(path: str | os.PathLike[str], name: str = "X", *, several: bool = False) -> Any:
    """Return what a file holds: a memory map, an array, a sparse array or a DataFrame.

    Parameters
    ----------
    path : path
        ``.npy`` is mapped; ``.npz`` is a scipy.sparse matrix or one array; ``.csv`` and ``.tsv`` may name columns
        and rows (see `nonneg.data.table.read_table`); ``.mtx`` is Matrix Market.
    name : str
        What messages call the argument.
    several : bool
        Whether an ``.npz`` file may hold several arrays; they come as a dict.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        For an unknown suffix, and for a file that cannot be read as what its suffix says.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{name}: no such file: {path}")
    suffix = path.suffix.lower()
    if suffix not in _READERS:
        raise ValueError(
            f"{name}: {path} has {f'the suffix {suffix}' if suffix else 'no suffix'}, which is no known kind of data; "
            f"known: {' '.join(sorted(_READERS))}"
        )
    if path.is_dir():
        raise ValueError(f"{name}: {path} is a folder; give a file in it")
    try:
        return _npz(path, several) if suffix == ".npz" else _READERS[suffix](path)
    except (ValueError, EOFError, OSError, KeyError, BadZipFile, zlib.error) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise ValueError(
            f"{path}: cannot be read as {suffix} ({error}){_REMEDIES.get(suffix, '')}"
        ) from error


def _npy(path: Path) -> np.ndarray:
    with open(path, "rb") as file:
        if file.read(len(MAGIC_PREFIX)) != MAGIC_PREFIX:
            raise ValueError("it does not begin as such files do")
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _npz(path: Path, several: bool = False) -> Any:
    if not is_zipfile(path):
        raise ValueError("it is no zip archive, or cut short")
    with np.load(path, allow_pickle=False) as content:
        if "format" in content:
            return sp.load_npz(path)
        if len(content.files) > 1 and several:
            return {name: content[name] for name in content.files}
        if len(content.files) != 1:
            raise ValueError(
                f"expected one array or a scipy.sparse matrix, found {', '.join(content.files)}; only JointNMF takes "
                "several, as views of the same rows"
            )
        return content[content.files[0]]


def _mtx(path: Path) -> Any:
    from scipy.io import mmread

    content = path.read_bytes()
    if not content.startswith(b"%%MatrixMarket"):
        raise ValueError("the line %%MatrixMarket is missing")
    return mmread(io.BytesIO(content))


_REMEDIES = {
    ".npy": "; restore it, or write it again with numpy.save(path, X), X being an array of numbers",
    ".npz": "; restore it, or write it again with numpy.savez(path, X) or scipy.sparse.save_npz(path, X)",
    ".mtx": "; restore it, or write it again with scipy.io.mmwrite(path, X)",
}
_READERS: dict[str, Callable[[Path], Any]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".csv": read_table,
    ".tsv": read_table,
    ".mtx": _mtx,
}
