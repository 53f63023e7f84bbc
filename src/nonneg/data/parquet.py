"""Parquet: columns in row groups, which become rows each time they are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..exceptions import MissingExtraError
from .names import check_columns
from .store import Store

__all__ = ["ParquetStore"]


class ParquetStore(Store):
    """A Parquet file of numbers; missing values are NaN, and columns that pandas wrote as its index are left out.

    Parameters
    ----------
    file : Path
    without : sequence of str
        Columns that are left out as well.

    Raises
    ------
    MissingExtraError
        Without pyarrow.
    ValueError
        For a column that is not of numbers, and for one that is to be left out and is not there.
    """

    def __init__(self, file: Path, without: Sequence[str] = ()) -> None:
        self.file, self.where = file.absolute(), str(file)
        opened = self._open()
        schema, kinds = opened.schema_arrow, []
        self.index = _index_columns(schema)
        check_columns(without, schema.names)
        self.columns = [j for j, name in enumerate(schema.names) if name not in {*self.index, *without}]
        for field in map(schema.field, self.columns):
            try:
                kind = np.dtype(field.type.to_pandas_dtype())
            except (NotImplementedError, TypeError):
                kind = np.dtype(object)
            if kind.kind not in "fiub":
                raise ValueError(
                    f"column {field.name!r} has type {field.type}, which is no type of numbers; leave it out"
                )
            kinds.append(kind)
        meta = opened.metadata
        nulls = _has_nulls(meta, self.columns)
        self.dtype = np.result_type(*kinds, *([np.float32] if nulls else [])) if kinds else np.dtype(float)
        self.names = [schema.names[j] for j in self.columns]
        self.groups = np.cumsum([0, *(meta.row_group(i).num_rows for i in range(meta.num_row_groups))])
        self.shape = (int(self.groups[-1]), len(self.names))
        self.chunk = int(np.diff(self.groups).max(initial=1))
        self.stamp()

    def _open(self) -> Any:
        try:
            from pyarrow.parquet import ParquetFile
        except ImportError as error:
            raise MissingExtraError("pyarrow", "data", "reading .parquet") from error
        return ParquetFile(self.file)

    def row_names(self) -> list[str] | None:
        """The index that pandas wrote; the levels of one of several are joined by a slash."""
        if not self.index:
            return None
        levels = [self.column(name) for name in self.index]
        return ["/".join(map(str, row)) for row in zip(*levels, strict=True)]

    def column(self, name: str) -> np.ndarray:
        """The values of one column, of numbers or not."""
        with self._open() as opened:
            check_columns([name], opened.schema_arrow.names)
            return np.asarray(opened.read(columns=[name]).column(name).to_pandas())

    def _read(self, start: int, stop: int) -> np.ndarray:
        first = int(np.searchsorted(self.groups, start, side="right")) - 1
        last = int(np.searchsorted(self.groups, stop, side="left"))
        out = np.empty((stop - start, self.shape[1]), self.dtype)
        if start == stop:
            return out
        with self._open() as opened:
            table = opened.read_row_groups(list(range(first, last)), use_threads=False)
        table = table.select(self.columns).slice(start - int(self.groups[first]), stop - start)
        for j, column in enumerate(table.columns):
            out[:, j] = column.to_numpy()
        return out

    def cuts(self, size: int) -> list[tuple[int, int]]:
        """Runs of whole row groups of about ``size`` bytes, one at least."""
        cuts: list[tuple[int, int]] = []
        for start, stop in zip(self.groups[:-1].tolist(), self.groups[1:].tolist(), strict=True):
            if cuts and self.size(cuts[-1][0], stop) <= size:
                cuts[-1] = (cuts[-1][0], stop)
            elif stop > start:
                cuts.append((start, stop))
        return cuts


def _index_columns(schema: Any) -> list[str]:
    """Names of the columns that pandas would make its index; one that only counts rows has none."""
    found = (schema.pandas_metadata or {}).get("index_columns", ())
    return [name for name in found if isinstance(name, str)]


def _has_nulls(meta: Any, columns: list[int]) -> bool:
    """Whether a value is missing, or may be: where a column does not count its own."""
    for group in range(meta.num_row_groups):
        for j in columns:
            found = meta.row_group(group).column(j).statistics
            if found is None or not found.has_null_count or found.null_count:
                return True
    return False
