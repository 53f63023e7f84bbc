"""What DATA on the command line stands for, with the names and labels that stand beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nonneg.cli.errors import EXIT_DATA, EXIT_USAGE, CommandError

__all__ = ["DataFile", "open_data", "read_data"]


@dataclass(frozen=True)
class DataFile:
    """Data that are open.

    Attributes
    ----------
    X : any
        What estimators take; with names of columns, if the data have any.
    held : any
        What the file was opened as, or the Bunch of a data set: names of rows and labels come from there.
    text : str
        What the user wrote.
    path : Path or None
        None for a data set.
    """

    X: Any
    held: Any
    text: str
    path: Path | None


def read_data(
    data: str,
    missing: str,
    takes: str,
    layer: str | None = None,
    memory_limit: str | None = None,
    *,
    without: Sequence[str] = (),
    colour: bool = False,
) -> Any:
    """Return the data as the file holds them (with names, if it has any): ``X`` of `open_data`."""
    return open_data(data, missing, takes, layer, memory_limit, without=without, colour=colour).X


def open_data(
    data: str,
    missing: str,
    takes: str,
    layer: str | None = None,
    memory_limit: str | None = None,
    *,
    without: Sequence[str] = (),
    labels: str | None = None,
    colour: bool = False,
) -> DataFile:
    """Open what the user named, or raise with exit code 3.

    Parameters
    ----------
    data, missing, layer, memory_limit : str
        What the user wrote.
    takes : str
        What the model is made for: a "matrix", an array of n "ways", or "views".
    without : sequence of str
        Columns of a table that are no features.
    labels : str, optional
        What --labels says: where it names a column of a table, that is no feature either.
    colour : bool
        Whether images have colours.
    """
    from nonneg.datasets import NAMES
    from nonneg.exceptions import MissingExtraError

    limit = parse_size(memory_limit)
    if data.startswith("dataset:"):
        return _data_set(data, missing)
    path = Path(data)
    if not path.exists():
        sets = ", ".join(f"dataset:{name}" for name in NAMES)
        raise CommandError(
            EXIT_DATA, "data", f"DATA: there is no file {data}; give a file, or one of {sets}."
        )
    beside = [labels] if labels is not None and is_column(labels, path) else []
    try:
        how = {"layer": layer, "memory_limit": limit}
        return _file(path, missing, takes, how, [*without, *beside], colour)
    except MissingExtraError:
        raise
    except ImportError as error:
        raise MissingExtraError(error.name or "a reader", "data", f"reading {path.suffix} files") from error
    except (ValueError, TypeError, OSError) as error:
        text = str(error).removeprefix("DATA: ")
        if absent := re.search(r"there is no column '.*[^)]", text):
            is_labels = beside and absent[0].startswith(f"there is no column {labels!r}")
            option = "--labels: there is no such file, and in" if is_labels else "--without: in"
            raise CommandError(EXIT_USAGE, "usage", f"{option} {path} {absent[0]}") from error
        if str(path) not in text:
            text = f"{path}: {text}"
        raise CommandError(EXIT_DATA, "data", f"DATA: {text}") from error


def is_column(labels: str, data: Path) -> bool:
    """Whether --labels names a column of the table that DATA is, and no file."""
    tables = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet")
    return not Path(labels).is_file() and data.is_file() and data.name.lower().endswith(tables)


def parse_size(memory_limit: str | None) -> int | None:
    """--memory-limit in bytes, or raise with exit code 2."""
    from nonneg.data.limit import parse_limit

    try:
        return None if memory_limit is None else parse_limit(memory_limit)
    except ValueError as error:
        raise CommandError(EXIT_USAGE, "usage", f"--memory-limit: {error}") from error


def _data_set(data: str, missing: str) -> DataFile:
    from nonneg.data import as_source
    from nonneg.datasets import load

    name, _, part = data.removeprefix("dataset:").partition(":")
    split: Any = part or "train"
    try:
        bunch = load(name, split)
    except ValueError as error:
        raise CommandError(EXIT_USAGE, "usage", f"DATA: {error}") from error
    X = bunch.data
    if bunch.image_shape is None and bunch.feature_names is not None:  # pixels go by their places
        X = as_source(X)
        X.names = [str(name) for name in bunch.feature_names]
    return DataFile(X, bunch, data, None)


def _file(
    path: Path, missing: str, takes: str, how: dict[str, Any], without: Sequence[str], colour: bool
) -> DataFile:
    from nonneg.data import as_source
    from nonneg.data.images import ImageStore
    from nonneg.data.paths import open_path
    from nonneg.data.store import Store
    from nonneg.data.tensor import tensor_array, tensor_matrix

    held = open_path(path, "DATA", several=takes == "views", without=without, colour=colour, **how)
    X = held
    if takes == "ways":
        X = tensor_array(held, **how, name="DATA")
        if isinstance(held, ImageStore):
            X = X.reshape(-1, *held.image_shape)
        how = {}
    if takes == "views" and getattr(X, "ndim", 2) != 2:
        raise ValueError(
            f"an array of {X.ndim} ways; jointnmf needs matrices of the same rows in one .npz file, as "
            "numpy.savez(path, words=A, pixels=B) writes it"
        )
    for name, part in X.items() if isinstance(X, dict) else [("DATA", X)]:
        source = as_source(
            tensor_matrix(part) if takes == "ways" else part, missing=missing, name=name, **how
        )
    if not isinstance(X, dict) and (isinstance(X, Store) or not source.in_memory):
        X = source
    return DataFile(X, held, str(path), path)
