"""Codes to labels: the ways of turning a representation H into a clustering.

The same codes give other numbers under another clustering method and another seed (± .05 ACC is common), so every
comparison should name the method and report several seeds. This module knows codes only: no model, no true labels.
"""

from __future__ import annotations

import warnings
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.utils import check_random_state

from nonneg.exceptions import MissingExtraError

__all__ = ["Covariance", "Method", "cluster"]

Method = Literal["argmax", "kmeans", "gmm", "umap+gmm", "spectral"]
Covariance = Literal["full", "diag", "spherical"]

#: Added to every variance of a mixture, on codes whose mean variance is 1. Smaller values let a component collapse
#: onto a unit that is constant for one class.
REG_COVAR = 1e-5


def cluster(
    H: ArrayLike,
    n_clusters: int,
    method: Method = "kmeans",
    *,
    covariance_type: Covariance = "full",
    n_init: int = 5,
    random_state: int | np.random.RandomState | np.random.Generator | None = None,
) -> NDArray[np.intp]:
    r"""Label every row of a code matrix with one of `n_clusters` clusters.

    ``argmax``: :math:`\ell_i = \arg\max_j H_{ij}`; ``kmeans``: :math:`\min \sum_i \|h_i - \mu_{\ell_i}\|^2`;
    ``gmm``: :math:`\max \sum_i \log \sum_j \pi_j N(h_i; \mu_j, \Sigma_j)`, the label being the component of the
    largest posterior; ``umap+gmm``: the same mixture on a UMAP embedding of H (10 dimensions or `n_clusters`,
    whichever is less); ``spectral``: normalised cuts of the graph of 15 nearest neighbours.

    Parameters
    ----------
    H : array-like of shape (n, k)
        Finite codes. They are moved to float64; columns that are constant (dead units) are left out, except by
        ``argmax``.
    n_clusters : int
        Number of clusters, 1 … n. Fewer come back when H has fewer different rows.
    method : {"argmax", "kmeans", "gmm", "umap+gmm", "spectral"}, default="kmeans"
        ``argmax`` needs k = n_clusters. ``umap+gmm`` needs the extra ``cluster``.
    covariance_type : {"full", "diag", "spherical"}, default="full"
        Shape of the covariances, for the two mixtures.
    n_init : int, default=5
        Starts of k-means, and starts of the mixture (each from its own k-means): the best inertia or likelihood wins.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the starts. The same integer gives the same labels.

    Returns
    -------
    ndarray of shape (n,)
        Integers 0 … n_clusters − 1.

    Raises
    ------
    ValueError
        H is not a finite matrix, or `n_clusters`, `method`, `covariance_type` or `n_init` is out of its range.
    MissingExtraError
        ``umap+gmm`` without umap-learn.

    Notes
    -----
    Before clustering, codes are centred and divided by one number, the root of their mean variance. This changes none
    of the methods; it makes the regularisation of the covariances (1e-5) relative to the scale of the codes.

    References
    ----------
    Chen, Jin, Liu, Zhang (2021), Front. Neurorobot. 15:701194, section 4.2 (k-means and GMM); McConville et al. (2020),
    N2D, arXiv:1908.05968 (UMAP and GMM); Ng, Jordan, Weiss (2002) (spectral).
    """
    codes = _codes(H)
    _check_choices(codes, n_clusters, method, covariance_type, n_init)
    if method == "argmax":
        return codes.argmax(axis=1)
    codes = _alive(codes)
    if n_clusters == 1 or codes.shape[1] == 0:
        return np.zeros(len(codes), dtype=np.intp)
    seeds = _seeds(random_state)
    with warnings.catch_warnings():
        # fewer different rows than clusters, or EM at its last iteration: the labels are still the best ones known
        warnings.simplefilter("ignore", ConvergenceWarning)
        if method == "kmeans":
            model = KMeans(n_clusters, n_init=n_init, random_state=seeds)
            return model.fit_predict(codes).astype(np.intp)
        if method == "spectral":
            return _spectral(codes, n_clusters, n_init, seeds)
        if method == "umap+gmm":
            codes = _alive(_umap(codes, min(10, n_clusters), seeds))
        return _mixture(codes, n_clusters, covariance_type, n_init, seeds)


