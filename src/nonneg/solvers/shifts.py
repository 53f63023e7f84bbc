"""Amounts moved in time: W beside itself, each time a row further down, and the way back."""

from __future__ import annotations

import numpy as np

__all__ = ["down", "folded", "shifted"]


def shifted(W: np.ndarray, width: int) -> np.ndarray:
    """S[t, j · width + τ] = W[t − τ, j], 0 where t < τ; of shape (n, k · width)."""
    before = np.vstack([np.zeros((width - 1, W.shape[1]), W.dtype), W])
    windows = np.lib.stride_tricks.sliding_window_view(before, width, axis=0)[:, :, ::-1]
    return windows.reshape(len(W), -1)


def folded(A: np.ndarray, width: int) -> np.ndarray:
    """The adjoint of `shifted`: Σ_τ A[t + τ, j · width + τ], of shape (n, k)."""
    n, cells = len(A), A.reshape(len(A), -1, width)
    out = np.zeros(cells.shape[:2], A.dtype)
    for tau in range(min(width, n)):
        out[: n - tau] += cells[tau:, :, tau]
    return out


def down(V: np.ndarray, by: int, fill: float) -> np.ndarray:
    """V moved down by some rows (up where ``by`` is negative); ``fill`` comes in at the other end."""
    moved = np.roll(V, by, axis=0)
    moved[slice(0, by) if by > 0 else slice(by, None)] = fill
    return moved
