"""What models of n-way arrays share: how X comes in, and the shape of a sample."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import numpy as np

from ..data import Source, Summary
from ..data.tensor import Tensor, is_coo, tensor_array, tensor_matrix, tensor_weights
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
    _in_runs = False  # unfoldings of a sparse tensor are made of the whole

    def fit(
        self, X: Any, y: Any = None, *, sample_weight: Any = None, weights: Any = None, W_init: Any = None,
        H_init: Any = None, layer: str | None = None, memory_limit: int | str | None = None, client: Any = None,
        device: Any = None,
    ) -> TensorFactorization:  # fmt: skip
        """Fit the model to an n-way array.

        Parameters
        ----------
        X : array-like, memmap, torch tensor, sparse.COO or path, (n_samples, I_2, …, I_N)
            Two ways or more, of which the first counts samples. With two, anything that `NMF` takes.
        y : ignored
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the samples: 2 counts a sample twice.
        weights : array-like or sparse.COO of shape (n_samples, I_2, …, I_N), optional
            Weights of the cells; 0 means missing, whatever the cell holds.
        W_init : array-like of shape (n_samples, n_components), optional
        H_init : list of array-like of shapes (I_d, n_components), d = 2, …, N, optional
            `NTF` only: start values of the factors.
        layer, memory_limit, client, device : optional
            How X is read; see `nonneg.as_source`.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            For parameters out of range and for data the model cannot take; the message names the argument.
        """
        super().fit(
            X, y, sample_weight=sample_weight, weights=weights, W_init=W_init, H_init=H_init,
            layer=layer, memory_limit=memory_limit, client=client, device=device,
        )  # fmt: skip
        return self

    def transform(
        self, X: Any, *, weights: Any = None, layer: str | None = None,
        memory_limit: int | str | None = None, client: Any = None, device: Any = None,
        out: str | os.PathLike[str] | None = None,
    ) -> Any:  # fmt: skip
        """Return W of shape (n_samples, n_components) for new samples with the components held fixed.

        Parameters
        ----------
        X : array-like, memmap, torch tensor, sparse.COO or path, (n_samples, I_2, …, I_N)
            The samples have the shape ``tensor_shape_``.
        weights : array-like or sparse.COO of shape (n_samples, I_2, …, I_N), optional
            Weights of the cells; 0 means missing.
        layer, memory_limit, client, device : optional
            How X is read; see `nonneg.as_source`.
        out : path, optional
            A ``.npy``, ``.zarr`` or ``.h5`` file to write W to; it is returned open.
        """
        return super().transform(
            X, weights=weights, layer=layer, memory_limit=memory_limit, client=client, device=device, out=out
        )

    def inverse_transform(self, W: Any) -> np.ndarray:
        """Return the reconstruction of X, (n_samples, I_2, …, I_N), from codes W of shape (n_samples, n_components)."""
        return super().inverse_transform(W)

    def score(
        self, X: Any, y: Any = None, *, weights: Any = None, sample_weight: Any = None,
        layer: str | None = None, memory_limit: int | str | None = None, client: Any = None,
        device: Any = None,
    ) -> float:  # fmt: skip
        """Minus the mean loss of X, which may be new samples: higher is better.

        The mean is over the observed cells, each with its weight: − loss / Σ s_i w_ij….

        Parameters
        ----------
        X : array-like, memmap, torch tensor, sparse.COO or path, (n_samples, I_2, …, I_N)
        y : ignored
        weights : array-like or sparse.COO of shape (n_samples, I_2, …, I_N), optional
            w, weights of the cells; 0 means missing.
        sample_weight : array-like of shape (n_samples,), optional
            s, weights of the samples.
        layer, memory_limit, client, device : optional
            How X is read; see `nonneg.as_source`.
        """
        return super().score(
            X, y, weights=weights, sample_weight=sample_weight,
            layer=layer, memory_limit=memory_limit, client=client, device=device,
        )  # fmt: skip

    def _opened(self, X: Any, **how: Any) -> Any:
        self._check_device(how.pop("device", None))
        if how.pop("client", None) is not None:
            raise ValueError(
                f"client= is for NMF, whose passes other processes can do; {type(self).__name__} holds X in memory"
            )
        return tensor_array(X, **how)

    def _source(
        self, X: Any, *, whom: str, weights: Any = None, sample_weight: Any = None, reset: bool = False
    ) -> Source:
        X = tensor_array(X)
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

    def _check_data(self, source: Source, whom: str) -> Summary:
        """Refuse NaN beside unstored zeros, which unfoldings do not hold: their columns are those that are stored."""
        stored_only = source.is_sparse and source.weights is None and len(self.tensor_shape_) > 1
        if stored_only and source.nan_is_missing:
            if np.isnan(source.X.data).any():  # type: ignore[attr-defined]
                raise ValueError(
                    f"{type(self).__name__}.{whom}: X is a sparse tensor with NaN, and with missing='ignore' every "
                    "cell that it does not store is an observed 0; give X dense, take missing='unstored', or give "
                    "weights= as a sparse.COO that names the observed cells"
                )
            source.nan_is_missing = False
        return super()._check_data(source, whom)

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

    def _part_columns(self) -> Any:
        if len(self.tensor_shape_) == 1:
            return super()._part_columns()
        from pandas import MultiIndex

        ways = [f"way {d}" for d in range(2, 2 + len(self.tensor_shape_))]
        return MultiIndex.from_product([range(side) for side in self.tensor_shape_], names=ways)

    def _part_sizes(self) -> np.ndarray:
        return np.ones((self.n_components_, 1))  # all are of one size, and may be huge
