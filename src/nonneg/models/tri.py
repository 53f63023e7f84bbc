"""Non-negative matrix tri-factorization: X ≈ F S Gᵀ, rows and columns clustered at once."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from ..data import Source, Summary
from ..data.products import CellProducts
from ..data.threads import workers
from ..init.nndsvd import randomized_svd
from ..solvers.iterate import Arrays
from ..solvers.kkt import relative_residual
from ..solvers.lines import NOTHING, balance, idle, most_left, one_each, project, spectral_lines, squares_of
from ..solvers.step import Record, relative_change
from .base import check_count
from .callbacks import with_callbacks
from .codes import on_lines
from .inputs import start_value
from .iterative import IterativeFactorization
from .parameters import ITERATION_PARAMETERS
from .units import power_of, times
from .unobserved import Unobserved

__all__ = ["TriNMF"]


class TriNMF(IterativeFactorization):
    """Tri-factorization: the least ½ Σ s_i ‖x_i − (F S Gᵀ)_i‖² over F, S, G ≥ 0 with Fᵀ F = I and Gᵀ G = I exactly.

    F (n, k) says which of k clusters a row belongs to and how large it is, G (m, l) the same of columns, and S (k,
    l) how strongly a cluster of rows goes with a cluster of columns: X is a k × l board of blocks, each the outer
    product of two profiles. Non-negative columns are orthogonal when no row has two of them, so memberships are
    hard. Without that constraint F S and S Gᵀ could be mixed at will, and three factors would say no more than two.

    Rows, columns and the core are optimal in turn: the loss never rises.

    Parameters
    ----------
    n_components : int or pair of int, default=10
        (k, l), the clusters of rows and of columns, as tuple, list or array; one number stands for both.
    missing : {"error", "ignore", "unstored"}, default="error"
        As for `NMF`. Cells with weights (``weights`` of `fit`, 0 means missing) keep every step exact.
    n_init : int, default=1
        Starts: the first from the singular vectors, with lines through the points that lie farthest apart; the others
        with lines drawn at random. Where cells are missing these go through points of X itself, but for one start
        in max(k, l), on average, from partitions drawn at random.
    max_iter, tol, max_time, checkpoint, random_state, verbose
        As for `NMF`. The residual is that of the factors on their supports.

    Attributes
    ----------
    row_factor_ : ndarray of shape (n_samples, k)
        F, `transform` of the training data: unit columns (Σ s_i f_ik² = 1 with row weights).
    core_ : ndarray of shape (k, l)
        S, in units of X.
    column_factor_ : ndarray of shape (n_features_in_, l)
        G.
    row_labels_, column_labels_ : ndarray of int, shapes (n_samples,) and (n_features_in_,)
    components_ : ndarray of shape (k, n_features_in_)
        S Gᵀ, so that X ≈ `transform(X)` @ components_.
    n_iter_, converged_, kkt_residual_, reconstruction_err_, history_, restart_losses_
        As for `NMF`.

    Notes
    -----
    Two clusters of rows whose rows of S are multiples of each other are one cluster: sizes are in F. To cluster by
    level take k-means on the rows. As k-means, the method ends in local minima: several starts help where blocks
    are close. A row or column without an observed cell is 0 in its factor and has label 0 (a warning
    says so); so is a block of S.
    There is no ``frozen``: H_init starts G, whose columns have norm 1 and disjoint supports by definition.

    References
    ----------
    Ding, Li, Peng & Park (2006), Orthogonal nonnegative matrix tri-factorizations for clustering, KDD; there
    by multiplicative updates, whose factors are nearly orthogonal. Exact projections as in Pompili, Gillis, Absil &
    Glineur (2014), Neurocomputing 141.

    Examples
    --------
    >>> import numpy as np
    >>> from nonneg import TriNMF
    >>> X = np.kron([[5.0, 0, 1], [0, 4, 1]], np.ones((3, 2)))
    >>> model = TriNMF((2, 3), random_state=0).fit(X)
    >>> model.core_.shape, len(set(model.row_labels_[:3])), len(set(model.column_labels_[:2]))
    ((2, 3), 1, 1)
    """

    _parameter_constraints = {
        **ITERATION_PARAMETERS,
        "n_components": [Interval(Integral, 1, None, closed="left"), tuple, list, np.ndarray],
        "missing": [StrOptions({"error", "ignore", "unstored"})],
    }

    def __init__(
        self, n_components: int | Sequence[int] = 10, *, missing: str = "error", n_init: int = 1, max_iter: int = 500,
        tol: float = 1e-4, max_time: float | None = None, checkpoint: Any = None, random_state: Any = None,
        verbose: int = 0,
    ) -> None:  # fmt: skip
        self.n_components = n_components
        self.missing = missing
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.max_time = max_time
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose

    def _check_params(self) -> None:
        self._validate_params()
        self._clusters()

    def _clusters(self) -> tuple[int, int]:
        given = self.n_components
        if not isinstance(given, (tuple, list, np.ndarray)):
            return (check_count("n_components", given),) * 2
        if np.shape(given) != (2,):
            raise ValueError(
                f"n_components={given!r} must be one number, or a pair: clusters of rows and of columns"
            )
        return check_count("n_components[0]", given[0]), check_count("n_components[1]", given[1])

    @with_callbacks
    def _fit_source(
        self, source: Source, summary: Summary, *, W_init: Any = None, H_init: Any = None
    ) -> np.ndarray:
        summary = self._in_range(source, summary)
        (k, p), (n, m), s = self._clusters(), source.shape, source.row_weights
        given = (start_value("W_init", W_init, (n, k), source), start_value("H_init", H_init, (p, m), source))
        if source.is_masked:
            Unobserved.of(source).say(
                "column_factor_ is 0 and the label 0", "row_factor_ is 0 and the label 0"
            )
        rows, columns = squares_of(source)
        rows = rows if s is None else np.where(s > 0, rows, 0)
        ones = np.ones(n) if s is None else s
        with workers(len(source.bounds())) as pool:
            products = CellProducts(source, pool)

            def settled(F: np.ndarray, G: np.ndarray, left: tuple[np.ndarray, np.ndarray], XF: np.ndarray):
                """The best core, and clusters without a member on what is left of one row or column."""
                f = np.einsum("ij,ij->j", F * ones[:, None], F, dtype=np.float64)
                g = np.einsum("ij,ij->j", G, G, dtype=np.float64)
                XG, over_f, over_g = products.right(G), _inverse(f), _inverse(g)
                if source.is_masked:
                    wF, wG = products.left_squares(F, s), products.right_squares(G)
                    board = (F**2 * ones[:, None]).T.astype(np.float64) @ wG
                    S = (XF.T @ G).astype(np.float64) * _inverse(board)
                    gain = float(np.sum(board * S**2))
                else:
                    wF, wG = f, g
                    S = (XF.T @ G).astype(np.float64) * over_f[:, None] * over_g
                    gain = float(f @ (S**2) @ g)
                _refill(S, f == 0, XG, wG, rows, left[0])
                _refill(S.T, g == 0, XF, wF, columns, left[1])
                return {"F": F, "S": S, "G": G, "XG": XG, "XF": XF}, f, g, gain

            def start(rng: np.random.Generator, first: bool) -> dict[str, np.ndarray]:
                U, sigma, V = randomized_svd(source, summary, min(k, p), rng)
                U = U * np.divide(1, np.sqrt(ones), out=np.zeros(n), where=ones > 0)[:, None]
                draw, kind = None if first else rng, source.float_dtype
                F, G = given[0], None if given[1] is None else given[1].T
                if F is None:
                    labels, amounts = spectral_lines(U * sigma, k, s, draw)
                    F = one_each(labels, amounts.astype(kind), k)
                if G is None:
                    labels, amounts = spectral_lines(V * sigma, p, None, draw)
                    G = one_each(labels, amounts.astype(kind), p)
                F, G = _hard(F), _hard(G)
                if source.is_masked and not first:
                    F, G = redrawn(F, G, rng)
                none = (np.zeros(n), np.zeros(m))
                return settled(F, G, none, products.left((F * ones[:, None]).astype(kind)))[0]

            def redrawn(
                F: np.ndarray, G: np.ndarray, rng: np.random.Generator
            ) -> tuple[np.ndarray, np.ndarray]:
                """F or G from lines through points, by their observed cells: singular vectors know no weights."""
                S, kind = np.zeros((k, p)), source.float_dtype
                if (
                    rng.integers(max(k, p)) == 0
                ):  # lines through points need not lead to the best; a partition may
                    F = one_each(rng.integers(k, size=n), np.ones(n, kind), k)
                    return F, one_each(rng.integers(p, size=m), np.ones(m, kind), p)
                if rng.integers(2):
                    XG, wG = products.right(G), products.right_squares(G)
                    _refill(S, np.ones(k, bool), XG, wG, rows, rows, rng)
                    return one_each(*project(XG @ S.T, _lengths(S, wG))[:2], k).astype(kind), G
                XF, wF = products.left((F * ones[:, None]).astype(kind)), products.left_squares(F, s)
                _refill(S.T, np.ones(p, bool), XF, wF, columns, columns, rng)
                return F, one_each(*project(XF @ S, wF @ (S**2))[:2], p).astype(kind)

            def step(state: Arrays) -> Record:
                S, G, kind = state["S"], state["G"], source.float_dtype
                labels, amounts, gains = project(state["XG"] @ S.T, _lengths(S, products.right_squares(G)))
                F = one_each(labels, amounts.astype(kind), k)
                f = np.bincount(labels, ones * amounts.astype(np.float64) ** 2, k)
                XF = products.left((F * ones[:, None]).astype(kind))
                wF = products.left_squares(F, s) if source.is_masked else f
                column_labels, amounts, column_gains = project(XF @ S, wF @ (S**2))
                G = one_each(column_labels, amounts.astype(kind), p)
                moved = np.linalg.norm(F - state["F"]) / (np.linalg.norm(F) or 1.0)
                left = (np.where(ones > 0, rows - gains, 0), columns - column_gains)
                found, f, g, gain = settled(F, G, left, XF)
                state.update(found)
                S = found["S"] * (f > 0)[:, None] * (g > 0)
                wF, wG = (wF, products.right_squares(G)) if source.is_masked else (f, g)
                residual = max(
                    _residual(F, found["XG"] @ S.T, f, (S**2) @ g, _lengths(S, wG), s),
                    _residual(G, XF @ S, g, f @ (S**2), wF @ (S**2), None),
                )
                change = relative_change(float(moved), 1.0)
                kkt = max(residual, idle(f, left[0], rows), idle(g, left[1], columns))
                return Record(0.5 * float(summary.squares - gain), kkt, change)

            best = self._search(source, start, step, given=given).arrays
        self._report_factors(source, best, ones)
        return self.row_factor_

    def _report_factors(self, source: Source, best: dict[str, np.ndarray], ones: np.ndarray) -> None:
        """Set the attributes: columns of G and F with norm 1, their sizes in S; F once more for that S and G."""
        f = np.einsum("ij,ij->j", best["F"] * ones[:, None], best["F"], dtype=np.float64)
        g = np.einsum("ij,ij->j", best["G"], best["G"], dtype=np.float64)
        S = best["S"] * np.sqrt(f)[:, None] * np.sqrt(g)
        G = (best["G"] * np.sqrt(_inverse(g))).astype(source.float_dtype)
        self.n_components_ = len(S)
        self.column_factor_, self.column_labels_ = G, G.argmax(axis=1)
        self.components_ = times(S @ G.T, -power_of(source), source.float_dtype)
        F = on_lines(self.components_, source)
        scale = np.sqrt(np.einsum("ij,ij->j", F * ones[:, None], F, dtype=np.float64))
        scale = np.where(scale > 0, scale, 1.0)
        self.core_ = times(S * scale[:, None], -power_of(source), source.float_dtype)
        self.components_ = times((S * scale[:, None]) @ G.T, -power_of(source), source.float_dtype)
        self.row_factor_ = on_lines(self.components_, source)
        self.row_labels_ = self.row_factor_.argmax(axis=1)

    def _transform_source(self, source: Source) -> np.ndarray:
        self._in_range(source, source.summary())
        return on_lines(self.components_, source)


def _inverse(squares: np.ndarray) -> np.ndarray:
    return np.divide(1.0, squares, out=np.zeros(squares.shape), where=squares > 0)


def _hard(V: np.ndarray) -> np.ndarray:
    """The largest entry of every row alone."""
    labels = V.argmax(axis=1)
    return one_each(labels, V[np.arange(len(V)), labels], V.shape[1])


def _lengths(S: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Squares of the lines S Gᵀ from those of the columns of G, (p,), or as every row sees these, (n, p)."""
    return (S**2) @ squares if squares.ndim == 1 else squares @ (S**2).T


