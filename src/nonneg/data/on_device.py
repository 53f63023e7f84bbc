"""What `data` computes of blocks that are tensors; see `by_place`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .block import Block

__all__ = ["_summarize"]


def _summarize(block: Block) -> tuple[float, float, np.ndarray]:
    """As for ndarrays; sums over rows are in the dtype of X there, those over columns in float64."""
    X = block.X
    first, second = X.sum(dim=1), torch.linalg.vecdot(X, X)
    zero_rows = int((first == 0).sum())
    rows: Any = torch.ones_like(first) if block.row_weights is None else block.row_weights
    sums = [float((part * rows).sum(dtype=torch.float64)) for part in (first, second)]
    weight = X.shape[1] * float(rows.sum(dtype=torch.float64))
    return float(X.min()), float(X.max()), np.array([*sums, weight, zero_rows])
