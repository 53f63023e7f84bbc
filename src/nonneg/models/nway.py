"""What models of n-way arrays share: how X comes in, and the shape of a sample."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import numpy as np

from ..data import Source
from ..data.paths import open_path
from ..data.tensor import Tensor, is_coo, tensor_matrix, tensor_weights
from .iterative import IterativeFactorization

__all__ = ["TensorFactorization"]


class TensorFactorization(IterativeFactorization):
    """Base class of models of n-way arrays; the first way counts samples.

    Attributes
    ----------
    tensor_shape_ : tuple of int
        (I_2, …, I_N), the shape of a sample.
    """

    tensor_shape_: tuple[int, ...]
    _takes = "ways"

    def _source(
        self, X: Any, *, whom: str, weights: Any = None, sample_weight: Any = None, reset: bool = False
    ) -> Source:
        if isinstance(X, (str, os.PathLike)):
            X = open_path(X)
        if isinstance(X, (list, tuple)):
            with suppress(ValueError):  # refused where all data are
                X = np.asarray(X) if np.ndim(X) > 2 else X
        shape = tuple(getattr(X, "shape", ()))
        if len(shape) > 2 and is_coo(X) and weights is not None and not is_coo(weights):
            raise TypeError(
                "weights of a sparse tensor must be a sparse.COO array: cells that it does not store are missing"
            )
        matrix, cells = tensor_matrix(X), tensor_weights(weights, shape)
        if not reset and max(len(shape) - 1, len(self.tensor_shape_)) > 1:  # else the base class says it
            self._check_sides(shape[1:], whom)
        source = super()._source(matrix, whom=whom, weights=cells, sample_weight=sample_weight, reset=reset)
        sides = shape[1:] if len(shape) > 2 else (source.shape[1],)
        if reset:
            self.tensor_shape_ = tuple(map(int, sides))
        else:
            self._check_sides(sides, whom)
        return source

    def _check_sides(self, sides: tuple[int, ...], whom: str) -> None:
        if sides and sides != self.tensor_shape_:
            raise ValueError(
                f"X has samples of shape {sides}, but {type(self).__name__}.{whom} expects {self.tensor_shape_}"
            )

    def _tensor(self, source: Source) -> Tensor:
        return Tensor(source, (source.shape[0], *self.tensor_shape_))

    def _inverse(self, W: np.ndarray) -> np.ndarray:
        parts = self.components_.reshape(len(self.components_), -1)
        return (W @ parts).reshape(len(W), *self.tensor_shape_)

    def parts(self) -> np.ndarray:
        """Return what each component looks like in data space, flattened: (n_components, n_features_in_)."""
        return super().parts().reshape(-1, self.n_features_in_)
