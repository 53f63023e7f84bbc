"""The autoencoders that DDNMF is compared with: AE1, with a bottleneck, and AE2, without."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nonneg.deep.batches import Batch
from nonneg.deep.checks import check_bool, check_choice
from nonneg.deep.estimator import DeepFactorization, check_training, initial_generators
from nonneg.deep.losses import Reduction, symmetric
from nonneg.deep.noise import Noise
from nonneg.deep.supervisor import Supervisor
from nonneg.deep.train import EpochRecord
from nonneg.models.base import check_n_components

__all__ = ["Autoencoder", "AutoencoderNetwork"]


class AutoencoderNetwork(nn.Module):
    """A `Supervisor` trained on its own: Σ ‖x − y(x̃)‖²."""

    def __init__(self, network: Supervisor, noise: Noise, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.network = network
        self.noise = noise
        self.reduction = reduction

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return the reconstruction error of a batch."""
        y = self.network(self.noise(batch.x, batch.rows, batch.epoch))[-1]
        loss = symmetric(batch.x, y, self.reduction, batch.weight, batch.cells)
        return {"symmetric": loss, "objective": loss}

    def record(self, sums: dict[str, float], n: float) -> EpochRecord:
        """Sum over the epoch, or (reduction "mean") mean over its samples."""
        return {"symmetric": sums["symmetric"] / (1.0 if self.reduction == "sum" else n)}


class Autoencoder(DeepFactorization):
    """min Σ ‖x_i − y(x̃_i)‖²: an autoencoder with DDNMF's layers, by itself.

    Parameters
    ----------
    n_components : int or None, default=10
        Width of the bottleneck between encoder and decoder (AE1). None: no bottleneck (AE2); the code is the last
        hidden layer, and the network is DDNMF's supervisor.
    hidden : sequence of int, default=(500, 500, 2000)
        Widths of the encoder's layers; the decoder mirrors them.
    activation : {"linear", "relu"}, default="linear"
        Of the bottleneck; everything else is ReLU. The paper says ReLU throughout; linear is the stronger comparison.
    output : {"linear", "relu"}, default="linear"
        What follows the last layer.
    noise : str or None, default=None
        None: a plain autoencoder. Else a denoising one, with a kind of `Noise`.
    noise_level : float, default=0.1
        Level of the noise.
    noise_redraw : bool, default=True
        Draw the noise anew in each epoch, or once.
    reduction : {"mean", "sum"}, default="mean"
        Over features. Without another term it changes the unit of the history alone (and "sgd"'s steps).
    max_epochs : int, default=300
    batch_size : int, default=128
    learning_rate : float, default=1e-3
    schedule : {"constant", "linear", "cosine"}, default="constant"
    optimizer : {"adam", "sgd"}, default="adam"
    precision : {"float32", "auto", "bfloat16", "float64"}, default="float32"
        Of the training; see `TrainSettings`.
    missing, device, random_state, checkpoint, verbose
        As for `DDNMF`.

    Attributes
    ----------
    components_ : ndarray of shape (n_components_, width of the decoder's first layer)
        Transposed weights of that layer: one row a unit of the code.
    network_ : Supervisor
        The trained network, on the scale of X / scale_.
    history_ : dict of ndarray
        ``epoch, symmetric, learning_rate, seconds``.
    n_components_, n_features_in_, n_iter_, converged_, reconstruction_err_, n_dead_units_, scale_, profile_
        As for `DDNMF`.

    Notes
    -----
    Source: AE1 and AE2 of Chen et al. (2021), section 4.2. Codes of a linear bottleneck may be negative.

    Examples
    --------
    >>> from nonneg import Autoencoder, datasets
    >>> digits = datasets.load("digits")
    >>> Autoencoder(10, hidden=(100, 50), max_epochs=5, random_state=0).fit_transform(digits.data).shape
    (1437, 10)
    """

    network_: Supervisor
    _objective = "symmetric"

    @property
    def _any_sign_codes(self) -> bool:  # type: ignore[override]
        return self.n_components is not None and self.activation == "linear"

    def __init__(
        self,
        n_components: int | None = 10,
        *,
        hidden: Any = (500, 500, 2000),
        activation: str = "linear",
        output: str = "linear",
        noise: str | None = None,
        noise_level: float = 0.1,
        noise_redraw: bool = True,
        reduction: str = "mean",
        max_epochs: int = 300,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        schedule: str = "constant",
        optimizer: str = "adam",
        precision: str = "float32",
        missing: str = "error",
        device: str = "auto",
        random_state: Any = None,
        checkpoint: Any = None,
        verbose: Any = 0,
    ) -> None:
        self.n_components = n_components
        self.hidden = hidden
        self.activation = activation
        self.output = output
        self.noise = noise
        self.noise_level = noise_level
        self.noise_redraw = noise_redraw
        self.reduction = reduction
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.optimizer = optimizer
        self.precision = precision
        self.missing = missing
        self.device = device
        self.random_state = random_state
        self.checkpoint = checkpoint
        self.verbose = verbose

    def _resolve(self) -> dict[str, Any]:
        names = (
            *("hidden", "activation", "output", "noise_level", "noise_redraw", "reduction", "max_epochs"),
            *("batch_size", "learning_rate", "schedule", "optimizer", "precision"),
        )
        values = {name: getattr(self, name) for name in names}
        values["n_components"] = None if self.n_components is None else check_n_components(self.n_components)
        values["noise"] = "none" if self.noise is None else self.noise
        check_choice("activation", self.activation, ("linear", "relu"))
        check_choice("output", self.output, ("linear", "relu"))
        check_choice("reduction", self.reduction, ("mean", "sum"))
        check_bool("noise_redraw", self.noise_redraw)
        return check_training(values)

    def _build(self, n_features: int, values: dict[str, Any], seed: int) -> nn.Module:
        (first,) = initial_generators(seed, 1)
        bottleneck = () if values["n_components"] is None else (values["n_components"],)
        self.network_ = Supervisor(
            n_features,
            (*values["hidden"], *bottleneck),
            code=values["activation"] if bottleneck else "relu",
            output=values["output"],
            generator=first,
        )
        noise = Noise(values["noise"], values["noise_level"], seed, values["noise_redraw"])
        return AutoencoderNetwork(self.network_, noise, values["reduction"])

    def _networks(self) -> dict[str, nn.Module]:
        return {"network_": self.network_}

    def _encode(self, x: Tensor) -> Tensor:
        return self.network_.encoder(x)[-1]

    def _decode(self, h: Tensor) -> Tensor:
        return self.network_.decoder(h)[-1]

    @torch.no_grad()
    def _set_components(self) -> None:
        weight = self.network_.decoder.layers[0].get_parameter("weight")
        self.components_ = np.ascontiguousarray(weight.T.numpy())
        self.n_components_ = self.components_.shape[0]
