"""Probabilistic latent semantic analysis (PLSA, PLSI): topics of words, mixtures of topics in documents."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from ..data import Source, Summary
from ..data.products import Products
from ..data.threads import Workers, workers
from ..losses import as_loss
from ..solvers.iterate import Arrays
from ..solvers.judge import judge
from ..solvers.likelihood import mean_log, possible
from ..solvers.loop import ROW_TOLERANCE
from ..solvers.plsi import EM, Hybrid, with_unit_rows
from ..solvers.problem import Problem
from ..solvers.rows import first_rows, solve_rows
from ..solvers.select import choose
from ..solvers.start import starting_point
from ..solvers.step import Record
from .callbacks import with_callbacks
from .inputs import frozen_mask, shares
from .iterative import IterativeFactorization
from .parameters import ITERATION_PARAMETERS
from .units import set_floor, weights_rescaled
from .unobserved import Unobserved, filled

__all__ = ["PLSA"]

UNIT = 1e-6  # by which the sum of a frozen row may differ from 1


class PLSA(IterativeFactorization):
    r"""Probabilistic latent semantic analysis of counts X (documents × words).

    .. math:: \max \sum_{d, w} s_d x_{dw} \log P(d, w), \qquad P(d, w) = \sum_z P(z)\, P(d \mid z)\, P(w \mid z)

    s are the row weights (1). Up to a constant this is −KL(X | W H), the loss of ``NMF(loss="kl")``, with
    W_dz = ΣX · P(z) P(d | z) and H_zw = P(w | z): the two models are one, and X need not be whole numbers.

    Where cells are missing, a count of d is one of the observed cells O_d alone, and with weights v of the cells

    .. math:: \max \sum_{d} s_d \sum_{w} v_{dw}\, x_{dw} \log \frac{P(w \mid d)}{\sum_{w'} v_{dw'} P(w' \mid d)}

    which is again −Σ s v KL(X | W H), up to a constant: W leaves the lengths of documents free, and the best length is
    Σ_w v x / Σ_w v P(w | d). For weights of 0 and 1 it is the likelihood of the counts given that they fell on O_d;
    other weights say how much a cell counts, of which no sampling of words is a model.

    Parameters
    ----------
    n_components : int, default=10
        k, the number of topics z.
    method : {"em", "hybrid"}, default="em"
        ``"em"``: expectation–maximisation, extrapolated; a step that lowers the likelihood is repeated without.
        ``"hybrid"``: descent in KL by coordinates (NMF) which, where it settles, goes on in χ² and in least squares
        and then in KL again, and keeps what ends lower, until neither detour helps: mostly a better optimum than EM's,
        after far fewer passes. Where X is not in memory, the descent is by multiplicative updates.
    init : {"auto", "random", "nndsvd", "nndsvda", "separable"}, default="auto"
        ``"auto"``: a factorization in the χ² distance, which is 2 KL to second order near independence.
    n_init : int, default=1
        Starts, of which the best is kept.
    missing : {"error", "ignore"}, default="error"
        ``"ignore"``: NaN cells have no influence.
    frozen : array-like of int, optional
        Topics of ``H_init``, rows P(w | z) of sum 1, that stay as they are, bit for bit.
    max_iter : int, default=500
        A detour of the hybrid counts as one iteration.
    tol : float, default=1e-4
        On the KKT residual of KL; `nonneg.solvers.kkt` has its definition.
    max_time : float, optional
        Seconds.
    checkpoint : path, optional
        A folder; an interrupted fit goes on from there.
    random_state : int, RandomState, Generator or None, default=None
    verbose : int, default=0

    Attributes
    ----------
    p_z_ : ndarray of shape (n_components,)
        P(z), the share of each topic in all counts; in those expected, also of the missing cells, where there are any.
    p_w_given_z_ : ndarray of shape (n_components, n_features_in_)
        P(w | z); ``components_`` is the same array.
    p_d_given_z_ : ndarray of shape (n_components, n_samples)
        P(d | z) of the documents of the fit, with their weights. A topic without counts has flat ones.
    reconstruction_err_ : float
        √(2 KL(X | W H)).
    kkt_residual_, converged_, restart_losses_, n_iter_, n_components_, n_features_in_, history_
        As for `NMF`; losses are KL(X | W H), in the units of X.

    Raises
    ------
    ValueError
        For X without a positive cell: it has no distribution. For frozen rows of ``H_init`` whose sum is not 1.

    Notes
    -----
    `transform` is folding-in: P(z | d) of new documents for the topics as they are, rows of sum 1, by solving the
    convex problem of each document. It forgets how long documents are; so does `inverse_transform`, which returns
    P(w | d). A document without words has P(z | d) = 1/k. The last pass of a fit is folding-in as well. `score` is the
    mean log-likelihood of a count, − log of the `perplexity`; both are of P(w | d) among the observed cells of d.

    With missing or weighted cells starts are random, as for `NMF`. A word without any observed cell gets in each topic
    the mean of the others, with a warning.

    ``fit`` takes ``H_init``, or ``W_init`` and ``H_init``. Where they give a count of X the probability 0, which EM
    could never leave, entries below 1e-3 of the mean of their row are raised to that; else the start is as given.

    PLSA has no prior: a word that the fit never saw has probability 0, and the perplexity of a text that has it is
    infinite; many topics fit noise. Optima are local: compare starts, or take the hybrid.

    References
    ----------
    Hofmann (1999), *Probabilistic latent semantic indexing*, SIGIR, eq. 1–6. Ding, Li & Peng (2006), *Nonnegative
    matrix factorization and probabilistic latent semantic indexing: equivalence, chi-square statistic, and a hybrid
    method*, AAAI.

    Examples
    --------
    >>> import numpy as np
    >>> from nonneg import PLSA
    >>> X = np.array([[4, 2, 0, 0], [2, 1, 0, 0], [0, 0, 3, 3], [0, 0, 1, 1]])
    >>> model = PLSA(2, random_state=0).fit(X)
    >>> model.transform(X).round(2).tolist() in ([[1, 0]] * 2 + [[0, 1]] * 2, [[0, 1]] * 2 + [[1, 0]] * 2)
    True
    >>> sorted(model.p_z_.round(3).tolist())
    [0.471, 0.529]
    """

    _shares = True  # what comes back are distributions: rows of sum 1
    _parameter_constraints = {
        **ITERATION_PARAMETERS,
        "method": [StrOptions({"em", "hybrid"})],
        "init": [StrOptions({"auto", "random", "nndsvd", "nndsvda", "separable"})],
        "missing": [StrOptions({"error", "ignore"})],
        "frozen": ["array-like", None],
    }

    def __init__(
        self, n_components: int = 10, *, method: str = "em", init: str = "auto", n_init: int = 1,
        missing: str = "error", frozen: Any = None, max_iter: int = 500, tol: float = 1e-4,
        max_time: float | None = None, checkpoint: Any = None, random_state: Any = None, verbose: int = 0,
    ) -> None:  # fmt: skip
        self.n_components = n_components
        self.method = method
        self.init = init
        self.n_init = n_init
        self.missing = missing
        self.frozen = frozen
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
        if not summary.sum > 0:
            raise ValueError("X has no positive cell: there is nothing that PLSA could give probabilities to")
        unobserved = Unobserved.of(source)
        unobserved.warn(penalised=False)
        summary = self._in_range(source, summary)
        weight_power, summary = weights_rescaled(source, summary)
        k, (n, m) = int(self.n_components), source.shape
        W0 = self._start_value("W_init", W_init, (n, k), source)
        H0 = self._start_value("H_init", H_init, (k, m), source)  # shares, whatever the unit of X
        if W0 is not None and H0 is None:
            raise ValueError("W_init was given without H_init; give both, or H_init alone")
        frozen = self._frozen(H_init, k)
        if H0 is not None and frozen.any():
            W0, H0 = _with_topics(W0, H0, H0, frozen)
        problem = _problem(source, summary, frozen)
        with workers(len(source.bounds())) as pool:
            method = (Hybrid if self.method == "hybrid" else EM)(problem, pool)

            def step(state: Arrays) -> Record:
                record = method.advance(state, float(self.tol))
                if record.kkt <= self.tol:  # so far it was that of the point before
                    record.kkt = judge(problem, state["W"], state["H"], pool)[0]
                return record

            best = self._search(
                source,
                self._starts(method, summary, W0, H0),
                step,
                degree=1,
                given=(W0, H0),
                fitted=lambda at: {
                    "components_": with_unit_rows(at["W"], at["H"], frozen)[1],
                    "n_components_": k,
                },
            )
            self._weigh_losses(weight_power)
            W, H = best.arrays["W"], best.arrays["H"]
            if unobserved.columns.any():
                H = filled(H, unobserved.columns, problem)
            self.components_ = with_unit_rows(W, H, frozen)[1]
            self.n_components_ = k
            return self._share(source, summary, pool)

    def _frozen(self, H_init: Any, k: int) -> np.ndarray:
        """Which topics stay as they are."""
        frozen = frozen_mask(self.frozen, k, H_init)
        if frozen.any():
            sums = np.asarray(H_init, np.float64)[frozen].sum(axis=1)
            off = np.abs(sums - 1) > UNIT
            if off.any():
                raise ValueError(
                    f"frozen={self.frozen!r}: row {np.flatnonzero(frozen)[off][0]} of H_init has the sum "
                    f"{sums[off][0]:.6g}; frozen topics are P(w | z), rows of sum 1: divide it by its sum"
                )
        return frozen

    def _starts(
        self, method: EM | Hybrid, summary: Summary, W0: np.ndarray | None, H0: np.ndarray | None
    ) -> Any:
        """What makes the arrays of a start."""
        problem, pool = method.problem, method.pool

        def start(rng: np.random.Generator, first: bool) -> Arrays:
            solver = choose("auto", problem.loss, problem.source)
            W, H = W0, H0
            if H is None:
                alike = first or self.init != "auto"  # a named init is random, or the same for every start
                H, W, _ = starting_point(problem, solver, summary, self.init, rng, first=alike)
            W = first_rows(problem, solver, H, pool) if W is None else W
            if H0 is not None:
                W, H = possible(problem.source, W, H, problem.frozen)
            return Arrays(method.begin(*with_unit_rows(W, H, problem.frozen)).arrays())

        return start

    def _share(self, source: Source, summary: Summary, pool: Workers) -> np.ndarray:
        """Set P(z) and P(d | z), from P(z | d) and the lengths of the documents; return P(z | d)."""
        W, H = self._rows(source, summary)
        codes = shares(W, H).astype(W.dtype)
        lengths = Products(source, pool).right(np.ones((source.shape[1], 1), codes.dtype))
        if source.is_masked:  # those that the fit expects; nothing is known of rows without counts
            lengths = W.sum(axis=1, keepdims=True) * (lengths > 0)
        weights = 1.0 if source.row_weights is None else source.row_weights[:, None]
        joint = (codes * lengths * weights).astype(np.float64)
        total = joint.sum(axis=0)
        flat = np.full(joint.shape, 1 / len(joint))
        given = np.divide(joint, total, out=flat, where=total > 0)
        self.p_z_ = (total / total.sum()).astype(codes.dtype)
        self.p_d_given_z_ = np.ascontiguousarray(given.T).astype(codes.dtype)
        return codes

    def _remedy(self) -> str:
        if self.method == "hybrid":
            return ""
        return "; method='hybrid' mostly converges, after far fewer iterations"

    @property
    def p_w_given_z_(self) -> np.ndarray:
        """P(w | z), (n_components, n_features_in_)."""
        if not hasattr(self, "components_"):
            raise AttributeError(f"this {type(self).__name__} has no p_w_given_z_: it is not fitted yet")
        return self.components_

    def _transform_source(self, source: Source) -> np.ndarray:
        return self._codes(source, self._in_range(source, source.summary()))

    def _codes(self, source: Source, summary: Summary) -> np.ndarray:
        """P(z | d) of the rows of a source."""
        W, H = self._rows(source, summary)
        return shares(W, H).astype(W.dtype)

    def _rows(self, source: Source, summary: Summary) -> tuple[np.ndarray, np.ndarray]:
        """The best W for the topics as they are, and these."""
        dtype = np.dtype(source.float_dtype)
        problem = _problem(source, summary, np.zeros(self.n_components_, bool))
        with workers(len(source.bounds())) as pool:
            H = self.components_.astype(dtype)
            return solve_rows(problem, H, ROW_TOLERANCE[dtype], pool), H

    def perplexity(
        self, X: Any, *, fold_in: Any = None, weights: Any = None, sample_weight: Any = None
    ) -> float:
        """exp(− Σ s_d x_dw log P(w | d) / Σ s_d x_dw): among how many words, all alike, the model would have to guess.

        Where cells are missing, P(w | d) is divided by its sum over the observed cells of d: the guess is among these.

        Parameters
        ----------
        X : array-like, sparse, DataFrame, memmap or path, (n_samples, n_features_in_)
            Counts, which may be new.
        fold_in : the same, optional
            Counts of the same documents from which P(z | d) is found. Default X itself, whose words the model has then
            seen: for a fair test, split the words of each new document into two matrices. Its missing cells are NaN.
        weights : array-like or sparse of shape (n_samples, n_features), optional
            v, weights of the cells of X, by which the counts are multiplied; 0 means missing.
        sample_weight : array-like of shape (n_samples,), optional
            s, weights of the rows.

        Returns
        -------
        float
            Infinite where X has a word of probability 0.
        """
        check_is_fitted(self)
        source = self._source(X, weights=weights, sample_weight=sample_weight, whom="perplexity")
        summary = self._check_data(source, "perplexity")
        codes = None if fold_in is None else self.transform(fold_in)
        if codes is not None and len(codes) != source.shape[0]:
            raise ValueError(
                f"fold_in has {len(codes)} rows, X has {source.shape[0]}; both must hold the same documents"
            )
        return float(np.exp(-self._mean_log(source, summary, codes)))

    def _score_source(self, source: Source, summary: Summary) -> float:
        """The mean log-likelihood of a count."""
        return self._mean_log(source, summary, None)

    def _mean_log(self, source: Source, summary: Summary, codes: np.ndarray | None) -> float:
        if not summary.sum > 0:
            raise ValueError("X has no positive cell: there is no count whose likelihood could be told")
        summary = self._in_range(source, summary)
        if codes is None:
            codes = self._codes(source, summary)
        return mean_log(source, codes, self.components_)


def _with_topics(
    W0: np.ndarray | None, H0: np.ndarray, topics: np.ndarray, frozen: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray]:
    """Start values with rows of H of sum 1, the frozen ones bit for bit those of the user; W takes what they lose."""
    W, H = with_unit_rows(np.ones((1, len(H0)), H0.dtype) if W0 is None else W0, H0)
    return (None if W0 is None else W), np.where(frozen[:, None], topics, H)


def _problem(source: Source, summary: Summary, frozen: np.ndarray) -> Problem:
    set_floor(source, summary, 1.0)
    unit = summary.mean or 1.0
    return Problem(source, as_loss("kl"), unit, summary.total_weight, summary.squares, frozen)