def _codes(H: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(H)
    if values.ndim != 2 or 0 in values.shape or values.dtype.kind not in "fiub":
        raise ValueError(
            f"H must be a non-empty real matrix (samples, units), got shape {values.shape} of {values.dtype}."
        )
    codes = np.ascontiguousarray(values, dtype=np.float64)
    if not np.isfinite(codes).all():
        bad = np.argwhere(~np.isfinite(codes))
        raise ValueError(
            f"H holds {len(bad)} NaN or infinite entries, the first at {tuple(bad[0].tolist())}."
        )
    return codes


def _check_choices(codes: NDArray, n_clusters: int, method: str, covariance_type: str, n_init: int) -> None:
    if isinstance(n_clusters, bool) or not isinstance(n_clusters, int | np.integer):
        raise TypeError(f"n_clusters must be an integer, got {n_clusters!r}.")
    if not 1 <= n_clusters <= len(codes):
        raise ValueError(
            f"n_clusters must lie between 1 and the number of samples, {len(codes)}, got {n_clusters}."
        )
    if method not in get_args(Method):
        raise ValueError(f"method must be one of {', '.join(get_args(Method))}, got {method!r}.")
    if covariance_type not in get_args(Covariance):
        raise ValueError(
            f"covariance_type must be one of {', '.join(get_args(Covariance))}, got {covariance_type!r}."
        )
    if not isinstance(n_init, int | np.integer) or n_init < 1:
        raise ValueError(f"n_init must be a positive integer, got {n_init!r}.")
    if method == "argmax" and codes.shape[1] != n_clusters:
        raise ValueError(
            f"method='argmax' gives as many clusters as H has columns, {codes.shape[1]}, but n_clusters={n_clusters}: "
            "choose another method, or a model with n_components = n_clusters."
        )


def _seeds(random_state: int | np.random.RandomState | np.random.Generator | None) -> np.random.RandomState:
    if isinstance(random_state, np.random.Generator):
        return np.random.RandomState(int(random_state.integers(2**31)))
    return check_random_state(random_state)


def _alive(codes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Drop constant columns, centre, and divide by the root of the mean variance of the others."""
    largest = np.abs(codes).max()
    if largest == 0:
        return codes[:, :0]
    scaled = codes / largest  # keeps squares of very large or very small codes in range
    scaled -= scaled.mean(axis=0)
    spread = scaled.std(axis=0)
    # what float32 codes of a dead unit differ by is rounding, not structure
    kept = spread > 1e-7
    scaled = scaled[:, kept]
    return scaled / np.sqrt(np.mean(spread[kept] ** 2)) if kept.any() else scaled


def _mixture(
    codes: NDArray[np.float64], n_clusters: int, covariance: str, n_init: int, seeds: np.random.RandomState
) -> NDArray[np.intp]:
    """Return the labels of the likeliest of `n_init` mixtures.

    Starts are k-means partitions, by turns of the codes and of the codes made round: k-means cuts across an elongated
    cloud, and EM does not find its way back from there.
    """
    if codes.shape[1] == 0:
        return np.zeros(len(codes), dtype=np.intp)
    spaces = [codes] if covariance == "spherical" else [codes, _rounded(codes, covariance)]
    starts = [
        _fit_mixture(codes, spaces[turn % len(spaces)], n_clusters, covariance, int(seeds.randint(2**31 - 1)))
        for turn in range(n_init)
    ]
    fitted = [model for model in starts if model is not None]
    if not fitted:
        raise ValueError(
            "H cannot be fitted by a Gaussian mixture: its covariances are not positive definite."
        )
    return max(fitted, key=lambda model: model.lower_bound_).predict(codes).astype(np.intp)


def _rounded(codes: NDArray[np.float64], covariance: str) -> NDArray[np.float64]:
    """Centred codes with unit variance along every principal axis ("full") or column ("diag")."""
    if covariance == "diag":
        return codes / codes.std(axis=0)
    values, axes = np.linalg.eigh(codes.T @ codes / len(codes))
    kept = values > 1e-4 * values[-1]  # directions below that are mostly rounding
    return codes @ (axes[:, kept] / np.sqrt(values[kept]))


def _fit_mixture(
    codes: NDArray[np.float64], space: NDArray[np.float64], n_clusters: int, covariance: str, seed: int
) -> GaussianMixture | None:
    """EM on `codes` from a k-means partition of `space`; None when no floor of the covariances helps."""
    labels = KMeans(n_clusters, n_init=1, random_state=seed).fit_predict(space)
    for reg_covar in (REG_COVAR, 1e-3, 1e-1):
        weights, means, precisions = _moments(codes, labels, n_clusters, covariance, reg_covar)
        model = GaussianMixture(
            n_clusters,
            covariance_type=covariance,
            reg_covar=reg_covar,
            max_iter=300,
            weights_init=weights,
            means_init=means,
            precisions_init=precisions,
            random_state=seed,
        )
        try:
            return model.fit(codes)
        except ValueError:
            continue
    return None


def _moments(
    codes: NDArray[np.float64], labels: NDArray, n_clusters: int, covariance: str, reg_covar: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Weights, means and precisions of a partition; an empty part gets those of the whole."""
    parts = [codes[labels == j] for j in range(n_clusters)]
    parts = [part if len(part) else codes for part in parts]
    weights = np.array([len(part) for part in parts], dtype=np.float64)
    means = np.array([part.mean(axis=0) for part in parts])
    if covariance == "full":
        floor = reg_covar * np.eye(codes.shape[1])
        centred = [part - mean for part, mean in zip(parts, means, strict=True)]
        covariances = [part.T @ part / len(part) + floor for part in centred]
        return weights / weights.sum(), means, np.array([np.linalg.inv(matrix) for matrix in covariances])
    variances = np.array([part.var(axis=0) + reg_covar for part in parts])
    if covariance == "spherical":
        variances = variances.mean(axis=1)
    return weights / weights.sum(), means, 1.0 / variances


def _spectral(
    codes: NDArray[np.float64], n_clusters: int, n_init: int, seeds: np.random.RandomState
) -> NDArray[np.intp]:
    model = SpectralClustering(
        n_clusters,
        affinity="nearest_neighbors",
        n_neighbors=min(15, len(codes) - 1),
        n_init=n_init,
        random_state=seeds,
    )
    # a graph in several pieces is no accident here: well separated clusters look like that
    warnings.filterwarnings("ignore", message="Graph is not fully connected", category=UserWarning)
    return model.fit_predict(codes).astype(np.intp)


def _umap(codes: NDArray[np.float64], n_dimensions: int, seeds: np.random.RandomState) -> NDArray[np.float64]:
    warnings.simplefilter("ignore")  # umap speaks of tensorflow, of its threads and of disconnected graphs
    try:
        from umap import UMAP
    except ImportError as error:
        raise MissingExtraError("umap-learn", "cluster", "method='umap+gmm'") from error
    neighbours = min(20, len(codes) - 1)
    # the spectral start asks ARPACK for n_dimensions + 1 eigenvectors of an (n, n) graph: not for a handful of rows
    start = "spectral" if len(codes) > 10 * n_dimensions else "random"
    reducer = UMAP(
        n_components=n_dimensions,
        n_neighbors=neighbours,
        min_dist=0.0,
        init=start,
        n_jobs=1,
        random_state=int(seeds.randint(2**31 - 1)),
    )
    return np.asarray(reducer.fit_transform(codes), dtype=np.float64)