def _refill(
    S: np.ndarray, empty: np.ndarray, P: np.ndarray, sizes: np.ndarray, points: np.ndarray, left: np.ndarray,
    rng: np.random.Generator | None = None,
) -> None:  # fmt: skip
    """Give row a of S, for each empty cluster a, the point of which the lines before leave most, or one drawn by that.

    ``P`` are the products of the points with columns of squares ``sizes``, in which a line is described.
    """
    over, limit = np.broadcast_to(_inverse(sizes), P.shape), NOTHING * points.max(initial=0.0)
    for a in np.flatnonzero(empty):
        worst = most_left(left, rng)
        if left[worst] <= limit:
            break
        S[a] = P[worst] * over[worst]
        left = np.minimum(left, points - project(P @ S[[a]].T, _lengths(S[[a]], sizes))[2])


def _residual(
    V: np.ndarray,
    P: np.ndarray,
    own: np.ndarray,
    other: np.ndarray,
    lengths: np.ndarray,
    weights: np.ndarray | None,
) -> float:
    """First-order residual of the positive entries of V, with products P and the squares of the lines they lie on.

    ``lengths`` are these squares as every row sees them; ``own`` and ``other`` say how the columns are balanced.
    """
    seen = (slice(None) if weights is None else weights > 0,)
    scale = balance(own, other)
    halves = P * (V > 0) / scale, V * lengths / scale
    return relative_residual((V * scale)[seen], halves[0][seen], halves[1][seen])
