"""The surface that every estimator shares, shallow or deep.

A model gives `_fit_source`, `_transform_source` and `_inverse`; this module does what a user of scikit-learn
expects around them: data of any kind in, names, shapes, refusals, ``set_output``, ``save``. It knows nothing of
losses and solvers.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.validation import check_is_fitted, validate_data

from ..data import Source, Summary, as_source
from ..data.as_source import check_cells
from ..data.dask import DaskSource
from ..data.device import lies_elsewhere
from ..data.names import check_names, column_names, compare_names
from ..data.products import half_squares
from ..data.sink import check_target, refuse_data
from ..exceptions import IncompatibleError, warn_user
from .inputs import check_count
from .output import codes, with_row_names
from .reading import ReadingMixin
from .suggest import suggestion
from .units import loss_times, power_of

__all__ = ["Factorization", "check_count", "check_n_components", "forget_masks"]


def check_n_components(value: Any) -> int:
    """Return ``n_components`` as an int, or raise naming it."""
    return check_count("n_components", value)


def _cells(source: Source) -> float:
    n, m = source.shape
    return float(m * (n if source.row_weights is None else source.row_weights.sum(dtype=np.float64)))


def forget_masks(source: Source, summary: Summary) -> None:
    """Where no cell is missing after all, let the source make no masks."""
    whole = summary.total_weight == _cells(source)
    hidden = source.row_weights is not None and not source.row_weights.all()  # rows that no sum sees
    if source.nan_is_missing and source.weights is None and whole and not hidden:
        source.nan_is_missing = False


# a row alone without an observed cell is no mistake there: its W is 1/k, as in company
NEED_NO_CELL = ("transform", "memberships", "impute", "predict_cells")


class Factorization(ReadingMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Base class: a factorization of X (n_samples, n_features) with ``n_components`` non-negative parts.

    Subclasses write ``__init__`` (parameters only), `_fit_source`, `_transform_source` and, unless the model is
    X ≈ W @ components_, `_inverse`.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features_in_)
        The parts (for deep models, see their own page).
    n_components_, n_features_in_, n_iter_ : int
    feature_names_in_ : ndarray of str, only when X has names
    history_ : dict of str to 1-D ndarray, all of equal length
    converged_ : bool
    reconstruction_err_ : float
    """

    n_features_in_: int
    _any_sign = False  # whether X may be negative
    _takes_weights = True  # whether fit and transform take cell weights
    _takes_client = False  # whether passes run on the workers of a Dask client
    _takes_device = False  # whether passes run where X lies, if that is no memory of this process
    _in_runs = True  # whether `_transform_source` of some blocks of X is that of X, given the summary of X

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        weights: Any = None,
        W_init: Any = None,
        H_init: Any = None,
        layer: str | None = None,
        memory_limit: int | str | None = None,
        client: Any = None,
        device: Any = None,
    ) -> Factorization:
        """Fit the model to X.

        Parameters
        ----------
        X : array-like, sparse, DataFrame, memmap or path, (n_samples, n_features)
        y : ignored
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the rows: 2 counts a row twice.
        weights : array-like or sparse of shape (n_samples, n_features), optional
            Weights of the cells; 0 means missing, whatever the cell holds. The columns of a DataFrame must be named
            as those of X, in that order, where both have names; its index is not looked at.
        W_init : array-like of shape (n_samples, n_components), optional
            Start values; with ``H_init``.
        H_init : array-like of shape (n_components, n_features), optional
            Start values. Names of the columns of ``H_init`` are compared with those of X, as for ``weights``.
        layer, memory_limit, client, device : optional
            How X is read; see `nonneg.as_source`, which every method takes the result of as X too.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            For parameters out of range and for data the model cannot take; the message names the argument.
        """
        X = self._opened(X, layer=layer, memory_limit=memory_limit, client=client, device=device)
        self._fit(X, sample_weight, weights, W_init, H_init)
        self._layer = layer
        return self

    def fit_transform(
        self,
        X: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        weights: Any = None,
        W_init: Any = None,
        H_init: Any = None,
        layer: str | None = None,
        memory_limit: int | str | None = None,
        client: Any = None,
        device: Any = None,
    ) -> np.ndarray:
        """Fit the model and return W: the same numbers as ``fit(X).transform(X)``."""
        data = self._opened(X, layer=layer, memory_limit=memory_limit, client=client, device=device)
        W = self._fit(data, sample_weight, weights, W_init, H_init, want_W=True)
        self._layer = layer
        return with_row_names(self, W, X)

    def _fit(
        self, X: Any, sample_weight: Any, weights: Any, W_init: Any, H_init: Any, *, want_W: bool = False
    ) -> Any:
        """Fit; after an error or an interrupt the estimator is what it was before."""
        before = dict(vars(self))
        try:
            self._check_params()
            source = self._source(X, weights=weights, sample_weight=sample_weight, whom="fit", reset=True)
            check_names("H_init", H_init, getattr(self, "feature_names_in_", None))
            summary = self._check_data(source, "fit")
            W = self._fit_source(source, summary, W_init=W_init, H_init=H_init)
            self._warn_of_parts(W)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        if W is None and want_W:
            W = self._transform_source(source)
        return W

    def transform(
        self,
        X: Any,
        *,
        weights: Any = None,
        layer: str | None = None,
        memory_limit: int | str | None = None,
        client: Any = None,
        device: Any = None,
        out: str | os.PathLike[str] | None = None,
    ) -> Any:
        """Return W of shape (n_samples, n_components) for X with the components held fixed.

        Parameters
        ----------
        X : array-like, sparse, DataFrame, memmap or path, (n_samples, n_features_in_)
        weights : array-like or sparse of shape (n_samples, n_features), optional
            Weights of the cells; 0 means missing.
        layer, memory_limit, client, device : optional
            How X is read; see `nonneg.as_source`. W that takes more than a quarter of ``memory_limit`` comes as a
            memory map of a file without a name.
        out : path, optional
            Write W to this ``.npy``, ``.zarr`` or ``.h5`` file as it is computed, and return it open: a memory map, a
            Zarr array or an HDF5 data set. What is there is replaced when W is complete. W is computed some blocks of
            rows at a time, but as a whole where rows depend on each other (`ConvolutiveNMF`), or X is a tensor or
            has several views.
        """
        check_is_fitted(self)
        if out is not None:
            check_target(out, source=X)
        self._compare_layers(X, layer)
        data = self._opened(X, layer=layer, memory_limit=memory_limit, client=client, device=device)
        source = self._source(data, weights=weights, whom="transform")
        if out is not None:
            refuse_data(out, source)
            refuse_data(out, weights)
        summary = self._check_data(source, "transform")
        return with_row_names(self, codes(self, source, summary, out, memory_limit), X)

    def inverse_transform(self, W: Any) -> np.ndarray:
        """Return the reconstruction of X from codes W of shape (n_samples, n_components)."""
        check_is_fitted(self)
        codes = np.asarray(W)
        if codes.ndim != 2 or codes.shape[1] != self.n_components_:
            raise ValueError(
                f"W: expected shape (n_samples, {self.n_components_}), got {codes.shape}; pass what transform returned"
            )
        return self._inverse(codes)

    def score(
        self,
        X: Any,
        y: Any = None,
        *,
        weights: Any = None,
        sample_weight: Any = None,
        layer: str | None = None,
        memory_limit: int | str | None = None,
        client: Any = None,
        device: Any = None,
    ) -> float:
        """Minus the mean loss of X, which may be new data: higher is better.

        The mean is over the observed cells, each with its weight: − loss / Σ_ij s_i w_ij.

        Parameters
        ----------
        X : array-like, sparse, DataFrame, memmap or path, (n_samples, n_features_in_)
        y : ignored
        weights : array-like or sparse of shape (n_samples, n_features), optional
            w, weights of the cells; 0 means missing.
        sample_weight : array-like of shape (n_samples,), optional
            s, weights of the rows.
        layer, memory_limit, client, device : optional
            How X is read; see `nonneg.as_source`.
        """
        check_is_fitted(self)
        self._compare_layers(X, layer)
        X = self._opened(X, layer=layer, memory_limit=memory_limit, client=client, device=device)
        source = self._source(X, weights=weights, sample_weight=sample_weight, whom="score")
        summary = self._check_data(source, "score")
        return self._score_source(source, summary)

    def parts(self) -> np.ndarray:
        """Return what each component looks like in data space, (n_components, n_features_in_)."""
        check_is_fitted(self)
        return self.components_.copy()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one checksummed file that `nonneg.load` reads; see `nonneg.io`."""
        from ..io import save

        save(self, path)

    # -- what a model gives ---------------------------------------------------------------------------------

    def _validate_params(self) -> None:
        try:
            super()._validate_params()
        except InvalidParameterError as error:
            constraints = getattr(self, "_parameter_constraints", {})
            hint = suggestion(str(error), constraints, self.get_params(deep=False))
            raise InvalidParameterError(f"{error}{hint}") from None

    def _check_params(self) -> None:
        """Raise for parameters out of range."""
        check_n_components(self.n_components)  # type: ignore[attr-defined]

    def _fit_source(
        self, source: Source, summary: Summary, *, W_init: Any = None, H_init: Any = None
    ) -> np.ndarray | None:
        """Fit; set the attributes; return W where it is at hand."""
        raise TypeError(f"{type(self).__name__} does not say how it is fitted")

    def _warn_of_parts(self, W: np.ndarray | None) -> None:
        """Warn of what is wrong with the parts, W being what `_fit_source` returned."""

    def _transform_source(self, source: Source) -> np.ndarray:
        raise TypeError(f"{type(self).__name__} has no transform")

    def _inverse(self, W: np.ndarray) -> np.ndarray:
        return W @ self.components_

    def _score_source(self, source: Source, summary: Summary) -> float:
        """Minus half the weighted mean squared error; models with another loss override it."""
        loss = self._half_squares(source, self._transform_source(source))
        return -loss_times(loss / summary.total_weight, -2 * power_of(source))

    def _half_squares(self, source: Source, W: np.ndarray) -> float:
        """½ Σ s_i w_ij (x_ij − x̂_ij)² in the units of ``source``, in which it cannot overflow."""
        return half_squares(source, lambda rows: source.scale * self._inverse(W[rows]))

    # -- what is done for it --------------------------------------------------------------------------------

    def _opened(self, X: Any, **how: Any) -> Any:
        """X as a source where the user says how it is read, else X; ``how`` as for `nonneg.as_source`."""
        self._check_device(how.get("device"))
        return as_source(X, **how) if any(value is not None for value in how.values()) else X

    def _compare_layers(self, X: Any, layer: str | None) -> None:
        """Warn where another layer of AnnData is read than in the fit: nothing else tells them apart."""
        fitted = getattr(self, "_layer", None)
        is_file = isinstance(X, (str, os.PathLike)) and os.fspath(X).endswith(".h5ad")
        if layer != fitted and (is_file or hasattr(X, "layers")):
            warn_user(
                f"X: layer={layer!r} is read here, the model was fitted to layer={fitted!r}; name it in every call"
            )

    def _check_device(self, device: Any) -> None:
        """Refuse the device that X lies on, or is to be put on, where the model cannot compute there."""
        if device is None or self._takes_device:
            return
        name = type(self).__name__
        own = f" ({name}(device=...) says where it is trained)" if hasattr(self, "device") else ""
        raise IncompatibleError(
            f"device={str(device)!r} is for NMF; {name} reads X with the processor: leave device out{own}"
        )

    def _source(
        self, X: Any, *, whom: str, weights: Any = None, sample_weight: Any = None, reset: bool = False
    ) -> Source:
        if not self._takes_weights and weights is not None:
            raise ValueError(
                f"{type(self).__name__}.{whom} takes no cell weights; impute missing cells first"
            )
        source = as_source(
            X, weights=weights, sample_weight=sample_weight, missing=getattr(self, "missing", "error"),
            device=X.device if self._takes_device and lies_elsewhere(X) else None,
        )  # fmt: skip
        self._check_device(source.device)
        if not self._takes_client and isinstance(source, DaskSource) and source.chosen:
            raise IncompatibleError(
                f"{type(self).__name__}.{whom} makes its passes in this process: leave client out (a dask array is "
                "then read block by block), or take NMF, whose passes run on the workers"
            )
        if not reset and source.shape[1] != self.n_features_in_:  # rather than of its shape, speak of NaN
            check_cells(source, whom=f"{type(self).__name__}.{whom}", non_negative=False, takes_missing=False)
        self._check_feature_names(X, source, reset)
        check_names("weights", weights, getattr(self, "feature_names_in_", None))
        if reset:
            self.n_features_in_ = source.shape[1]
        elif source.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {source.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input"
            )
        return source

    def _check_feature_names(self, X: Any, source: Source, reset: bool) -> None:
        """Note or compare names of columns: those of tables as scikit-learn does, those of files likewise."""
        if source.names is None or column_names(X) is not None:
            shown = source if isinstance(X, (str, os.PathLike)) else X
            if hasattr(shown, "shape") or hasattr(shown, "__len__"):
                validate_data(self, shown, reset=reset, skip_check_array=True)
        elif reset:
            self.feature_names_in_ = np.asarray(source.names, dtype=object)
        elif not hasattr(self, "feature_names_in_"):
            warn_user(f"X has feature names, but {type(self).__name__} was fitted without feature names")
        else:
            ordered = "X[:, model.feature_names_in_]"
            if isinstance(X, (str, os.PathLike)):
                ordered = f"table[model.feature_names_in_] after reading it (of AnnData: {ordered})"
            compare_names("X", source.names, list(self.feature_names_in_), "the fit", ordered)

    def _check_data(self, source: Source, whom: str) -> Summary:
        with np.errstate(over="ignore", invalid="ignore"):
            summary = source.summary()
        suspicious = not np.isfinite(summary.sum) or not np.isfinite(summary.maximum)
        if suspicious or (summary.minimum < 0 and not self._any_sign):
            name = f"{type(self).__name__}.{whom}"
            takes = hasattr(self, "missing")
            check_cells(
                source,
                whom=name,
                non_negative=not self._any_sign,
                takes_missing=takes,
            )
        forget_masks(source, summary)
        if summary.total_weight <= 0 and whom not in NEED_NO_CELL:
            raise ValueError("X has no observed cell: every cell is missing or has weight 0")
        return summary

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def __sklearn_tags__(self) -> Any:
        """Sparse input, positive data only (unless the model takes any sign), dtype kept."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = not self._any_sign
        tags.input_tags.allow_nan = getattr(self, "missing", "error") != "error"
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _get_state(self) -> dict[str, Any]:
        """Fitted attributes as numbers, strings, arrays and nested containers of these."""
        parameters = set(self.get_params(deep=False))
        return {
            name: value
            for name, value in vars(self).items()
            if name not in parameters and not name.startswith("_skl_")
        }

    def _set_state(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
