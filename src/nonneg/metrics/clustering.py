"""Agreement between a clustering and known classes: ACC, NMI and ARI."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

__all__ = ["ari", "clustering_accuracy", "nmi"]


def _labels(y: ArrayLike, name: str) -> NDArray:
    """Return `y` as integer codes 0, 1, …, whatever kind of label it holds."""
    values = np.asarray(y)
    if values.ndim != 1:
        raise ValueError(
            f"{name} must be a 1-D array of labels, got shape {values.shape}: pass one label a sample."
        )
    if values.size == 0:
        raise ValueError(f"{name} is empty: an agreement needs at least one sample.")
    if values.dtype.kind in "fc" and not np.isfinite(values).all():
        raise ValueError(f"{name} holds NaN or infinite labels: give every sample a label.")
    return np.unique(values, return_inverse=True)[1].reshape(-1)


def _pair(labels_true: ArrayLike, labels_pred: ArrayLike) -> tuple[NDArray, NDArray]:
    a, b = _labels(labels_true, "labels_true"), _labels(labels_pred, "labels_pred")
    if a.size != b.size:
        raise ValueError(
            f"labels_true has {a.size} samples and labels_pred {b.size}: both must label the same samples."
        )
    return a, b


def clustering_accuracy(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    r"""ACC: the share of samples that are right under the best matching of clusters to classes.

    .. math:: ACC = \max_{km} \frac{1}{N} \sum_i \delta(a_i, km(b_i))

    where *km* maps clusters to classes one to one (Kuhn–Munkres). There may be more clusters than classes or
    fewer; what is left over counts as wrong.

    Parameters
    ----------
    labels_true : array-like of shape (n,)
        The known classes, integers or strings.
    labels_pred : array-like of shape (n,)
        The clusters, under any names.

    Returns
    -------
    float
        Between 0 (exclusive) and 1.

    Raises
    ------
    ValueError
        Labels that are not 1-D, are empty, or differ in length.

    References
    ----------
    Chen, Jin, Liu, Zhang (2021), Front. Neurorobot. 15:701194, eq. 17.
    """
    a, b = _pair(labels_true, labels_pred)
    counts = np.zeros((b.max() + 1, a.max() + 1), dtype=np.int64)
    np.add.at(counts, (b, a), 1)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    return float(counts[rows, columns].sum() / a.size)


def nmi(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    r"""NMI: mutual information over the arithmetic mean of the entropies.

    .. math:: NMI = \frac{2\, I(A, B)}{H(A) + H(B)}

    Parameters
    ----------
    labels_true, labels_pred : array-like of shape (n,)
        Classes and clusters, under any names. The measure is symmetric.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    ValueError
        Labels that are not 1-D, are empty, or differ in length.

    References
    ----------
    Chen, Jin, Liu, Zhang (2021), Front. Neurorobot. 15:701194, eq. 18.
    """
    return float(normalized_mutual_info_score(*_pair(labels_true, labels_pred), average_method="arithmetic"))


def ari(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    r"""ARI: the Rand index, corrected for what chance gives.

    .. math:: ARI = \frac{RI - E(RI)}{\max(RI) - E(RI)}

    Parameters
    ----------
    labels_true, labels_pred : array-like of shape (n,)
        Classes and clusters, under any names. The measure is symmetric.

    Returns
    -------
    float
        1 for equal partitions, about 0 for independent ones, at least -0.5.

    Raises
    ------
    ValueError
        Labels that are not 1-D, are empty, or differ in length.

    References
    ----------
    Chen, Jin, Liu, Zhang (2021), Front. Neurorobot. 15:701194, eq. 19.
    """
    return float(adjusted_rand_score(*_pair(labels_true, labels_pred)))
