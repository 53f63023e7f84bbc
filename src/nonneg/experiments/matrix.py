"""Models of a study that are products of matrices: NMF, and stacks of factorizations."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nonneg.exceptions import ConvergenceWarning
from nonneg.experiments.record import Run
from nonneg.experiments.zoo import STACK_ITERATIONS, STACK_ROWS, estimator_of, stack_layers

__all__ = ["fit_matrix", "quietly"]


def fit_matrix(run: Run, X: NDArray) -> tuple[Any, Callable[[NDArray], NDArray]]:
    """Fit what a run says; return it and its codes, both silent about convergence and useless components.

    The codes are W_ik ‖H_k‖: k-means and spherical mixtures depend on the scale of columns, which a factorization
    leaves open, so it is fixed here as what a part contributes to the data.
    """
    model = _estimator(run, X.shape[1])
    quietly(model.fit, X if run.method == "nmf" else X[:STACK_ROWS])
    sizes = np.linalg.norm(model.components_, axis=1)
    return model, lambda values: quietly(model.transform, values) * sizes


def quietly(function: Callable[..., Any], *values: Any) -> Any:
    """Call a function without warnings of convergence and of useless components."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        # dead and duplicate components: ten is what the study compares, and its table of codes shows such units
        warnings.filterwarnings(
            "ignore", r"(\w+: )?components .*; a smaller n_components would do", UserWarning
        )
        return function(*values)


def _estimator(run: Run, n_features: int) -> Any:
    from nonneg import NMF

    if run.method == "nmf":
        return NMF(run.n_components, random_state=run.seed)
    layers = stack_layers(run.hidden or (), n_features, run.n_components)
    common = {"layers": layers, "pretrain_iter": STACK_ITERATIONS, "max_iter": STACK_ITERATIONS}
    return estimator_of(run.method, common | {"random_state": run.seed}, run.n_components)
