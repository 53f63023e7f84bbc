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
from ..solvers.loop import ROW_TOLERANCE
from ..solvers.momentum import accelerated, at_rest
from ..solvers.plsi import Hybrid, em_step, with_unit_rows
from ..solvers.problem import Problem
from ..solvers.rows import first_rows, solve_rows
from ..solvers.select import choose
from ..solvers.start import starting_point
from ..solvers.step import Record, State
from .callbacks import with_callbacks
from .inputs import shares
from .iterative import IterativeFactorization
from .parameters import ITERATION_PARAMETERS
from .units import power_of, set_floor, weights_rescaled

__all__ = ["PLSA"]

BACKGROUND = 1e-3  # of the mean of a row, where start values that give a count no chance are 0


class PLSA(IterativeFactorization):
    r"""Probabilistic latent semantic analysis of counts X (documents × words).

    .. math:: \max \sum_{d, w} s_d x_{dw} \log P(d, w), \qquad P(d, w) = \sum_z P(z)\, P(d \mid z)\, P(w \mid z)

    s are the row weights (1). Up to a constant this is −KL(X | W H), the loss of ``NMF(loss="kl")``, with
    W_dz = ΣX · P(z) P(d | z) and H_zw = P(w | z): the two models are one, and X need not be whole numbers.

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
        P(z), the share of each topic in all counts.
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
        For X without a positive cell: it has no distribution.

    Notes
    -----
    `transform` is folding-in: P(z | d) of new documents for the topics as they are, rows of sum 1, by solving the
    convex problem of each document. It forgets how long documents are; so does `inverse_transform`, which returns
    P(w | d). A document without words has P(z | d) = 1/k. The last pass of a fit is folding-in as well. `score` is the
    mean log-likelihood of a count, − log of the `perplexity`. There are no weights of cells: what is not seen would
    change what a distribution sums to. Take ``NMF(loss="kl")`` there.

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

    _takes_weights = False
    _shares = True  # what comes back are distributions: rows of sum 1
    _parameter_constraints = {
        **ITERATION_PARAMETERS,
        "method": [StrOptions({"em", "hybrid"})],
        "init": [StrOptions({"auto", "random", "nndsvd", "nndsvda", "separable"})],
    }

    def __init__(
        self, n_components: int = 10, *, method: str = "em", init: str = "auto", n_init: int = 1, max_iter: int = 500,
        tol: float = 1e-4, max_time: float | None = None, checkpoint: Any = None, random_state: Any = None,
        verbose: int = 0,
    ) -> None:  # fmt: skip
        self.n_components = n_components
        self.method = method
        self.init = init
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
        if not summary.sum > 0:
            raise ValueError("X has no positive cell: there is nothing that PLSA could give probabilities to")
        summary = self._in_range(source, summary)
        weight_power, summary = weights_rescaled(source, summary)
        k, (n, m) = int(self.n_components), source.shape
        W0 = self._start_value("W_init", W_init, (n, k), source)
        H0 = self._start_value("H_init", H_init, (k, m), source, power=power_of(source))
        if W0 is not None and H0 is None:
            raise ValueError("W_init was given without H_init; give both, or H_init alone")
        problem = _problem(source, summary, k)
        with workers(len(source.bounds())) as pool:
            begin, move = self._moves(problem, pool)

            def start(rng: np.random.Generator, first: bool) -> Arrays:
                solver = choose("auto", problem.loss, source)
                W, H = W0, H0
                if H is None:
                    alike = (
                        first or self.init != "auto"
                    )  # a named init is random, or the same for every start
                    H, W, _ = starting_point(problem, solver, summary, self.init, rng, first=alike)
                W = first_rows(problem, solver, H, pool) if W is None else W
                if H0 is not None:
                    W, H = _possible(source, W, H)
                return begin(*with_unit_rows(W, H))

            def step(state: Arrays) -> Record:
                record = move(state)
                if record.kkt <= self.tol:  # so far it was that of the point before
                    record.kkt = judge(problem, state["W"], state["H"], pool)[0]
                return record

            best = self._search(
                source,
                start,
                step,
                degree=1,
                given=(W0, H0),
                fitted=lambda at: {
                    "components_": with_unit_rows(at["W"], at["H"])[1],
                    "n_components_": k,
                },
            )
            self._weigh_losses(weight_power)
            self.components_ = with_unit_rows(best.arrays["W"], best.arrays["H"])[1]
            self.n_components_ = k
            codes = self._codes(source, summary)
            self._share(codes, Products(source, pool).right(np.ones((m, 1), codes.dtype)), source)
        return codes

    def _moves(self, problem: Problem, pool: Workers) -> tuple[Any, Any]:
        """What makes the state of a start, and what moves it."""
        if self.method == "hybrid":
            hybrid = Hybrid(problem, pool)

            def advance(arrays: Arrays) -> Record:
                own = ("extra.scalars", "extra.tried")  # what an iteration writes into
                state = State.of(dict(arrays) | {name: arrays[name].copy() for name in own if name in arrays})
                record = hybrid.step(state, float(self.tol))
                arrays.update(state.arrays())
                return record

            return lambda W, H: Arrays(hybrid.begin(W, H).arrays()), advance

        def em(at: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], float, float]:
            W, H, _, residual = em_step(problem, *with_unit_rows(at["W"], at["H"]), pool)
            parts = pool.map(
                lambda cut: _value(problem, problem.source.block(*cut), W, H), problem.source.bounds()
            )
            return {"W": W, "H": H}, sum(parts), residual.relative

        return (
            lambda W, H: Arrays(at_rest({"W": W, "H": H})),
            lambda arrays: accelerated(arrays, em, ("W", "H")),
        )

    def _share(self, codes: np.ndarray, lengths: np.ndarray, source: Source) -> None:
        """P(z) and P(d | z) from P(z | d) and the counts of the documents."""
        weights = 1.0 if source.row_weights is None else source.row_weights[:, None]
        joint = (codes * lengths * weights).astype(np.float64)
        total = joint.sum(axis=0)
        flat = np.full(joint.shape, 1 / len(joint))
        given = np.divide(joint, total, out=flat, where=total > 0)
        self.p_z_ = (total / total.sum()).astype(codes.dtype)
        self.p_d_given_z_ = np.ascontiguousarray(given.T).astype(codes.dtype)

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
        dtype = np.dtype(source.float_dtype)
        problem = _problem(source, summary, self.n_components_)
        with workers(len(source.bounds())) as pool:
            H = self.components_.astype(dtype)
            return shares(solve_rows(problem, H, ROW_TOLERANCE[dtype], pool), H).astype(dtype)

    def perplexity(self, X: Any, *, fold_in: Any = None, sample_weight: Any = None) -> float:
        """exp(− Σ s_d x_dw log P(w | d) / Σ s_d x_dw): among how many words, all alike, the model would have to guess.

        Parameters
        ----------
        X : array-like, sparse, DataFrame, memmap or path, (n_samples, n_features_in_)
            Counts, which may be new.
        fold_in : the same, optional
            Counts of the same documents from which P(z | d) is found. Default X itself, whose words the model has then
            seen: for a fair test, split the words of each new document into two matrices.
        sample_weight : array-like of shape (n_samples,), optional
            s, weights of the rows.

        Returns
        -------
        float
            Infinite where X has a word of probability 0.
        """
        check_is_fitted(self)
        source = self._source(X, sample_weight=sample_weight, whom="perplexity")
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
        logs, counts = 0.0, 0.0
        for block in source.blocks():
            W, H = codes[block.rows].astype(np.float64), self.components_.astype(np.float64)
            weights = np.ones(len(W)) if block.row_weights is None else block.row_weights
            rows, x, P = _seen(block, W, H)
            with np.errstate(divide="ignore"):
                logs += float((weights[rows] * x) @ np.log(P))
            counts += float(weights[rows] @ x)
        return logs / counts


def _possible(source: Source, W: np.ndarray, H: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Start values that give every count a probability above 0: else with a background in place of their zeros.

    EM multiplies, and never leaves a start from which the likelihood is 0.
    """
    for block in source.blocks():
        if not (_seen(block, W[block.rows].astype(np.float64), H.astype(np.float64))[2] > 0).all():
            break
    else:
        return W, H
    return _with_background(W), _with_background(H)


