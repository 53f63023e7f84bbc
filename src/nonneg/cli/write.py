"""Rows into files that have names: tables (.csv, .tsv, packed or not), Parquet and AnnData (.h5ad).

Each is written under another name, some rows at a time, and put in place when it is complete. Arrays without names
(.npy, .zarr, .h5) are written by `nonneg.data.sink`.
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from nonneg.cli.errors import EXIT_RUNTIME, EXIT_USAGE, CommandError

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "ARRAYS",
    "KINDS",
    "check_out",
    "check_place",
    "kind_of",
    "mark_array",
    "pieces_of",
    "put_array",
    "write_annotated",
    "write_table",
]

ARRAYS = (".npy", ".zarr", ".h5", ".hdf5")
KINDS = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".h5ad", *ARRAYS)
PIECE_BYTES = 1 << 23  # of numbers that become text at once


def kind_of(out: Path) -> str:
    """The suffix that says what is written: .csv.gz has two parts."""
    suffix = out.suffix.lower()
    return "".join(out.suffixes[-2:]).lower() if suffix == ".gz" else suffix


def check_out(out: Path, *sources: Any, name: str = "--out") -> str:
    """Return the kind of file that is to be written, or raise before anything is computed.

    Parameters
    ----------
    out : Path
    *sources : any
        Files that the rows come from (paths or what is open), none of which is written over.
    name : str, default="--out"
        What the command calls the file.

    Raises
    ------
    CommandError
        With exit code 2 for an unknown suffix and for a source, with 1 where nothing can be written.
    """
    from nonneg.data.sink import check_target, refuse_data

    kind = kind_of(out)
    if kind not in KINDS:
        had = f"the suffix {kind}" if kind else "no suffix"
        raise CommandError(EXIT_USAGE, "usage", f"{name}: {out} has {had}; known: {' '.join(KINDS)}.")
    try:
        for source in sources:
            refuse_data(out, source, name)
        if kind in ARRAYS:
            check_target(out, name)
    except ValueError as error:
        raise CommandError(EXIT_USAGE, "usage", str(error)) from error
    except FileNotFoundError as error:
        raise CommandError(EXIT_RUNTIME, "runtime", str(error)) from error
    if kind not in ARRAYS:
        check_place(out, name)
    return kind


def check_place(out: Path, name: str = "--out") -> None:
    """Raise with exit code 1 where a file cannot be: in the place of a folder, or in a folder that is not there."""
    if out.is_dir():
        raise CommandError(EXIT_RUNTIME, "runtime", f"{name}: {out} is a folder; give the name of a file.")
    if not out.absolute().parent.is_dir():
        text = f"{name}: {out} cannot be written, there is no folder {out.parent}; make it first."
        raise CommandError(EXIT_RUNTIME, "runtime", text)


def pieces_of(rows: Any) -> Iterator[np.ndarray]:
    """An array (or memory map, or array in storage) a few rows at a time."""
    import numpy as np

    step = max(1, PIECE_BYTES // max(1, rows.shape[1] * rows.dtype.itemsize))
    for start in range(0, rows.shape[0], step):
        yield np.asarray(rows[start : start + step])


def write_table(
    out: Path, pieces: Iterable[np.ndarray], columns: Sequence[str], rows: Sequence[str] | None
) -> None:
    """Write arrays below each other as a table with names of columns and, where there are any, of rows.

    Parameters
    ----------
    out : Path
        .csv, .tsv, .csv.gz, .tsv.gz or .parquet.
    pieces : iterable of ndarray
        In order.
    columns : sequence of str
    rows : sequence of str, optional
        In text they are a first column without a name, in Parquet the index.

    Raises
    ------
    MissingExtraError
        Without pandas, for Parquet without pyarrow.
    """
    from nonneg.files.atomic import atomic_write

    frames = _frames(pieces, columns, rows)
    with atomic_write(out) as file:
        if kind_of(out) == ".parquet":
            _write_parquet(file, frames, rows is not None)
            return
        separator = "\t" if ".tsv" in kind_of(out) else ","
        with _packed(file, out) as to:
            for i, frame in enumerate(frames):
                text = frame.to_csv(sep=separator, header=i == 0, index=rows is not None)
                to.write(text.encode())


def _frames(
    pieces: Iterable[np.ndarray], columns: Sequence[str], rows: Sequence[str] | None
) -> Iterator[Any]:
    pandas = _package("pandas")
    start = 0
    for piece in pieces:
        index = None if rows is None else rows[start : start + len(piece)]
        yield pandas.DataFrame(piece, columns=list(columns), index=index)
        start += len(piece)


@contextmanager
def _packed(file: IO[bytes], out: Path) -> Iterator[Any]:
    if out.suffix.lower() != ".gz":
        yield file
        return
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
        yield packed


def _write_parquet(file: IO[bytes], frames: Iterator[Any], indexed: bool) -> None:
    arrow = _package("pyarrow")
    from pyarrow.parquet import ParquetWriter

    writer = None
    for frame in frames:
        table = arrow.Table.from_pandas(frame, preserve_index=indexed)
        writer = writer or ParquetWriter(file, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def write_annotated(
    out: Path,
    source: Path | None,
    obs: Sequence[str] | None,
    var: Sequence[str] | None,
    fill: Callable[[Any], None],
) -> None:
    """Write a .h5ad file: all of another one, or else names alone, and what ``fill`` adds.

    Parameters
    ----------
    out : Path
    source : Path or None
        A .h5ad file, which is copied.
    obs, var : sequence of str, optional
        Names of rows and of columns where there is none.
    fill : callable
        Called with the file, open for writing.
    """
    from nonneg.files.atomic import atomic_write

    h5py = _package("h5py")
    with atomic_write(out, "w+b") as file:
        if source is not None:
            with open(source, "rb") as original:
                shutil.copyfileobj(original, file)
        with h5py.File(file, "r+" if source is not None else "w") as content:
            if source is None:
                _name(content, obs or [], var or [])
            fill(content)


def put_array(content: Any, group: str, key: str, values: Any) -> None:
    """Put an array where AnnData keeps those of rows ("obsm") or of columns ("varm")."""
    into = content.require_group(group)
    for name, value in (("encoding-type", "dict"), ("encoding-version", "0.1.0")):
        into.attrs.setdefault(name, value)
    if key in into:
        del into[key]
    mark_array(into.create_dataset(key, data=values))


def mark_array(array: Any) -> None:
    """Say of a data set what AnnData says of its dense arrays."""
    array.attrs["encoding-type"], array.attrs["encoding-version"] = "array", "0.2.0"


def _name(content: Any, obs: Sequence[str], var: Sequence[str]) -> None:
    """An AnnData without X: its two tables, which have names and no columns."""
    pandas, anndata = _package("pandas"), _package("anndata")
    write = anndata.io.write_elem if hasattr(anndata, "io") else anndata.experimental.write_elem
    names = [pandas.DataFrame(index=pandas.Index(axis, dtype=str)) for axis in (obs, var)]
    write(content, "/", anndata.AnnData(obs=names[0], var=names[1]))


def _package(name: str) -> Any:
    from importlib import import_module

    from nonneg.exceptions import MissingExtraError

    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(name, "data", "writing such a file") from error
