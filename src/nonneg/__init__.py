"""Non-negative factorization, from the classical matrix model to deep networks."""

from __future__ import annotations

__version__ = "0.1.0"
