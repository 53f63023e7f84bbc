"""What can be proved of a factorization afterwards: stationarity, distance to the SVD bound, useless components."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg

from ..data import Source
from ..exceptions import warn_user
from ..penalties import combine
from .units import exponent_of, times

__all__ = [
    "Certificate",
    "dead_components",
    "duplicate_components",
    "svd_bound",
    "warn_of_dead",
    "warn_of_useless",
]

EXACT_BOUND_UP_TO = 2000  # rows or columns, whichever are fewer
DEAD_BELOW = 1e-6  # of the largest component's norm
DUPLICATE_ABOVE = 1 - 1e-4  # cosine
NOTHING_LEFT = 1e-2  # of the mean of X


@dataclass(frozen=True)
class Certificate:
    """Evidence about one fit.

    Attributes
    ----------
    kkt_residual : float
        0 at a stationary point; see `nonneg.solvers.kkt`.
    svd_gap : float
        (‖X − WH‖ − best rank-k residual) / ‖X‖: 0 proves a global optimum. NaN for losses other than Frobenius,
        for missing or weighted cells, and where both sides of X exceed 2000.
    dead, duplicates : list
        Components without size, and pairs of components with (almost) the same direction.
    spread : float
        (worst − best) / best loss over the starts; NaN with one start.
    """

    kkt_residual: float
    svd_gap: float
    dead: list[int]
    duplicates: list[tuple[int, int]]
    spread: float


def svd_bound(source: Source, k: int) -> tuple[float, float]:
    """Smallest ‖X − Y‖ over all Y of rank k (Eckart and Young 1936), and ‖X‖; NaN where it would cost too much.

    From the eigenvalues of XᵀX or X Xᵀ in float64: residuals below 1e-8 ‖X‖ are rounding.
    """
    n, m = source.shape
    if min(n, m) > EXACT_BOUND_UP_TO:
        return np.nan, np.nan
    if m <= n:
        gram = np.zeros((m, m))
        for block in source.blocks():
            X = block.X.astype(np.float64)
            product = X.T @ X
            gram += product.toarray() if block.is_sparse else product
    else:
        gram = np.zeros((n, n))
        bounds = source.bounds()
        for i, one in enumerate(bounds):  # pairs of blocks: no copy of X, and a sparse one stays sparse
            A = source.block(*one).X.astype(np.float64)
            for other in bounds[i:]:
                product = A @ source.block(*other).X.astype(np.float64).T
                part = product.toarray() if source.is_sparse else product
                gram[slice(*one), slice(*other)] = part
                gram[slice(*other), slice(*one)] = part.T
    values = np.maximum(scipy.linalg.eigvalsh(gram), 0)[::-1]
    return float(np.sqrt(values[k:].sum())), float(np.sqrt(values.sum()))


def dead_components(H: np.ndarray, W_norms: np.ndarray) -> list[int]:
    """Components whose ‖W_:k‖ ‖H_k‖ is below 1e-6 of the largest."""
    sizes = W_norms * np.linalg.norm(H.astype(np.float64), axis=1)
    return [int(j) for j in np.flatnonzero(sizes <= DEAD_BELOW * sizes.max(initial=0.0))]


def duplicate_components(H: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of components with cosine above 1 − 1e-4."""
    lengths = np.linalg.norm(H.astype(np.float64), axis=1)
    unit = H / np.where(lengths > 0, lengths, 1)[:, None]
    cosines = np.triu(unit @ unit.T, 1)
    return [(int(i), int(j)) for i, j in zip(*np.nonzero(cosines > DUPLICATE_ABOVE), strict=True)]


def warn_of_dead(name: str, W: np.ndarray, H: np.ndarray) -> None:
    """One warning that names the dead components of a model; none without any.

    Parameters
    ----------
    name : str
        Of the model.
    W : ndarray of shape (n, k)
    H : ndarray of shape (k, m)
        Of any sign and any unit.
    """
    W, H = (times(V, -exponent_of(V), np.float64) for V in (np.abs(W), np.abs(H)))
    dead = dead_components(H, np.linalg.norm(W, axis=0))
    if dead:
        warn_user(
            f"{name}: components {dead} are dead (they explain nothing); a smaller n_components would do"
        )


def warn_of_useless(
    means: np.ndarray, norms: np.ndarray, n: int, H: np.ndarray, penalties: Mapping[str, Any], unit: float
) -> None:
    """One warning for components that are dead, duplicates, or all but wiped out by penalties; none without any.

    Parameters
    ----------
    means, norms : ndarray of shape (k,)
        Of the columns of W.
    n : int
        Number of rows of W.
    H : ndarray of shape (k, m)
    penalties : mapping
        ``penalty_W`` and ``penalty_H`` of the fit. Those that have a strength are the likely cause where the mean of
        W H is below 1 % of X's.
    unit : float
        Mean observed cell of X, 0 where X is.
    """
    given = {
        name: value
        for name, value in penalties.items()
        if any(
            penalty.get_params().get("strength")
            for penalty in combine(value, "W" if name == "penalty_W" else "H", name).penalties
        )
    }
    if given and means @ H.mean(axis=1, dtype=np.float64) < NOTHING_LEFT * unit:
        causes = " and ".join(f"{name}={penalty!r}" for name, penalty in given.items())
        text = (
            f"(almost) nothing is left of W @ components_: {causes} {'is' if len(given) == 1 else 'are'} too strong "
            "beside the loss; take smaller strengths, to begin with 1 / (cells of the factor): "
            f"{1 / (n * len(means)):.1g} on W, {1 / H.size:.1g} on H"
        )
        warn_user(text)
        return
    dead = dead_components(H, norms)
    duplicates = [pair for pair in duplicate_components(H) if not set(pair) & set(dead)]
    found = []
    if dead:
        found.append(f"components {dead} are dead (they explain nothing)")
    if duplicates:
        found.append(f"components {duplicates} are duplicates (same direction)")
    if found:
        weaker = f", or a weaker {' or '.join(given)}" if given else ""
        text = f"{' and '.join(found)}; a smaller n_components would do{weaker}"
        warn_user(text)
