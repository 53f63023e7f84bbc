"""Word counts of 20,000 documents over 10,000 words, 1 % of the cells stored, drawn from 40 planted topics."""

from __future__ import annotations

import numpy as np
from benchmarks.nmf.harness import BaseDataset
from scipy.sparse import coo_array, csr_array


class Topics(BaseDataset):
    """For the Frobenius loss."""

    name, order = "topics", 2
    work = "sparse Frobenius: topics 20000 × 10000, 1 %"
    ranks = (20, 50)
    goals = {20: (1.3, 2.0), 50: (2.5, 5.0)}
    shape, planted, words = (20_000, 10_000), 40, 115

    def get_data(self) -> csr_array:
        """float32 CSR."""
        (n, m), rng = self.shape, np.random.default_rng(20_261)
        W = rng.dirichlet(np.full(self.planted, 0.3), n)
        H = rng.dirichlet(np.full(m, 0.05), self.planted)
        row = np.repeat(np.arange(n), np.maximum(rng.poisson(self.words, n), 1))
        topic = draw(W, row, rng)
        column = draw(H, topic, rng)
        counts = csr_array(coo_array((np.ones(len(row), np.float32), (row, column)), shape=(n, m)))
        counts.sum_duplicates()
        return counts


class TopicsKL(Topics):
    """For the KL loss."""

    name, order = "topics-kl", 3
    work = "sparse KL: topics 20000 × 10000, 1 %"
    loss = "kl"
    goals = {20: (10.0, 25.0), 50: (10.0, 25.0)}


def draw(rows: np.ndarray, which: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For every t a column from the distribution ``rows[which[t]]``."""
    cumulative = np.cumsum(rows, axis=1)
    cumulative /= cumulative[:, -1:]
    ladder = (cumulative + np.arange(len(rows))[:, None]).ravel()
    found = np.searchsorted(ladder, which + rng.random(len(which)), side="right")
    return np.clip(found - which * rows.shape[1], 0, rows.shape[1] - 1)


DATASETS = (Topics, TopicsKL)
