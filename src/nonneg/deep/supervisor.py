"""The supervisor network: a symmetric autoencoder that shows the output of every layer.

Knows layers and their initialisation; knows nothing of losses, noise or training.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Activation", "DenseStack", "Supervisor"]

Activation = Literal["relu", "linear"]


class DenseStack(nn.Module):
    """Dense layers one after the other: h(l) = f(W(l) h(l−1) + b(l)), f = ReLU but perhaps after the last.

    Parameters
    ----------
    sizes : sequence of int
        Width of the input, then of every layer.
    last : {"relu", "linear"}, default="relu"
        What follows the last layer.
    generator : torch.Generator, optional
        Source of the initial weights (Glorot uniform; biases are zero). The global one is never touched.

    Notes
    -----
    Source: Chen et al. (2021), eq. 1; Glorot, Bengio (2010), eq. 16 for the weights.
    """

    def __init__(
        self, sizes: Sequence[int], last: Activation = "relu", generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.last = last
        self.layers = nn.ModuleList()
        generator = torch.Generator() if generator is None else generator
        for width_in, width_out in pairwise(sizes):
            layer = nn.utils.skip_init(nn.Linear, width_in, width_out)  # leaves the global generator alone
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)
            self.layers.append(layer)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return every layer's output, each (batch, width)."""
        taps = []
        for number, layer in enumerate(self.layers, 1):
            x = layer(x)
            if self.last == "relu" or number < len(self.layers):
                x = F.relu_(x)  # in place: a linear layer does not need its output to find its gradient
            taps.append(x)
        return taps


class Supervisor(nn.Module):
    """A symmetric autoencoder of L = 2 · len(hidden) layers that returns all its taps.

    h(0) = x;  h(l) = f(W(l) h(l−1) + b(l)), l = 1 … L;  y = h(L).

    Parameters
    ----------
    n_features : int
        Width m of x and y.
    hidden : sequence of int
        Widths of the encoder's layers; the decoder mirrors them, and ends at `n_features`.
    code : {"relu", "linear"}, default="relu"
        What follows the encoder's last layer. A plain bottleneck (AE1) may be linear; the supervisor's is ReLU, because
        the student's Ẑ, which is to match it, is non-negative.
    output : {"relu", "linear"}, default="linear"
        What follows the decoder's last layer. A ReLU there (eq. 1 read literally) has no gradient for pixels that start
        below zero for all samples, and leaves them black for good.
    generator : torch.Generator, optional
        Source of the initial weights.

    Notes
    -----
    Source: Chen et al. (2021), section 3.1, eq. 1. Without an NMF module this network is the paper's AE2, and with a
    narrow last layer in `hidden` its AE1.
    """

    def __init__(
        self,
        n_features: int,
        hidden: Sequence[int],
        *,
        code: Activation = "relu",
        output: Activation = "linear",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        generator = torch.Generator() if generator is None else generator
        self.encoder = DenseStack([n_features, *hidden], code, generator)
        self.decoder = DenseStack([*hidden[::-1], n_features], output, generator)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return h(1) … h(L); the last is the reconstruction y, and number L/2 the code Z."""
        encoded = self.encoder(x)
        return encoded + self.decoder(encoded[-1])
