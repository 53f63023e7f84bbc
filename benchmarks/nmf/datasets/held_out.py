"""Data on which none of the library's constants was chosen."""

from __future__ import annotations

import numpy as np
from benchmarks.nmf.harness import BaseDataset

from nonneg.datasets import load, make_counts, make_low_rank


class LowRank(BaseDataset):
    """Planted parts and noise; wide enough that rows are long."""

    name, order = "low-rank", 8
    work = "held out, dense: planted rank 30 + noise, 20000 × 2000"
    ranks = (30,)
    goals = {30: (8.0, 15.0)}
    held_out = True

    def get_data(self) -> np.ndarray:
        """float32."""
        planted = make_low_rank(20_000, 2_000, 30, noise=0.5, density=0.3, random_state=11)
        return planted.data.astype(np.float32)


class Digits(BaseDataset):
    """scikit-learn's 8 × 8 digits."""

    name, order = "digits", 9
    work = "held out, small: digits 1797 × 64"
    ranks = (10, 30)
    goals = {30: (8.0, 15.0)}
    held_out = True

    def get_data(self) -> np.ndarray:
        """float32, 0–16."""
        return load("digits", split="all").data.astype(np.float32)


class Counts(BaseDataset):
    """Poisson counts."""

    name, order = "counts-kl", 10
    work = "held out, dense KL: Poisson counts 5000 × 500"
    loss = "kl"
    ranks = (20,)
    goals = {20: (2.0, 5.0)}
    held_out = True

    def get_data(self) -> np.ndarray:
        """float32."""
        return make_counts(5_000, 500, 20, mean=2.0, random_state=12).data.astype(np.float32)


DATASETS = (LowRank, Digits, Counts)
