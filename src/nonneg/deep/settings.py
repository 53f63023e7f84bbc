"""How to train: the settings, and what they mean for device, precision, learning rate and optimizer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

__all__ = [
    "OptimizerName",
    "Precision",
    "Schedule",
    "TrainSettings",
    "learning_rate_at",
    "make_optimizer",
    "resolve_device",
    "resolve_precision",
]

Schedule = Literal["constant", "linear", "cosine"]
OptimizerName = Literal["adam", "sgd"]
Precision = Literal["auto", "float32", "bfloat16", "float64"]

WARMUP_STEPS = 100  # of the schedules that decay


@dataclass(frozen=True)
class TrainSettings:
    """How to train.

    Parameters
    ----------
    max_epochs : int
        Passes over the data.
    batch_size : int
        Samples a step.
    learning_rate : float
        Of the optimizer; the largest one under a schedule.
    schedule : {"constant", "linear", "cosine"}
        ``linear`` and ``cosine`` rise over 100 steps (or a tenth of all, if that is less), then fall to 1 % of the
        learning rate at the last step.
    optimizer : {"adam", "sgd"}
        Adam (β = .9, .999), or gradient descent without momentum (eq. 8 of the paper).
    precision : {"auto", "float32", "bfloat16", "float64"}
        ``bfloat16``: products of layers in bfloat16, weights and sums in float32; ``auto``: that where the processor
        has instructions for it, else float32.
    device : str
        Of torch, or ``"auto"``: CUDA where there is one.
    seed : int
        Of the order of samples.
    """

    max_epochs: int
    batch_size: int
    learning_rate: float
    schedule: Schedule = "constant"
    optimizer: OptimizerName = "adam"
    precision: Precision = "float32"
    device: str = "auto"
    seed: int = 0


def resolve_device(name: str) -> torch.device:
    """Return the device of a name; ``"auto"`` is CUDA where there is one.

    Raises
    ------
    ValueError
        When torch does not know the name, or has no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device={name!r} cannot be used ({reason}); give 'auto', 'cpu' or 'cuda'") from None
    return device


def resolve_precision(name: Precision, device: torch.device) -> Precision:
    """Turn ``"auto"`` into ``"bfloat16"`` where the hardware multiplies it, else ``"float32"``."""
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return "bfloat16" if known.get("avx512_bf16") or known.get("amx_bf16") or known.get("bf16") else "float32"


def learning_rate_at(settings: TrainSettings, step: int, total: int) -> float:
    """Learning rate of a step (from 0) among `total`."""
    if settings.schedule == "constant":
        return settings.learning_rate
    warmup = max(1, min(WARMUP_STEPS, total // 10))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    left = 1.0 - (step - warmup) / max(1, total - 1 - warmup)
    shape = left if settings.schedule == "linear" else 0.5 * (1.0 - math.cos(math.pi * left))
    return settings.learning_rate * (0.01 + 0.99 * shape)


def make_optimizer(model: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """Return the optimizer of the settings; Adam in one fused pass over the weights where torch has it."""
    if settings.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), lr=settings.learning_rate)
    try:
        return torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    except RuntimeError:  # no fused kernel for this device
        return torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