def _with_background(V: np.ndarray) -> np.ndarray:
    """V with at least a small part of the mean of its row everywhere; of the mean of all, in a row of zeros."""
    means = V.mean(axis=1, keepdims=True)
    means = np.where(means > 0, means, V.mean() or 1.0)
    return np.maximum(V, BACKGROUND * means).astype(V.dtype)


def _problem(source: Source, summary: Summary, k: int) -> Problem:
    set_floor(source, summary, 1.0)
    unit = summary.mean or 1.0
    return Problem(source, as_loss("kl"), unit, summary.total_weight, summary.squares, np.zeros(k, bool))


def _value(problem: Problem, block: Any, W: np.ndarray, H: np.ndarray) -> float:
    return problem.loss.value(block, W[block.rows], H)


def _seen(block: Any, W: np.ndarray, H: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, count and probability of every positive cell of a block."""
    from ..kernels.sampled import sampled_product

    if block.is_sparse:
        rows = np.repeat(np.arange(len(W)), np.diff(block.X.indptr))
        x, P = block.X.data.astype(np.float64), np.empty(block.X.nnz)
        sampled_product(
            np.ascontiguousarray(W), np.ascontiguousarray(H.T), block.X.indices, block.X.indptr, P
        )
        kept = x > 0
        return rows[kept], x[kept], P[kept]
    rows, columns = np.nonzero(block.X)
    return rows, block.X[rows, columns].astype(np.float64), (W @ H)[rows, columns]
