"""How a text table is written: its encoding, what separates its cells, and what marks decimals.

Spreadsheets follow the country that they run in: where 1.5 is written 1,5, cells are separated by semicolons.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

from ..exceptions import warn_user

__all__ = ["Dialect", "dialect_of"]

COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
POINT = re.compile(COMMA.pattern.replace(",", r"\."))
UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Dialect:
    """Encoding (a codec of Python), separator and decimal mark of a table."""

    encoding: str = "utf-8-sig"
    separator: str = ","
    decimal: str = "."

    def opened(self, path: Path) -> TextIO:
        """The table as text, unpacked."""
        if path.suffix.lower() == ".gz":
            return gzip.open(path, "rt", encoding=self.encoding, newline="")  # type: ignore[return-value]
        return open(path, encoding=self.encoding, newline="")

    def lines(self, path: Path) -> Iterator[tuple[int, list[str]]]:
        """The cells of every line that is not blank, with its number; decimals as Python writes them."""
        with self.opened(path) as file:
            reader = csv.reader(file, delimiter=self.separator)
            try:
                for cells in reader:
                    if cells and not (len(cells) == 1 and not cells[0].strip()):
                        yield reader.line_num, cells if self.decimal == "." else list(map(pointed, cells))
            except csv.Error as error:
                raise ValueError(f"line {reader.line_num}: {error}") from error


def dialect_of(path: Path) -> Dialect:
    """Tell how a table is written.

    It is UTF-8, or UTF-16 with its mark, or else taken for Windows-1252, with a warning. A ``.tsv`` has tabs. Another
    table has semicolons or tabs if these cut its first two lines into equally many cells (the first, which may lack the
    name of the index, into one less), and commas do not, or leave some of them in cells. Where commas do not separate,
    they mark the decimals if more cells are numbers with a comma than numbers with a point.
    """
    encoding = _encoding(path)
    separators = "\t" if ".tsv" in map(str.lower, path.suffixes[-2:]) else ",;\t"
    separator = next((one for one in separators[1:] if _cuts(path, Dialect(encoding, one))), separators[0])
    found = Dialect(encoding, separator)
    if separator == ",":
        return found
    commas = points = 0
    for _, cells in found.lines(path):
        commas += sum(COMMA.fullmatch(cell.strip()) is not None for cell in cells)
        points += sum(POINT.fullmatch(cell.strip()) is not None for cell in cells)
    return Dialect(encoding, separator, "," if commas > points else ".")


def pointed(cell: str) -> str:
    """A number with a decimal comma as Python writes it; other cells as they are."""
    return cell.replace(",", ".") if COMMA.fullmatch(cell.strip()) else cell


def _cuts(path: Path, dialect: Dialect) -> bool:
    """Whether the separator cuts the first two lines as those of one table, and commas do not."""
    if not _is_table(_heads(path, dialect)):
        return False
    by_commas = _heads(path, Dialect(dialect.encoding))
    return not _is_table(by_commas) or any(dialect.separator in cell for line in by_commas for cell in line)


def _heads(path: Path, dialect: Dialect) -> list[list[str]]:
    return [cells for _, cells in islice(dialect.lines(path), 2)]


def _is_table(heads: list[list[str]]) -> bool:
    return bool(heads) and len(heads[-1]) > 1 and len(heads[-1]) - len(heads[0]) in (0, 1)


def _encoding(path: Path) -> str:
    with gzip.open(path) if path.suffix.lower() == ".gz" else open(path, "rb") as file:
        if file.read(2) in UTF16:
            return "utf-16"
    try:
        with Dialect().opened(path) as text:
            while text.read(1 << 20):
                pass
    except UnicodeDecodeError:
        warn_user(
            f"{path} is not UTF-8; its names are read as Windows-1252. Save it as UTF-8 if they look wrong"
        )
        return "cp1252"
    return "utf-8-sig"
