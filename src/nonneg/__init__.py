"""Non-negative factorization, from the classical matrix model to deep networks.

Names load when they are first used: ``import nonneg`` imports neither torch nor numba, matplotlib or dask.
"""

from __future__ import annotations

import importlib
from typing import Any

from .registry import MODELS

__version__ = "0.1.0"

_FUNCTIONS = {
    "load": "nonneg.io",
    "as_source": "nonneg.data",
    "convert": "nonneg.data.convert",
    "exact_nmf": "nonneg.exact",
    "nonnegative_rank": "nonneg.exact",
    "nonnegative_rank_factorization": "nonneg.exact",
}
_HOMES = {**MODELS, **_FUNCTIONS}
_ROOMS = (
    "anndata",
    "clustering",
    "datasets",
    "deep",
    "exact",
    "exceptions",
    "losses",
    "metrics",
    "penalties",
    "plots",
    "report",
)

__all__ = ["__version__", *_HOMES, *_ROOMS]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"nonneg.{name}")
    raise AttributeError(f"module 'nonneg' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
