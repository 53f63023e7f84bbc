"""Tables as text (.csv, .tsv): numbers, with or without names of columns and of rows.

pandas reads the numbers. What it does not decide is decided here from the cells: whether the first line holds names,
and whether the first column holds names of rows; `nonneg.data.dialect` tells how the cells are written. Lines of
unequal length are refused: pandas would fill or shift them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..exceptions import MissingExtraError, warn_user
from .dialect import Dialect, dialect_of, pointed
from .names import check_columns

__all__ = ["read_column", "read_table"]

MISSING = (
    "",
    "NA",
    "N/A",
    "n/a",
    "#N/A",
    "<NA>",
    "NULL",
    "null",
    "None",
)  # numbers that are missing, for pandas too
MARKS = ("?", "-", "--", ".", "..", "*")  # what else is written for them: neither names nor numbers
GROUPED = re.compile(r"[+-]?\d{1,3}(?:[,.' \u00a0\u202f]\d{3})+(?:[.,]\d+)?")  # 1,234,567.8
LONG = 8  # so many numbers in a row do not rise or fall by chance
UNNAMED = (
    "",
    "Unnamed: 0",
)  # how `DataFrame.to_csv` heads the index, and what reading and writing it again makes of it


def read_table(path: Path, without: Sequence[str] = ()) -> Any:
    """Return a DataFrame of numbers, ``without`` some of the columns.

    The first line holds names if a cell of it is text, if its cells are quoted and those of the second line are not,
    or if its numbers are evenly spaced (0, 1, 2, … or an axis) and those of the second line are not. The first column
    holds names of rows, and no data, if it has no name: an empty one, or none at all (one name less than columns); and
    if it has one and is text, another one in every row, below other names than numbers (or numbers of an axis).

    Raises
    ------
    MissingExtraError
        Without pandas.
    UserWarning
        Where the first column counts the rows and has a name, so that it is data.
    ValueError
        For an empty file, lines of unequal length, columns of text, and a column to leave out that is not there.
    """
    dialect = dialect_of(path)
    frame = _frame(path, dialect)
    if without:
        check_columns(without, list(frame.columns))
        frame = frame.drop(columns=list(without))
    if type(frame.index).__name__ == "RangeIndex" and _names_rows(frame):
        frame = frame.set_index(frame.columns[0])
    _refuse_text(frame, dialect.decimal)
    if isinstance(frame.columns[0], str) and _counts(frame.iloc[:, 0]):
        warn_user(
            f"{path}: column {frame.columns[0][:40]!r} counts the rows, and is fitted as a feature; leave it out, or "
            "give it an empty name, if it only numbers them"
        )
    if list(frame.columns) == [str(j) for j in range(frame.shape[1])]:
        frame.columns = range(frame.shape[1])  # pandas' own numbers are no names
    return frame


def read_column(path: Path, name: str) -> np.ndarray:
    """One column of a table, of numbers or of text; raises as `read_table`, and where it is not there."""
    frame = _frame(path, dialect_of(path))
    check_columns([name], list(frame.columns))
    return np.asarray(frame[name])


def _frame(path: Path, dialect: Dialect) -> Any:
    """The table with all its columns."""
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("pandas", "data", f"reading {path.suffix}") from error

    first, rows = _shape(path, dialect)
    named = _has_names(first, rows, path, dialect)
    indexed = named and bool(rows) and (first[0] in UNNAMED or len(rows[0]) == len(first) + 1)
    frame = pd.read_csv(
        path,
        sep=dialect.separator,
        decimal=dialect.decimal,
        header=0 if named else None,
        index_col=0
        if indexed and len(rows[0]) == len(first)
        else None,  # one name less: pandas takes the index itself
        encoding=dialect.encoding,
        float_precision="round_trip",
        low_memory=False,
    )
    if dialect.decimal == "," and named:
        frame.columns = [pointed(str(name)) for name in frame.columns]  # wavelengths, say
    return frame


def _shape(path: Path, dialect: Dialect) -> tuple[list[str], list[list[str]]]:
    """The first line's cells and those of the next two; raises where lines differ in length."""
    first: list[str] = []
    rows: list[list[str]] = []
    width = 0
    for number, cells in dialect.lines(path):
        if not first:
            first = [cell.strip() for cell in cells]
            continue
        if not rows:
            width = len(cells)
            if width not in (len(first), len(first) + 1):
                width = len(first)
        if len(cells) != width:
            raise ValueError(f"line {number} has {len(cells)} cells, the lines before it {width}")
        if len(rows) < 2:
            rows.append([cell.strip() for cell in cells])
    if not first:
        raise ValueError("it is empty")
    if rows and width > len(first) and all(map(_is_number, first)):
        raise ValueError(f"the second line has {width} cells, the first {len(first)}")
    return first, rows


