"""Rows of X that span the others: the pure rows of a separable X, one after the other.

All methods pick what is farthest from the rows picked so far; they differ in what "from" means:

=========  ==========================================================================  ==============================
``spa``    the subspace that the picked rows span (successive projection)              Gillis & Vavasis 2014, Alg. 1
``snpa``   their convex hull with 0, {Σ w_l h_l : w ≥ 0, Σ w ≤ 1}                      Gillis 2014 (SNPA)
``xray``   their cone, {Σ w_l h_l : w ≥ 0}; the row picked is the extreme ray that     Kumar, Sindhwani & Kambadur
           the residual r of the farthest row points to, max_j r·x_j / Σ x_j           2013, Alg. 1, "max"
=========  ==========================================================================  ==============================

``spa`` finds at most rank(X) rows; the other two also find pure rows that depend on each other. Rows are seen through
products with thin matrices only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

__all__ = ["PICKS", "Rows", "pick"]


@dataclass
class Rows:
    """The rows to pick from.

    Parameters
    ----------
    squares : ndarray of shape (n,)
        ‖x_i‖²; 0 for a row that must not be picked.
    right : callable
        From B (m, p) to X B (n, p).
    take : callable
        From a row's index to the row (m,), dense.
    sums : ndarray of shape (n,), optional
        Σ_j x_ij; only ``xray`` asks for it.
    """

    squares: np.ndarray
    right: Callable[[np.ndarray], np.ndarray]
    take: Callable[[int], np.ndarray]
    sums: np.ndarray | None = None


class Projection:
    """What is left of the rows beside the subspace of those added."""

    def __init__(self, rows: Rows) -> None:
        self.rows, self.left = rows, rows.squares.copy()
        self.basis: list[np.ndarray] = []

    def residual(self, i: int) -> np.ndarray:
        """What is left of one row, to full precision: ``left`` has been through differences."""
        x = self.rows.take(i)
        for _ in range(2):
            for q in self.basis:
                x = x - (q @ x) * q
        return x

    def choose(self, i: int, r: np.ndarray) -> int:
        """The row to pick, where row i is the farthest and r its residual."""
        return i

    def add(self, i: int) -> None:
        """Add a row, and set ``left`` to the squared distances."""
        r = self.residual(i)
        self.basis.append(r / np.linalg.norm(r))
        self.left = np.maximum(self.left - self.rows.right(self.basis[-1][:, None])[:, 0] ** 2, 0.0)


class Hull(Projection):
    """What is left beside the convex hull of 0 and those added."""

    def __init__(self, rows: Rows) -> None:
        super().__init__(rows)
        n = len(rows.squares)
        self.P, self.W = np.zeros((n, 1)), np.ones((n, 1))  # the point 0 comes first

    def residual(self, i: int) -> np.ndarray:
        """As for `Projection`."""
        x = self.rows.take(i)
        return x - self.W[i, 1:] @ np.array(self.basis) if self.basis else x

    def add(self, i: int) -> None:
        """As for `Projection`."""
        self.basis.append(self.rows.take(i))
        V = np.vstack([np.zeros_like(self.basis[0]), *self.basis])
        self.P = np.hstack([self.P, self.rows.right(V[-1:].T)])
        G = V @ V.T
        self.W = self.mixtures(G)
        self.left = np.maximum(
            self.rows.squares - np.einsum("ij,ij->i", self.W, 2 * self.P - self.W @ G), 0.0
        )

    def mixtures(self, G: np.ndarray) -> np.ndarray:
        """The nearest mixture for every row."""
        from ..kernels import simplex

        W = np.hstack([self.W, np.zeros((len(self.W), 1))])
        simplex.solve(G, self.P, W)
        return W


class Cone(Hull):
    """What is left beside the cone of those added."""

    def choose(self, i: int, r: np.ndarray) -> int:
        """As for `Projection`."""
        assert self.rows.sums is not None
        able = self.rows.squares > 0
        slopes = self.rows.right(r[:, None])[:, 0]
        return int(np.argmax(np.where(able, slopes / np.where(able, self.rows.sums, 1), -np.inf)))

    def mixtures(self, G: np.ndarray) -> np.ndarray:
        """As for `Hull`."""
        from ..kernels import bpp

        W = np.hstack([np.maximum(self.W[:, 1:], 0), np.zeros((len(self.W), 1))])
        bpp.solve(np.ascontiguousarray(G[1:, 1:]), np.ascontiguousarray(self.P[:, 1:]), W)
        return np.hstack([np.zeros((len(W), 1)), W])


PICKS: dict[str, type[Projection]] = {"spa": Projection, "snpa": Hull, "xray": Cone}


def pick(rows: Rows, n_rows: int, method: str = "spa", eps: float = 2.0**-52) -> Iterator[tuple[int, float]]:
    """Yield the index of a row and the largest distance that is left after it, as a share of the largest norm.

    Parameters
    ----------
    rows : Rows
    n_rows : int
    method : {"spa", "snpa", "xray"}, default="spa"
    eps : float, default=2**-52
        Squared distances below it, as a share of the largest, are rounding errors: nothing is picked for them. So
        fewer than ``n_rows`` may come.
    """
    space = PICKS[method](rows)
    largest = float(rows.squares.max(initial=0.0))
    picked: set[int] = set()
    done = rows.squares <= 0
    while len(picked) < n_rows:
        space.left[done] = 0.0
        i = int(np.argmax(space.left))
        if space.left[i] <= largest * eps:
            return
        r = space.residual(i)
        true = float(r @ r)
        if true < 0.5 * space.left[i]:  # rounding had made it large
            space.left[i] = true
            continue
        row = space.choose(i, r)
        if row in picked:
            done[i] = True
            continue
        picked.add(row)
        done[row] = True
        space.add(row)
        space.left[done] = 0.0
        yield row, float(np.sqrt(space.left.max() / largest))
