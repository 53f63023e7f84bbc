"""Figures from arrays: parts as images, embeddings by label, metrics against noise, loss curves.

Every function draws on axes it is given, or makes a `matplotlib.figure.Figure` of its own. The state of pyplot is never
touched, so nothing needs a display and nothing leaks between threads. matplotlib is imported when the first function is
called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["embed", "embedding", "loss_curves", "metric_curves", "new_figure", "parts"]

#: Okabe and Ito's colours, told apart with any colour vision, then two more for ten classes.
COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#F0E442", "#8C564B", "#7F7F7F",
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


def _axes(axes: Axes | None, size: tuple[float, float] = (5.0, 4.0)) -> Axes:
    return new_figure(size=size)[1][0, 0] if axes is None else axes


def parts(
    components: ArrayLike,
    image_shape: tuple[int, int],
    *,
    n_columns: int = 5,
    titles: Sequence[str] | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Draw one image a component, each from 0 (white) to its own largest value (black).

    Parameters
    ----------
    components : array-like of shape (k, m)
        Non-negative parts in data space: `model.parts()`.
    image_shape : (rows, columns)
        With rows × columns = m.
    n_columns : int, default=5
        Images a line.
    titles : sequence of k str, optional
        Above each image; by default its number.
    figure : Figure, optional
        Empty figure to draw on.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        `image_shape` or `titles` does not fit the components.
    """
    values = np.asarray(components, dtype=np.float64)
    if values.ndim != 2 or len(values) == 0 or values.shape[1] != int(np.prod(image_shape)):
        raise ValueError(f"image_shape={tuple(image_shape)} does not fit components of shape {values.shape}.")
    names = [str(index) for index in range(len(values))] if titles is None else list(titles)
    if len(names) != len(values):
        raise ValueError(f"titles must name {len(values)} components, got {len(names)}.")
    if n_columns < 1:
        raise ValueError(f"n_columns must be at least 1, got {n_columns}.")
    n_columns = min(n_columns, len(values))
    n_rows = -(-len(values) // n_columns)
    if figure is None:
        figure, grid = new_figure(n_rows, n_columns, size=(1.1, 1.3))
    else:
        grid = figure.subplots(n_rows, n_columns, squeeze=False)
    for axes, image, name in zip(grid.flat, values, names, strict=False):
        # a dead unit stays white: without a floor its rounding errors would be stretched to black
        top = max(float(image.max()), 1e-3 * float(values.max()), np.finfo(float).tiny)
        axes.imshow(image.reshape(image_shape), cmap="gray_r", vmin=0.0, vmax=top, interpolation="nearest")
        axes.set_title(name, fontsize=8)
    for axes in grid.flat:
        axes.set_axis_off()
    return figure


def embed(
    H: ArrayLike, *, n_points: int = 2000, random_state: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return a t-SNE of codes, of at most `n_points` of their rows.

    Parameters
    ----------
    H : array-like of shape (n, k)
        Codes.
    n_points : int, default=2000
        Rows that are embedded, drawn at random where there are more.
    random_state : int, default=0
        Of the draw and of t-SNE.

    Returns
    -------
    points : ndarray of shape (p, 2)
    rows : ndarray of shape (p,)
        Which rows of H they are.

    Raises
    ------
    ValueError
        H has fewer than five rows, or is not a finite matrix.

    References
    ----------
    van der Maaten and Hinton (2008), Visualizing data using t-SNE, JMLR 9.
    """
    from sklearn.manifold import TSNE

    codes = np.asarray(H, dtype=np.float64)
    if codes.ndim != 2 or len(codes) < 5 or not np.isfinite(codes).all():
        raise ValueError(f"H must be a finite matrix of at least five rows, got shape {codes.shape}.")
    rng = np.random.default_rng(random_state)
    rows = np.sort(rng.permutation(len(codes))[:n_points])
    chosen = codes[rows] - codes[rows].mean(axis=0)
    spread = np.sqrt(np.mean(chosen**2))
    chosen = chosen / spread if spread > 0 else chosen + 1e-6 * rng.standard_normal(chosen.shape)
    perplexity = min(30.0, (len(rows) - 1) / 3)
    start = "pca" if min(chosen.shape) >= 2 else "random"
    model = TSNE(2, perplexity=perplexity, init=start, random_state=random_state)
    return model.fit_transform(chosen).astype(np.float64), rows


def embedding(
    points: ArrayLike,
    labels: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    title: str = "",
    legend: bool = True,
    axes: Axes | None = None,
) -> Axes:
    """Scatter two-dimensional points, a colour a label.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        For instance from `embed`.
    labels : array-like of shape (n,)
        Classes or clusters.
    names : sequence of str, optional
        What the labels 0, 1, … are called.
    title : str
        Above.
    legend : bool, default=True
        Whether to name the colours.
    axes : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        Shapes that do not fit.
    """
    where, found = np.asarray(points, dtype=np.float64), np.asarray(labels)
    if where.ndim != 2 or where.shape[1] != 2:
        raise ValueError(f"points must have shape (n, 2), got {where.shape}.")
    if found.shape != (len(where),):
        raise ValueError(
            f"labels must have one entry for each of {len(where)} points, got shape {found.shape}."
        )
    axes = _axes(axes)
    for number, label in enumerate(np.unique(found)):
        chosen = where[found == label]
        name = str(label) if names is None else str(names[int(label)])
        colour = COLOURS[number % len(COLOURS)]
        axes.scatter(chosen[:, 0], chosen[:, 1], s=5, color=colour, label=name, linewidths=0, alpha=0.8)
    axes.set(title=title, xticks=[], yticks=[])
    if legend:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8, markerscale=2.5)
    return axes


def metric_curves(
    levels: ArrayLike,
    curves: Mapping[str, tuple[ArrayLike, ArrayLike | None]],
    *,
    metric: str = "ACC",
    x_label: str = "noise level",
    title: str = "",
    legend: bool = True,
    axes: Axes | None = None,
) -> Axes:
    """Draw a metric against noise levels (or epochs), a line a method, its spread as a band.

    Parameters
    ----------
    levels : array-like of shape (l,)
        What is on the x axis.
    curves : mapping of str to (mean, sd)
        Arrays of shape (l,); NaN leaves a gap; sd may be None.
    metric : str, default="ACC"
        Name of the y axis.
    x_label, title : str
        Texts.
    legend : bool, default=True
        Whether to name the lines.
    axes : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        A curve has another length than `levels`.
    """
    x = np.asarray(levels, dtype=np.float64)
    axes = _axes(axes)
    for number, (name, (mean, sd)) in enumerate(curves.items()):
        y = np.asarray(mean, dtype=np.float64)
        if y.shape != x.shape or (sd is not None and np.shape(sd) != x.shape):
            raise ValueError(f"curve {name!r} must have {len(x)} values, one a level, got shape {y.shape}.")
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(
            x, y, color=colour, marker=MARKERS[number % len(MARKERS)], markersize=4, label=name, linewidth=1.3
        )
        if sd is not None:
            spread = np.asarray(sd, dtype=np.float64)
            axes.fill_between(x, y - spread, y + spread, color=colour, alpha=0.15, linewidth=0)
    axes.set(xlabel=x_label, ylabel=metric, title=title)
    axes.grid(alpha=0.25)
    if legend and curves:
        axes.legend(frameon=False, fontsize=7)
    return axes


def loss_curves(
    history: Mapping[str, Any],
    *,
    terms: Sequence[str] | None = None,
    x: str = "epoch",
    title: str = "",
    axes: Axes | None = None,
) -> Axes:
    """Draw the terms of a `history_` on a logarithmic scale.

    Parameters
    ----------
    history : mapping of str to array
        An estimator's `history_`.
    terms : sequence of str, optional
        What to draw; by default everything but counts, times and rates.
    x : str, default="epoch"
        The x axis, a key of `history`; numbers 1, 2, … where it is absent.
    title : str
        Above.
    axes : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        An unknown term.
    """
    other = {x, "epoch", "iteration", "seconds", "learning_rate"}
    chosen = [name for name in history if name not in other] if terms is None else list(terms)
    for name in chosen:
        if name not in history:
            raise ValueError(f"terms must be among {', '.join(history)}, got {name!r}.")
    axes = _axes(axes)
    for number, name in enumerate(chosen):
        values = np.asarray(history[name], dtype=np.float64)
        steps = np.asarray(history[x]) if x in history else np.arange(1, len(values) + 1)
        shown = np.where(values > 0, values, np.nan)  # zero has no logarithm: a gap, not an error
        axes.plot(
            steps, shown, color=COLOURS[number % len(COLOURS)], label=name.replace("_", " "), linewidth=1.3
        )
    axes.set_yscale("log")
    axes.set(xlabel=x, ylabel="loss", title=title)
    axes.grid(alpha=0.25)
    if chosen:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, fontsize=7, frameon=False)
    return axes
