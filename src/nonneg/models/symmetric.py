"""Symmetric NMF: an affinity A ≈ H Hᵀ, rows of H as soft memberships in clusters."""

from __future__ import annotations

import os
from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.utils._param_validation import Interval, StrOptions

from ..data import Source, Summary, as_source
from ..data.paths import open_path
from ..penalties.graph import adjacency
from ..solvers.iterate import Arrays
from ..solvers.least_squares import nonnegative_rows
from ..solvers.step import Record, relative_change
from ..solvers.symmetric import SymmetricProblem, exclusive_labels
from .affinity import check_symmetric, contracted, excluding, groups_of, matrix_of, nearest, pairs, weighted
from .callbacks import with_callbacks
from .inputs import rows_weight, start_value
from .iterative import IterativeFactorization
from .nodes import NodeNamesMixin, by_position, is_graph, names_of_nodes
from .parameters import ITERATION_PARAMETERS
from .units import exponent_of, loss_times, power_of, times
from .unweighted import UnweightedFactorization

__all__ = ["SymmetricNMF"]

SWEEPS = 4  # between two looks at the loss
# a start lets ρ rise so slowly that of two rows the one with the stronger ties stays
RISING = (0.0, *(2.0 ** (-e / 2) for e in range(24, 0, -1)))
SETTLE = 4  # sweeps at each share of ρ


