"""Several matrices of the same rows, side by side: views of one thing, of which a row may lack some."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .array import ArraySource
from .as_source import as_source
from .block import Block
from .chunked import is_node
from .given_weights import row_weights
from .names import check_names, compare_names
from .source import Source, Summary

__all__ = ["Views", "are_views", "as_views", "index_of"]


def are_views(X: Any) -> bool:
    """Whether X is a dict or list of matrices and not one matrix (which may be a list of its rows)."""
    if hasattr(X, "shape") or is_node(X):  # a sparse matrix may be a dict, and a group of arrays is one
        return False
    if isinstance(X, Mapping):
        return True
    if not isinstance(X, (list, tuple)) or not len(X):
        return False
    return all(view is None or _is_matrix(view) or _is_placed(view) for view in X) and any(
        view is not None for view in X
    )


def _is_matrix(view: Any) -> bool:
    return len(getattr(view, "shape", ())) == 2


def _is_placed(view: Any) -> bool:
    return isinstance(view, tuple) and len(view) == 2 and _is_matrix(view[0])


class Views(Source):
    """Sources of the same n rows, each of which may lack some of them.

    Parameters
    ----------
    views : list of Source or None
        None: a view that is not there at all.
    rows : list of ndarray or None
        For every view, the index of each of its rows; None where it has all, in order.
    widths : list of int
        Columns of each view.
    n : int
    """

    def __init__(
        self, views: list[Source | None], rows: list[np.ndarray | None], widths: list[int], n: int
    ) -> None:
        self.views, self.rows, self.widths = views, rows, widths
        self.shape = (n, sum(widths))
        wide = any(view is not None and view.float_dtype == np.float64 for view in views)
        self.dtype = np.dtype(np.float64 if wide else np.float32)
        self.is_sparse = all(view is None or view.is_sparse for view in views)

    @property
    def weight_power(self) -> int:  # type: ignore[override]
        """That of the view whose weights of cells are largest, beside which those of the others stand."""
        return max((view.weight_power for _, view, _ in self.there()), default=0)

    @property
    def is_masked(self) -> bool:
        """Whether any cell of a view may have a weight other than 1."""
        return any(view is not None and view.is_masked for view in self.views)

    def there(self) -> list[tuple[int, Source, Any]]:
        """Number, source and rows (an index) of the views that are there."""
        everywhere = slice(None)
        return [
            (v, view, everywhere if self.rows[v] is None else self.rows[v])
            for v, view in enumerate(self.views)
            if view is not None
        ]

    def feature_names(self) -> list[list[str] | None]:
        """Names of the columns of each view, None where it has none."""
        return [None if view is None else view.names for view in self.views]

    def present(self) -> np.ndarray:
        """Which row has which view, (n, views) of bool."""
        found = np.zeros((self.shape[0], len(self.views)), bool)
        for v, _, rows in self.there():
            found[rows, v] = True
        return found

    def weigh(self, weights: np.ndarray | None) -> None:
        """Give the rows weights."""
        self.row_weights = weights
        for _, view, rows in self.there():
            view.row_weights = None if weights is None else weights[rows]

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks of one view after the other."""
        for _, view, _ in self.there():
            yield from view.blocks()

    def bounds(self) -> list[tuple[int, int]]:
        """The bounds of the longest list of blocks."""
        return max((view.bounds() for _, view, _ in self.there()), key=len)

    def summary(self) -> Summary:
        """That of all cells that are there."""
        found = [view.summary() for _, view, _ in self.there()]
        sums = np.array([[s.sum, s.squares, s.total_weight] for s in found])
        beside = np.array([[view.weight_power] for _, view, _ in self.there()]) - self.weight_power
        total, squares, weight = map(float, np.ldexp(sums, beside).sum(axis=0))
        low, high = min(s.minimum for s in found), max(s.maximum for s in found)
        return Summary(low, high, total, squares, weight, 0)

    def _read(self, rows: slice | np.ndarray) -> Any:
        raise TypeError("views are read one by one")


