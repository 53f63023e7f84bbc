"""Batches: samples converted and scaled when they are used, in the order of `shuffle`.

Where several processes train together (`ranks`), each makes its share of every batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nonneg.data import Source
from nonneg.deep import ranks
from nonneg.deep.shuffle import Runs, Shuffle

__all__ = ["Batch", "Batches", "too_far"]


class Batch(NamedTuple):
    """Some samples as a model sees them."""

    x: Tensor  #: (batch, m), clean, divided by the scale
    rows: Tensor  #: (batch,) int64, their numbers in the whole data set
    epoch: int  #: from 0
    weight: Tensor | None = None  #: (batch,), weights of the samples; None: all 1
    cells: Tensor | None = None  #: (batch, m), weights of the cells; where one is 0, x is 0 too; None: all 1


class Batches:
    """Batches of a source: converted and scaled when used, in an order given by seed and epoch.

    Parameters
    ----------
    source : Source
        The samples, with their weights; uint8 and sparse ones stay so until a batch is made.
    batch_size : int
        The last batch of an epoch may be smaller.
    seed : int
        Of the order.
    scale : float
        What samples are divided by.
    dtype : torch.dtype
        Of the batches.
    device : torch.device
        Where they go.
    """

    def __init__(
        self,
        source: Source,
        batch_size: int,
        *,
        seed: int,
        scale: float = 1.0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self.source = source
        self.n = source.shape[0]
        weights = source.row_weights
        self.weights = None if weights is None else torch.from_numpy(np.array(weights)).to(device, dtype)
        self.total_weight = float(self.n if weights is None else np.sum(weights, dtype=np.float64))
        self.batch_size = min(batch_size, self.n)
        self.seed = seed
        self.shuffle = Shuffle(source, seed)
        self.runs = Runs(source, self.shuffle)
        self.scale = scale
        self.dtype = dtype
        self.device = torch.device(device)

    def __len__(self) -> int:
        """Batches an epoch."""
        return -(-self.n // self.batch_size)

    def order(self, epoch: int) -> np.ndarray:
        """Return the order of the samples in an epoch: a permutation of 0 … n − 1."""
        return np.concatenate(list(self.shuffle.batches(epoch, self.batch_size)))

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """Yield this process's share of the batches of an epoch, from number `first` on."""
        for rows in self.shuffle.batches(epoch, self.batch_size, first):
            yield self.take(ranks.share(rows), epoch)

    def expected_weight(self, step: int) -> float:
        """Return the expected weight of batch number `step` of an epoch, all processes' shares together."""
        rows = min(self.batch_size, self.n - step * self.batch_size)
        return rows * (self.total_weight / self.n)

    def take(self, rows: np.ndarray, epoch: int = 0) -> Batch:
        """Return the samples with these numbers; ValueError where one leaves the range of the network's numbers."""
        block = self.runs.some(rows)
        found = block.X
        if self.scale != 1.0:
            # before any cast: float64 data may be out of float32's range
            with np.errstate(over="ignore"):
                found /= found.dtype.type(self.scale)
        top = min(torch.finfo(self.dtype).max, float(np.finfo(found.dtype).max))
        if not (found.min(initial=0) >= -top and found.max(initial=0) <= top):
            held = (np.abs(found) <= top).all(axis=1)
            raise too_far(int(rows[int(held.argmin())]), self.dtype)
        numbers = torch.from_numpy(rows).to(self.device)
        return Batch(
            self._tensor(found),
            numbers,
            epoch,
            None if self.weights is None else self.weights[numbers],
            None if block.weights is None else self._tensor(block.weights),
        )

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self.device, self.dtype)


def too_far(row: int, dtype: torch.dtype) -> ValueError:
    """Return the error of a row that the network's numbers do not hold."""
    name = str(dtype).removeprefix("torch.")
    other = "" if dtype == torch.float64 else ", or fit with precision='float64'"
    return ValueError(
        f"X: row {row} is so much larger than the training data that it leaves the range of {name} in the network; "
        f"clip X{other}"
    )
