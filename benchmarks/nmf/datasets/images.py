"""Fashion-MNIST and MNIST, 70,000 images of 28 × 28; and 20,000 of Fashion-MNIST for the KL loss."""

from __future__ import annotations

import numpy as np
from benchmarks.nmf.harness import BaseDataset

from nonneg.datasets import load

TALL = {10: (10.0, 25.0), 49: (10.0, 25.0), 100: (10.0, 25.0)}


class FashionMnist(BaseDataset):
    """All 70,000 images."""

    name, order = "fashion-mnist", 0
    work = "dense, n ≫ m: Fashion-MNIST 70000 × 784"
    ranks = (10, 49, 100)
    goals = TALL

    def get_data(self) -> np.ndarray:
        """float32, grey levels 0–255."""
        return load("fashion-mnist", split="all").data.astype(np.float32)


class Mnist(BaseDataset):
    """All 70,000 images."""

    name, order = "mnist", 6
    work = "dense, n ≫ m: MNIST 70000 × 784"
    ranks = (10, 49, 100)
    goals = TALL

    def get_data(self) -> np.ndarray:
        """float32, grey levels 0–255."""
        return load("mnist", split="all").data.astype(np.float32)


class FashionKL(BaseDataset):
    """The first 20,000 images."""

    name, order = "fashion-mnist-kl", 5
    work = "dense KL: Fashion-MNIST, 20,000 rows"
    loss = "kl"
    ranks = (49,)
    goals = {49: (2.0, 5.0)}

    def get_data(self) -> np.ndarray:
        """float32, grey levels 0–255."""
        return load("fashion-mnist", split="all").data[:20_000].astype(np.float32)


DATASETS = (FashionMnist, Mnist, FashionKL)
