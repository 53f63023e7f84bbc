"""Supervisor and student together, as the training loop sees them: Algorithm 1 of the paper, one batch at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from nonneg.deep.batches import Batch, Batches
from nonneg.deep.losses import (
    Reduction,
    apposition,
    interpretability,
    non_negative_constraint,
    squared_distance,
    squared_norm,
    symmetric,
)
from nonneg.deep.noise import Noise
from nonneg.deep.student import Student
from nonneg.deep.supervisor import Supervisor
from nonneg.deep.train import EpochRecord

__all__ = ["DDNMFNetwork", "LossSettings"]

START_ROWS = 1000  # samples that a start from data looks at


@dataclass(frozen=True)
class LossSettings:
    """Weights and forms of the losses; see `nonneg.deep.DDNMF`."""

    alpha: float = 1.0
    beta: float = 1.0
    gamma: float = 1.0
    reconstruction_weight: float = 0.0
    reduction: Reduction = "sum"
    relative_constraint: bool = False
    stop_gradient: bool = True


class DDNMFNetwork(nn.Module):
    """What `nonneg.deep.train` trains.

    Parameters
    ----------
    supervisor : Supervisor
        Sees clean samples.
    student : Student
        Sees noisy ones.
    losses : LossSettings
        How they are compared.
    noise : Noise
        P(ε).
    restarts : int, default=0
        Before how many epochs, from the second on, the NMF module starts from data anew (`fit_start`).
    """

    def __init__(
        self,
        supervisor: Supervisor,
        student: Student,
        losses: LossSettings,
        noise: Noise,
        restarts: int = 0,
    ) -> None:
        super().__init__()
        self.supervisor = supervisor
        self.student = student
        self.losses = losses
        self.noise = noise
        self.restarts = restarts

    def fit_start(self, batches: Batches) -> None:
        """Start the NMF module from what the student's encoder makes of some samples; see `NMFModule.fit_start`."""
        counted = np.arange(batches.n)
        if batches.weights is not None:
            counted = np.flatnonzero(batches.weights.cpu().numpy() > 0)
        places = np.linspace(0, len(counted) - 1, min(len(counted), START_ROWS)).astype(np.intp)
        with torch.no_grad():
            self.student.nmf.fit_start(self.student.encoder(batches.take(counted[places]).x)[-1])

    def before_epoch(self, epoch: int, batches: Batches) -> None:
        """Start the NMF module anew while the encoder still moves fast.

        Z shrinks in the first epochs (the non-negative constraint loss sees to that), and all that units with W ≥ 0
        can do about a Ẑ that is too large is to fall to zero together; some never return.
        """
        if 1 <= epoch <= self.restarts:
            self.fit_start(batches)

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return L_sym, L_ap, L_nc and L_in of a batch, and the parts of ‖Z − Ẑ‖ / ‖Z‖."""
        settings, x, weight = self.losses, batch.x, batch.weight
        taps = self.supervisor(x)
        student = self.student(self.noise(x, batch.rows, batch.epoch))
        sym = symmetric(x, taps[-1], settings.reduction, weight, batch.cells)
        ap = apposition(taps, student.taps, settings.reduction, settings.stop_gradient, weight)
        nc = non_negative_constraint(
            student.z, student.z_hat, settings.reduction, settings.relative_constraint, weight
        )
        total = interpretability(sym, ap, nc, settings.alpha, settings.beta, settings.gamma)
        terms = {
            "symmetric": sym,
            "apposition": ap,
            "non_negative_constraint": nc,
            "interpretability": total,
            "objective": total,
            "z_square": squared_norm(student.z, weight),
        }
        if settings.relative_constraint:
            with torch.no_grad():
                terms["residual"] = squared_distance(student.z, student.z_hat, weight=weight)
        if settings.reconstruction_weight:
            terms["reconstruction"] = squared_distance(x, student.y, settings.reduction, weight, batch.cells)
            terms["objective"] = total + settings.reconstruction_weight * terms["reconstruction"]
        return terms

    def record(self, sums: dict[str, float], n: float) -> EpochRecord:
        """Sums over the epoch, as in the paper, or (reduction "mean") means over its samples."""
        divisor = 1.0 if self.losses.reduction == "sum" else n
        residual = sums.get("residual", sums["non_negative_constraint"])
        if "residual" not in sums and self.losses.reduction == "mean":
            residual *= self.student.nmf.weight.shape[0]
        names = ("symmetric", "apposition", "non_negative_constraint", "interpretability", "reconstruction")
        found = {name: sums[name] / divisor for name in names if name in sums}
        square = sums["z_square"]
        return found | {"nmf_relative_error": math.sqrt(residual / square) if square > 0 else 0.0}
