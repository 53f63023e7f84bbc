"""Rows of W for given H under any loss: multiplicative updates, then Newton steps within the bounds.

A row starts flat, takes `FIRST` multiplicative updates, which settle its size and cannot go up, and then projected
Newton steps (Bertsekas 1982): entries that their own step takes to a bound go there, the others solve the k × k system
that is left. A step counts only where the loss of the row falls; else the row goes back, takes a multiplicative update,
and its next system is damped (Levenberg 1944). A row that has reached the tolerance is left alone, and takes no part in
what is computed for the others: a row's answer is the same with any others, up to how the products of matrices round.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..data.block import Block
from ..losses.beta import RowModel, dense_parts
from ..penalties.base import clip_cells
from .least_squares import MAX_SWEEPS
from .mu import CellTerms, multiply

__all__ = ["beta_rows"]

FIRST = 10  # multiplicative updates before the first Newton step
MOST_STEPS = 200  # Newton steps: few rows take more than 30
MODEL_CELLS = 1 << 20  # of Hessians, at once
LEAST_DAMPING, MOST_DAMPING, DAMPING_STEP = 1e-3, 1e6, 10.0
ENOUGH = 0.8  # of a slope along the step that may have turned over, where the loss cannot tell


def beta_rows(
    loss: Any, block: Block, H: np.ndarray, terms: CellTerms, tol: float, sweeps: int
) -> np.ndarray:
    """Argmin over W of the loss of every row of a block, or a few ``sweeps`` (multiplicative alone) towards it.

    Parameters
    ----------
    loss : loss object
        Newton steps are for those that have `BetaLoss.row_model`.
    H : ndarray of shape (k, m)
    terms : CellTerms
        Penalties on a row.
    tol : float
        On the KKT residual of every row, relative to its ∇⁻.

    Returns
    -------
    W : ndarray of shape (b, k)
    """
    k = len(H)
    W = np.full((block.X.shape[0], k), 1.0 / k, H.dtype)
    terms.clip(W)
    stop = _Stop(loss, H, terms, tol)
    newton = sweeps == MAX_SWEEPS and hasattr(loss, "row_model")
    if not newton:
        _multiplicative(loss, block, W, H, terms, stop, sweeps)
        return W
    for part, rows in dense_parts(block, max(1, MODEL_CELLS // k**2)):
        mine = W[rows]
        going = _multiplicative(loss, part, mine, H, terms, stop, FIRST)
        if going.size:
            part = part.some(going)
            V, left = _newton(loss, part, mine[going], H, terms, stop)
            if left.size:
                rest = V[left]
                _multiplicative(loss, part.some(left), rest, H, terms, stop, sweeps - FIRST)
                V[left] = rest
            mine[going] = V
        W[rows] = mine
    return W


class _Stop:
    """When a row is done: its KKT residual in units in which the largest component has norm 1.

    So the unit of X does not decide when a row stops.
    """

    def __init__(self, loss: Any, H: np.ndarray, terms: CellTerms, tol: float) -> None:
        scale = np.sqrt(np.einsum("ij,ij->i", H, H, dtype=np.float64))
        unit = scale.max(initial=0.0) or 1.0
        self.scale = np.where(scale > 0, scale / unit, 1.0)
        self.slopes = unit**-loss.beta / self.scale
        self.low, self.high = terms.low * self.scale, terms.high * self.scale
        self.tol, self.tiny = tol, np.finfo(H.dtype).tiny

    def going(self, W: np.ndarray, negative: np.ndarray, positive: np.ndarray) -> np.ndarray:
        """Which rows are still above the tolerance."""
        here = W * self.scale
        moved = np.clip(here - (positive - negative) * self.slopes, self.low, self.high)
        least = self.tol * np.maximum((negative * self.slopes).max(axis=1), self.tiny)
        return np.abs(here - moved).max(axis=1) > least


def _multiplicative(
    loss: Any, block: Block, W: np.ndarray, H: np.ndarray, terms: CellTerms, stop: _Stop, sweeps: int
) -> np.ndarray:
    """Multiplicative updates of W in place; return the rows that are still going."""
    rows, V = np.arange(len(W)), W
    for _ in range(sweeps):
        negative, positive = loss.row_terms(block, V, H)
        positive = terms.added(positive, V)
        going = np.flatnonzero(stop.going(V, negative, positive))
        if going.size < len(rows):
            rows, V, negative, positive = rows[going], V[going], negative[going], positive[going]
            block = block.some(going)
        if not rows.size:
            break
        multiply(V, negative, positive, terms.exponent(loss), 1.0)
        terms.clip(V)
        W[rows] = V
    return rows


@dataclass
class _Point:
    """Rows of W with what is known there, and how much the next system of each is damped."""

    W: np.ndarray
    negative: np.ndarray
    positive: np.ndarray
    value: np.ndarray
    size: np.ndarray
    curvature: np.ndarray

    @classmethod
    def at(cls, W: np.ndarray, model: RowModel, terms: CellTerms) -> _Point:
        """With the penalties."""
        own = (terms.linear * W + 0.5 * terms.ridge * W**2).sum(axis=1, dtype=np.float64)
        positive = terms.added(model.positive, W)
        return cls(W, model.negative, positive, model.value + own, model.size + np.abs(own), model.curvature)

    @property
    def slope(self) -> np.ndarray:
        """∇, in float64."""
        return self.positive.astype(np.float64) - self.negative

    def some(self, rows: np.ndarray) -> _Point:
        """Some of its rows."""
        return _Point(*(getattr(self, field.name)[rows] for field in fields(self)))

    def put(self, rows: np.ndarray, other: _Point) -> None:
        """Take over rows of another point."""
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(other, field.name)[rows]


def _newton(
    loss: Any, block: Block, V: np.ndarray, H: np.ndarray, terms: CellTerms, stop: _Stop
) -> tuple[np.ndarray, np.ndarray]:
    """Newton steps of every row of a dense block from V; return where they end, and the rows that they leave undone."""
    left = []
    W, rows = V.copy(), np.arange(len(V))
    damping, tried, old = np.zeros(len(V)), np.zeros(len(V), bool), None
    for _ in range(MOST_STEPS):
        new = _Point.at(V, loss.row_model(block, V, H), terms)
        refused = np.zeros(len(rows), bool)
        if old is not None:
            refused = tried & ~_fallen(old, new)
            new.put(refused, old)
            damping = _next_damping(damping, tried, refused)
        W[rows] = new.W
        above = stop.going(new.W, new.negative, new.positive)
        left.append(rows[above & (damping >= MOST_DAMPING)])
        going = np.flatnonzero(above & (damping < MOST_DAMPING))
        if not going.size:
            break
        if going.size < len(rows):
            rows, damping, refused = rows[going], damping[going], refused[going]
            new, block = new.some(going), block.some(going)
        V, old, tried = _stepped(new, H, terms, damping), new, ~refused
        back = new.W[refused]
        multiply(back, new.negative[refused], new.positive[refused], terms.exponent(loss), 1.0)
        terms.clip(back)
        V[refused] = back
    else:
        left.append(rows)
    return W, np.concatenate(left)


def _next_damping(damping: np.ndarray, tried: np.ndarray, refused: np.ndarray) -> np.ndarray:
    more = np.clip(damping * DAMPING_STEP, LEAST_DAMPING, MOST_DAMPING)
    less = np.where(damping > LEAST_DAMPING, damping / DAMPING_STEP, 0.0)
    return np.where(refused, more, np.where(tried, less, damping))


def _fallen(old: _Point, new: _Point) -> np.ndarray:
    """Which rows have less loss than before; within rounding, their slopes along the step decide."""
    step = new.W.astype(np.float64) - old.W
    with np.errstate(over="ignore", invalid="ignore"):
        change, noise = new.value - old.value, 4 * np.finfo(old.W.dtype).eps * old.size
        before, after = (np.einsum("ij,ij->i", point.slope, step) for point in (old, new))
        return (change < -noise) | ((change <= noise) & (before < 0) & (after <= -ENOUGH * before))


def _stepped(point: _Point, H: np.ndarray, terms: CellTerms, damping: np.ndarray) -> np.ndarray:
    """W after a Newton step within the bounds; as it was in rows whose system has no finite solution."""
    W, k = point.W, len(H)
    B = np.empty((len(W), k, k))
    for i in range(k):
        B[:, i, i:] = point.curvature @ (H[i] * H[i:]).T
        B[:, i:, i] = B[:, i, i:]
    diagonal = np.arange(k)
    B[:, diagonal, diagonal] += terms.ridge
    size = np.sqrt(B[:, diagonal, diagonal])
    size = np.where(size > 0, size, 1.0)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        # in units in which every entry has curvature 1
        B /= size[:, :, None]
        B /= size[:, None, :]
        slope, here = point.slope / size, W * size
        own = np.clip(here - slope, terms.low * size, terms.high * size)
        held = own != here - slope
        step = np.where(held, own - here, 0.0)
        rest = slope + np.einsum("rij,rj->ri", B, step)
        B[held] = 0
        B.swapaxes(1, 2)[held] = 0
        B[:, diagonal, diagonal] = 1 + 100 * np.finfo(W.dtype).eps + damping[:, None]
        B = np.where(np.isfinite(B), B, 0.0)
        step = np.where(held, step, np.linalg.solve(B, -rest[:, :, None])[:, :, 0])
        moved = clip_cells(((here + step) / size).astype(W.dtype), terms.low, terms.high)
    return np.where(np.isfinite(moved).all(axis=1, keepdims=True), moved, W)