class SymmetricNMF(NodeNamesMixin, UnweightedFactorization, IterativeFactorization):
    """Symmetric NMF of an affinity between the rows: the least ½‖A − H Hᵀ‖² over H ≥ 0.

    A (n, n) says how alike samples are; row i of H says how much sample i belongs to each of k clusters, and the
    largest entry is its label. Spectral clustering asks for orthogonal H, this for non-negative H: no k-means is
    needed afterwards, and memberships may overlap.

    Pairs that are known to belong together or apart are honoured exactly. Rows of ``must_link`` share one row of H,
    which is symmetric NMF of the contracted affinity D^-½ Zᵀ A Z D^-½ (Z the indicator of the groups, D their
    sizes). Rows of ``cannot_link`` get ρ⟨h_i, h_l⟩ added to the objective, with ρ so large that a minimum has
    disjoint supports.

    The method is coordinate descent: in one entry the objective is a quartic, which a cubic equation minimises. It
    never rises, and unlike coupled least squares (A ≈ W Hᵀ + α‖W − H‖²) it needs no α. A zero of the gradient is
    also the least-squares answer of `transform` for A itself.

    Parameters
    ----------
    n_components : int, default=10
        k, the number of clusters.
    affinity : {"precomputed", "nearest_neighbors", "rbf"}, default="precomputed"
        "precomputed": X is A, non-negative and symmetric: dense, sparse or a networkx graph (rows in the order of its
        nodes, edge attribute "weight", 1 where an edge has none). Else X is data of any sign, (n, m):
        "nearest_neighbors" gives (C + Cᵀ) / 2 with c_ij = 1 where j is among the nearest ``n_neighbors`` of i,
        itself included (sparse); "rbf" gives exp(−gamma ‖x_i − x_j‖²) (dense: n² cells).
    n_neighbors : int, default=10
        Of ``affinity="nearest_neighbors"``.
    gamma : float or None, default=None
        Per squared unit of X; None: 1 / (m · variance of X).
    weighting : {"degree", "pmi"} or None, default=None
        What is factorized in place of A, with d the row sums. "degree": a_ij / √(d_i d_j), the normalised cut (Kuang,
        Ding & Park 2012); "pmi": max(0, log(a_ij Σ d / (d_i d_j))), pointwise mutual information, which
        lowers the pull of hubs (Luo et al. 2021, without their graph penalty). Both are free of the unit of A.
    must_link, cannot_link : array-like of shape (p, 2), or None
        Pairs of rows of the training data that get the same label, or different ones: row numbers or, where X has
        them, names (nodes of a graph, the index or the columns of a DataFrame). Where nodes are whole numbers
        themselves, whole numbers are names.
    n_init : int, default=1
        Starts: the first spectral, the others random; the lowest loss is kept. Pairs make more local minima: with
        many of them a few starts pay.
    max_iter, tol, max_time, checkpoint, random_state, verbose
        As for `NMF`. An iteration is four sweeps over the rows of H.

    Attributes
    ----------
    embedding_ : ndarray of shape (n_samples, n_components)
        H. With links it is not `transform` of the training data, which knows nothing of pairs.
    components_ : ndarray of shape (n_components, n_samples)
        Hᵀ.
    labels_ : ndarray of int, shape (n_samples,)
        The largest entry of each row of H.
    node_names_ : list of str or int, only when X has names
        The nodes of a graph in the order of rows, or the names in a DataFrame; other objects by their ``str``.
    n_iter_, converged_, kkt_residual_, reconstruction_err_, history_, restart_losses_
        As for `NMF`; errors are those of the affinity that was factorized.

    Raises
    ------
    ValueError
        For an affinity that is not square, symmetric and non-negative, or whose rows and columns have different names;
        for rows that X does not have, and for a pair that is to be together and apart.

    Warns
    -----
    UserWarning
        When pairs of ``cannot_link`` cannot all be honoured, as three rows that exclude each other with k = 2.

    Notes
    -----
    `transform` takes affinities of new rows with the training rows, (n_new, n) (with "nearest_neighbors" and "rbf":
    new data (n_new, m)), and solves W for A_new ≈ W Hᵀ. The diagonal of A is fitted like any other cell: for a
    graph without loops, whose diagonal is 0, H Hᵀ stays a little below A elsewhere. A graph is not a sample of
    rows, so there are no weights. Jia et al. (2021) spread pairs over an affinity that is learned along; here A
    stays as given, and what the pairs change spreads through H alone.

    References
    ----------
    Kuang, Ding & Park (2012), Symmetric nonnegative matrix factorization for graph clustering, SDM;
    Vandaele, Gillis, Lei, Zhong & Dhillon (2016), Efficient and non-convex coordinate descent for symmetric
    nonnegative matrix factorization, IEEE Trans. Signal Processing 64; Jia, Liu, Hou & Kwong (2021), Semisupervised
    adaptive symmetric non-negative matrix factorization, IEEE Trans. Cybernetics 51; Luo, Liu, Shang, Lou & Zhou
    (2021), Highly-accurate community detection via pointwise mutual information-incorporated symmetric non-negative
    matrix factorization, IEEE Trans. Network Science and Engineering 8.

    Examples
    --------
    >>> import numpy as np
    >>> from nonneg import SymmetricNMF
    >>> A = np.kron(np.eye(2), np.ones((3, 3)))
    >>> SymmetricNMF(2, random_state=0).fit(A).labels_.tolist() in ([0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0])
    True
    """

    _why_unweighted = "a graph is no sample of rows"
    _parameter_constraints = {
        **ITERATION_PARAMETERS,
        "affinity": [StrOptions({"precomputed", "nearest_neighbors", "rbf"})],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "gamma": [Interval(Real, 0, None, closed="neither"), None],
        "weighting": [StrOptions({"degree", "pmi"}), None],
        "must_link": ["array-like", None],
        "cannot_link": ["array-like", None],
    }

    def __init__(
        self, n_components: int = 10, *, affinity: str = "precomputed", n_neighbors: int = 10,
        gamma: float | None = None, weighting: str | None = None, must_link: Any = None, cannot_link: Any = None,
        n_init: int = 1, max_iter: int = 500, tol: float = 1e-4, max_time: float | None = None,
        checkpoint: Any = None, random_state: Any = None, verbose: int = 0,
    ) -> None:  # fmt: skip
        self.n_components = n_components
        self.affinity = affinity
        self.n_neighbors = n_neighbors
        self.gamma = gamma
        self.weighting = weighting
        self.must_link = must_link
        self.cannot_link = cannot_link
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.max_time = max_time
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose

    def _warn_of_parts(self, W: np.ndarray | None) -> None:
        super()._warn_of_parts(self.embedding_)

    def _part_names(self) -> Any:
        return getattr(self, "node_names_", None)

    @property
    def _any_sign(self) -> bool:  # type: ignore[override]
        return self.affinity != "precomputed"

    def __sklearn_tags__(self) -> Any:
        """X is pairwise unless affinities are computed."""
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.affinity == "precomputed"
        return tags

    def _source(self, X: Any, **options: Any) -> Source:
        if isinstance(X, (str, os.PathLike)):
            X = open_path(X)
        names, graph = names_of_nodes(X, square=self.affinity == "precomputed"), is_graph(X)
        if graph:
            if self.affinity != "precomputed":
                raise ValueError(
                    f"affinity={self.affinity!r} takes data (n_samples, n_features), X is a graph; set "
                    "affinity='precomputed'"
                )
            X = adjacency(X)
        if options.get("reset"):
            self._nodes = names
        self._remember_nodes(names, graph=graph, reset=bool(options.get("reset")))
        return super()._source(X, **options)

    @with_callbacks
    def _fit_source(
        self, source: Source, summary: Summary, *, W_init: Any = None, H_init: Any = None
    ) -> np.ndarray | None:
        k, n = int(self.n_components), source.shape[0]
        names = self.__dict__.pop("_nodes")
        must = pairs("must_link", by_position("must_link", self.must_link, names), n)
        cannot = pairs("cannot_link", by_position("cannot_link", self.cannot_link, names), n)
        groups = groups_of(must, n)
        apart = excluding(cannot, groups, names)
        affinity, power = self._training_affinity(source, summary, names)
        given = self._given(source, W_init, H_init, power)
        sizes = np.bincount(groups)
        whole = None
        if len(sizes) < n:
            whole, affinity = affinity, as_source(contracted(affinity, groups))
        problem = SymmetricProblem(affinity, apart)
        lost = 0.0 if whole is None else 0.5 * (SymmetricProblem(whole, apart).squares - problem.squares)

        def start(rng: np.random.Generator, first: bool) -> dict[str, np.ndarray]:
            if given is not None:
                H = sp.csr_array((1 / np.sqrt(sizes[groups]), groups, np.arange(n + 1))).T @ given
            else:
                H = problem.spectral(k, rng) if first else problem.random(k, rng)
            for share in np.repeat(RISING, SETTLE) if apart.nnz else ():
                problem.sweep(H, share * problem.rho)
            return {"H": H}

        def step(state: Arrays) -> Record:
            H = state["H"].copy()
            for _ in range(SWEEPS):
                problem.sweep(H, problem.rho)
            moved = float(np.linalg.norm(H - state["H"]))
            state["H"] = H
            loss, kkt = problem.look(H)
            return Record(loss + lost, kkt, relative_change(moved, float(np.linalg.norm(H))))

        best = self._search(source, start, step, degree=2.0 if power is not None else 0.0, given=(given,))
        H = best.arrays["H"]
        self.labels_ = exclusive_labels(H, apart)[groups]
        H = (H / np.sqrt(sizes)[:, None])[groups]
        self.embedding_ = times(H, -(power or 0) // 2, source.float_dtype)
        self.components_ = np.ascontiguousarray(self.embedding_.T)
        self.n_components_ = k
        return None

    def _given(self, source: Source, W_init: Any, H_init: Any, power: int | None) -> np.ndarray | None:
        """The user's start (n, k), in the units of the fit."""
        n, k = source.shape[0], int(self.n_components)
        found = start_value("W_init", W_init, (n, k), source)
        if found is None:
            H = start_value("H_init", H_init, (k, n), source)
            found = None if H is None else H.T
        return None if found is None else times(found, (power or 0) // 2, np.float64)

    def _training_affinity(
        self, source: Source, summary: Summary, names: list[Any] | None
    ) -> tuple[Source, int | None]:
        """What is factorized, and by which power of two it was multiplied; None where it has no unit."""
        summary = self._in_range(source, summary)
        if self.affinity == "precomputed":
            check_symmetric(source, names)
            if power_of(source) % 2:  # H has the root of A's unit
                source.scale *= 2
            self._power = power_of(source)
            if self.weighting is None:
                return source, self._power
            A = matrix_of(source)
        else:
            self._power = power_of(source)
            known = matrix_of(source)
            self._known = _packed(known)
            spread = source.shape[1] * (summary.squares / summary.total_weight - summary.mean**2)
            least = float(np.finfo(np.float64).tiny)
            self._gamma = 1 / max(spread, least)
            if self.gamma is not None:
                self._gamma = float(np.clip(np.ldexp(float(self.gamma), -2 * self._power), least, 1 / least))
            A = self._affinity_with(known)
            A = sp.csr_array((A + A.T) / 2) if sp.issparse(A) else A
        self._degrees = np.asarray(A.sum(axis=1, dtype=np.float64)).ravel()
        if self.weighting is not None:
            A = weighted(A, self.weighting, self._degrees)
        return as_source(A), None

    def _affinity_with(self, rows: Any) -> Any:
        """Affinities of rows with the training rows, (b, n)."""
        known = _unpacked(self._known)
        if self.affinity == "rbf":
            return rbf_kernel(rows, known, gamma=self._gamma)
        return nearest(rows, known, int(self.n_neighbors)).astype(known.dtype)

    def _rows_affinity(self, source: Source) -> Source:
        """Affinities of new rows with the training rows, in the units of the fit."""
        source.scale = 2.0**self._power
        if self.affinity == "precomputed" and self.weighting is None:
            return source
        A = matrix_of(source)
        if self.affinity != "precomputed":
            A = self._affinity_with(A)
        return as_source(A if self.weighting is None else weighted(A, self.weighting, self._degrees))

    def _transform_source(self, source: Source) -> np.ndarray:
        return self._rows(self._rows_affinity(source)).astype(source.float_dtype)

    def _rows(self, affinity: Source) -> np.ndarray:
        top = exponent_of(self.components_)
        H = times(self.components_, -top, np.float64)
        P = np.concatenate([block.X @ H.T for block in affinity.blocks()])
        return times(nonnegative_rows(H @ H.T, P, 0.0, np.inf, 1e-10), -top - power_of(affinity))

    def _score_source(self, source: Source, summary: Summary) -> float:
        affinity = self._rows_affinity(source)
        affinity.row_weights = source.row_weights
        loss = self._half_squares(affinity, self._rows(affinity))
        return -loss_times(loss / (rows_weight(source) * affinity.shape[1]), -2 * power_of(affinity))


def _packed(X: Any) -> Any:
    """Arrays that a file can hold."""
    if not sp.issparse(X):
        return X.copy()
    shape = np.array(X.shape)
    return {"data": X.data, "indices": X.indices, "indptr": X.indptr, "shape": shape}


def _unpacked(known: Any) -> Any:
    if not isinstance(known, dict):
        return known
    return sp.csr_array((known["data"], known["indices"], known["indptr"]), shape=tuple(known["shape"]))
