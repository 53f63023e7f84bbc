"""What all figures share: where to draw, which colours, and texts that cannot go wrong."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

#: Okabe and Ito's colours, told apart with any colour vision, on white and dark paper; then three more for ten classes.
COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#961EF0", "#8C564B", "#7F7F7F", "#F0E442",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def new_figure(
    n_rows: int = 1, n_columns: int = 1, *, size: tuple[float, float] = (4.0, 3.2)
) -> tuple[Figure, NDArray]:
    """Return a figure outside pyplot, and its axes as an array (n_rows, n_columns).

    Parameters
    ----------
    n_rows, n_columns : int
        Grid of axes.
    size : (width, height)
        Of one of them, in inches.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] * n_columns, size[1] * n_rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(n_rows, n_columns, squeeze=False)


def axes_or_new(axes: Axes | None, size: tuple[float, float] = (5.0, 4.0)) -> Axes:
    """Return `axes`, or those of a new figure of this size."""
    return new_figure(size=size)[1][0, 0] if axes is None else axes


def grid_of(
    count: int, n_columns: int, figure: Figure | None, size: tuple[float, float]
) -> tuple[Figure, NDArray]:
    """Return a figure with at least `count` axes in lines of at most `n_columns`, and the axes as a matrix."""
    if n_columns < 1:
        raise ValueError(f"n_columns must be at least 1, got {n_columns}.")
    n_columns = min(n_columns, count)
    n_rows = -(-count // n_columns)
    if figure is None:
        return new_figure(n_rows, n_columns, size=size)
    return figure, figure.subplots(n_rows, n_columns, squeeze=False)


def colours(count: int) -> list[str]:
    """Return `count` colours: COLOURS, then lighter and darker ones, so that neighbours always differ in hue."""
    from matplotlib.colors import to_hex, to_rgb

    # towards white (1) or black (0), and how far
    shades = ((0.0, 0.0), (1.0, 0.45), (0.0, 0.4), (1.0, 0.65), (0.0, 0.6))
    found = []
    for number in range(count):
        towards, share = shades[number // len(COLOURS) % len(shades)]
        red, green, blue = ((1 - share) * c + share * towards for c in to_rgb(COLOURS[number % len(COLOURS)]))
        found.append(to_hex((red, green, blue)))
    return found


def matrix(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Return a matrix of finite numbers with at least one row and one column, or say what is wrong with `name`."""
    array = np.asarray(values.toarray() if sparse.issparse(values) else values)  # type: ignore[union-attr]
    try:
        found = array.astype(np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a matrix of numbers, got entries of type {array.dtype}.") from None
    if found.ndim != 2 or 0 in found.shape:
        raise ValueError(f"{name} must be a matrix with rows and columns, got shape {found.shape}.")
    if not np.isfinite(found).all():
        raise ValueError(f"{name} holds NaN or infinite entries: leave these rows out, or fill them.")
    return found


def component_names(titles: Sequence[object] | None, count: int, *, length: int = 16) -> list[str]:
    """Return what `count` components are called, 0, 1, … where there are no `titles`."""
    if titles is None:
        return [str(number) for number in range(count)]
    if len(titles) != count:
        raise ValueError(f"titles must name {count} components, got {len(titles)}.")
    return [shorten(title, length) for title in titles]


def printable(text: object) -> str:
    """Return a text with a sign in place of what neither SVG nor HTML can hold: controls, lone surrogates."""
    return "".join(
        "\ufffd" if unicodedata.category(letter) in ("Cc", "Cs", "Cn") else letter for letter in str(text)
    )


def shorten(text: object, length: int = 24) -> str:
    """Return a text on one line, of at most `length` characters, that neither mathtext nor a legend takes as a sign."""
    plain = printable(" ".join(str(text).split()))
    plain = plain if len(plain) <= length else plain[: length - 1].rstrip() + "…"
    plain = plain.replace("$", r"\$")
    return f" {plain}" if plain.startswith("_") else plain  # legends leave out what starts with "_"


def component_ticks(axis: Axis, titles: Sequence[str], *, named: bool) -> None:
    """Label an axis by components at 0, 1, …: all that have a name; of mere numbers as many as are legible."""
    count = len(titles)
    places = range(0, count, 1 if named else -(-count // 26))
    axis.set_ticks(list(places), [titles[place] for place in places])
    axis.set_tick_params(labelsize=8 if count <= 20 else 6, length=0)
    if axis is axis.axes.xaxis and max(map(len, titles)) * count > 60 and named:
        axis.set_tick_params(labelrotation=90)
