"""The student network: the supervisor's layers with the NMF module in their middle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nonneg.deep.nmf_module import NMFModule
from nonneg.deep.supervisor import Activation, DenseStack

__all__ = ["Student", "StudentOutput"]


class StudentOutput(NamedTuple):
    """What the student computes for a batch; m features, k components, d = hidden[-1]."""

    taps: list[Tensor]  #: outputs of the L layers that have a partner in the supervisor
    z: Tensor  #: (batch, d), the encoder's output
    h: Tensor  #: (batch, k), the representation
    z_hat: Tensor  #: (batch, d), the decoder's input
    y: Tensor  #: (batch, m), the reconstruction


class Student(nn.Module):
    """x̃ → encoder → Z → NMF module → (H, Ẑ) → decoder → ỹ, with L + 2 layers.

    Parameters
    ----------
    n_features : int
        Width m of the data.
    hidden : sequence of int
        Widths of the encoder's layers, mirrored by the decoder.
    n_components : int
        Units of the NMF module.
    nmf_bias, nonnegative_weights, gain
        Of the `NMFModule`.
    output : {"relu", "linear"}, default="linear"
        What follows the last layer.
    generator : torch.Generator, optional
        Source of the initial weights.

    Notes
    -----
    Source: Chen et al. (2021), section 3.1, eq. 1–3. The two layers of the NMF module have no partner in the
    supervisor, so that student layer l + 2 matches supervisor layer l in the decoder (eq. 5); `StudentOutput.taps`
    leaves them out.
    """

    def __init__(
        self,
        n_features: int,
        hidden: Sequence[int],
        n_components: int,
        *,
        nmf_bias: bool = False,
        nonnegative_weights: bool = False,
        gain: float = 1.0,
        output: Activation = "linear",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        generator = torch.Generator() if generator is None else generator
        self.encoder = DenseStack([n_features, *hidden], "relu", generator)
        self.decoder = DenseStack([*hidden[::-1], n_features], output, generator)
        self.nmf = NMFModule(
            hidden[-1],
            n_components,
            bias=nmf_bias,
            nonnegative=nonnegative_weights,
            gain=gain,
            generator=generator,
        )

    def forward(self, x: Tensor) -> StudentOutput:
        """Run a batch (batch, m) through all layers."""
        encoded = self.encoder(x)
        h, z_hat = self.nmf(encoded[-1])
        decoded = self.decoder(z_hat)
        return StudentOutput(encoded + decoded, encoded[-1], h, z_hat, decoded[-1])

    def encode(self, x: Tensor) -> Tensor:
        """X (batch, m) → H (batch, k)."""
        return self.nmf.encode(self.encoder(x)[-1])

    def decode(self, h: Tensor) -> Tensor:
        """H (batch, k) → reconstruction (batch, m)."""
        return self.decoder(self.nmf.decode(h))[-1]
