"""What any fitted factorization says to a reader: which features make a part, which share of a row each part has."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .cells import checked_names
from .inputs import check_count, shares

__all__ = ["ReadingMixin"]


class ReadingMixin:
    """`memberships` and `top_features`, from the codes and ``parts()`` of a `Factorization`."""

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
        """
        check_is_fitted(self)
        model: Any = self
        source = model._source(X, weights=weights, whom="memberships")
        model._check_data(source, "memberships")
        W = model._transform_source(source)
        if W.min(initial=0) < 0:
            raise TypeError(f"{type(self).__name__} has codes of any sign, which are no shares of anything")
        return shares(W, self._extents())

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

    def _extents(self) -> np.ndarray:
        """(n_components, any): a component's share is W_k times the sum of its absolute values here."""
        return self.parts()  # type: ignore[attr-defined]

    def _part_names(self) -> Any:
        """Names of the columns of ``parts()``, None where there are none."""
        return getattr(self, "feature_names_in_", None)
