"""What any fitted factorization says to a reader: features of a part, shares of a row, what other amounts make."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..exceptions import MissingExtraError
from ..metrics import hoyer_sparsity
from .cells import checked_names
from .certificate import duplicate_components
from .inputs import check_count, shares
from .units import exponent_of, times

__all__ = ["ReadingMixin", "summary_of_parts"]

DEAD_PART = 1e-3  # of the largest part's norm


def _component(value: Any, k: int) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"changes: {value!r} is no component; components are the integers from 0 to {k - 1}")
    if not 0 <= int(value) < k:
        raise ValueError(f"changes: there is no component {value}; components are 0 to {k - 1}")
    return int(value)


class ReadingMixin:
    """What users read and change of a `Factorization`, from its codes and its ``parts()``."""

    _any_sign_codes = False  # whether codes may be negative, and so are no amounts

    def memberships(self, X: Any, *, weights: Any = None) -> np.ndarray:
        """Share of each component in each row: W_ik ‖H_k‖₁, rows normalised to 1 (1/k for a zero row).

        W is the `transform` of X, and H are the ``parts()``; where they have any sign, ‖H_k‖₁ is the sum of absolute
        values. `KernelNMF` takes the norm of a part in its feature space in place of ‖H_k‖₁. W of `PLSA` and
        `ArchetypalAnalysis` are shares already, and stay as they are.

        Parameters
        ----------
        X, weights
            As for `transform`.

        Returns
        -------
        ndarray of shape (n_samples, n_components)

        Raises
        ------
        TypeError
            For models whose codes may be negative, `Autoencoder` and `VariationalNMF`.
        """
        check_is_fitted(self)
        model: Any = self
        if self._any_sign_codes:
            raise TypeError(f"{type(self).__name__} has codes of any sign, which are no shares of anything")
        source = model._source(X, weights=weights, whom="memberships")
        model._check_data(source, "memberships")
        return shares(model._transform_source(source), self._extents())

    def top_features(self, n: int = 10, *, names: Any = None) -> list[list[tuple[Any, float]]]:
        """Return, for every component, its ``n`` largest features as (name, weight), the largest first.

        Parameters
        ----------
        n : int, default=10
            At least 1; with more than ``n_features_in_`` all features come. Negative weights of parts of any sign come
            last.
        names : array-like of str of shape (n_features_in_,), optional
            Names of the features. Default: those of X at fit, or positions where it had none.

        Raises
        ------
        TypeError, ValueError
            For an ``n`` that is no integer or below 1, and for names that are not one string a feature.
        """
        check_is_fitted(self)
        n = check_count("n", n)
        parts = self.parts().astype(np.float64)  # type: ignore[attr-defined]
        known = self._part_names() if names is None else checked_names(names, parts.shape[1])
        order = np.argsort(-parts, axis=1, kind="stable")[:, :n]
        return [
            [(j if known is None else known[j], float(row[j])) for j in map(int, best)]
            for row, best in zip(parts, order, strict=True)
        ]

    def components_frame(self) -> Any:
        """Return the ``parts()`` as a pandas DataFrame with names: one row a component, one column a feature.

        Returns
        -------
        pandas.DataFrame of shape (n_components, n_features_in_)
            Its index is ``get_feature_names_out()``. Its columns have the names that X had at fit, or positions where
            it had none; those of a model of n-way arrays have two levels or more, a position on each way but the
            first, and those of a `JointNMF` of several views have two, view and feature.

        Raises
        ------
        MissingExtraError
            Where pandas is not installed.

        Examples
        --------
        >>> import pandas as pd
        >>> from nonneg import NMF
        >>> X = pd.DataFrame({"sun": [4.0, 0, 2], "rain": [0, 3.0, 3], "wind": [0, 1.0, 1]})
        >>> model = NMF(2, tol=1e-8, random_state=0).fit(X)
        >>> frame = model.components_frame()
        >>> sorted(frame.idxmax(axis=1)), list(frame.index)
        (['rain', 'sun'], ['nmf0', 'nmf1'])
        """
        check_is_fitted(self)
        try:
            from pandas import DataFrame
        except ImportError as error:
            raise MissingExtraError("pandas", "data", "components_frame") from error
        model: Any = self
        return DataFrame(model.parts(), index=model.get_feature_names_out(), columns=self._part_columns())

    def edit(self, X: Any, changes: Mapping[int, Any], *, weights: Any = None) -> np.ndarray:
        """Reconstruct X with some amounts changed: parts strengthened, weakened, removed or exchanged.

        ``inverse_transform(W)`` with W = ``transform(X)``, of which column k is multiplied by ``changes[k]`` or, where
        that is an array, replaced by it.

        Parameters
        ----------
        X, weights
            As for `transform`.
        changes : mapping of int to float or array-like of shape (n_samples,)
            From a component to a factor (0 removes it, 2 doubles it), or to the amounts it shall have: those of other
            rows, say, ``{3: model.transform(Y)[:, 3]}``. At least 0, but for `Autoencoder` and `VariationalNMF`,
            whose codes have any sign.

        Returns
        -------
        ndarray of shape (n_samples, n_features_in_)

        Raises
        ------
        TypeError, ValueError
            For a component that does not exist, for amounts that are negative, not finite or not one a row, and where
            the result would be too large for its floats.

        Examples
        --------
        >>> import numpy as np
        >>> from nonneg import NMF
        >>> X = np.array([[1.0, 0, 2], [3, 0, 0], [0, 5, 0]])
        >>> model = NMF(3, tol=1e-8, random_state=0).fit(X)
        >>> k = int(model.components_[:, 1].argmax())  # the part of the second feature
        >>> np.round(model.edit(X, {k: 2.0}), 3)[2]
        array([ 0., 10.,  0.])
        """
        check_is_fitted(self)
        model: Any = self
        if not isinstance(changes, Mapping):
            raise TypeError(
                f"changes={changes!r} must map components to factors or amounts, such as {{0: 2.0}}"
            )
        W = np.array(model.transform(X, weights=weights))
        for component, change in changes.items():
            k = _component(component, W.shape[1])
            amounts = np.asarray(change)
            if amounts.dtype.kind not in "biuf":
                raise TypeError(f"changes[{k}]={change!r} must be a number or an array of numbers")
            if amounts.ndim and amounts.shape != W.shape[:1]:
                raise ValueError(
                    f"changes[{k}]: expected a factor or {len(W)} amounts, one a row, got shape {amounts.shape}"
                )
            if not np.isfinite(amounts).all():
                raise ValueError(f"changes[{k}]={change!r} must be finite")
            if not self._any_sign_codes and amounts.min(initial=0) < 0:
                raise ValueError(
                    f"changes[{k}]={change!r} must not be negative, as amounts of {type(self).__name__} are not; 0 "
                    "removes a part"
                )
            if W.dtype.kind != "f" and amounts.dtype.kind == "f":
                W = W.astype(np.float64)  # else integer models keep integers
            with np.errstate(over="ignore"):
                W[:, k] = amounts if amounts.ndim else W[:, k] * amounts
        with np.errstate(over="ignore", invalid="ignore"):
            found = model.inverse_transform(W)
        if not np.isfinite(found).all():
            raise ValueError(
                f"changes={changes!r}: the result leaves the range of {found.dtype}; take smaller factors or amounts"
            )
        return found

    def parts_summary(self) -> dict[str, Any]:
        """Say how far the parts are parts: sparse, alive, different from each other, not negative.

        Returns
        -------
        dict
            ``hoyer_sparsity`` (n_components,): of each of ``parts()``, 0 (all features alike) to 1 (one feature), NaN
            for a part of zeros; ``dead``: components whose part has a norm of at most 1e-3 of the largest (of deep
            models: whose effect on the training data has); ``duplicates``: pairs of living components whose parts have
            a cosine above 1 − 1e-4; ``negative_share``: share of the entries of ``components_`` (for deep models W of
            their last factorization) below zero.
        """
        check_is_fitted(self)
        model: Any = self
        return summary_of_parts(model.parts(), model._effects(), model.components_)

    def _effects(self) -> np.ndarray:
        """(n_components, any): a component is dead if its row is nothing beside the others."""
        return self.parts()  # type: ignore[attr-defined]

    def _extents(self) -> np.ndarray:
        """(n_components, any): a component's share is W_k times the sum of its absolute values here."""
        return self.parts()  # type: ignore[attr-defined]

    def _part_names(self) -> Any:
        """Names of the columns of ``parts()``, None where there are none."""
        return getattr(self, "feature_names_in_", None)

    def _part_columns(self) -> Any:
        """What a DataFrame has for the columns of ``parts()``: their names, None where positions do."""
        return self._part_names()


def summary_of_parts(parts: np.ndarray, effects: np.ndarray, components: Any) -> dict[str, Any]:
    """Return what `ReadingMixin.parts_summary` says, of parts whose rows of ``effects`` tell whether they live."""
    parts = _near_one(parts)
    norms = np.linalg.norm(_near_one(effects), axis=1)
    dead = [int(k) for k in np.flatnonzero(norms <= DEAD_PART * norms.max(initial=0.0))]
    return {
        "hoyer_sparsity": hoyer_sparsity(parts, axis=1),
        "dead": dead,
        "duplicates": [pair for pair in duplicate_components(parts) if not set(pair) & set(dead)],
        "negative_share": float((np.asarray(components) < 0).mean()),
    }


def _near_one(parts: np.ndarray) -> np.ndarray:
    """In units in which squares neither overflow nor vanish."""
    return times(parts, -exponent_of(np.abs(parts)), np.float64)
