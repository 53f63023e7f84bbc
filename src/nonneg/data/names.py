"""Names of columns: where data have them, what must agree with them, and how messages use them."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from itertools import zip_longest
from typing import Any

__all__ = ["check_columns", "check_names", "column_names", "compare_names", "shown_column"]

SHOWN = 10  # names in a message


def column_names(data: Any) -> list[str] | None:
    """Names of the columns of a DataFrame; None for other data, and where a name is no string."""
    if type(data).__module__.split(".")[0] not in ("pandas", "polars") or not hasattr(data, "columns"):
        return None
    names = list(data.columns)
    return names if names and all(isinstance(name, str) for name in names) else None


def check_columns(wanted: Sequence[str], names: Sequence[Any]) -> None:
    """Raise where one of these columns is not there, with the names that come near."""
    for name in wanted:
        if name not in names:
            near = get_close_matches(name, [str(one) for one in names], n=1)
            meant = (
                f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(map(str, names[:SHOWN]))}"
            )
            raise ValueError(
                f"there is no column {name!r}{meant}{' …' if not near and len(names) > SHOWN else ''}"
            )


def check_names(argument: str, data: Any, names: Sequence[str] | None) -> None:
    """Raise where ``data`` has names of columns that are not ``names``, those of X, in the same order."""
    compare_names(argument, column_names(data), names)


def compare_names(
    argument: str,
    found: Sequence[str] | None,
    names: Sequence[str] | None,
    other: str = "X",
    ordered: str | None = None,
) -> None:
    """Raise where ``found``, the columns of ``argument``, are not ``names``, those of ``other``, in the same order.

    Data without names, and data beside others without names, are taken by position. ``ordered`` is what a user writes
    for ``argument`` in the order of ``names``, by default ``argument[X.columns]``.

    Raises
    ------
    ValueError
        That names the argument and the first difference.
    """
    if found is None or names is None or list(names) == list(found):
        return
    wanted = [str(name) for name in names]
    place, (own, others) = next(
        (j, pair) for j, pair in enumerate(zip_longest(found, wanted)) if pair[0] != pair[1]
    )
    in_order = ordered or f"{argument}[X.columns]"
    if sorted(found) == sorted(wanted):
        remedy = f"reorder them with {in_order}"
    elif set(wanted) <= set(found):
        remedy = f"choose them with {in_order}"
    else:
        remedy = (
            f"give {argument} the columns of {other}, or pass an array of its numbers if positions are meant"
        )
    raise ValueError(
        f"{argument} has other feature names than {other}: column {place} is {_quoted(own)} in {argument} and "
        f"{_quoted(others)} in {other}; {remedy}"
    )


def shown_column(position: tuple[int, int], names: Sequence[str] | None) -> str:
    """A cell's (row, column) as messages show it, with the name of the column where it has one."""
    return f"{position}" if names is None else f"{position} in column {names[position[1]]!r}"


def _quoted(name: str | None) -> str:
    return "missing" if name is None else repr(name)
