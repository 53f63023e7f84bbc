"""The table of inits, and the choice of "auto"."""

from __future__ import annotations

import numpy as np

from ..data import Source, Summary
from .nndsvd import nndsvd, nndsvda
from .random import random
from .separable import separable

__all__ = ["INITS", "initial_components"]

INITS = {"random": random, "nndsvd": nndsvd, "nndsvda": nndsvda, "separable": separable}


def initial_components(
    init: str, source: Source, summary: Summary, n_components: int, rng: np.random.Generator
) -> np.ndarray:
    """H of shape (n_components, n_features) by the named init.

    ``"auto"`` is ``"nndsvda"`` where X has enough rows and columns for the rank and no missing cells, and
    ``"random"`` elsewhere.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    if init == "auto":
        enough = n_components <= min(source.shape) and not source.is_masked
        init = "nndsvda" if enough else "random"
    if init not in INITS:
        raise ValueError(f"init={init!r} is unknown; choose 'auto' or one of {', '.join(map(repr, INITS))}")
    return INITS[init](source, summary, n_components, rng)
