"""500 × 100 of rank 5 with noise."""

from __future__ import annotations

import numpy as np
from benchmarks.nmf.harness import BaseDataset
from scipy.sparse import csr_array

from nonneg.datasets import make_low_rank, make_topics


class Small(BaseDataset):
    """Where overhead counts more than arithmetic; the probe ``small`` times whole fits."""

    name, order = "small", 7
    work = "500 × 100"
    ranks = (5,)
    goals = {5: (1.0, 5.0)}

    def get_data(self) -> np.ndarray:
        """float32."""
        return make_low_rank(500, 100, 5, noise=0.2, random_state=5).data.astype(np.float32)


class Tiny(BaseDataset):
    """For the test of the harness."""

    name, order = "tiny", 98
    work = "200 × 40, for the test of this harness"
    ranks = (4,)
    hidden = True

    def get_data(self) -> np.ndarray:
        """float32."""
        return make_low_rank(200, 40, 4, noise=0.2, random_state=1).data.astype(np.float32)


class TinyTopics(BaseDataset):
    """For the test of the harness: sparse counts."""

    name, order = "tiny-topics-kl", 99
    work = "200 × 60 counts, for the test of this harness"
    loss = "kl"
    ranks = (3,)
    hidden = True

    def get_data(self) -> csr_array:
        """float32 CSR."""
        return make_topics(200, 60, 3, random_state=1).data.astype(np.float32)


DATASETS = (Small, Tiny, TinyTopics)
