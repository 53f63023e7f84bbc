"""Where tests of passes on a device make them: with torch on the processor, and on CUDA where it is."""

from __future__ import annotations

import numpy as np
import torch

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def strict(monkeypatch) -> list[int]:
    """Let no tensor become an ndarray by chance, as none does on CUDA; return a list that grows by the sizes of those
    that are made on purpose."""
    made: list[int] = []
    numpy = torch.Tensor.numpy

    def on_purpose(self, *args, **options):
        made.append(self.numel())
        return numpy(self, *args, **options)

    def refuse(self, *args, **options):
        raise TypeError("a tensor was taken for an ndarray")

    monkeypatch.setattr(torch.Tensor, "__array__", refuse)
    monkeypatch.setattr(torch.Tensor, "numpy", on_purpose)
    return made


def distinct(n: int, m: int, k: int, dtype="float32", seed: int = 0) -> np.ndarray:
    """Data with one best factorization: every part has features, and every amount rows, of its own."""
    rng = np.random.default_rng(seed)
    W = rng.random((n, k)) * (rng.random((n, k)) < 0.5)
    H = rng.random((k, m)) * (rng.random((k, m)) < 0.5)
    W[:k] = H[:, :k] = 2 * np.eye(k)
    X = W @ H + 0.05 * rng.random((n, m))
    if dtype == "uint8":
        return np.round(255 * X / X.max()).astype(np.uint8)
    return X.astype(dtype)
