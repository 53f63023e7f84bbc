"""Voice and noise in a mixture: Monte-Carlo EM with a `SpectralVAE` for the voice and NMF for the noise.

x_nf ~ Exp(mean v_nf),  v_nf = g_n σ²_f(z_n) + Σ_k a_nk p_kf,  z_n ~ N(0, I),  and g, A, P ≥ 0 are parameters.

E step: a Metropolis chain for each row of z, which goes on from one iteration to the next. M step: multiplicative
updates that do not raise the mean of Σ (log v + x/v) over the samples. Powers are in units in which x is about as large
as the training data of the network.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from nonneg.deep.vae import SpectralVAE

__all__ = ["Mixture", "Separation", "checked_frames", "scaled_powers"]

ACCEPTED = 0.25  # share of proposals, at which the width of the next ones aims
FIRST_WIDTH = 0.1
FINAL = 6  # times n_samples: length of the last pass, of which the first sixth does not count
TINY = 1e-12  # beside powers of the order of 1


class Separation(NamedTuple):
    """What `VariationalNMF.separate` finds; n frames, m frequencies, k units of the code, q noise parts."""

    clean: (
        np.ndarray
    )  #: (n, m) the voice: ``gains * X`` where X is complex, ``gains**2 * X`` where it is power
    noise: np.ndarray  #: (n, m) what is left, by ``1 - gains``
    gains: np.ndarray  #: (n, m) Wiener gains, from 0 to 1
    codes: np.ndarray  #: (n, k) posterior means of z
    loudness: np.ndarray  #: (n,) g: the voice's power is g times that of `inverse_transform`
    amounts: np.ndarray  #: (n, q) A, of the noise parts
    parts: np.ndarray  #: (q, m) P, their spectra, in units of power
    loss: np.ndarray  #: (n_iter,) − log p(x, z) but a constant, a cell, at the last sample of each iteration


class Mixture:
    """The state of an inference: chains, loudness and noise parts.

    Parameters
    ----------
    network : SpectralVAE
        Of the voice; it stays as it is.
    x : tensor (n, m)
        Powers of the mixture.
    n_noise : int
        Noise parts.
    generator : torch.Generator
        In main memory: starts, proposals and decisions.
    """

    def __init__(self, network: SpectralVAE, x: Tensor, n_noise: int, generator: torch.Generator) -> None:
        self.network, self.x, self.generator = network, x, generator
        n, m = x.shape
        self.z = network.code(network.features(x))[0]
        self.width = torch.full_like(x[:, :1], FIRST_WIDTH)
        self.loudness = torch.ones_like(x[:, :1])
        self.amounts = (0.5 + self._drawn("rand", n, n_noise)) / n_noise
        self.parts = (0.5 + self._drawn("rand", n_noise, m)) * x.mean()
        self._look()

    def _drawn(self, kind: str, *shape: int) -> Tensor:
        """Random numbers that do not depend on the device."""
        draw = torch.rand if kind == "rand" else torch.randn
        return draw(*shape, generator=self.generator, dtype=self.x.dtype).to(self.x.device)

    # -- E step -----------------------------------------------------------------------------------------------

    def _posterior(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """σ²(z) (n, m), and log p(x_n, z_n) but a constant, (n, 1)."""
        voice = self.network.log_power(z).exp()
        v = self.loudness * voice + self.amounts @ self.parts + TINY
        fit = (torch.log(v) + self.x / v).sum(dim=1, keepdim=True)
        return voice, -fit - 0.5 * (z**2).sum(dim=1, keepdim=True)

    def _look(self) -> None:
        """Bring up to date what is known of the present z."""
        self.voice, self.density = self._posterior(self.z)

    def move(self, adapt: bool) -> None:
        """Propose z′ ~ N(z, width² I) in every row, and go there with probability min(1, p(x, z′) / p(x, z))."""
        proposal = self.z + self.width * self._drawn("randn", *self.z.shape)
        voice, density = self._posterior(proposal)
        taken = self._drawn("rand", len(proposal), 1).log() < density - self.density
        self.z = torch.where(taken, proposal, self.z)
        self.voice = torch.where(taken, voice, self.voice)
        self.density = torch.where(taken, density, self.density)
        if adapt:
            self.width = self.width * torch.exp(0.1 * (taken.to(self.x.dtype) - ACCEPTED))

    # -- M step -----------------------------------------------------------------------------------------------

    def maximise(self, voices: Tensor) -> None:
        """Update P, A and g, given samples of σ²(z), (samples, n, m)."""
        up, down = self._slopes(voices)
        self.parts = self.parts * _root(self.amounts.T @ up, self.amounts.T @ down)
        up, down = self._slopes(voices)
        self.amounts = self.amounts * _root(up @ self.parts.T, down @ self.parts.T)
        size = self.parts.mean(dim=1, keepdim=True).clamp_min(TINY)
        self.parts, self.amounts = self.parts / size, self.amounts * size.T
        inverse = self._inverse(voices)
        up = (self.x * (voices * inverse**2).sum(dim=0)).sum(dim=1, keepdim=True)
        down = (voices * inverse).sum(dim=(0, 2))[:, None]
        self.loudness = self.loudness * _root(up, down)

    def _inverse(self, voices: Tensor) -> Tensor:
        return (self.loudness * voices + (self.amounts @ self.parts + TINY)).reciprocal_()

    def _slopes(self, voices: Tensor) -> tuple[Tensor, Tensor]:
        """Σ_r x/v_r² and Σ_r 1/v_r over the samples r, each (n, m)."""
        inverse = self._inverse(voices)
        return self.x * (inverse**2).sum(dim=0), inverse.sum(dim=0)

    # -- all --------------------------------------------------------------------------------------------------

    def run(self, n_iter: int, n_samples: int) -> tuple[Tensor, Tensor, Tensor]:
        """Iterate, then sample once more: mean Wiener gains (n, m), mean codes (n, k), and losses."""
        losses = []
        for _ in range(n_iter):
            voices = []
            for _ in range(n_samples):
                self.move(adapt=True)
                voices.append(self.voice)
            losses.append(-self.density.mean() / self.x.shape[1])
            self.maximise(torch.stack(voices))
            self._look()
        for _ in range(n_samples):
            self.move(adapt=True)
        gains, codes = torch.zeros_like(self.x), torch.zeros_like(self.z)
        count = (FINAL - 1) * n_samples
        for _ in range(count):
            self.move(adapt=False)
            power = self.loudness * self.voice
            gains += power / (power + (self.amounts @ self.parts + TINY))
            codes += self.z
        return gains / count, codes / count, torch.stack(losses)


def checked_frames(X: Any, n_features: int) -> np.ndarray:
    """Return frames (n, n_features), real and not negative or complex, or raise: they are something else."""
    if sp.issparse(X):
        raise TypeError("X is sparse, which recordings are not; pass X.toarray()")
    if isinstance(X, np.ma.MaskedArray):
        raise ValueError(
            "X is a masked array, and separate needs every cell; leave out frames with masked ones"
        )
    frames = np.asarray(X)
    if frames.dtype.kind not in "biufc":
        raise TypeError(f"X of dtype {frames.dtype} is no array of numbers; pass coefficients or powers")
    if frames.ndim != 2 or frames.shape[1] != n_features or not len(frames):
        raise ValueError(f"X: expected shape (n_samples, {n_features}), a frame a row, got {frames.shape}")
    if not np.isfinite(frames).all():
        count = int((~np.isfinite(frames)).sum())
        raise ValueError(f"X has {count} cells that are NaN or infinite; leave these frames out")
    if frames.dtype.kind != "c" and frames.min() < 0:
        raise ValueError(f"X has negative cells, down to {frames.min():g}; powers are abs(STFT)**2")
    return frames


def scaled_powers(frames: np.ndarray) -> tuple[np.ndarray, int]:
    """Powers (n, m) of coefficients or powers, over 2^e so that the largest is near 1, and e."""
    parts = (frames.real, frames.imag) if frames.dtype.kind == "c" else (frames,)
    exponent = max(int(np.frexp(np.abs(part.astype(np.float64)).max())[1]) for part in parts)
    scaled = [np.ldexp(part.astype(np.float64), -exponent) for part in parts]
    if frames.dtype.kind != "c":
        return scaled[0], exponent
    return scaled[0] ** 2 + scaled[1] ** 2, 2 * exponent


def _root(up: Tensor, down: Tensor) -> Tensor:
    """The factor of a multiplicative update: the exponent ½ makes it one of majorisation."""
    return (up / down.clamp_min(TINY)).sqrt()
