"""Models whose rows have no weights, though cells may have some: what ``fit`` takes, and how it refuses weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from .base import Factorization

__all__ = ["UnweightedFactorization", "WeightedCellsFactorization"]


def _refusing_weights(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method say why it takes no weights, which its signature, that scikit-learn reads, does not show."""

    @wraps(method)
    def checked(self: Any, X: Any, y: Any = None, **options: Any) -> Any:
        for name in ("sample_weight",) if self._takes_weights else ("sample_weight", "weights"):
            if options.pop(name, None) is not None:
                raise TypeError(
                    f"{type(self).__name__}.{method.__name__} takes no {name}: {self._why_unweighted}; leave it out"
                )
        return method(self, X, y, **options)

    return checked


class UnweightedFactorization(Factorization):
    """Base class of models in which rows have no weights: their rows are no independent samples."""

    _takes_weights = False
    _why_unweighted = "its rows are no independent samples"

    @_refusing_weights
    def fit(  # type: ignore[override]
        self, X: Any, y: Any = None, *, W_init: Any = None, H_init: Any = None,
        layer: str | None = None, memory_limit: int | str | None = None, client: Any = None,
        device: Any = None,
    ) -> Factorization:  # fmt: skip
        """Fit the model to X; as `Factorization.fit`, without weights."""
        how: Any = {"layer": layer, "memory_limit": memory_limit, "client": client, "device": device}
        return super().fit(X, W_init=W_init, H_init=H_init, **how)

    @_refusing_weights
    def fit_transform(  # type: ignore[override]
        self, X: Any, y: Any = None, *, W_init: Any = None, H_init: Any = None,
        layer: str | None = None, memory_limit: int | str | None = None, client: Any = None,
        device: Any = None,
    ) -> np.ndarray:  # fmt: skip
        """Fit the model and return W."""
        how: Any = {"layer": layer, "memory_limit": memory_limit, "client": client, "device": device}
        return super().fit_transform(X, W_init=W_init, H_init=H_init, **how)


class WeightedCellsFactorization(UnweightedFactorization):
    """Base class of models in which cells have weights, or are missing, but rows have none."""

    _takes_weights = True

    @_refusing_weights
    def fit(  # type: ignore[override]
        self, X: Any, y: Any = None, *, weights: Any = None, W_init: Any = None, H_init: Any = None,
        layer: str | None = None, memory_limit: int | str | None = None, client: Any = None,
        device: Any = None,
    ) -> Factorization:  # fmt: skip
        """Fit the model to X; as `Factorization.fit`, without weights of rows."""
        how: Any = {"layer": layer, "memory_limit": memory_limit, "client": client, "device": device}
        return Factorization.fit(self, X, weights=weights, W_init=W_init, H_init=H_init, **how)

    @_refusing_weights
    def fit_transform(  # type: ignore[override]
        self, X: Any, y: Any = None, *, weights: Any = None, W_init: Any = None, H_init: Any = None,
        layer: str | None = None, memory_limit: int | str | None = None, client: Any = None,
        device: Any = None,
    ) -> np.ndarray:  # fmt: skip
        """Fit the model and return W."""
        how: Any = {"layer": layer, "memory_limit": memory_limit, "client": client, "device": device}
        return Factorization.fit_transform(self, X, weights=weights, W_init=W_init, H_init=H_init, **how)
