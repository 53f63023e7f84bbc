"""Orthogonal NMF: X ≈ W H where every row of X has one part only, or every column belongs to one part only."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils._param_validation import StrOptions

from ..data import Source, Summary
from ..data.products import CellProducts
from ..data.threads import workers
from ..init.nndsvd import randomized_svd
from ..solvers.iterate import Arrays
from ..solvers.kkt import relative_residual
from ..solvers.lines import (
    NOTHING,
    idle,
    most_left,
    one_each,
    project,
    spectral_lines,
    squares_of,
    unit_columns,
)
from ..solvers.step import Record, relative_change
from .callbacks import with_callbacks
from .codes import near_one, on_lines
from .inputs import start_value
from .iterative import IterativeFactorization
from .parameters import ITERATION_PARAMETERS
from .units import power_of, times
from .unobserved import Unobserved

__all__ = ["OrthogonalNMF"]


class OrthogonalNMF(IterativeFactorization):
    """Orthogonal NMF: the least ½ Σ s_i ‖x_i − (W H)_i‖² over W, H ≥ 0, with Wᵀ W = I or H Hᵀ = I exactly.

    Non-negative vectors are orthogonal when their supports are disjoint. With ``orthogonal="W"`` each row of X is a
    multiple of one part, x_i ≈ w_i h_c(i): a clustering of the rows, as k-means, but free of their lengths
    (documents of any number of words, spectra of any amount). With ``orthogonal="H"`` the parts share no feature: a
    clustering of the columns, and parts that can be read one by one.

    Both factors are optimal in turn: clusters by projection onto half-lines, lines as weighted means. The loss
    never rises, and the constraint holds at every step; `penalties.Orthogonality` of `NMF` instead makes overlap
    dear but allows it, and goes with any other penalty.

    Parameters
    ----------
    n_components : int, default=10
    orthogonal : {"W", "H"}, default="W"
        The factor whose columns (W) or rows (H) are orthogonal: clusters of rows of X, or of columns.
    missing : {"error", "ignore", "unstored"}, default="error"
        As for `NMF`. With weights of cells w (``weights`` of `fit`, 0 means missing) both factors stay optimal in turn:
        row i goes to the half-line with the largest (Σ_j w_ij x_ij h_j)² / Σ_j w_ij h_j².
    n_init : int, default=1
        Starts: the first with lines through the rows (columns) of the singular value decomposition that lie farthest
        apart, the others with lines drawn at random. Where cells are missing these go through points of X itself,
        but for one start in k, on average, from a partition drawn at random.
    max_iter, tol, max_time, checkpoint, random_state, verbose
        As for `NMF`. The residual is that of the factors on their supports: which support is best is not a question
        of first order.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features_in_)
        H; orthonormal rows with ``orthogonal="H"``. A component without rows (columns) is 0.
    labels_ : ndarray of int
        The part of each row, (n_samples,), or of each column, (n_features_in_,).
    n_iter_, converged_, kkt_residual_, reconstruction_err_, history_, restart_losses_
        As for `NMF`.

    Notes
    -----
    With "W" the columns of W have norm 1 on the training data (Σ s_i w_ik² = 1 with row weights). A row of zeros
    has label 0. As k-means, the method ends in local minima: several starts help where clusters are close. Rows
    that differ by a factor only are one cluster here. With "W" a column of which nothing
    is observed holds the mean of the component's other entries, and a row has W = 0 and label 0; with "H" such a column
    is 0 in every component and has label 0, and a row has W = 0. A warning says so.

    There is no ``frozen``: the constraint decides the norms of the parts ("W") or which features they have ("H").

    References
    ----------
    Pompili, Gillis, Absil & Glineur (2014), Two algorithms for orthogonal nonnegative matrix factorization with
    application to clustering, Neurocomputing 141; Ding, Li, Peng & Park (2006), Orthogonal
    nonnegative matrix tri-factorizations for clustering, KDD; Choi (2008), Algorithms for orthogonal nonnegative
    matrix factorization, IJCNN. The last two use multiplicative updates, whose factors are orthogonal in the limit
    at best.

    Examples
    --------
    >>> import numpy as np
    >>> from nonneg import OrthogonalNMF
    >>> X = np.array([[1.0, 2, 0], [2, 4, 0], [0, 1, 3], [0, 2, 6]])
    >>> model = OrthogonalNMF(2, random_state=0).fit(X)
    >>> bool(model.labels_[0] == model.labels_[1] != model.labels_[2] == model.labels_[3])
    True
    """

    _parameter_constraints = {
        **ITERATION_PARAMETERS,
        "orthogonal": [StrOptions({"W", "H"})],
        "missing": [StrOptions({"error", "ignore", "unstored"})],
    }

    def __init__(
        self, n_components: int = 10, *, orthogonal: str = "W", missing: str = "error", n_init: int = 1,
        max_iter: int = 500, tol: float = 1e-4, max_time: float | None = None, checkpoint: Any = None,
        random_state: Any = None, verbose: int = 0,
    ) -> None:  # fmt: skip
        self.n_components = n_components
        self.orthogonal = orthogonal
        self.missing = missing
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.max_time = max_time
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose

    @with_callbacks
    def _fit_source(
        self, source: Source, summary: Summary, *, W_init: Any = None, H_init: Any = None
    ) -> np.ndarray:
        summary = self._in_range(source, summary)
        k, on_rows = int(self.n_components), self.orthogonal == "W"
        given = (
            start_value("W_init", W_init, (source.shape[0], k), source),
            start_value("H_init", H_init, (k, source.shape[1]), source),
        )
        if source.is_masked:
            mean = "components_ holds the mean of the component's other entries"
            Unobserved.of(source).say(
                mean if on_rows else "components_ is 0 and the label 0",
                "W is 0 and the label 0" if on_rows else "W is 0",
            )
        points = squares_of(source)[0 if on_rows else 1]  # rows or columns, whichever are clustered
        s = source.row_weights
        u, v = (s, None) if on_rows else (None, s)
        with workers(len(source.bounds())) as pool:
            products = CellProducts(source, pool)
            toward, back = (products.right, products.left) if on_rows else (products.left, products.right)

            def clustered(lines: np.ndarray, tie: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
                if source.is_masked:
                    lengths = products.right_squares(lines) if on_rows else products.left_squares(lines, v)
                else:
                    lengths = (np.einsum("ij,ij->j", lines, lines) > 0).astype(np.float64)  # they are units
                return project(toward(_times(lines, v)), lengths, tie)

            def summed(factor: np.ndarray, u: Any = u) -> tuple[np.ndarray, np.ndarray | None]:
                """What the lines are multiples of; where cells have weights, its entries divided by the second."""
                sums = back(_times(factor, u))
                if not source.is_masked:
                    return sums, None
                return sums, products.left_squares(factor, u) if on_rows else products.right_squares(factor)

            def refilled(sums: np.ndarray, left: np.ndarray, rng: Any = None) -> np.ndarray:
                """The sums of the clusters; one without points gets a point of which the others leave most."""
                for j in np.flatnonzero(~sums.any(axis=0)):
                    worst = most_left(left, rng)
                    if left[worst] <= NOTHING * points.max(initial=0.0):
                        break
                    chosen = np.zeros((len(points), 1), sums.dtype)
                    chosen[worst] = 1
                    line = unit_columns(_quotient(*summed(chosen, None)), v)[0]
                    sums = sums.copy()
                    sums[:, [j]] = line
                    left = np.minimum(left, points - clustered(line)[2])
                return sums

            def start(rng: np.random.Generator, first: bool) -> dict[str, np.ndarray]:
                lines, factor = given[::-1] if on_rows else given
                if lines is not None:
                    return {"sums": lines.T if on_rows else lines}
                if factor is not None:
                    return {"sums": _quotient(*summed(factor if on_rows else factor.T))}
                if source.is_masked and not first:  # singular vectors know no weights
                    if (
                        rng.integers(k) == 0
                    ):  # lines through points need not lead to the best; a partition may
                        labels = rng.integers(k, size=len(points))
                        ones = np.ones(len(points), source.float_dtype)
                        return {"sums": _quotient(*summed(one_each(labels, ones, k)))}
                    nothing = np.zeros((source.shape[1 if on_rows else 0], k), source.float_dtype)
                    return {"sums": refilled(nothing, points * _seen(u, points), rng)}
                U, sigma, V = randomized_svd(source, summary, k, rng)
                if s is not None:
                    U = U * np.divide(1, np.sqrt(s), out=np.zeros(len(s)), where=s > 0)[:, None]
                found = spectral_lines((U if on_rows else V) * sigma, k, u, None if first else rng)
                return {
                    "sums": _quotient(*summed(one_each(found[0], found[1].astype(source.float_dtype), k)))
                }

            def step(state: Arrays) -> Record:
                lines = unit_columns(refilled(state["sums"], state.get("left", np.zeros(len(points)))), v)[0]
                labels, amounts, gains = clustered(lines)
                sums, held = summed(one_each(labels, amounts, k))
                sizes = np.bincount(labels, gains if u is None else gains * u, k)
                scale = sizes**0.25  # lines and the factor on them have equal norms then
                over = np.divide(1, scale, out=np.zeros(k), where=scale > 0)
                seen = slice(None) if v is None else v > 0
                halves = (sums * over)[seen], (lines * (sizes if held is None else held) * over)[seen]
                residual = relative_residual((lines * scale)[seen], *halves)
                before = state.get("lines", np.zeros_like(lines))
                change = relative_change(float(np.linalg.norm(lines - before)), float(np.linalg.norm(lines)))
                left = np.where(_seen(u, points), points - gains, 0)
                state.update(lines=lines, sums=_quotient(sums, held), left=left)
                kkt = max(residual, idle(sizes, left, points))
                return Record(0.5 * float(summary.squares - sizes.sum()), kkt, change)

            best = self._search(source, start, step, given=given)
            lines = best.arrays["lines"]
            labels, amounts, gains = clustered(lines, tie=True)
        self.labels_ = labels
        if on_rows:
            squares = amounts.astype(np.float64) ** 2 if source.is_masked else gains
            sizes = np.bincount(labels, squares if u is None else squares * u, k)
            self.components_ = times((lines * np.sqrt(sizes)).T, -power_of(source), source.float_dtype)
        else:
            self.components_ = unit_columns(one_each(labels, amounts, k))[0].T
        self.components_ = np.ascontiguousarray(self.components_)
        self.n_components_ = k
        return self._rows(source)

    def _rows(self, source: Source) -> np.ndarray:
        if self.orthogonal == "W":
            return on_lines(self.components_, source)
        H, P, power = near_one(self.components_, source)  # its rows are units
        if source.is_masked:
            with workers(len(source.bounds())) as pool:
                P = _quotient(P, CellProducts(source, pool).right_squares(H.T), empty=0.0)
        return times(P, power)

    def _transform_source(self, source: Source) -> np.ndarray:
        self._in_range(source, source.summary())
        return self._rows(source)


def _times(V: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    return V if weights is None else V * weights[:, None]


def _seen(weights: np.ndarray | None, points: np.ndarray) -> np.ndarray:
    return np.ones(len(points), bool) if weights is None else weights > 0


def _quotient(sums: np.ndarray, held: np.ndarray | None, empty: float | None = None) -> np.ndarray:
    """Sums / held; where nothing was observed, ``empty``, or the mean of the column's other entries."""
    if held is None:
        return sums
    seen = held > 0
    found = np.divide(sums, held, out=np.zeros_like(sums), where=seen)
    if empty is None and not seen.all():
        means = found.sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        found = np.where(seen, found, means.astype(found.dtype))
    return found
