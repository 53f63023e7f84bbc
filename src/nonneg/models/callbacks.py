"""Callbacks of scikit-learn (1.9 and later): progress bars, scores per iteration, early stops; nothing before."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from .units import loss_times

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn before 1.9 has no callbacks, and so no set_callbacks

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands in for scikit-learn's mixin."""

    def with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method as it is."""
        return method


__all__ = ["CallbackSupportMixin", "iteration_callback", "with_callbacks", "with_log"]

LOG = logging.getLogger("nonneg")
EVERY = 10  # iterations


def iteration_callback(estimator: Any, max_iter: int, fitted: Callable[[Any], dict[str, Any]]) -> Any:
    """Return a function for the loop that calls the callbacks set on ``estimator``; None where there are none.

    Parameters
    ----------
    max_iter : int
    fitted : callable
        From the solver's state to the attributes a fitted estimator needs, lazily.
    """
    if not (getattr(estimator, "_skl_callbacks", None) or hasattr(estimator, "_parent_callback_ctx")):
        return None
    context = estimator._init_callback_context(max_subtasks=max_iter)
    context.call_on_fit_task_begin(estimator=estimator)

    def tell(iteration: int, record: Any, state: Any) -> bool:
        step = context.subcontext(task_name="iteration")
        step.call_on_fit_task_begin(estimator=estimator)
        metadata = {"iteration": iteration, "loss": record.loss, "kkt": record.kkt}
        return bool(
            step.call_on_fit_task_end(
                estimator=estimator, metadata=metadata, reconstruction_attributes=lambda: fitted(state)
            )
        )

    tell.finish = lambda: context.call_on_fit_task_end(estimator=estimator)  # type: ignore[attr-defined]
    return tell


def with_log(callback: Any, verbose: Any, name: str, power: float) -> Any:
    """Return ``callback`` with what ``verbose`` asks for.

    Parameters
    ----------
    callback : callable or None
    verbose : int or callable
        1: a line in the log every tenth iteration. A function gets a dict of every iteration: its number,
        ``iteration``, the ``loss`` and the ``kkt`` residual.
    name : str
        Of the model.
    power : float
        Losses of the records, times 2^power, are those of the user's data.
    """
    if not verbose:
        return callback

    def tell(iteration: int, record: Any, state: Any) -> bool:
        loss = float(loss_times(record.loss, power))
        if callable(verbose):
            verbose({"iteration": iteration, "loss": loss, "kkt": float(record.kkt)})
        elif iteration == 1 or iteration % EVERY == 0:
            LOG.info("%s: iteration %d, loss %.6g, KKT residual %.1e", name, iteration, loss, record.kkt)
        return callback is not None and callback(iteration, record, state)

    return tell
