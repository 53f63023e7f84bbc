"""What codes of rows are found from, where H alone matters: for models of which `transform` sees H and X Hᵀ."""

from __future__ import annotations

import numpy as np

from ..data import Source
from ..data.products import CellProducts
from ..data.threads import workers
from ..solvers.least_squares import nonnegative_rows
from ..solvers.lines import one_each, project
from .units import exponent_of, power_of, times

__all__ = ["near_one", "nonnegative_codes", "on_lines"]


def near_one(H: np.ndarray, source: Source) -> tuple[np.ndarray, np.ndarray, int]:
    """H near 1 by a power of two of its own, X Hᵀ for it and for X as the source hands it out, and what codes lack.

    Weights of the cells are in the product: (w ∘ X) Hᵀ.

    New data may be far from those of the fit: in the units of either, the squares of the other may be no floats.

    Parameters
    ----------
    H : ndarray of shape (k, m)
        In the units of the user.
    source : Source
        Near 1 by its own scale.

    Returns
    -------
    H : ndarray of shape (k, m)
    P : ndarray of shape (n, k)
    power : int
        Codes found from these two, times 2^power, are those of X and H in the units of the user.
    """
    own = -exponent_of(np.abs(H))
    H = times(H, own, source.float_dtype)
    with workers(len(source.bounds())) as pool:
        return H, CellProducts(source, pool).right(H.T), own - power_of(source)


def nonnegative_codes(H: np.ndarray, source: Source) -> np.ndarray:
    """W ≥ 0 with the least ‖x_i − w_i H‖ for every row, in the units of the user; see `near_one`."""
    H, P, power = near_one(H, source)
    return times(nonnegative_rows(H @ H.T, P, 0.0, np.inf, 1e-10), power)


def on_lines(H: np.ndarray, source: Source) -> np.ndarray:
    """W ≥ 0 with one positive entry a row and the least Σ_j w_ij (x_ij − w_i h_j)², in the units of the user."""
    H, P, power = near_one(H, source)
    squares = np.einsum("ij,ij->i", H, H, dtype=np.float64)
    if source.is_masked:
        with workers(len(source.bounds())) as pool:
            squares = CellProducts(source, pool).right_squares(H.T)
    labels, amounts, _ = project(P, squares, tie=True)
    return one_each(labels, times(amounts, power), len(H))
