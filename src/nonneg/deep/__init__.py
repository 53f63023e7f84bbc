"""Deep non-negative factorization (needs torch): DDNMF, the autoencoders it is compared with, and their parts.

Importing this package imports torch, so the rest of the library names it lazily. Without torch the import raises
`MissingExtraError`. The names below load their modules when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from nonneg.exceptions import MissingExtraError

try:
    import torch  # noqa: F401
except ImportError as error:
    raise MissingExtraError("torch", "deep", "nonneg.deep") from error

# modules of this package, and full names of others: stacks of matrices need no torch
_HOMES = {
    "Autoencoder": "autoencoder",
    "Batch": "batches",
    "Batches": "batches",
    "DANMF": "nonneg.models.danmf",
    "DDNMF": "ddnmf",
    "DeepProbabilisticNMF": "probabilistic",
    "DeepSemiNMF": "nonneg.models.deep_semi",
    "Monitoring": "monitoring",
    "NMFModule": "nmf_module",
    "Noise": "noise",
    "NonnegativeAutoencoder": "nonnegative",
    "PROFILES": "profiles",
    "Student": "student",
    "StudentOutput": "student",
    "Supervisor": "supervisor",
    "TrainSettings": "settings",
    "VariationalNMF": "variational",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES[name]
    module = import_module(home if "." in home else f"{__name__}.{home}")
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
