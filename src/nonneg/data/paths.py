"""Data files: from a path to what `as_source` can take, without loading what can be mapped."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo, is_zipfile

import numpy as np
import scipy.sparse as sp
from numpy.lib import format as npy_format
from numpy.lib.format import MAGIC_PREFIX

from ..exceptions import MissingExtraError, warn_user
from .images import ImageStore, image_files
from .limit import parse_limit, shown_bytes
from .parquet import ParquetStore
from .table import read_table
from .trees import open_tree

__all__ = ["open_path"]


def open_path(
    path: str | os.PathLike[str],
    name: str = "X",
    *,
    several: bool = False,
    layer: str | None = None,
    memory_limit: int | str | None = None,
    without: Sequence[str] = (),
    colour: bool = False,
) -> Any:
    """Return what a file holds: a memory map, an array, a sparse array, a DataFrame, or what is open in storage.

    Parameters
    ----------
    path : path
        ``.npy`` is mapped; ``.npz`` is a scipy.sparse matrix or one array; ``.csv`` and ``.tsv`` may name columns
        and rows (see `nonneg.data.table.read_table`), also as ``.gz``; ``.mtx`` is Matrix Market. ``.zarr`` (or any
        folder of Zarr), ``.h5``, ``.hdf5`` and ``.h5ad`` are opened: as an array, where they hold just one.
        ``.parquet`` and a folder of images are opened as a `nonneg.data.store.Store`.
    name : str
        What messages call the argument.
    several : bool
        Whether an ``.npz`` file may hold several arrays; they come as a dict.
    layer : str, optional
        Of HDF5 and Zarr: that all of it is to be opened, for an array in it is chosen later.
    memory_limit : int or str, optional
        Of kinds that are loaded: what they may take in memory. An uncompressed array in ``.npz`` is mapped beyond it.
    without : sequence of str
        Columns of a table or a Parquet file that are left out.
    colour : bool
        Of a folder of images: their colours, and not their grey levels.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        For an unknown suffix, for a file that cannot be read as what its suffix says, and for one that is larger than
        ``memory_limit``.
    MissingExtraError
        Where the package that reads such files is not installed.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{name}: no such file: {path}")
    suffix = path.suffix.lower()
    if suffix == ".gz":
        suffix = "".join(path.suffixes[-2:]).lower()
    if path.is_dir() and any((path / kind).is_file() for kind in ("zarr.json", ".zarray", ".zgroup")):
        suffix = ".zarr"
    if path.is_dir() and suffix != ".zarr":
        if image_files(path):
            return ImageStore(path, colour)
        raise ValueError(f"{name}: {path} is a folder; give a file in it, or a folder of Zarr or of images")
    if without and suffix not in _TABLES:
        raise ValueError(
            f"{name}: {path} has no columns to leave out, {' '.join(without)}; tables and Parquet have"
        )
    limit = None if memory_limit is None else parse_limit(memory_limit)
    if suffix not in _READERS:
        raise ValueError(
            f"{name}: {path} has {f'the suffix {suffix}' if suffix else 'no suffix'}, which is no known kind of data; "
            f"known: {' '.join(sorted(_READERS))}"
        )
    if limit is not None and suffix in _LOADED and path.stat().st_size > limit:
        raise ValueError(
            f"memory_limit={memory_limit!r}: {path} has {shown_bytes(path.stat().st_size)} and would be loaded whole; "
            f"{_LOADED[suffix]}"
        )
    try:
        if suffix == ".npz":
            return _npz(path, several, limit)
        if suffix in _TABLES:
            return _TABLES[suffix](path, without)
        return open_tree(path, layer) if suffix in _TREES else _READERS[suffix](path)
    except (ValueError, EOFError, OSError, KeyError, BadZipFile, zlib.error) as error:
        if isinstance(error, FileNotFoundError | PermissionError | MissingExtraError):
            raise
        raise ValueError(
            f"{path}: cannot be read as {suffix} ({error}){_REMEDIES.get(suffix, '')}"
        ) from error


def _npy(path: Path) -> np.ndarray:
    with open(path, "rb") as file:
        if file.read(len(MAGIC_PREFIX)) != MAGIC_PREFIX:
            raise ValueError("it does not begin as such files do")
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _npz(path: Path, several: bool = False, limit: int | None = None) -> Any:
    if not is_zipfile(path):
        raise ValueError("it is no zip archive, or cut short")
    with ZipFile(path) as archive:
        members = archive.infolist()
    taken = sum(member.file_size for member in members)
    if limit is not None and taken > limit:
        if len(members) == 1 and members[0].compress_type == ZIP_STORED:
            return _mapped_member(path, members[0])
        raise ValueError(
            f"it takes {shown_bytes(taken)} in memory, more than memory_limit, and only one uncompressed array can be "
            "read in parts; write the array with numpy.save"
        )
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


def _mapped_member(path: Path, member: ZipInfo) -> np.memmap:
    """The array in a member that is not compressed, as a map of its part of the file."""
    with open(path, "rb") as file:
        file.seek(
            member.header_offset + 26
        )  # lengths of the name and of the extra field, which are not the archive's
        lengths = file.read(4)
        skipped = int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
        file.seek(member.header_offset + 30 + skipped)
        version = npy_format.read_magic(file)
        read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        if dtype.hasobject:
            raise ValueError("it holds Python objects")
        return np.memmap(path, dtype, "r", file.tell(), shape, "F" if fortran else "C")


def _mtx(path: Path) -> Any:
    from scipy.io import mmread

    content = path.read_bytes()
    if not content.startswith(b"%%MatrixMarket"):
        raise ValueError("the line %%MatrixMarket is missing")
    return mmread(io.BytesIO(content))


def _parquet(path: Path, without: Sequence[str] = ()) -> ParquetStore:
    warn_user(
        f"{path} is Parquet, whose columns become rows in every pass over it; "
        f"nonneg.convert({str(path)!r}, 'X.zarr') does that once"
    )
    return ParquetStore(path, without)


_REMEDIES = {
    ".npy": "; restore it, or write it again with numpy.save(path, X), X being an array of numbers",
    ".npz": "; restore it, or write it again with numpy.savez(path, X) or scipy.sparse.save_npz(path, X)",
    ".mtx": "; restore it, or write it again with scipy.io.mmwrite(path, X)",
}
#: What is loaded whole, and what to do where there is too much of it.
_LOADED = {
    ".csv": "write it as Parquet first (polars.scan_csv(path).sink_parquet('X.parquet')), or allow more memory",
    ".tsv": "write it as Parquet first (polars.scan_csv(path, separator='\t').sink_parquet('X.parquet')), or allow "
    "more memory",
    ".mtx": "write it as CSR in a .h5ad file first (anndata), or allow more memory",
}
_LOADED |= {f"{suffix}.gz": _LOADED[suffix] for suffix in (".csv", ".tsv")}
_TREES = (".zarr", ".h5", ".hdf5", ".h5ad")
_TABLES: dict[str, Callable[[Path, Sequence[str]], Any]] = {
    **dict.fromkeys((".csv", ".tsv", ".csv.gz", ".tsv.gz"), read_table),
    ".parquet": _parquet,
}
_READERS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(_TREES, open_tree),
    **_TABLES,
    ".npy": _npy,
    ".npz": _npz,
    ".mtx": _mtx,
}
