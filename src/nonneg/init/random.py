"""Random start: every entry of H drawn on its own, on the scale of X."""

from __future__ import annotations

import numpy as np

from ..data import Source, Summary

__all__ = ["random"]


def random(source: Source, summary: Summary, n_components: int, rng: np.random.Generator) -> np.ndarray:
    """H_kj = |z| · mean(X) with z standard normal; no data pass.

    Returns
    -------
    H : ndarray of shape (n_components, n_features)
    """
    draws = np.abs(rng.standard_normal((n_components, source.shape[1])))
    return (draws * (summary.mean or 1.0)).astype(source.float_dtype)
