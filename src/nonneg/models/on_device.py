"""What models ask of rows that are tensors; see `data.by_place`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..data.device import as_array, there
from . import rows

__all__ = ["facts", "times_into"]


def facts(mine: torch.Tensor, H: np.ndarray) -> Any:
    """Facts of a block of rows: the processor's."""
    return rows.facts(as_array(mine), H)


def times_into(mine: torch.Tensor, before: torch.Tensor, power: int) -> None:
    """W · 2^power of a block of rows, written into the first."""
    mine.copy_(there(rows.times(as_array(before), power), mine))