def as_views(
    X: Any,
    sample_weight: Any = None,
    names: list[str] | None = None,
    widths: list[int] | None = None,
    features: list[Any] | None = None,
    *,
    weights: Any = None,
    missing: str = "error",
) -> tuple[Views, list[str] | None]:
    """Turn a list or dict of views into `Views`, and return their names, if they have any.

    Parameters
    ----------
    X : list or dict
        Of matrices (n, m_v) of any kind; of pairs (matrix, rows) where a view has only those rows; None where a view
        is missing. A row of NaN is a row that the view does not have.
    sample_weight : array-like of shape (n,), optional
    names, widths, features : list, optional
        Of a fit: names and widths of views, and names of the columns of each. X may then leave views out.
    weights : list or dict, optional
        Weights of the cells of each view, as X has views; None (or no entry in a dict) for a view without.
    missing : {"error", "ignore"}
        ``"ignore"``: cells of a view that are NaN are missing.

    Raises
    ------
    ValueError
        For views of different lengths, unknown names, rows that do not exist, DataFrames whose indices differ, and
        columns with other names than at the fit.
    """
    found: list[str] | None = list(map(str, X)) if isinstance(X, Mapping) else None
    given = [X[name] for name in X] if isinstance(X, Mapping) else list(X)
    of_cells = _weights_of_views(weights, X, found)
    if widths is not None:
        of_cells = _in_order(found, of_cells, names, len(widths))
        given, found = _in_order(found, given, names, len(widths)), names
    labels = [f"X[{name!r}]" for name in found or range(len(given))]
    _check_index(labels, given)
    sources: list[Source | None] = []
    rows: list[Any] = []
    for label, view, cells in zip(labels, given, of_cells, strict=True):
        index = None
        if isinstance(view, tuple):
            view, index = view
        if view is None and cells is not None:
            raise ValueError(f"weights{label[1:]} is given for a view that X does not have; put None there")
        source = None if view is None else as_source(view, name=label, weights=cells, missing=missing)
        check_names(f"weights{label[1:]}", cells, None if source is None else source.names)
        sources.append(source)
        rows.append(index)
    n = _length(labels, sources, rows)
    for v, (label, source) in enumerate(zip(labels, sources, strict=True)):
        if source is None:
            if widths is None:
                raise ValueError(f"{label} is None: a fit needs every view; leave it out")
            continue
        if features is not None:
            compare_names(
                label, source.names, features[v], "the fit", f"{label}[model.view_feature_names_{label[1:]}]"
            )
        if widths is not None and source.shape[1] != widths[v]:
            raise ValueError(f"{label} has {source.shape[1]} features, the fit had {widths[v]}")
        if rows[v] is not None:
            rows[v] = _checked_rows(label, rows[v], source.shape[0], n)
        sources[v], rows[v] = _without_nan_rows(source, rows[v], fits=widths is None)
    widths = widths or [source.shape[1] for source in sources if source is not None]
    views = Views(sources, rows, widths, n)
    if sample_weight is not None:
        views.weigh(row_weights(sample_weight, n, views.float_dtype))
    return views, found


def _weights_of_views(weights: Any, X: Any, names: list[str] | None) -> list[Any]:
    """One entry a view, in the order of X; None where its cells have no weights."""
    if weights is None:
        return [None] * len(X)
    if (isinstance(weights, Mapping) and names is None) or not isinstance(weights, (Mapping, list, tuple)):
        raise ValueError(
            "weights must hold weights of the cells of each view, as X holds views: in a "
            + ("list, None for a view without" if names is None else "dict with their names")
        )
    if not isinstance(weights, Mapping):
        if len(weights) != len(X):
            raise ValueError(
                f"weights has {len(weights)} views, X has {len(X)}; put None where cells have none"
            )
        return list(weights)
    by_name = {str(name): cells for name, cells in weights.items()}
    unknown = [name for name in by_name if name not in (names or [])]
    if unknown:
        raise ValueError(f"weights has views {unknown}, which X does not have; it has {names}")
    return [by_name.get(name) for name in names or []]


