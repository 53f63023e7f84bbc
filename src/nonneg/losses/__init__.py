"""The data term: what it costs that W @ H is not X."""

from __future__ import annotations

from .beta import BetaLoss, Stats, as_loss

__all__ = ["BetaLoss", "Stats", "as_loss"]
