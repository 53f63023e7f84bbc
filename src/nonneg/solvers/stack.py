"""Stacks of factors, X ≈ W Z_p … Z_1: what is the same whatever their signs and their loss.

Layers are listed from the data upwards: Z_1 (k_1, m) first, Z_p (k, k_{p−1}) last. It knows products of layers, how
they are scaled, and how each is pretrained on the codes of the one below.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..data import Source, as_source
from .solution import Outcome

__all__ = ["Factors", "above", "balanced", "layers_of", "named", "pretrained", "product", "quadratic"]

Layers = list[np.ndarray]
Factors = dict[str, np.ndarray]
Fit = Callable[[Source, int, "float | None"], Outcome]


def named(layers: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The layers as arrays of a state: ``Z1``, ``Z2`` and so on."""
    return {f"Z{level}": Z for level, Z in enumerate(layers, 1)}


def layers_of(state: Mapping[str, np.ndarray]) -> Layers:
    """The layers of a state, Z_1 first."""
    depth = sum(name[0] == "Z" for name in state)
    return [state[f"Z{level}"] for level in range(1, depth + 1)]


def product(layers: Sequence[np.ndarray]) -> np.ndarray:
    """Z_p … Z_1, the narrow end first."""
    return functools.reduce(np.matmul, reversed(layers))


def above(layers: Sequence[np.ndarray]) -> Layers:
    """Z_p … Z_{l+1} for every layer l; the unit matrix for the last."""
    found = [np.eye(len(layers[-1]), dtype=layers[-1].dtype)]
    for Z in reversed(layers[1:]):
        found.append(found[-1] @ Z)
    return found[::-1]


def balanced(layers: Sequence[np.ndarray], norm: float, *, last: bool) -> Layers:
    """The same stack with rows of every Z_l … Z_1 of one norm; rows of zeros stay.

    Parameters
    ----------
    norm : float
    last : bool
        Whether also the rows of Z_p … Z_1, the parts themselves, are scaled; else it stays as it is.
    """
    found: Layers = []
    below: np.ndarray | None = None
    owed = np.ones(layers[0].shape[1])  # what the rows below were multiplied by
    for level, Z in enumerate(layers, 1):
        Z = (Z / owed).astype(Z.dtype)
        below = Z if below is None else Z @ below
        if level < len(layers) or last:
            lengths = np.linalg.norm(below.astype(np.float64), axis=1)
            owed = np.where(lengths > 0, norm / np.where(lengths > 0, lengths, 1), 1.0)
            Z, below = ((V * owed[:, None]).astype(Z.dtype) for V in (Z, below))
        found.append(Z)
    return found


def pretrained(
    source: Source, widths: Sequence[int], fit: Fit, left: float | None
) -> tuple[np.ndarray, Layers, list[np.ndarray]]:
    """Fit one layer after the other, each to the codes of the one below: W_{l−1} ≈ W_l Z_l with W_0 = X.

    Parameters
    ----------
    source : Source
    widths : sequence of int
        k_1, …, k_p.
    fit : callable
        From a source, a width and the seconds left to an outcome with the arrays ``W`` and ``Z1``.
    left : float or None
        Seconds.

    Returns
    -------
    W : ndarray of shape (n, k_p)
    layers : list of ndarray
    losses : list of ndarray
        The loss of each layer after each iteration, as a share of what zeros would lose.
    """
    layers: Layers = []
    losses: list[np.ndarray] = []
    data = source
    for width in widths:
        outcome = fit(data, width, left)
        left = outcome.time_left(left)
        zeros = 0.5 * data.summary().squares
        losses.append(np.asarray(outcome.history.as_arrays()["loss"]) / (zeros or 1.0))
        W = np.ascontiguousarray(outcome.arrays["W"])
        layers.append(outcome.arrays["Z1"])
        data = as_source(W, sample_weight=source.row_weights)
    return W, layers, losses


def quadratic(
    Z: np.ndarray,
    slope: Callable[[np.ndarray], np.ndarray],
    curvature: np.ndarray,
    linear: np.ndarray,
    steps: int,
) -> np.ndarray:
    """Lower ½⟨Z, Q Z⟩ − ⟨linear, Z⟩ over Z ≥ 0, for a positive semidefinite Q of non-negative entries.

    Accelerated gradient steps, each entry with a step of its own: 1 / the sum of its row of Q, which is a majoriser
    (Lee and Seung's argument, at a point where all entries are 1). Unlike multiplicative updates they lock no zeros.

    Parameters
    ----------
    Z : ndarray
        The start; it is not written into.
    slope : callable
        Q times an array like Z; what it is asked last is the answer, unless rounding made that rise.
    curvature : ndarray
        Sums of the rows of Q: the slope where all entries of Z are 1.
    linear : ndarray
    steps : int
    """
    inverse = np.divide(1, curvature, out=np.zeros_like(Z), where=curvature > 0)
    first = slope(Z)
    plain = found = np.maximum(Z - inverse * (first - linear), 0)
    before, momentum = Z, 1.0
    for _ in range(steps - 1):
        after = 0.5 + np.sqrt(0.25 + momentum**2)
        ahead = found + Z.dtype.type((momentum - 1) / after) * (found - before)
        moved = np.maximum(ahead - inverse * (slope(ahead) - linear), 0)
        overshoots = np.vdot(ahead - moved, moved - found) > 0
        before, found, momentum = found, moved, 1.0 if overshoots else after

    def value(V: np.ndarray, QV: np.ndarray) -> float:
        return float(np.vdot(V, 0.5 * QV - linear))

    return found if value(found, slope(found)) <= value(Z, first) else plain
