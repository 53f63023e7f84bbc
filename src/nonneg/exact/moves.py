"""What searches among integers share: a move is kept if it mends something, and a pass that mends nothing ends them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..solvers.iterate import Arrays
from ..solvers.step import Record, relative_change

__all__ = ["EXACT", "keep_if_better", "whole_numbers"]

ROUNDING = 1e-12  # of a loss
EXACT = (
    2.0**53
)  # sums of squares up to here are exact for integers, and sums of products what losses are made from


def keep_if_better(state: Arrays, W: np.ndarray, H: np.ndarray, loss: float, whole: float) -> Record:
    """Put W and H into the state where their loss is lower than that of the state, by more than rounding.

    The record's residual is the fall of the loss as a share of ``whole``, the loss of W H = 0.
    """
    before = float(state["loss"])
    moved = np.linalg.norm(W - state["W"]) + np.linalg.norm(H - state["H"])
    size = np.linalg.norm(state["W"]) + np.linalg.norm(state["H"])
    rounding = ROUNDING * before + 1e-15 * min(whole, EXACT)
    if not loss < before - rounding:  # nothing was mended, only exchanged
        return Record(before, 0.0, 0.0)
    state["W"], state["H"], state["loss"] = W, H, np.array(loss)
    return Record(loss, (before - loss) / whole, relative_change(float(moved), float(size)))


def whole_numbers(name: str, value: Any, shape: tuple[int, int], largest: float) -> np.ndarray | None:
    """Return W_init or H_init as integers from 0 to ``largest``, or raise naming it."""
    if value is None:
        return None
    array = np.asarray(value)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
    if (
        array.dtype.kind not in "fiub"
        or not ((array >= 0) & (array <= largest) & (array == np.rint(array))).all()
    ):
        most = "" if largest == np.inf else f" to {largest:g}"
        raise ValueError(f"{name} must hold whole numbers from 0{most} alone")
    return array.astype(np.int64)
