"""What models of several layers share, X ≈ W Z_p … Z_1: widths, the layers as attributes, codes on every layer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from ..data import Source
from ..files import fingerprint
from ..solvers.iterate import Arrays
from ..solvers.momentum import accelerated, at_rest
from ..solvers.stack import pretrained, product
from ..solvers.step import Record
from .inputs import arrays_of, check_count
from .iterative import IterativeFactorization
from .parameters import ITERATION_PARAMETERS
from .units import loss_times, power_of, times

__all__ = ["STACK_PARAMETERS", "StackedFactorization", "check_layers", "stack_attributes"]

WIDER = 4  # times the code: the one earlier layer that users do not choose

STACK_PARAMETERS: dict[str, Any] = {
    **ITERATION_PARAMETERS,
    "layers": ["array-like", None],
    "pretrain_iter": [Interval(Integral, 1, None, closed="left")],
}


def check_layers(layers: Any) -> tuple[int, ...] | None:
    """The widths of the earlier layers, or raise naming what is none."""
    if layers is None:
        return None
    if isinstance(layers, str) or np.ndim(layers) != 1:
        raise ValueError(
            f"layers={layers!r} must be a sequence of widths, as (100,) or (256, 64), from the data to the code, "
            "without the code's own, which is n_components"
        )
    return tuple(check_count(f"layers[{i}]", width) for i, width in enumerate(layers))


class StackedFactorization(IterativeFactorization):
    """Base class of X ≈ W Z_p … Z_1 with W ≥ 0.

    Attributes
    ----------
    layers_ : list of ndarray
        Z_1 (k_1, n_features_in_), …, Z_p (n_components, k_{p−1}).
    components_ : ndarray of shape (n_components, n_features_in_)
        Z_p … Z_1.
    pretraining_losses_ : list of ndarray
    pretraining_err_ : float
    """

    layers: Any
    pretrain_iter: int

    def _check_params(self) -> None:
        super()._check_params()
        check_layers(self.layers)

    def _widths(self, n_features: int) -> tuple[int, ...]:
        k, earlier = int(self.n_components), check_layers(self.layers)  # type: ignore[attr-defined]
        return (*((min(WIDER * k, n_features),) if earlier is None else earlier), k)

    def _refuse_starts(self, W_init: Any, H_init: Any) -> None:
        for name, value in (("W_init", W_init), ("H_init", H_init)):
            if value is not None:
                raise ValueError(
                    f"{name} has no place in {type(self).__name__}: each layer starts from the codes of the one below; "
                    "leave it out"
                )

    def _descend(
        self,
        source: Source,
        widths: tuple[int, ...],
        stack: Any,
        pretrain: Any,
        beside: tuple[np.ndarray, ...] = (),
    ) -> None:
        """Pretrain the layers, then move them all; set what is reported of both stages, and what `_fitted` gives.

        Parameters
        ----------
        source : Source
        widths : tuple of int
        stack : SemiStack or EncoderStack
            With ``start(W, layers)``, ``loss(factors)``, ``move(factors)`` and ``pushed(depth)``.
        pretrain : callable
            ``pretrain(data, width, seconds left, rng, first)`` returns an outcome with the arrays ``W`` and ``Z1``.
        beside : tuple of ndarray
            Data of the fit beside X, which a checkpoint belongs to as well.
        """
        depth, power = len(widths), power_of(source)

        def start(rng: np.random.Generator, first: bool) -> dict[str, np.ndarray]:
            W, layers, losses = pretrained(
                source,
                widths,
                lambda data, width, left: pretrain(data, width, left, rng, first),
                self.max_time,
            )
            factors = stack.start(W, layers)
            kept = {f"losses{level}": values for level, values in enumerate(losses, 1)}
            return {**at_rest(factors), **kept, "before": np.array([stack.loss(factors)])}

        data: list[Any] | None = None
        if beside and self.checkpoint is not None:
            data = [*(fingerprint(*arrays_of(block)) for block in source.blocks()), *beside]
        best = self._search(
            source,
            start,
            lambda state: self._step(state, stack, depth),
            fitted=lambda arrays: self._fitted(arrays, source),
            data=data,
        )
        self.pretraining_losses_ = [best.arrays[f"losses{level}"] for level in range(1, depth + 1)]
        self.pretraining_err_ = loss_times(np.sqrt(2 * best.arrays["before"][0]), -power)
        self.__dict__.update(self._fitted(Arrays(best.arrays), source))

    def _step(self, state: Arrays, stack: Any, depth: int) -> Record:
        return accelerated(state, stack.move, stack.pushed(depth))

    @abstractmethod
    def _fitted(self, arrays: Arrays, source: Source) -> dict[str, Any]:
        """What `transform` needs, in the units of the user, as attributes."""

    @abstractmethod
    def _codes(self, M: np.ndarray, source: Source) -> np.ndarray:
        """W for the product M (any, m) of the first layers, in the units of the user."""

    def _last_codes(self, source: Source) -> np.ndarray:
        return self._codes(self.components_, source)

    def _transform_source(self, source: Source) -> np.ndarray:
        self._in_range(source, source.summary())
        return self._last_codes(source)

    def transform_layers(self, X: Any) -> list[np.ndarray]:
        """Return the codes of X on every layer: W_1 (n_samples, k_1), …, W_p = ``transform(X)``.

        W_l is what `transform` would give were Z_1, …, Z_l all layers. A graph has no part in those before the last.

        Parameters
        ----------
        X : array-like, sparse, DataFrame, memmap or path, (n_samples, n_features_in_)
        """
        check_is_fitted(self)
        source = self._source(X, whom="transform_layers")
        self._in_range(source, self._check_data(source, "transform_layers"))
        first = [self._codes(product(self.layers_[:level]), source) for level in range(1, len(self.layers_))]
        return [*first, self._last_codes(source)]


def stack_attributes(layers: Sequence[np.ndarray], power: int) -> dict[str, Any]:
    """``layers_`` and ``components_`` for layers of which the first carries X's unit, times 2^power."""
    return {
        "layers_": [times(layers[0], power), *layers[1:]],
        "components_": times(product(layers), power),
        "n_components_": len(layers[-1]),
    }
