"""Rows of W, however many: a heat map of amounts, and the structure plot of memberships."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .canvas import axes_or_new, colours, component_names, component_ticks, matrix, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

__all__ = ["heatmap", "memberships"]

#: More rows than this are drawn as means of neighbours, which is what a screen would make of them anyway.
HEATMAP_LINES, STRUCTURE_BARS = 400, 800
#: Longest name of a group, in characters.
GROUP_NAME = 24


def heatmap(
    W: ArrayLike,
    *,
    order: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    titles: Sequence[str] | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draw W as a picture: a line a row, a column a component.

    Rows are sorted by the component that is largest in them, then by its amount, largest first; rows of zeros
    come last. Labels group them first. Above 400 rows a line is the mean of neighbouring rows of one group, and
    the y axis says of how many. Colours end at the amount that one cell in 200 exceeds.

    Parameters
    ----------
    W : array-like of shape (n, k)
        Amounts: what `transform` returns.
    order : array-like of n int, optional
        Row numbers from top to bottom; `np.arange(n)` keeps the rows as they are, for instance in time.
    labels : array-like of shape (n,), optional
        Classes of the rows, drawn one after the other and named; `order` then holds within each. From 51
        classes on they have no names.
    titles : sequence of k str, optional
        Names of the components; by default their numbers.
    axes : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        W is not a finite matrix, or `order`, `labels` or `titles` does not fit it.
    """
    amounts = matrix(W, "W")
    n, k = amounts.shape
    names = component_names(titles, k)
    rows, groups = _ordered(amounts, order, labels)
    lines, sizes = _means(amounts[rows], list(groups.values()), HEATMAP_LINES)
    axes = axes_or_new(axes, (2.6 + 0.16 * k + 0.08 * _longest(groups), 4.2))
    top, largest = float(np.quantile(lines, 0.995)), float(lines.max())
    top = top if top > 0 else largest
    bottom = min(0.0, float(lines.min()))
    mesh = axes.pcolormesh(
        np.arange(k + 1) - 0.5, np.append(0, np.cumsum(sizes)), lines,
        vmin=bottom, vmax=top if top > bottom else bottom + 1.0, rasterized=True,
    )  # fmt: skip
    axes.figure.colorbar(mesh, ax=axes, label="amount", extend="max" if largest > top else "neither")
    axes.set(ylim=(n, 0), xlabel="component", ylabel=_how_many(n, sizes, "line"))
    component_ticks(axes.xaxis, names, named=titles is not None)
    _name_groups(axes.yaxis, groups, named=labels is not None)
    for edge in np.cumsum(list(groups.values()))[:-1]:
        axes.axhline(edge, color="white", linewidth=10 / max(10, len(groups)))  # on the picture, not on paper
    return axes


