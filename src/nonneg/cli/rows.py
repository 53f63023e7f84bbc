"""What is known of the rows of DATA: their names, and the labels that --labels stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nonneg.cli.data import DataFile
from nonneg.cli.errors import EXIT_DATA, EXIT_USAGE, CommandError

__all__ = ["labels_of", "row_names"]


def row_names(data: DataFile) -> list[str] | None:
    """Names of the rows where the data have them: an index, ``obs_names``, names of files, those of a data set."""
    from nonneg.data.store import Store
    from nonneg.data.trees import annotated_names

    held = data.held
    if isinstance(held, Store):
        return held.row_names()
    if _is_annotated(held):
        return annotated_names(held, "obs")
    if data.path is None:
        names = held.get("sample_names")
        return None if names is None else [str(name) for name in names]
    if type(held).__name__ == "DataFrame" and type(held.index).__name__ != "RangeIndex":
        return [str(name) for name in held.index]
    return None


def labels_of(data: DataFile, labels: str | None, n: int) -> np.ndarray | None:
    """One label a row, None where a row has none; or None where there are no labels.

    Parameters
    ----------
    data : DataFile
    labels : str or None
        A file with one label a line (or .npy), or a column: of a table, of a Parquet file, of AnnData's ``obs``.
        Without it those of a data set, and folders of images that lie in folders of their own.
    n : int
        Number of rows.

    Raises
    ------
    CommandError
        With exit code 2 for a name that nothing has, and with 3 for another number of labels.
    """
    if labels is None:
        found = _own(data)
    elif Path(labels).is_file():
        found = _from_file(Path(labels), n)
    else:
        found = _from_column(data, labels)
    if found is None:
        return None
    if found.shape != (n,):
        text = f"--labels: {labels} has {len(found)} labels, and DATA has {n} rows; give one label a row."
        raise CommandError(EXIT_DATA, "data", text)
    return np.array([None if _is_missing(label) else str(label) for label in found], dtype=object)


def _own(data: DataFile) -> np.ndarray | None:
    from nonneg.data.images import ImageStore

    if data.path is None:
        target, names = data.held.get("target"), data.held.get("target_names")
        return None if target is None else np.asarray(target if names is None else np.asarray(names)[target])
    if isinstance(data.held, ImageStore) and all("/" in file for file in data.held.files):
        return np.array([file.partition("/")[0] for file in data.held.files])
    return None


def _from_file(path: Path, n: int) -> np.ndarray:
    try:
        if path.suffix.lower() == ".npy":
            return np.load(path, allow_pickle=False)
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise CommandError(EXIT_DATA, "data", f"--labels: {path} cannot be read ({error}).") from error
    return np.array([line.strip() for line in (lines[1:] if len(lines) == n + 1 else lines)], dtype=object)


def _from_column(data: DataFile, name: str) -> np.ndarray:
    from nonneg.data.names import check_columns
    from nonneg.data.parquet import ParquetStore
    from nonneg.data.table import read_column

    try:
        if isinstance(data.held, ParquetStore):
            return data.held.column(name)
        if _is_annotated(data.held):
            check_columns([name], list(data.held["obs"].keys()))
            return _annotation(data.held["obs"][name])
        if data.path is not None and type(data.held).__name__ == "DataFrame":
            return read_column(data.path, name)
    except ValueError as error:
        raise CommandError(EXIT_USAGE, "usage", f"--labels: {error}") from error
    text = f"--labels: {name} is no file, and {data.text} has no columns of labels; give a file with one label a line."
    raise CommandError(EXIT_USAGE, "usage", text)


def _annotation(column: Any) -> np.ndarray:
    """A column of AnnData's ``obs``, categories as what they stand for."""
    import anndata

    read = anndata.io.read_elem if hasattr(anndata, "io") else anndata.experimental.read_elem
    return np.asarray(read(column), dtype=object)


def _is_annotated(held: Any) -> bool:
    from nonneg.data.chunked import is_node
    from nonneg.data.trees import is_annotated

    return is_node(held) and hasattr(held, "keys") and is_annotated(held)


def _is_missing(label: Any) -> bool:
    return label is None or type(label).__name__ in ("NAType", "NaTType") or label == "" or label != label
