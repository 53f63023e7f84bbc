"""Start from rows of X: the most different ones, by successive projection.

Araújo et al. (2001); Gillis and Vavasis (2014). When X is (nearly) separable these rows are the parts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from ..data import Source, Summary
from .nndsvd import complete
from .picks import Rows, pick
from .random import random

__all__ = ["pick_rows", "separable"]


def separable(source: Source, summary: Summary, n_components: int, rng: np.random.Generator) -> np.ndarray:
    """H = the rows of X that successive projection picks; random rows where X has fewer directions.

    The projections are made in a random sketch of the features of width 4 k + 8, in float64: one data pass.

    Returns
    -------
    H : ndarray of shape (n_components, n_features)
    """
    m, whole = source.shape[1], complete(source, summary)
    width = min(m, 4 * n_components + 8)
    sketch = np.empty((source.shape[0], width))
    basis = None if width == m else rng.standard_normal((m, width)).astype(source.float_dtype)
    for cut in source.bounds():
        X = whole.block(*cut).X
        rows: Any = X if basis is None else X @ basis
        sketch[slice(*cut)] = rows.toarray() if sp.issparse(rows) else rows
    if source.row_weights is not None:
        sketch[source.row_weights == 0] = 0  # a row that does not count is not picked
    H = random(source, summary, n_components, rng)
    eps = float(np.finfo(source.float_dtype).eps)
    for j, i in enumerate(map(int, pick_rows(sketch, n_components, eps))):
        row = whole.block(i, i + 1).X
        H[j] = row.toarray()[0] if sp.issparse(row) else row[0]
    return H


def pick_rows(rest: np.ndarray, n_rows: int, eps: float = 2.0**-52) -> np.ndarray:
    """Successive projection: the row of largest norm, then again on what is orthogonal to it.

    Parameters
    ----------
    rest : ndarray of shape (n, d), float64
        The rows.
    n_rows : int
    eps : float, default=2**-52
        Relative accuracy of the rows.

    Returns
    -------
    ndarray of at most ``n_rows`` indices; fewer when nothing but rounding errors is left.
    """
    rows = Rows(np.einsum("ij,ij->i", rest, rest), lambda B: rest @ B, lambda i: rest[i])
    return np.array([row for row, _ in pick(rows, n_rows, eps=eps)], dtype=np.int64)
