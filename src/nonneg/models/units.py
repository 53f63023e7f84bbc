"""Powers of two between the units of the data and those of the fit: exact, and safe at the ends of the floats.

A source hands out X · 2^power (see `nonneg.data`). Here results are brought back, in float64 or by the exponent
alone, because 2^power itself need not be a float of the factors' dtype.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data import Source, Summary
from ..losses.beta import floor_of

__all__ = [
    "exponent_of",
    "loss_times",
    "power_of",
    "rescaled",
    "taken_back",
    "times",
    "weights_rescaled",
    "within_range",
]

NEAR = 20  # data within 2^±20 are fitted as they are
MANY_TIMES = 4  # weights up to 2^4 are taken for numbers of rows
FAINTEST = 2.0**-60  # of the largest cell: a mean that rows without weight hide
FARTHEST = 1000  # beyond, 2^-power would be no float


def exponent_of(V: Any, power: int = 0) -> int:
    """The e with 2^(e−1) ≤ 2^power max V < 2^e, where that is far from 0; else 0."""
    largest = float(np.max(V, initial=0.0))
    exponent = int(np.frexp(largest)[1]) + power if largest > 0 else 0
    return 0 if abs(exponent) <= NEAR else max(-FARTHEST, min(FARTHEST, exponent))


def rescaled(source: Source, summary: Summary) -> tuple[float, Summary]:
    """A power of two that brings the largest cell to about 1, if it is far from it, and the summary after it."""
    exponent = exponent_of(summary.maximum)
    if exponent == 0:
        return 1.0, summary
    source.scale = 2.0**-exponent
    return source.scale, source.summary()


def weights_rescaled(source: Source, summary: Summary) -> tuple[int, Summary]:
    """Bring row weights with a mean far from 1 near it; return the power of two taken out, and the summary after it.

    Weights that sum to one, say, would else make the gradient of H (a sum over rows) small beside that of W (one row at
    a time), and a fit would seem converged before H has moved; large ones, before W has. Weights of 1 to 16 count rows,
    and stay: a row of weight 2 is the row twice, to the last iteration.
    """
    if source.row_weights is None:
        return 0, summary
    if 0 < abs(summary.mean) < FAINTEST * summary.maximum:
        raise ValueError(
            f"sample_weight: rows of weight (almost) 0 hold cells up to {summary.maximum / source.scale:.3g}, beside "
            f"which the weighted mean of X, {summary.mean / source.scale:.3g}, is nothing; leave these rows out of X"
        )
    mean = float(source.row_weights[source.row_weights > 0].mean(dtype=np.float64))
    power = int(np.frexp(mean)[1])
    if -1 < power <= MANY_TIMES:
        return 0, summary
    source.row_weights = np.ldexp(source.row_weights, -power)
    return power, source.summary()


def set_floor(source: Source, summary: Summary, beta: float) -> None:
    """For KL, cells that lie below what the precision can tell from 0 beside the largest one count as 0.

    They cost less than rounding, while x / y of them against the others' scale overflows.

    For β < 0, cells so small that a prediction of their size has no finite slope y^(β − 1) to be added up are refused.
    """
    if beta < 0 and 0 < summary.minimum < (least := floor_of(source.float_dtype, beta)):
        low, high = summary.minimum / source.scale, summary.maximum / source.scale
        wider = "" if source.float_dtype == np.float64 else "give X as float64, "
        raise ValueError(
            f"loss={beta:g}: the cells of X reach from {low:.3g} to {high:.3g}, and beside the largest, "
            f"{source.float_dtype} holds the slopes y^{beta - 1:g} of cells down to "
            f"{least / source.scale:.3g} alone; {wider}take a larger β (0 is 'itakura-saito'), or leave extreme "
            "cells out (weight 0)"
        )
    if beta == 1:
        eps = float(np.finfo(source.float_dtype).eps)
        source.floor = float(summary.maximum) * eps ** (3 if source.float_dtype == np.float32 else 2)


def power_of(source: Source) -> int:
    """Power of two by which a source multiplies X."""
    return int(np.frexp(source.scale)[1]) - 1


def times(V: np.ndarray, power: int, dtype: Any = None) -> np.ndarray:
    """V · 2^power, rounded once."""
    dtype = np.dtype(dtype or V.dtype)
    if power == 0:
        return V.astype(dtype, copy=False)
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(V.astype(np.float64), power).astype(dtype)


def loss_times(loss: Any, power: float) -> Any:
    """A loss (number or array) · 2^power: infinite where no float is that large, but never NaN."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        found = np.where(np.asarray(loss) == 0, 0.0, np.asarray(loss, np.float64) * np.exp2(power))
    return found if found.ndim else float(found)


def taken_back(W: np.ndarray, H: np.ndarray, power: int) -> tuple[np.ndarray, np.ndarray]:
    """(W, H · 2^power); where H would leave the floats, W takes what H cannot hold."""
    excess, H = within_range(H, power)
    return times(W, excess), H


def within_range(H: np.ndarray, power: int) -> tuple[int, np.ndarray]:
    """The power of two that W takes where H · 2^power would leave the floats, and H times the rest."""
    kind = np.finfo(H.dtype)
    top = int(np.frexp(float(H.max(initial=0.0)))[1]) + power
    excess = max(0, top - (kind.maxexp - 1)) - max(0, kind.minexp + kind.nmant - top)
    if power == 0 or not H.any():
        excess = 0
    return excess, times(H, power - excess)
