"""X as the exact side sees it: one dense float64 matrix with a largest cell near 1, whatever holds it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data import as_source
from ..data.as_source import check_cells

__all__ = ["matrix_of", "pattern_of"]


def matrix_of(X: Any, whom: str) -> tuple[np.ndarray, int]:
    """X · 2^−power as a dense float64 array with a largest cell in [½, 1), and the power (0 for X = 0).

    Raises
    ------
    ValueError, TypeError
        For cells that are negative, NaN, infinite or complex, naming the first.
    """
    source = as_source(X)
    check_cells(source, whom=whom, takes_missing=False)
    cells = np.concatenate([block.dense().X for block in source.blocks()]).astype(np.float64)
    power = int(np.frexp(cells.max())[1])
    return np.ldexp(cells, -power), power


def pattern_of(X: np.ndarray, tol: float) -> np.ndarray:
    """Which cells are positive: x_ij max X > ``tol`` r_i c_j, with r_i the largest cell of the row, c_j of the column.

    Where these are all alike, that is a share ``tol`` of the largest cell. rank₊ does not depend on units of rows and
    columns, so a cell must not become 0, which proves something, because its row and its column are small.
    """
    return tol * X.max(axis=1, keepdims=True) * X.max(axis=0) < X * X.max()
