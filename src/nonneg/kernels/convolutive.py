"""Coordinate descent for amounts of patterns in time: the rows of W are coupled by the patterns that overlap."""

from __future__ import annotations

import numpy as np

from nonneg.kernels.jit import kernel

__all__ = ["overlaps", "sweep"]


def overlaps(patterns: np.ndarray) -> np.ndarray:
    """T[d, c, j, l] = Σ_{i < c} ⟨patterns[j, d + i], patterns[l, i]⟩ of shape (width, width + 1, k, k).

    How much pattern j overlaps with pattern l begun d frames later, where only c frames of the latter are in X.
    """
    k, width, _ = patterns.shape
    T = np.zeros((width, width + 1, k, k), patterns.dtype)
    for d in range(width):
        products = np.einsum("jim,lim->ijl", patterns[:, d:], patterns[:, : width - d], optimize=True)
        np.cumsum(products, axis=0, out=T[d, 1 : width - d + 1])
    return T


@kernel
def _sweep(W, C, T, sweeps):
    n, k = W.shape
    width = T.shape[0]
    tiny = np.finfo(W.dtype).tiny * 4
    for _ in range(sweeps):
        for t in range(n):
            here = min(width, n - t)
            for j in range(k):
                g = T[0, here, j, j]
                if g <= tiny:
                    continue
                new = max(W.dtype.type(0), W[t, j] + C[t, j] / g)
                moved = new - W[t, j]
                if moved == 0:
                    continue
                W[t, j] = new
                for s in range(t, min(n, t + width)):
                    row = T[s - t, min(width - s + t, n - s), j]
                    for m in range(k):
                        C[s, m] -= moved * row[m]
                for s in range(max(0, t - width + 1), t):
                    table = T[t - s, min(width - t + s, n - t)]
                    for m in range(k):
                        C[s, m] -= moved * table[m, j]


def sweep(W: np.ndarray, C: np.ndarray, T: np.ndarray, sweeps: int) -> None:
    """Set every W_tj in turn to its best value ≥ 0, ``sweeps`` times, in place.

    Parameters
    ----------
    W : ndarray of shape (n, k)
    C : ndarray of shape (n, k)
        Minus the gradient of ½‖X − X̂‖²; kept up to date.
    T : ndarray
        `overlaps` of the patterns.
    sweeps : int
    """
    _sweep(W, C, T, sweeps)
