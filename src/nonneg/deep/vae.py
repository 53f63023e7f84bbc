"""A variational autoencoder of power spectra: networks, the two terms of its loss, what keeps its codes in use.

Knows nothing of noise in the data; `separation` does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from nonneg.deep import ranks
from nonneg.deep.batches import Batch, Batches
from nonneg.deep.losses import count_of, weights_of
from nonneg.deep.noise import Noise
from nonneg.deep.supervisor import DenseStack
from nonneg.deep.train import EpochRecord

__all__ = ["SpectralVAE", "itakura_saito"]

LOUDEST = (
    0.0  # log σ² reaches from that of the floor to the largest training cell: what is expected is no peak
)
SHARPEST, WIDEST = -12.0, 6.0  # log variances of a code
LOOK_ROWS = 256  # at a time, when the data's level is measured


def itakura_saito(log_x: Tensor, log_v: Tensor) -> Tensor:
    """d(x | v) = x/v − log(x/v) − 1 of every cell, from logarithms."""
    gap = log_x - log_v
    return torch.expm1(gap) - gap


class SpectralVAE(nn.Module):
    """p(z) = N(0, I), a power x_f that is exponential with mean σ²_f(z), and q(z|x) = N(μ(x), diag s²(x)).

    Parameters
    ----------
    n_features : int
        Frequencies m.
    hidden : sequence of int
        Widths of the encoder's layers; the decoder mirrors them.
    n_components : int
        Width k of z.
    floor : float
        Added to powers, on the scale where the largest training cell is 1.
    warmup : int
        Epochs in which the weight of KL(q ‖ p) rises to 1.
    free_bits : float
        Nats that a unit of z may cost, on the average over a batch, before they count.
    seed : int
        Of the samples of z.
    generators : two torch.Generator
        Sources of the encoder's and of the decoder's initial weights.
    """

    centre: Tensor  #: (m,) mean of log x over the training data
    spread: Tensor  #: (m,) its standard deviation
    level: Tensor  #: (m,) log of the mean of x: what the decoder says before it has learnt

    def __init__(
        self,
        n_features: int,
        hidden: Sequence[int],
        n_components: int,
        *,
        floor: float,
        warmup: int,
        free_bits: float,
        seed: int,
        generators: Sequence[torch.Generator],
    ) -> None:
        super().__init__()
        widths = [n_components, *hidden[::-1], n_features]
        self.encoder = DenseStack([n_features, *hidden, 2 * n_components], "linear", generators[0])
        self.decoder = DenseStack(widths, "linear", generators[1])
        self.floor = floor
        self.warmup = warmup
        self.free_bits = free_bits
        self.noise = Noise("gaussian", 1.0, seed)
        for name in ("centre", "spread", "level"):
            self.register_buffer(name, torch.ones(n_features))

    @torch.no_grad()
    def look_at(self, batches: Batches) -> None:
        """Measure the level of the data: weighted sums over the observed cells of each frequency."""
        total, first, second, power = torch.zeros(4, len(self.level), dtype=torch.float64)
        for start in range(0, batches.n, LOOK_ROWS):
            batch = batches.take(np.arange(start, min(start + LOOK_ROWS, batches.n)))
            x = batch.x.double().cpu() + self.floor
            counted = weights_of(batch.weight, batch.cells)
            weight = torch.ones_like(x) if counted is None else counted.double().cpu().expand_as(x)
            for into, value in ((total, 1.0), (first, x.log()), (second, x.log() ** 2), (power, x)):
                into += (weight * value).sum(dim=0)
        unseen = total == 0
        total[unseen] = 1.0
        centre = torch.where(unseen, math.log(self.floor), first / total)
        spread = (second / total - centre**2).clamp_min(0).sqrt()
        spread[unseen | (spread < 1e-3)] = 1.0  # a constant frequency says nothing
        self.centre.copy_(centre)
        self.spread.copy_(spread)
        self.level.copy_(torch.where(unseen, self.floor, power / total).log())

    def features(self, x: Tensor, cells: Tensor | None = None) -> Tensor:
        """What the encoder sees: log x, standardised; the mean where a cell is missing."""
        seen = (torch.log(x + self.floor) - self.centre) / self.spread
        return seen if cells is None else seen * (cells > 0)

    def code(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return μ and log s², each (batch, k)."""
        mean, log_variance = self.encoder(features)[-1].to(features.dtype).chunk(2, dim=1)
        return mean, log_variance.clamp(SHARPEST, WIDEST)

    def log_power(self, z: Tensor) -> Tensor:
        """Return log σ²(z), (batch, m)."""
        found = self.decoder(z)[-1].to(z.dtype) + self.level
        return found.clamp(math.log(self.floor), LOUDEST)

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Itakura–Saito divergence of a sample of z, KL(q ‖ p), and their guarded sum."""
        mean, log_variance = self.code(self.features(batch.x, batch.cells))
        sample = self.noise(torch.zeros_like(mean), batch.rows, batch.epoch)
        z = mean + sample * torch.exp(0.5 * log_variance)
        cost = itakura_saito(torch.log(batch.x + self.floor), self.log_power(z))
        counted = weights_of(batch.weight, batch.cells)
        divergence = (cost if counted is None else cost * counted).sum()
        units = 0.5 * (mean**2 + log_variance.exp() - 1.0 - log_variance)
        if batch.weight is not None:
            units = units * batch.weight[:, None]
        units = units.sum(dim=0)
        # max(λ n, Σ_i KL_i) of each unit, over the whole batch: its share of the larger of the two
        free = ranks.together(units.detach()) < self.free_bits * count_of(mean, batch.weight)
        here = self.free_bits * (mean.shape[0] if batch.weight is None else batch.weight.sum())
        heat = min(1.0, (batch.epoch + 1) / (self.warmup + 1))
        objective = divergence + heat * torch.where(free, here, units).sum()
        return {"divergence": divergence, "kl": units.sum(), "objective": objective}

    def record(self, sums: dict[str, float], n: float) -> EpochRecord:
        """Means over the samples: the divergence, KL(q ‖ p), and their sum, minus the evidence bound but a constant."""
        divergence, kl = sums["divergence"] / n, sums["kl"] / n
        return {"divergence": divergence, "kl": kl, "bound": divergence + kl}
