"""The NMF module: the two layers between the student's encoder and decoder.

Rows are samples, as everywhere in the library: the paper's H (r, n) is this module's H transposed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["NMFModule"]


class NMFModule(nn.Module):
    """H = σ(g · Z W′ᵀ + b),  Ẑ = ReLU(H Wᵀ) with W = g · V: a rank-k non-negative model of Z.

    Parameters
    ----------
    width : int
        Columns d of Z.
    n_components : int
        Columns k of H.
    bias : bool, default=False
        Whether the sigmoid layer has a bias b (the paper's has none, its authors' demo has one).
    nonnegative : bool, default=False
        Whether W ≥ 0. W is then |V|, element by element: unlike clamping, a weight at zero still has a gradient, so
        units do not die of it.
    gain : float, default=1.0
        The factor g > 0. Above 1 it moves the sigmoid out of its flat middle and lets W grow faster, which plain
        initial weights leave H and Ẑ too small for.
    generator : torch.Generator, optional
        Source of the initial weights (Glorot uniform).

    Notes
    -----
    Source: Chen et al. (2021), eq. 3. The gain, the bias and W ≥ 0 are not in the paper.
    """

    def __init__(
        self,
        width: int,
        n_components: int,
        *,
        bias: bool = False,
        nonnegative: bool = False,
        gain: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.nonnegative = nonnegative
        self.gain = gain
        generator = torch.Generator() if generator is None else generator
        self.projection = nn.Parameter(torch.empty(n_components, width))  # W′ (k, d)
        self.weight = nn.Parameter(torch.empty(width, n_components))  # V (d, k)
        nn.init.xavier_uniform_(self.projection, generator=generator)
        nn.init.xavier_uniform_(self.weight, generator=generator)
        self.bias = nn.Parameter(torch.zeros(n_components)) if bias else None

    @property
    def W(self) -> Tensor:
        """The base matrix W (d, k), such that Ẑ = ReLU(H Wᵀ)."""
        weight = self.weight.abs() if self.nonnegative else self.weight
        return weight if self.gain == 1.0 else self.gain * weight

    def encode(self, z: Tensor) -> Tensor:
        """Z (batch, d) → H (batch, k) in (0, 1)."""
        projection = self.projection if self.gain == 1.0 else self.gain * self.projection
        return torch.sigmoid(F.linear(z, projection, self.bias))

    def decode(self, h: Tensor) -> Tensor:
        """H (batch, k) → Ẑ (batch, d) ≥ 0."""
        return F.relu_(F.linear(h, self.W))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Z → (H, Ẑ)."""
        h = self.encode(z)
        return h, self.decode(h)
