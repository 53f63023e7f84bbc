"""The β-divergences of blocks that are tensors: the methods of `BetaLoss` of these names; see `data.by_place`.

Complete data without weights of cells. What would be as large as the block is made of some rows at a time; values are
summed in float64, and H and sums over rows are ndarrays.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from ..data.block import Block
from ..data.device import as_array, there
from .beta import Stats, floor_of

__all__ = ["both", "row_terms", "stats", "value"]

CELLS = 1 << 26  # at once


def value(loss: Any, block: Block, W: torch.Tensor, H: np.ndarray) -> float:
    """Loss of a block."""
    Hd = there(H, W)
    return sum(_value(loss, part, _predict(loss, W[rows], Hd)) for part, rows in _parts(block))


def row_terms(loss: Any, block: Block, W: torch.Tensor, H: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """∇_W⁻ and ∇_W⁺ of a block, each (b, k), where the block lies."""
    Hd = there(H, W)
    if loss.beta == 2:
        return block.X @ Hd.T, W @ there(H @ H.T, W)
    negative, positive = torch.empty_like(W), torch.empty_like(W)
    for part, rows in _parts(block):
        R, S = _halves(loss, part.X, _predict(loss, W[rows], Hd))
        negative[rows], positive[rows] = R @ Hd.T, S @ Hd.T
    return negative, positive


def stats(loss: Any, block: Block, W: torch.Tensor, H: np.ndarray) -> Stats:
    """∇_H⁻, ∇_H⁺ and the loss of a block."""
    weighted: Any = W if block.row_weights is None else W * block.row_weights[:, None]
    if loss.beta == 2:
        gram = as_array(weighted.T @ W)
        return Stats(as_array(weighted.T @ block.X), gram @ H, value(loss, block, W, H))
    Hd = there(H, W)
    found, negative, positive = 0.0, torch.zeros_like(Hd), torch.zeros_like(Hd)
    for part, rows in _parts(block):
        Y = _predict(loss, W[rows], Hd)
        found += _value(loss, part, Y)
        R, S = _halves(loss, part.X, Y)
        negative += weighted[rows].T @ R
        positive += weighted[rows].T @ S
    return Stats(as_array(negative), as_array(positive), found)


def both(loss: Any, block: Block, W: torch.Tensor, H: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, Stats]:
    """`row_terms` and `stats` of one point."""
    return *row_terms(loss, block, W, H), stats(loss, block, W, H)


def _parts(block: Block) -> Iterator[tuple[Block, slice]]:
    b, m = block.X.shape
    step = max(1, CELLS // m)
    for start in range(0, b, step):
        rows = slice(start, min(start + step, b))
        weights = None if block.row_weights is None else block.row_weights[rows]
        yield Block(rows.start, rows.stop, block.X[rows], None, weights), rows


def _predict(loss: Any, W: torch.Tensor, H: torch.Tensor) -> torch.Tensor:
    """W @ H, held above zero where the loss divides by it."""
    Y = W @ H
    if loss.beta >= 2:
        return Y
    return Y.clamp_(min=floor_of(np.float64 if Y.dtype == torch.float64 else np.float32, loss.beta))


def _halves(loss: Any, X: torch.Tensor, Y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """R = x y^(β−2) and S = y^(β−1)."""
    if loss.beta == 2:
        return X, Y
    if loss.beta == 1:
        return X / Y, torch.ones_like(Y)
    S = Y ** (loss.beta - 1)
    return (X * S * S if loss.beta == 0 else X * Y ** (loss.beta - 2)), S


def _value(loss: Any, part: Block, Y: torch.Tensor) -> float:
    if loss.beta == 2:
        gap = part.X - Y
        rows = 0.5 * torch.linalg.vecdot(gap, gap).double()
    else:
        rows = _cells(loss.beta, part.X.double(), Y.double()).sum(dim=1)
    weights: Any = part.row_weights
    return float(rows.sum() if weights is None else rows @ weights.double())


def _cells(beta: float, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """d_β(x | y), cell by cell."""
    if beta == 1:
        return torch.xlogy(x, x / y) - x + y
    if beta == 0:
        ratio = x / y
        return ratio - torch.log(ratio) - 1
    mixed = torch.where((x == 0) & (y == 0), 0.0, x * y ** (beta - 1))
    return (x**beta + (beta - 1) * y**beta - beta * mixed) / (beta * (beta - 1))
