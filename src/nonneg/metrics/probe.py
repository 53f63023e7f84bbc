"""The accuracy of a linear classifier on codes: the paper's second downstream task."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

__all__ = ["linear_probe_accuracy"]


def _codes(codes: ArrayLike, y: ArrayLike, name: str) -> tuple[NDArray[np.float64], NDArray]:
    values, labels = np.asarray(codes, dtype=np.float64), np.asarray(y)
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(
            f"codes_{name} must be a non-empty matrix (samples, units), got shape {values.shape}."
        )
    if not np.isfinite(values).all():
        raise ValueError(
            f"codes_{name} holds NaN or infinite entries: the encoder has diverged or was not fitted."
        )
    if labels.shape != (len(values),):
        raise ValueError(
            f"y_{name} must hold one label for each of {len(values)} codes, got shape {labels.shape}."
        )
    return values, labels


def linear_probe_accuracy(
    codes_train: ArrayLike,
    y_train: ArrayLike,
    codes_test: ArrayLike,
    y_test: ArrayLike,
    *,
    C: float = 1.0,
    max_iter: int = 200,
) -> float:
    r"""Share of test samples that a multinomial logistic regression on the codes puts in their class.

    .. math:: p(y = c \mid h) \propto \exp(w_c^T (h - \bar h) / s + b_c)

    The codes are standardised by the mean and standard deviation of the training codes, so that units of different
    size are treated alike; a constant unit is dropped.

    Parameters
    ----------
    codes_train : array-like of shape (n_train, k)
        Codes of the samples that the classifier is trained on.
    y_train : array-like of shape (n_train,)
        Their classes, at least two different ones.
    codes_test : array-like of shape (n_test, k)
        Codes of the samples that are scored.
    y_test : array-like of shape (n_test,)
        Their classes.
    C : float, default=1.0
        Inverse strength of the L2 penalty.
    max_iter : int, default=200
        Steps of L-BFGS. Stopping there is early stopping, not an error: no warning is given.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    ValueError
        Shapes that do not fit, codes that are not finite, or a single training class.

    References
    ----------
    Chen, Jin, Liu, Zhang (2021), Front. Neurorobot. 15:701194, section 1 (classification and clustering as the
    tasks that a representation serves); the probe itself follows Alain and Bengio (2016), arXiv:1610.01644.
    """
    train, labels = _codes(codes_train, y_train, "train")
    test, truth = _codes(codes_test, y_test, "test")
    if train.shape[1] != test.shape[1]:
        raise ValueError(
            f"codes_train has {train.shape[1]} units and codes_test {test.shape[1]}: use one encoder."
        )
    if len(np.unique(labels)) < 2:
        raise ValueError("y_train holds a single class: a classifier needs at least two.")
    mean, spread = train.mean(axis=0), train.std(axis=0)
    # a dead unit has a spread of rounding errors; dividing by it would make noise a feature
    alive = spread > 1e-7 * max(float(np.abs(train).max()), np.finfo(float).tiny)
    if not alive.any():
        values, counts = np.unique(labels, return_counts=True)
        return float(np.mean(truth == values[counts.argmax()]))
    train = (train[:, alive] - mean[alive]) / spread[alive]
    test = (test[:, alive] - mean[alive]) / spread[alive]
    model = LogisticRegression(C=C, max_iter=max_iter)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(train, labels)
    return float(model.score(test, truth))