def memberships(
    P: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    order: ArrayLike | None = None,
    titles: Sequence[str] | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draw the structure plot: each row as a bar of height 1, divided among the components by its amounts.

    Rows are sorted by their largest component, then by its share, largest first; rows of zeros come last and
    have no bar. Labels group them first. Above 800 rows a bar is the mean of neighbouring rows of one group,
    and the x axis says of how many. Neighbouring components differ in hue; from 11 components on hues come
    again, lighter and darker.

    Parameters
    ----------
    P : array-like of shape (n, k)
        Memberships or amounts, not negative; each row is divided by its sum.
    labels : array-like of shape (n,), optional
        Classes of the rows, drawn one after the other and named. From 51 classes on they have no names.
    order : array-like of n int, optional
        Row numbers from left to right, within each class; `np.arange(n)` keeps the rows as they are.
    titles : sequence of k str, optional
        Names of the components; by default their numbers.
    axes : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        P is not a finite matrix or has negative entries, or `labels`, `order` or `titles` does not fit it.

    References
    ----------
    Rosenberg et al. (2002), Genetic structure of human populations, Science 298, figure 1.
    """
    from matplotlib.patches import StepPatch

    amounts = matrix(P, "P")
    if amounts.min() < 0:
        raise ValueError(f"P must not be negative, got {amounts.min():.3g}.")
    n, k = amounts.shape
    names = component_names(titles, k)
    largest = amounts.max(axis=1, keepdims=True)
    shares = amounts / np.where(largest > 0, largest, 1.0)  # sums of the largest floats would overflow
    shares /= np.where(largest > 0, shares.sum(axis=1, keepdims=True), 1.0)
    rows, groups = _ordered(shares, order, labels)
    bars, sizes = _means(shares[rows], list(groups.values()), STRUCTURE_BARS)
    axes = axes_or_new(axes, (8.0, 2.6 + (0.08 * _longest(groups) if _too_wide(groups) else 0.0)))
    edges = np.append(0, np.cumsum(sizes))
    heights = np.cumsum(bars, axis=1)
    floor = np.zeros(len(bars))
    for colour, name, height in zip(colours(k), names, heights.T, strict=True):
        steps = StepPatch(
            height, edges, baseline=floor, fill=True, color=colour, label=name, linewidth=0,  # type: ignore[arg-type]
        )  # fmt: skip
        axes.add_artist(steps)  # `stairs` would look at every corner for limits that are known
        floor = height
    axes.set(xlim=(0, n), ylim=(0, 1), ylabel="membership", xlabel=_how_many(n, sizes, "bar"))
    _name_groups(axes.xaxis, groups, named=labels is not None)
    for edge in np.cumsum(list(groups.values()))[:-1]:
        axes.axvline(edge, color="white", linewidth=15 / max(10, len(groups)))
    axes.legend(
        loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8 if k <= 20 else 6,
        ncols=-(-k // 12), handlelength=1.0, handleheight=1.0,
    )  # fmt: skip
    return axes


def _ordered(
    values: NDArray[np.float64], order: ArrayLike | None, labels: ArrayLike | None
) -> tuple[NDArray[np.intp], dict[str, int]]:
    """Return row numbers in the order in which they are drawn, and the rows of each group in that order."""
    n = len(values)
    largest = values.max(axis=1)
    if order is None:
        strongest = np.where(largest > 0, values.argmax(axis=1), values.shape[1])
        rows = np.lexsort((-largest, strongest))
    else:
        rows = np.asarray(order)
        if rows.dtype.kind not in "iu" or not np.array_equal(np.sort(rows, axis=None), np.arange(n)):
            raise ValueError(
                f"order must hold each row number from 0 to {n - 1} once, got shape {rows.shape}."
            )
    if labels is None:
        return rows, {"": n}
    classes = np.asarray(labels)
    if classes.shape != (n,):
        raise ValueError(f"labels must have one entry for each of {n} rows, got shape {classes.shape}.")
    if classes.dtype == object:  # names, perhaps with gaps: only texts can be sorted whatever they are
        classes = classes.astype(str)
    present, member, counts = np.unique(classes, return_inverse=True, return_counts=True)
    return rows[np.argsort(member[rows], kind="stable")], dict(
        zip(map(str, present), counts.tolist(), strict=True)
    )


def _means(
    values: NDArray[np.float64], groups: Sequence[int], limit: int
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return about `limit` means of neighbouring rows that never mix groups, and how many rows each stands for."""
    n = len(values)
    if n <= limit:
        return values, np.ones(n, dtype=np.intp)
    starts, first = [], 0
    for count in groups:
        lines = min(count, max(1, round(limit * count / n)))
        starts.append(first + np.arange(lines) * count // lines)
        first += count
    where = np.concatenate(starts)
    sizes = np.diff(np.append(where, n))
    return np.add.reduceat(values, where, axis=0) / sizes[:, None], sizes


def _how_many(n: int, sizes: NDArray[np.intp], mark: str) -> str:
    said = f"{n:,} row" + ("s" if n > 1 else "")
    return said if sizes.max() == 1 else f"{said} (a {mark} is the mean of up to {sizes.max()})"


def _name_groups(axis: Axis, groups: dict[str, int], *, named: bool) -> None:
    """Put the name of each group beside its middle, as far from it as names need in order not to overlap."""
    axis.set_tick_params(length=0)
    if not named or len(groups) > 50:
        axis.set_ticks([])
        return
    counts = np.array(list(groups.values()))
    ends = np.cumsum(counts)
    upright = axis is axis.axes.xaxis and not _too_wide(groups)
    gap = min(0.01 + 0.011 * _longest(groups) if upright else 0.035, 1.0 / len(counts)) * ends[-1]
    places = ends - counts / 2
    for number in range(1, len(places)):
        places[number] = max(places[number], places[number - 1] + gap)
    places[-1] = min(places[-1], ends[-1])
    for number in range(len(places) - 2, -1, -1):
        places[number] = min(places[number], places[number + 1] - gap)
    axis.set_ticks(places, [shorten(name, GROUP_NAME) for name in groups], fontsize=8)
    if axis is axis.axes.xaxis and not upright:
        axis.set_tick_params(labelrotation=90)


def _longest(groups: dict[str, int]) -> int:
    return min(GROUP_NAME, max(map(len, groups)))


def _too_wide(groups: dict[str, int]) -> bool:
    """Whether names side by side would not fit under a figure of usual width."""
    return _longest(groups) * len(groups) > 60
