"""Joint NMF: several matrices of the same rows with one W."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils._param_validation import StrOptions

from ..data import Source, Summary
from ..data.as_source import check_cells
from ..data.paths import open_path
from ..data.threads import Workers, workers
from ..data.views import Views, are_views, as_views, index_of
from ..solvers.iterate import Arrays
from ..solvers.joint import Joint
from ..solvers.joint_cells import JointCells
from ..solvers.loop import ROW_TOLERANCE
from ..solvers.momentum import at_rest, checked
from ..solvers.step import Record
from .base import forget_masks
from .callbacks import with_callbacks
from .inputs import frozen_mask
from .iterative import IterativeFactorization
from .parameters import ITERATION_PARAMETERS
from .units import exponent_of, loss_times, power_of, times, weights_rescaled
from .unobserved import Unobserved
from .view_units import views_in_range, weight_roots

__all__ = ["JointNMF"]


class JointNMF(IterativeFactorization):
    """NMF of several views of the same rows: X_v ≈ W H_v, with one W and an H for each view.

        minimise  ½ Σ_v α_v Σ_{i has v} s_i Σ_j w_v,ij (X_v,ij − W_i H_v,j)²   over W ≥ 0, H_v ≥ 0

    Views are measurements of different kinds of the same things: words and pixels of a document, genes and proteins of
    a cell. A row may lack views, or single cells of one; what it has decides its W. Weights s of rows and w of cells
    are 1 unless given. One matrix is one view, and its joint NMF is `NMF`.

    Parameters
    ----------
    n_components : int, default=10
    view_weights : "balanced", None, or list or dict of float, default="balanced"
        α. ``"balanced"``: so that Σ s w x² is the same for every view, their mean; units and widths of the views then
        do not decide. None: 1, as if the views were one matrix.
    n_init : int, default=1
        Random starts; the best is kept.
    missing : {"error", "ignore"}, default="error"
        ``"ignore"``: cells that are NaN have no influence. Whole rows of NaN are rows that a view lacks in any case.
    frozen : array-like of int, optional
        Components whose H_v, those of ``H_init``, stay as they are in every view, bit for bit.
    max_iter : int, default=500
    tol : float, default=1e-4
        The largest KKT residual (see ``kkt_residual_``) at which a fit has converged.
    max_time : float, optional
        Seconds.
    checkpoint : path, optional
        A folder; an interrupted fit goes on from there.
    random_state : int, RandomState, Generator or None
    verbose : int, default=0

    Attributes
    ----------
    view_components_ : list or dict of ndarray of shapes (n_components, m_v)
        H_v, in the units of its view; a dict where X was one.
    components_ : ndarray of shape (n_components, n_features_in_)
        All H_v side by side. Their size (frozen ones aside): the root mean square of a row of all √α_v H_v is the mean
        of all √α_v X_v.
    view_weights_ : ndarray of shape (n_views,)
    view_names_ : list of str or None
    view_widths_ : list of int
    view_feature_names_ : list or dict of (list of str or None)
        Names of the columns of each view; `transform` refuses others. None where a view has none.
    kkt_residual_, converged_, reconstruction_err_, restart_losses_, n_iter_, n_components_, n_features_in_, history_
        As for `NMF`.

    Notes
    -----
    X is a list or dict of matrices of any kind that `NMF` takes, sparse and dense mixed, or a path to an ``.npz`` file
    of several arrays. Rows go by position; DataFrames whose indices differ are refused. A view that lacks rows has NaN
    throughout these rows, or is a pair (matrix, rows). `transform` takes any of the views: None in a list, no entry in
    a dict. A row without any observed cell gets 1/k; a column without one holds the mean of the component's other
    entries in its view, and a warning says so.

    Where single cells are missing or have weights, every row and column has a Gram matrix of its own: an iteration
    takes nnz(X) k² in place of nnz(X) k, and holds k² / 2 numbers for each row and column.

    Heavy views win: a view with large α and much noise pulls W towards its noise.

    References
    ----------
    Liu, Wang, Gao and Han (2013), *Multi-view clustering via joint nonnegative matrix factorization*, SDM, for the aim;
    the shared W of eq. 1 is that of Zhang et al. (2012), Nucleic Acids Research 40, 9379, eq. 1.

    Examples
    --------
    >>> import numpy as np
    >>> from nonneg import JointNMF
    >>> rng = np.random.default_rng(0)
    >>> W = rng.random((50, 2))
    >>> X = {"words": W @ rng.random((2, 20)), "pixels": W @ rng.random((2, 8))}
    >>> model = JointNMF(2, random_state=0).fit(X)
    >>> model.view_components_["pixels"].shape, model.transform({"words": X["words"]}).shape
    ((2, 8), (50, 2))
    """

    view_names_: list[str] | None
    view_widths_: list[int]
    view_feature_names_: Any
    _is_matrix: bool

    _takes = "views"
    _in_runs = False  # blocks of one view are not those of another
    _parameter_constraints = {
        **ITERATION_PARAMETERS,
        "missing": [StrOptions({"error", "ignore"})],
        "frozen": ["array-like", None],
        "view_weights": [StrOptions({"balanced"}), "array-like", dict, None],
    }

    def __init__(
        self, n_components: int = 10, *, view_weights: Any = "balanced", n_init: int = 1,
        missing: str = "error", frozen: Any = None, max_iter: int = 500, tol: float = 1e-4,
        max_time: float | None = None, checkpoint: Any = None, random_state: Any = None, verbose: int = 0,
    ) -> None:  # fmt: skip
        self.n_components = n_components
        self.view_weights = view_weights
        self.n_init = n_init
        self.missing = missing
        self.frozen = frozen
        self.max_iter = max_iter
        self.tol = tol
        self.max_time = max_time
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self, X: Any, y: Any = None, *, sample_weight: Any = None, weights: Any = None, W_init: Any = None,
        H_init: Any = None, layer: str | None = None, memory_limit: int | str | None = None, client: Any = None,
        device: Any = None,
    ) -> JointNMF:  # fmt: skip
        """Fit the model to views of the same rows.

        Parameters
        ----------
        X : list or dict of views, each (n_samples, m_v), or path of an .npz file of several arrays
            A view is an array, sparse matrix, DataFrame, memmap or path, or a pair (matrix, rows) where it has only
            those rows; rows of NaN are rows that it lacks. DataFrames must have one index. One matrix is one view.
        y : ignored
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the rows: 2 counts a row twice.
        weights : list or dict of array-like or sparse of shapes (n_samples, m_v), optional
            Weights of the cells of each view, as X holds views; None (or no entry) for a view without. 0 means missing,
            whatever the cell holds. For whole views see ``view_weights``.
        W_init : array-like of shape (n_samples, n_components), optional
        H_init : list or dict of array-like of shapes (n_components, m_v), optional
            Start values; also as one array (n_components, Σ m_v).
        layer, memory_limit, client, device : optional
            How each view is read; see `nonneg.as_source`.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            For parameters out of range and for data the model cannot take; the message names the view.
        """
        super().fit(
            X, y, sample_weight=sample_weight, weights=weights, W_init=W_init, H_init=H_init,
            layer=layer, memory_limit=memory_limit, client=client, device=device,
        )  # fmt: skip
        return self

    def fit_transform(
        self, X: Any, y: Any = None, *, sample_weight: Any = None, weights: Any = None, W_init: Any = None,
        H_init: Any = None, layer: str | None = None, memory_limit: int | str | None = None, client: Any = None,
        device: Any = None,
    ) -> np.ndarray:  # fmt: skip
        """Fit the model to views (see `fit`) and return W: the same numbers as ``fit(X).transform(X)``."""
        W = super().fit_transform(
            X, y, sample_weight=sample_weight, weights=weights, W_init=W_init, H_init=H_init,
            layer=layer, memory_limit=memory_limit, client=client, device=device,
        )  # fmt: skip
        return _indexed(W, X)

    def transform(
        self, X: Any, *, weights: Any = None, layer: str | None = None,
        memory_limit: int | str | None = None, client: Any = None, device: Any = None,
        out: str | os.PathLike[str] | None = None,
    ) -> Any:  # fmt: skip
        """Return W of shape (n_samples, n_components) for views of new rows with the components held fixed.

        Parameters
        ----------
        X : list or dict of views, each (n_samples, m_v)
            As for `fit`; any of the views may be left out: None in a list, no entry in a dict. Names of columns must
            be those of the fit (``view_feature_names_``), in that order. W has the index of the views where
            ``set_output`` asks for DataFrames.
        weights : list or dict of array-like or sparse of shapes (n_samples, m_v), optional
            As for `fit`.
        layer, memory_limit, client, device : optional
            As for `fit`.
        out : path, optional
            A ``.npy``, ``.zarr`` or ``.h5`` file to write W to; it is returned open.
        """
        W = super().transform(
            X, weights=weights, layer=layer, memory_limit=memory_limit, client=client, device=device, out=out
        )
        return _indexed(W, X)

    # -- data -----------------------------------------------------------------------------------------------

    def _opened(self, X: Any, **how: Any) -> Any:
        self._check_device(how.get("device"))
        if isinstance(X, (str, os.PathLike)) and Path(X).suffix == ".npz":  # several views in one file
            return X
        if not are_views(X):
            return super()._opened(X, **how)
        if isinstance(X, Mapping):
            return {name: self._opened_view(view, how) for name, view in X.items()}
        return [self._opened_view(view, how) for view in X]

    def _opened_view(self, view: Any, how: dict[str, Any]) -> Any:
        if isinstance(view, tuple):
            return super()._opened(view[0], **how), view[1]
        return None if view is None else super()._opened(view, **how)

    def _source(
        self, X: Any, *, whom: str, weights: Any = None, sample_weight: Any = None, reset: bool = False
    ) -> Source:
        if isinstance(X, (str, os.PathLike)):
            X = open_path(X, several=True)
        if not are_views(X):
            source = super()._source(X, whom=whom, weights=weights, sample_weight=sample_weight, reset=reset)
            views = Views([source], [None], [source.shape[1]], source.shape[0])
            views.row_weights, names = source.row_weights, None
            self._is_matrix = reset or getattr(self, "_is_matrix", False)
        else:
            known = () if reset else (self.view_names_, self.view_widths_, self._feature_names())
            views, names = as_views(X, sample_weight, *known, weights=weights, missing=self.missing)
            if reset:
                self.__dict__.pop("feature_names_in_", None)
                self._is_matrix, self.n_features_in_ = False, views.shape[1]
        if reset:
            self.view_names_, self.view_widths_ = names, views.widths
            self.view_feature_names_ = self._named(views.feature_names())
        return views

    def _feature_names(self) -> list[list[str] | None]:
        names = self.view_feature_names_
        return list(names.values() if isinstance(names, Mapping) else names)

    def _check_data(self, source: Source, whom: str) -> Summary:
        for v, view, _ in source.there():  # type: ignore[attr-defined]
            name = "X" if self._is_matrix else f"X[{(self.view_names_ or range(v + 1))[v]!r}]"
            found = view.summary()
            if found.total_weight <= 0 and whom == "fit" and not self._is_matrix:
                raise ValueError(f"{name} has no observed cell: leave this view out")
            if found.total_weight > 0 and (
                not np.isfinite([found.sum, found.maximum]).all() or found.minimum < 0
            ):
                check_cells(view, whom=f"{type(self).__name__}.{whom}", name=name)
            forget_masks(view, found)
        return super()._check_data(source, whom)

    def _alphas(self, views: Views) -> np.ndarray:
        """α for views and weights as they hand themselves out; 0 for those that are not there."""
        alphas = np.zeros(len(views.views))
        for v, view, _ in views.there():
            alpha = np.ldexp(self._roots[v], power_of(views) - power_of(view)) ** 2
            alphas[v] = np.ldexp(alpha, view.weight_power - views.weight_power)
        return alphas

    # -- fit ------------------------------------------------------------------------------------------------

    @with_callbacks
    def _fit_source(
        self, source: Source, summary: Summary, *, W_init: Any = None, H_init: Any = None
    ) -> np.ndarray:
        views, k = self._as_views(source), int(self.n_components)
        views_in_range(views)
        row_power, _ = weights_rescaled(views, summary)
        views.weigh(views.row_weights)
        self._roots = weight_roots(self.view_weights, views, self.view_names_)
        with np.errstate(over="ignore", under="ignore"):
            self.view_weights_ = self._roots**2
        alphas, given = self._alphas(views), self._start_values(W_init, H_init, views)
        frozen = frozen_mask(self.frozen, k, H_init)
        unobserved = _unobserved(views)
        if views.is_masked:
            unobserved.warn(False)
        gaps = [
            lost[:, None] & ~frozen for lost in np.split(unobserved.columns, np.cumsum(views.widths)[:-1])
        ]
        names = [f"H{v}" for v in range(len(views.views))]
        with workers(len(views.bounds())) as pool:
            joint = _joint(views, alphas, pool, frozen)

            def start(rng: np.random.Generator, first: bool) -> Arrays:
                Hs = [
                    (rng.random((m, k)) * joint.unit / np.sqrt(size)).astype(views.float_dtype)
                    for m, size in zip(views.widths, joint.sizes, strict=True)
                ]
                Hs = Hs if given[1] is None else given[1]
                Hs = [np.where(gap, H.dtype.type(0), H) for H, gap in zip(Hs, gaps, strict=True)]
                W = np.zeros((views.shape[0], k), views.float_dtype) if given[0] is None else given[0]
                return Arrays(at_rest({"W": W, **dict(zip(names, Hs, strict=True))}))

            def move(at: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], float, float]:
                W, Hs, loss, residual = joint.move(at["W"], [at[name] for name in names])
                return {"W": W, **dict(zip(names, Hs, strict=True))}, loss, residual.relative

            def factors_of(at: Arrays) -> tuple[Any, ...]:
                return at["W"], [at[name] for name in names]

            def step(state: Arrays) -> Record:
                return checked(state, joint, move, names, factors_of, float(self.tol))

            best = self._search(views, start, step, given=(given[0], *(given[1] or ())))
            Hs = [best.arrays[name] for name in names]
            if not self.converged_:
                self.kkt_residual_ = joint.residual(best.arrays["W"], Hs).relative
            self._weigh_losses(row_power)
            Hs = [
                np.where(gap, H[~gap.any(axis=1)].mean(axis=0, dtype=np.float64), H).astype(H.dtype)
                if gap.any()
                else H
                for H, gap in zip(Hs, gaps, strict=True)
            ]
            self._accept(Hs, joint, frozen)
        if frozen.any():  # bit for bit, also where the units of X have no place for them
            parts = [np.asarray(H)[frozen] for H in self._view_parts(H_init)]
            self.components_[frozen] = np.hstack(parts)
        return self._rows(views)

    def _start_values(
        self, W_init: Any, H_init: Any, views: Views
    ) -> tuple[np.ndarray | None, list[np.ndarray] | None]:
        k = int(self.n_components)
        if H_init is None:
            if W_init is not None:
                raise ValueError("W_init was given without H_init; give both, or H_init alone")
            return None, None
        H_init = self._view_parts(H_init)
        if len(H_init) != len(views.widths):
            raise ValueError(f"H_init has {len(H_init)} views, X has {len(views.widths)}")
        Hs: list[np.ndarray] = []
        for H, (v, view, _) in zip(H_init, views.there(), strict=True):
            found = self._start_value("H_init", H, (k, views.widths[v]), views, power=power_of(view))
            assert found is not None
            Hs.append(np.ascontiguousarray(found.T))
        return self._start_value("W_init", W_init, (views.shape[0], k), views), Hs

    def _view_parts(self, H_init: Any) -> Any:
        """One array (k, m_v) for each view, as the user gave them."""
        if isinstance(H_init, Mapping):
            return [H_init[name] for name in self.view_names_ or []]
        if not isinstance(H_init, (list, tuple)) or np.ndim(H_init[0]) < 2:
            return np.split(np.asarray(H_init), np.cumsum(self.view_widths_)[:-1], axis=1)
        return H_init

    def _accept(self, Hs: list[np.ndarray], joint: Joint, frozen: np.ndarray) -> None:
        """Set the components, all but frozen ones of one size."""
        cells = sum(len(H) for H in Hs)
        squares = sum(
            size * (H.astype(np.float64) ** 2).sum(axis=0) for size, H in zip(joint.sizes, Hs, strict=True)
        )
        sizes = np.sqrt(squares / cells) / joint.unit
        sizes = np.where((sizes > 0) & ~frozen, sizes, 1)
        powers = [power_of(view) for _, view, _ in joint.there]
        self.components_ = np.hstack(
            [times((H / sizes).T, -power, H.dtype) for H, power in zip(Hs, powers, strict=True)]
        )
        self.n_components_ = int(self.n_components)

    def _near_one(self, views: Views) -> tuple[list[np.ndarray], int]:
        """H_v (m_v, k) in the units of views, times one power of two that brings them near 1; that power."""
        powers = {v: power_of(view) for v, view, _ in views.there()}
        parts = self._split(self.components_)
        shift = -max(exponent_of(parts[v], power) for v, power in powers.items())
        dtype = views.float_dtype
        return [
            np.ascontiguousarray(times(H, powers[v] + shift if v in powers else 0, dtype).T)
            for v, H in enumerate(parts)
        ], shift

    def _rows(self, views: Views) -> np.ndarray:
        Hs, shift = self._near_one(views)
        with workers(len(views.bounds())) as pool:
            W = _joint(views, self._alphas(views), pool).solve(Hs, ROW_TOLERANCE[np.dtype(views.float_dtype)])
        seen = ~_unobserved(views).rows
        W[seen] = times(W[seen], shift)
        return W

    # -- after the fit --------------------------------------------------------------------------------------

    @property
    def view_components_(self) -> Any:
        """H_v of every view, (n_components, m_v)."""
        return self._named(self._split(self.components_))

    def _split(self, wide: np.ndarray) -> list[np.ndarray]:
        return np.split(wide, np.cumsum(self.view_widths_)[:-1], axis=1)

    def _named(self, parts: list[Any]) -> Any:
        return parts if self.view_names_ is None else dict(zip(self.view_names_, parts, strict=True))

    def _part_columns(self) -> Any:
        if self._is_matrix:
            return super()._part_columns()
        from pandas import MultiIndex

        names = self.view_names_ or range(len(self.view_widths_))
        features = zip(names, self.view_widths_, self._feature_names(), strict=True)
        pairs = [(view, feature) for view, m, known in features for feature in (known or range(m))]
        return MultiIndex.from_tuples(pairs, names=["view", "feature"])

    def _as_views(self, source: Source) -> Views:
        assert isinstance(source, Views)
        return source

    def _transform_source(self, source: Source) -> np.ndarray:
        views = self._as_views(source)
        views_in_range(views)
        return self._rows(views)

    def _inverse(self, W: np.ndarray) -> Any:
        """A matrix where X was one; else a list or dict of the views."""
        wide = W @ self.components_
        return wide if self._is_matrix else self._named(self._split(wide))

    def _score_source(self, source: Source, summary: Summary) -> float:
        views = self._as_views(source)
        views_in_range(views)
        Hs, shift = self._near_one(views)
        W = times(self._rows(views), -shift)
        with workers(len(views.bounds())) as pool:
            loss = Joint(views, self._alphas(views), pool).exact_loss(W, Hs)
        return -loss_times(loss / summary.total_weight, -2 * power_of(views))


def _joint(views: Views, alphas: np.ndarray, pool: Workers, frozen: np.ndarray | None = None) -> Joint:
    return (JointCells if views.is_masked else Joint)(views, alphas, pool, frozen)


def _unobserved(views: Views) -> Unobserved:
    """Rows of which no view has an observed cell, and columns, those of all views side by side."""
    rows, columns = np.ones(views.shape[0], bool), [np.zeros(m, bool) for m in views.widths]
    for v, view, index in views.there():
        found = Unobserved.of(view)
        rows[index] &= found.rows
        columns[v] = found.columns
    return Unobserved(rows, np.concatenate(columns))


def _indexed(W: Any, X: Any) -> Any:
    """W with the index of the views where `set_output` has made it a pandas DataFrame."""
    index = index_of(X) if are_views(X) else None
    if index is not None and hasattr(W, "set_axis"):
        return W.set_axis(index, axis=0)
    return W
