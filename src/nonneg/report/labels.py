"""What rows and columns are called: classes of the rows, names of the columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["Labels", "column_names"]


GROUPS = 50  # that a figure can name
NOT_KNOWN = "not known"


class Labels:
    """What is known of the rows from elsewhere: a name for each.

    Parameters
    ----------
    values : array-like of shape (n_samples,)
    n_rows : int

    Attributes
    ----------
    names : list of str
        In order, as numbers where they are; rows without a label (None, NaN, an empty text) are "not known".
    codes : ndarray of shape (n_samples,)
        Positions in ``names``.
    counts : ndarray
        Rows of each.
    known : ndarray of shape (n_samples,)
        Which rows have a label.
    classes : int
        Different labels, "not known" left out.
    """

    def __init__(self, values: Any, n_rows: int) -> None:
        found = np.asarray(values, dtype=object)
        if found.shape != (n_rows,):
            raise ValueError(
                f"labels: expected one label for each of the {n_rows} rows of X, got shape {found.shape}"
            )
        texts = np.array([NOT_KNOWN if _unknown(value) else str(value) for value in found])
        names, codes, counts = np.unique(texts, return_inverse=True, return_counts=True)
        order = np.array(sorted(range(len(names)), key=lambda i: _natural(str(names[i]))))
        self.names = [str(name) for name in names[order]]
        self.codes = np.argsort(order)[codes]
        self.counts = counts[order]
        self.known = texts != NOT_KNOWN
        self.classes = len(set(self.names) - {NOT_KNOWN})

    def of_rows(self) -> np.ndarray | None:
        """The label of each row where figures can group rows by it; None for too many, or for no classes."""
        if not self.are_classes or len(self.names) > GROUPS:
            return None
        whole = all(name.isdecimal() for name in self.names)  # 2 before 10
        return np.array([int(name) for name in self.names] if whole else self.names)[self.codes]

    def most_frequent(self, count: int) -> list[int]:
        """Positions in ``names`` of at most ``count`` labels, in order."""
        return sorted(int(code) for code in np.argsort(-self.counts, kind="stable")[:count])

    @property
    def are_classes(self) -> bool:
        """Whether rows share labels, so that groups can be compared."""
        return 1 < self.classes <= max(2, int(self.known.sum()) // 2)


def _natural(name: str) -> tuple[int, float, str]:
    """Numbers first, by size."""
    try:
        value = float(name)
    except ValueError:
        return 1, 0.0, name
    return (0, value, name) if np.isfinite(value) else (1, 0.0, name)


def _unknown(value: Any) -> bool:
    return (
        value is None
        or (isinstance(value, (float, np.floating)) and np.isnan(value))
        or str(value) in ("", "<NA>", "NaT")
    )


def column_names(model: Any, given: Sequence[str] | None) -> list[str] | None:
    """Names of the columns of the parts, or None; ``given`` ones go before those of the fit."""
    m = int(model.n_features_in_)
    found = model._part_names() if given is None else given
    if found is None:
        return _names_in_views(model) if hasattr(model, "view_widths_") else None
    names = [str(name) for name in found]
    if given is not None and len(names) != m:
        raise ValueError(f"names: expected {m} names, one a column of X, got {len(names)}")
    return names


def _names_in_views(model: Any) -> list[str]:
    """Columns of views that stand side by side: the view, then the name or the number within it."""
    names: list[str] = []
    for v, (width, own) in enumerate(zip(model.view_widths_, model._feature_names(), strict=True)):
        view = f"view {v}" if model.view_names_ is None else str(model.view_names_[v])
        names += [f"{view}: {column}" for column in (range(width) if own is None else own)]
    return names