def _has_names(first: list[str], rows: Sequence[list[str]], path: Path, dialect: Dialect) -> bool:
    if not all(_is_number(cell) or cell in MARKS or GROUPED.fullmatch(cell) for cell in first):
        return True
    if not rows:
        return False
    if _quoted(path, dialect, 0) and not _quoted(path, dialect, 1):
        return True
    if not first[0] and not any(cell in MISSING for cell in first[1:]):
        # the head of an index, which counts or is text, or else a missing cell
        counts = all(row[0] == str(i) or not _is_number(row[0]) for i, row in enumerate(rows))
        return counts and len(first) > 1 and len(set(first)) == len(first)
    return _evenly_spaced(first) and not _evenly_spaced(rows[0])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text in MISSING
    return True


def _evenly_spaced(cells: Sequence[str]) -> bool:
    """Whether at least three numbers rise in equal steps."""
    if len(cells) < 3 or not all(_is_number(cell) and cell not in MISSING for cell in cells):
        return False
    steps = [float(b) - float(a) for a, b in pairwise(cells)]
    return steps[0] > 0 and bool(np.allclose(steps, steps[0], rtol=1e-3, atol=0))


def _quoted(path: Path, dialect: Dialect, line: int) -> bool:
    """Whether every cell of one of the first two lines is in quotes."""
    with dialect.opened(path) as file:
        text = [row for row in (file.readline().strip() for _ in range(2 + line)) if row][line]
    return all(len(cell) > 1 and cell[0] == cell[-1] == '"' for cell in text.split(dialect.separator))


def _names_rows(frame: Any) -> bool:
    """Whether the first column is text, another one in every row, and the others have names too."""
    if frame.shape[1] < 2 or frame.iloc[:, 0].dtype.kind in "fiub":
        return False
    cells, names = list(frame.iloc[:, 0]), [str(name) for name in frame.columns[1:]]
    if len(set(cells)) < len(cells) or not all(isinstance(cell, str) and _is_word(cell) for cell in cells):
        return False
    if any(map(_is_word, names)) or _evenly_spaced(names):
        return True
    numbers = [float(name) for name in names if name not in MISSING]  # an axis, or the first row of data?
    steps = [b > a for a, b in pairwise(numbers)]
    return len(steps) >= LONG and len(set(steps)) == 1


def _counts(column: Any) -> bool:
    """Whether numbers go up by one from row to row, in more rows than by chance."""
    return column.dtype.kind == "i" and len(column) >= LONG and bool((np.diff(column) == 1).all())


def _is_word(cell: str) -> bool:
    """Whether a cell is neither a number nor what is written for a missing one."""
    return not (_is_number(cell) or cell.strip() in MARKS or GROUPED.fullmatch(cell))


def _refuse_text(frame: Any, decimal: str) -> None:
    for name, column in frame.items():
        if column.dtype.kind in "fiub":
            continue
        for row, cell in enumerate(column):
            if isinstance(cell, str) and not (_is_number(cell) if decimal == "." else cell in MISSING):
                place = f"{cell[:40]!r} in row {row} (counted from 0, names aside)"
                raise ValueError(f"column {str(name)[:40]!r} holds text, {place}; {_advice(cell.strip())}")


def _advice(cell: str) -> str:
    if cell in MARKS:
        return "where it stands for a missing number, leave the cell empty or write NA, and fit with missing='ignore'"
    if GROUPED.fullmatch(cell):
        return "write numbers without thousands separators, or read the file with pandas.read_csv(…, thousands=…)"
    return "leave it out, or give it an empty name if it names the rows"
