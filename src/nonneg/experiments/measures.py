"""What is measured of a trained model beside its clusterings: how well it reconstructs, and what its parts are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nonneg.models.reading import summary_of_parts

__all__ = ["MEASURES", "measure", "of_model", "parts_of", "relative_error"]

#: Name of a measure → head of its column.
MEASURES = {
    "test_error": "relative error",
    "parts_hoyer": "sparsity of parts",
    "units": "units",
    "dead_units": "dead",
    "duplicate_units": "duplicate pairs",
    "negative_share": "negative share of W",
    "seconds_per_epoch": "CPU s / epoch",
    "seconds": "CPU s in all",
}


def measure(
    X: NDArray,
    encode: Callable[[NDArray], NDArray],
    decode: Callable[[NDArray], NDArray],
    parts: NDArray,
    components: NDArray,
) -> dict[str, float]:
    """Return the measures of a model that need no clock.

    Parameters
    ----------
    X : ndarray (n, m)
        Test images.
    encode, decode : callable
        X → codes, and codes → reconstructions, in the units of X.
    parts : ndarray (k, m)
        What a unit adds to the data.
    components : ndarray (k, ·)
        Weights of the layer that decodes the units.

    Returns
    -------
    dict
        `test_error` ‖X − X̂‖ / ‖X‖; `parts_hoyer`, mean over the parts that are not zero (NaN without one);
        `units`, their number; and as in `parts_summary`: `dead_units`; `duplicate_units`, pairs of living ones whose
        parts have one direction; `negative_share` of `components`.
    """
    error = relative_error(X, encode, decode)
    return {"test_error": error} | _of_summary(summary_of_parts(parts, parts, components))


def of_model(model: Any, X: NDArray) -> dict[str, float]:
    """Return the measures of an estimator of this library."""
    error = relative_error(X, model.transform, model.inverse_transform)
    return {"test_error": error} | _of_summary(model.parts_summary())


def _of_summary(found: dict[str, Any]) -> dict[str, float]:
    hoyer = found["hoyer_sparsity"]
    known = hoyer[~np.isnan(hoyer)]  # of a part of zeros it is NaN
    return {
        "parts_hoyer": float(np.mean(known)) if len(known) else float("nan"),
        "units": len(hoyer),
        "dead_units": len(found["dead"]),
        "duplicate_units": len(found["duplicates"]),
        "negative_share": found["negative_share"],
    }


def relative_error(
    X: NDArray, encode: Callable[[NDArray], NDArray], decode: Callable[[NDArray], NDArray]
) -> float:
    """Return ‖X − X̂‖ / ‖X‖, a block of rows at a time."""
    gap = total = 0.0
    for start in range(0, len(X), 2000):
        block = X[start : start + 2000]
        gap += float(np.square(block - decode(encode(block)), dtype=np.float64).sum())
        total += float(np.square(block, dtype=np.float64).sum())
    return float(np.sqrt(gap / total)) if total else 0.0


def parts_of(decode: Callable[[NDArray], NDArray], codes: NDArray) -> NDArray:
    """Return max(0, D(h̄ + s_k e_k) − D(h̄)) for every unit k of some codes, as `parts()` of a deep model does."""
    mean = codes.mean(axis=0)
    start = decode(mean[None, :])
    return np.maximum(0.0, decode(mean + np.diag(codes.std(axis=0))) - start)
