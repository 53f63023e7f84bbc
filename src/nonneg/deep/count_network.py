"""Probabilistic NMF of counts with a denoising autoencoder for its prior, as the training loop sees it.

A row is looked at as shares p of its total and as its size r, the total in units of the mean total, so that nothing
depends on the units of X. Knows the network, its losses and the updates of both factors; knows nothing of estimators.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from nonneg.deep import ranks
from nonneg.deep.batches import Batch, Batches
from nonneg.deep.noise import Noise
from nonneg.deep.supervisor import DenseStack
from nonneg.deep.train import EpochRecord

__all__ = ["CountNetwork", "Priors", "Rows"]

PASS_STEPS = 5  # of every row of W in an epoch: they go on where the epoch before left off
ROW_STEPS = 100  # of new rows, from their codes on
NEWTON = 12  # steps for the sums of H's rows: rounding is reached after five
EXTREMES = 1e-6, 1e6  # mean rows: a prior beyond is nothing, or everything


class Priors(NamedTuple):
    """How many counts the priors of W and H are worth, in the units of X, and the epochs before they are used."""

    W: float
    H: float
    pretrain_epochs: int


class Rows(NamedTuple):
    """Some rows as shares of their totals."""

    p: Tensor  #: (batch, m), x divided by the total; 0 in a row of zeros
    size: Tensor  #: (batch, 1), the total divided by the mean total
    cells: Tensor | None  #: (batch, m), weights of the cells


class CountNetwork(nn.Module):
    """What `nonneg.deep.train` trains for `DeepProbabilisticNMF`, whose page has the formulas.

    Parameters
    ----------
    encoder, decoder : DenseStack
        From √(m p) to the logits of the code, and from the code to the logits of p.
    noise : Noise
        On x, before the encoder.
    priors : Priors
    shape : (int, int)
        Of H: n_components, n_features.

    Attributes
    ----------
    H : tensor (k, m)
        The parts, each summing to 1.
    strengths : tensor (2,)
        Of the priors of W and H, in mean rows: a and b over the mean total.
    theta : tensor (n, k) or None
        W / r of the training rows, while there are any.
    """

    H: Tensor
    profile: Tensor
    mean_total: Tensor
    strengths: Tensor
    losses: Tensor
    theta: Tensor | None

    def __init__(
        self,
        encoder: DenseStack,
        decoder: DenseStack,
        noise: Noise,
        priors: Priors,
        shape: tuple[int, int],
    ) -> None:
        super().__init__()
        self.encoder, self.decoder, self.noise, self.priors = encoder, decoder, noise, priors
        self.register_buffer("H", torch.full(shape, 1.0 / shape[1]))
        self.register_buffer(
            "profile", torch.full(shape[1:], 1.0 / shape[1])
        )  # the mean row, which H's prior is centred on
        self.register_buffer("mean_total", torch.ones(()))
        self.register_buffer("strengths", torch.ones(2))
        self.register_buffer("losses", torch.zeros(2))  # of the last pass: divergence, priors
        self.register_buffer("theta", None)

    # -- rows -------------------------------------------------------------------------------------------------

    def shares(self, x: Tensor, cells: Tensor | None = None) -> Rows:
        """Split rows into shares and sizes; with weights of cells a total is m times their weighted mean."""
        if cells is None:
            total = x.sum(dim=1, keepdim=True)
        else:
            total = (
                x.shape[1] * (x * cells).sum(dim=1, keepdim=True) / _above_zero(cells.sum(1, keepdim=True))
            )
        return Rows(x / _above_zero(total), total / self.mean_total, cells)

    def code(self, p: Tensor) -> Tensor:
        """The shares of the components that the encoder expects, (batch, k), each row summing to 1."""
        return torch.softmax(self.encoder((p * p.shape[1]).sqrt())[-1], dim=1)

    def amounts(self, x: Tensor, cells: Tensor | None = None) -> Tensor:
        """W of some rows, (batch, k)."""
        rows = self.shares(x, cells)
        code = self.code(rows.p)
        return rows.size * self.solve_rows(rows, code, code, ROW_STEPS)

    def solve_rows(self, rows: Rows, code: Tensor, theta: Tensor, steps: int) -> Tensor:
        """Go from θ towards the minimum of r D(p | θ H) + strength · D(code | θ); no step raises it."""
        strength = self.strengths[0]
        pull = strength * code
        seen = self.H.sum(dim=1) if rows.cells is None else rows.cells @ self.H.T
        below = strength + rows.size * seen
        for _ in range(steps):
            theta = (pull + rows.size * theta * (self._ratio(rows, theta) @ self.H.T)) / below
        return theta

    def _ratio(self, rows: Rows, theta: Tensor) -> Tensor:
        """The cells of p over those of θ H, times their weights."""
        found = rows.p / _above_zero(theta @ self.H)
        return found if rows.cells is None else found * rows.cells

    # -- the network's steps: the factors stay ------------------------------------------------------------------

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return the autoencoder's error and, after pretraining, how far W is from the codes of noisy rows."""
        rows = self.shares(batch.x, batch.cells)
        noisy = self.noise(batch.x, batch.rows, batch.epoch).clamp_min(0.0)
        code = self.code(self.shares(noisy, batch.cells).p)
        log_y = torch.log_softmax(self.decoder(code)[-1], dim=1)
        weight = rows.size[:, 0] if batch.weight is None else rows.size[:, 0] * batch.weight
        error = weight @ divergence(rows.p, log_y.exp(), log_y, rows.cells)
        match = torch.zeros_like(error)
        if self.theta is not None and batch.epoch >= self.priors.pretrain_epochs:
            match = weight @ divergence(self.theta[batch.rows], code)
        return {"reconstruction": error, "match": match, "objective": error + match}

    def record(self, sums: dict[str, float], n: float) -> EpochRecord:
        """Means over the samples, in nats per count where counts are counts."""
        found = {name: sums[name] / n for name in ("reconstruction", "match")}
        kl, prior = (self.losses.double() / n).tolist()
        return found | {"kl": kl, "prior": prior, "objective": kl + prior}

    # -- the factors' steps: the network stays --------------------------------------------------------------------

    @torch.no_grad()
    def start(self, batches: Batches, theta: np.ndarray, H: np.ndarray) -> None:
        """Take mean total and mean row from the data, and start from factors whose rows sum to 1 (or are 0)."""
        total, profile = 0.0, torch.zeros_like(self.profile)
        for batch in in_order(batches):
            rows = self.shares(batch.x, batch.cells)
            size = rows.size if batch.weight is None else rows.size * batch.weight[:, None]
            total += float(size.sum())
            profile += (size * rows.p).sum(dim=0)
        if total > 0:
            self.mean_total.fill_(total / batches.total_weight)
            counts = total / batches.total_weight * batches.scale
            strengths = np.array(self.priors[:2]) / max(counts, np.finfo(np.float64).tiny)
            self.strengths.copy_(torch.from_numpy(np.clip(strengths, (EXTREMES[0], 0.0), EXTREMES[1])))
            self.profile.copy_(profile / profile.sum())
        known = torch.from_numpy(H).to(self.H)
        self.H.copy_(torch.where(known.any(dim=1, keepdim=True), known, self.profile))
        self.theta = torch.from_numpy(theta).to(self.H)
        self._pass(batches, self.theta, steps=0)

    @torch.no_grad()
    def after_epoch(self, epoch: int, batches: Batches) -> None:
        """W of every row and then H, for the codes as they are now."""
        if self.theta is not None and epoch >= self.priors.pretrain_epochs:
            above, below = self._pass(batches, self.theta, PASS_STEPS)
            b = self.strengths[1]
            self.H.copy_(best_shares(self.H * above + b * self.profile, below + b))

    def _pass(self, batches: Batches, thetas: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """Move the rows of θ in place, keep the loss, and return the sums that H follows from."""
        above, below = torch.zeros_like(self.H), torch.zeros_like(self.H)
        moved = torch.zeros_like(thetas)
        kl, prior = 0.0, 0.0
        if ranks.rank() == 0:  # once, of several processes
            prior = float(self.strengths[1]) * float(divergence(self.profile.expand_as(self.H), self.H).sum())
        for batch in in_order(batches, ranks.share):
            rows = self.shares(batch.x, batch.cells)
            code = self.code(rows.p)
            theta = self.solve_rows(rows, code, thetas[batch.rows], steps)
            moved[batch.rows] = theta
            weight = torch.ones_like(rows.size) if batch.weight is None else batch.weight[:, None]
            amounts = weight * rows.size * theta
            above += amounts.T @ self._ratio(rows, theta)
            below += amounts.sum(dim=0)[:, None] if rows.cells is None else amounts.T @ rows.cells
            kl += float((weight * rows.size)[:, 0] @ divergence(rows.p, theta @ self.H, cells=rows.cells))
            prior += float(self.strengths[0]) * float(weight[:, 0] @ divergence(code, theta))
        thetas.copy_(ranks.together(moved))
        self.losses.copy_(ranks.together(torch.tensor([kl, prior], device=self.losses.device)))
        return ranks.together(above), ranks.together(below)


def in_order(
    batches: Batches, part: Callable[[np.ndarray], np.ndarray] = lambda rows: rows
) -> Iterator[Batch]:
    """Yield all samples once, in the order of their numbers, or a part of each batch."""
    for start in range(0, batches.n, batches.batch_size):
        yield batches.take(part(np.arange(start, min(start + batches.batch_size, batches.n))))


def best_shares(up: Tensor, down: Tensor) -> Tensor:
    """Rows h ≥ 0 with Σ_j h_j = 1 and the least Σ_j (down_j h_j − up_j log h_j); zeros where ``up`` is.

    h_j = up_j / (down_j + λ). 1 / Σ_j h_j grows with λ and is concave, so that Newton's steps for its being 1 rise to λ
    from any below, as max (up_j − down_j) is; where ``down`` is constant the first arrives.

    Parameters
    ----------
    up, down : tensor (k, m)
        Both ≥ 0.
    """
    A, B = up.double(), down.double()
    used = A > 0
    level = torch.where(used, A - B, -torch.inf).amax(dim=1, keepdim=True)
    level = torch.where(used.any(dim=1, keepdim=True), level, 1.0)
    for _ in range(NEWTON):
        h = torch.where(used, A / torch.where(used, B + level, 1.0), 0.0)
        total = _above_zero(h.sum(dim=1, keepdim=True))
        slope = torch.where(used, h / torch.where(used, B + level, 1.0), 0.0).sum(dim=1, keepdim=True)
        level = level + total * (total - 1.0) / _above_zero(slope)
    h = torch.where(used, A / torch.where(used, B + level, 1.0), 0.0)
    return (h / _above_zero(h.sum(dim=1, keepdim=True))).to(up.dtype)


def divergence(p: Tensor, y: Tensor, log_y: Tensor | None = None, cells: Tensor | None = None) -> Tensor:
    """D(p | y) = Σ_j w_j (p_j log(p_j / y_j) − p_j + y_j) of every row."""
    log_y = _above_zero(y).log() if log_y is None else log_y
    terms = torch.special.xlogy(p, p) - p * log_y - p + y
    return (terms if cells is None else terms * cells).sum(dim=1)


def _above_zero(a: Tensor) -> Tensor:
    return a.clamp_min(torch.finfo(a.dtype).tiny ** 0.5)
