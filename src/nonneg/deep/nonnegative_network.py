"""The network of `NonnegativeAutoencoder`: an encoder, two layers of non-negative weights without bias, a decoder."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nonneg.deep import ranks
from nonneg.deep.batches import Batch
from nonneg.deep.losses import count_of, squared_distance, symmetric
from nonneg.deep.noise import Noise
from nonneg.deep.supervisor import Activation, DenseStack
from nonneg.deep.train import EpochRecord

__all__ = ["NonnegativeNetwork"]


class NonnegativeNetwork(nn.Module):
    """x̃ → encoder → Z ≥ 0 → H = Z |V|ᵀ → Ẑ = H |U| → decoder → y."""

    def __init__(
        self,
        n_features: int,
        hidden: tuple[int, ...],
        n_components: int,
        noise: Noise,
        *,
        factorization_weight: float = 0.01,
        output: Activation = "linear",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        generator = torch.Generator() if generator is None else generator
        self.encoder = DenseStack([n_features, *hidden], "relu", generator)
        self.decoder = DenseStack([*hidden[::-1], n_features], output, generator)
        self.noise = noise
        self.factorization_weight = factorization_weight
        start = _apart(n_components, hidden[-1])
        self.projection = nn.Parameter(_around(start, generator))  # V (k, d)
        self.weight = nn.Parameter(_around(start, generator))  # U (k, d)

    def encode(self, x: Tensor) -> Tensor:
        """X (batch, m) → H (batch, k) ≥ 0."""
        return F.linear(self.encoder(x)[-1], self.projection.abs())

    def decode(self, h: Tensor) -> Tensor:
        """H (batch, k) → reconstruction (batch, m)."""
        return self.decoder(h @ self.weight.abs())[-1]

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return reconstruction and factorization error of a batch, and the parts of ‖Z − Ẑ‖ / ‖Z‖."""
        z = self.encoder(self.noise(batch.x, batch.rows, batch.epoch))[-1]
        z_hat = F.linear(z, self.projection.abs()) @ self.weight.abs()
        y = self.decoder(z_hat)[-1]
        sym = symmetric(batch.x, y, "mean", batch.weight, batch.cells)
        residual = squared_distance(z, z_hat, weight=batch.weight)
        # with a gradient: were it a constant, shrinking Z would lower the ratio, without end
        square = squared_distance(z, torch.zeros_like(z), weight=batch.weight)
        whole = ranks.together(square).clamp_min(torch.finfo(torch.float32).tiny)
        error = residual / whole * count_of(z, batch.weight)  # in this order in range
        return {
            "symmetric": sym,
            "non_negative_constraint": error,
            "objective": sym + self.factorization_weight * error,
            "residual": residual,
            "z_square": square,
        }

    def record(self, sums: dict[str, float], n: float) -> EpochRecord:
        """Means over the samples of an epoch."""
        names = ("symmetric", "non_negative_constraint", "objective")
        square = sums["z_square"]
        error = math.sqrt(sums["residual"] / square) if square > 0 else 0.0
        return {name: sums[name] / n for name in names} | {"nmf_relative_error": error}


def _apart(k: int, d: int) -> Tensor:
    """(k, d), positive where unit and feature belong together: every unit has features of its own where d ≥ k.

    With V = U = this, Ẑ has in place of a feature the mean of those that share its unit.
    """
    units, features = torch.arange(k)[:, None], torch.arange(d)[None, :]
    together = ((units - features) % min(k, d) == 0).float()
    return together / (together.sum(dim=1, keepdim=True) * together.sum(dim=0, keepdim=True)).sqrt()


def _around(weights: Tensor, generator: torch.Generator) -> Tensor:
    """Weights times U(½, 3/2), and a tenth of their mean row everywhere, so that no cell starts at zero."""
    noise = 0.5 + torch.rand(weights.shape, generator=generator)
    return (weights + 0.1 * weights.mean(dim=0, keepdim=True)) * noise
