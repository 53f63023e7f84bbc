"""What is minimised, evaluated outside the clock: the exact loss of (W, H) in float64, by code of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

BLOCK_CELLS = 2_000_000


class Objective:
    """½‖X − WH‖² or the generalised Kullback–Leibler divergence D(X ‖ WH), whatever dtype the factors have."""

    name = "NMF"
    losses = ("frobenius", "kl")

    def set_data(self, X: Any, loss: str) -> None:
        """Keep X as it is stored; blocks of it become float64 when they are looked at."""
        if loss not in self.losses:
            raise ValueError(f"loss={loss!r} must be one of {self.losses}")
        self.X, self.loss = (X.tocsr() if sparse.issparse(X) else X), loss
        if sparse.issparse(X):
            data = self.X.data.astype(np.float64)
            self.constant = (
                0.5 * float(data @ data) if loss == "frobenius" else float((data * np.log(data) - data).sum())
            )

    def evaluate_result(self, W: np.ndarray, H: np.ndarray) -> float:
        """Return the loss; infinity where it is not finite."""
        W, H = np.asarray(W, np.float64), np.asarray(H, np.float64)
        with np.errstate(all="ignore"):
            value = self._of_sparse(W, H) if sparse.issparse(self.X) else self._of_dense(W, H)
        return value if np.isfinite(value) else float("inf")

    def _of_dense(self, W: np.ndarray, H: np.ndarray) -> float:
        rows = max(1, BLOCK_CELLS // H.shape[1])
        total = 0.0
        for start in range(0, len(W), rows):
            X = self.X[start : start + rows].astype(np.float64)
            Y = W[start : start + rows] @ H
            if self.loss == "frobenius":
                np.subtract(X, Y, out=Y)
                total += 0.5 * float(np.vdot(Y, Y))
            else:
                seen = X > 0
                x = X[seen]
                total += float((x * np.log(x / Y[seen]) - x).sum() + Y.sum())
        return total

    def _of_sparse(self, W: np.ndarray, H: np.ndarray) -> float:
        if self.loss == "frobenius":
            return self.constant - float(np.vdot(self.X @ H.T, W)) + 0.5 * float(np.vdot(W.T @ W, H @ H.T))
        Ht = np.ascontiguousarray(H.T)
        step = max(1, BLOCK_CELLS // H.shape[0])
        row_of = np.repeat(np.arange(self.X.shape[0]), np.diff(self.X.indptr))
        logs = 0.0
        for start in range(0, self.X.nnz, step):
            cells = slice(start, start + step)
            y = np.einsum("ij,ij->i", W[row_of[cells]], Ht[self.X.indices[cells]])
            logs += float((self.X.data[cells] * np.log(y)).sum())
        return self.constant - logs + float(W.sum(axis=0) @ H.sum(axis=1))