def _in_order(found: list[str] | None, given: list[Any], names: list[str] | None, count: int) -> list[Any]:
    """The views in the order of the fit, None for those left out."""
    if found is None:
        if len(given) != count:
            raise ValueError(
                f"X has {len(given)} views, the fit had {count}; put None in place of a missing one"
            )
        return given
    unknown = [name for name in found if name not in (names or [])]
    if unknown:
        raise ValueError(f"X has views {unknown}, which the fit did not have; it had {names}")
    return [given[found.index(name)] if name in found else None for name in names or []]


def _length(labels: list[str], sources: list[Source | None], rows: list[Any]) -> int:
    """How many rows there are: what views with all rows say, else the largest index."""
    whole = {
        label: s.shape[0]
        for label, s, r in zip(labels, sources, rows, strict=True)
        if s is not None and r is None
    }
    if len(set(whole.values())) > 1:
        said = ", ".join(f"{label} {length}" for label, length in whole.items())
        raise ValueError(
            f"X: views have different numbers of rows ({said}); give a view of some rows as (matrix, rows)"
        )
    if whole:
        return next(iter(whole.values()))
    ends = [
        len(np.asarray(r)) if np.asarray(r).dtype == bool else int(np.max(r, initial=-1)) + 1
        for r in rows
        if r is not None
    ]
    if not ends:
        raise ValueError("X has no view that is there")
    return max(ends)


def index_of(X: Any) -> Any:
    """The index of the first view with all rows that is a pandas DataFrame; None where there is none."""
    views = X.values() if isinstance(X, Mapping) else X
    return next((view.index for view in views if _is_frame(view)), None)


def _is_frame(view: Any) -> bool:
    return type(view).__module__.split(".")[0] == "pandas" and hasattr(view, "columns")


def _check_index(labels: list[str], given: list[Any]) -> None:
    """Refuse DataFrames whose rows are not the same ones in the same order."""
    frames = [(label, view) for label, view in zip(labels, given, strict=True) if _is_frame(view)]
    for label, view in frames[1:]:
        first, index = frames[0][0], frames[0][1].index
        if not view.index.equals(index):
            what = "the same index in another order" if set(view.index) == set(index) else "another index"
            raise ValueError(
                f"{label} has {what} than {first}, and views are of the same rows; bring it into line with "
                f"{label}.reindex({first}.index), where rows that it lacks become NaN and are left out, or pass "
                f"{label}.to_numpy() if positions are meant"
            )


def _checked_rows(label: str, rows: Any, length: int, n: int) -> np.ndarray:
    index = np.asarray(rows)
    if index.dtype == bool and index.shape == (n,):
        index = np.flatnonzero(index)
    if index.dtype.kind not in "iu" or index.shape != (length,):
        raise ValueError(
            f"{label}: rows must be {length} integers, one for each row of the matrix, or a mask of ({n},)"
        )
    if length and (index.min() < 0 or index.max() >= n or len(np.unique(index)) < length):
        raise ValueError(f"{label}: rows must be different indices between 0 and {n - 1}")
    return index


def _without_nan_rows(
    source: Source, rows: np.ndarray | None, fits: bool
) -> tuple[Source, np.ndarray | None]:
    """The same without rows of which every cell is NaN or of weight 0; outside of a fit that may be all of them."""
    if not isinstance(source, ArraySource) or source.dtype.kind != "f":
        return source, rows
    weights = source.weights

    def seen(start: int, stop: int) -> np.ndarray:
        gone = np.isnan(source.read(start, stop))
        return ~(gone if weights is None else gone | (weights[start:stop] == 0)).all(axis=1)

    kept = np.concatenate([seen(*cut) for cut in source.bounds()])
    if kept.all() or (weights is not None and not kept.any()):
        return source, rows
    if not kept.any():
        if fits:
            raise ValueError("X: a view has no row that is not NaN; leave it out")
        source.nan_is_missing = True  # nothing of it is observed
        return source, rows
    index = np.arange(source.shape[0]) if rows is None else rows
    found = ArraySource(source.X[kept], weights=None if weights is None else weights[kept])
    found.names, found.nan_is_missing = source.names, source.nan_is_missing
    found.weight_power = source.weight_power
    return found, index[kept]
