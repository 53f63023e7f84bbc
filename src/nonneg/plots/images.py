"""Components that are pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from .canvas import component_names, grid_of, matrix

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["parts"]


def parts(
    components: ArrayLike,
    image_shape: tuple[int, ...],
    *,
    n_columns: int = 5,
    titles: Sequence[str] | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Draw one image a component, each from 0 (white) to its own largest value (black).

    Colour images go from black (0) to full light. Where entries are negative, 0 is white, red above it and blue
    below.

    Parameters
    ----------
    components : array-like of shape (k, m)
        Parts in data space: `model.parts()`.
    image_shape : (rows, columns) or (rows, columns, 3)
        Its product is m. With 3 the last axis is red, green and blue.
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
        `image_shape` or `titles` does not fit the components, or colours are negative.
    """
    values = matrix(components, "components")
    shape = tuple(int(side) for side in image_shape)
    colour = len(shape) == 3
    if len(shape) not in (2, 3) or values.shape[1] != int(np.prod(shape)) or shape[2:] not in ((), (3,)):
        raise ValueError(f"image_shape={tuple(image_shape)} does not fit components of shape {values.shape}.")
    # rounding of a network's output is no sign
    signed = values.min() < -1e-6 * values.max()
    if colour and signed:
        raise ValueError("components of colour images must not be negative: draw their positive part.")
    names = component_names(titles, len(values), length=24)
    figure, grid = grid_of(len(values), n_columns, figure, (1.1, 1.3))
    for axes, image, name in zip(grid.flat, values, names, strict=False):
        # a dead unit stays white: without a floor its rounding errors would be stretched to black
        top = max(float(abs(image).max()), 1e-3 * float(abs(values).max()), np.finfo(float).tiny)
        if colour:
            axes.imshow(np.clip(image / top, 0.0, 1.0).reshape(shape), interpolation="nearest")
        else:
            cmap, bottom = ("RdBu_r", -top) if signed else ("gray_r", 0.0)
            axes.imshow(image.reshape(shape), cmap=cmap, vmin=bottom, vmax=top, interpolation="nearest")
        axes.set_title(name, fontsize=8)
    for axes in grid.flat:
        axes.set_axis_off()
    return figure
