"""Lower bounds on the non-negative rank, each with what proves it, so that a reader can check it.

A certificate holds evidence, not a computation: ``check(X)`` looks at X and at the evidence alone. Cells of at most
``tol`` times the largest one count as 0 (rows and columns in units in which they have one size; see `pattern_of`),
singular values of at most ``tol`` times the largest one likewise.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np

from .matrix import matrix_of, pattern_of
from .patterns import (
    antichain,
    distinct_lines,
    fooling_set,
    is_fooling_set,
    least_cover,
    maximal_rectangles,
    rectangle_weights,
    sperner,
)
from .polygons import Plane, corners, plane_of, turns

__all__ = [
    "Antichain",
    "Certificate",
    "FoolingSet",
    "NestedPolygons",
    "Rank",
    "RectangleCover",
    "RectangleWeights",
    "least_rank_of_polygon",
]

MANY_RECTANGLES = 2000
FEW_RECTANGLES = 300  # for branch and bound
NODES = 1000


@dataclass(frozen=True, eq=False)
class Certificate:
    """A proof that the non-negative rank of a matrix is at least ``bound``."""

    bound: int

    of_pattern = True  # whether it bounds the Boolean rank of the pattern too

    def check(self, X: Any, tol: float = 1e-8) -> bool:
        """Whether the evidence proves the bound for X."""
        raise TypeError(f"{type(self).__name__} does not say how it is checked")


@dataclass(frozen=True, eq=False)
class Rank(Certificate):
    """The rank: rows and columns of a square submatrix that is not singular."""

    rows: np.ndarray
    columns: np.ndarray

    of_pattern = False

    @classmethod
    def of(cls, X: np.ndarray, tol: float) -> Rank:
        """Rows and columns by pivoted elimination, as many as there are singular values above ``tol``."""
        sizes = np.linalg.svd(X, compute_uv=False)
        rank = int((sizes > tol * sizes[0]).sum())
        rest, rows, columns = X.astype(np.float64), [], []
        for _ in range(rank):
            i, j = np.unravel_index(int(np.abs(rest).argmax()), rest.shape)
            rest = rest - np.outer(rest[:, j], rest[i]) / rest[i, j]
            rows.append(i)
            columns.append(j)
        return cls(rank, np.array(rows), np.array(columns))

    def check(self, X: Any, tol: float = 1e-8) -> bool:
        """Whether the submatrix has full rank: its smallest singular value is above rounding."""
        part = matrix_of(X, "check")[0][np.ix_(self.rows, self.columns)]
        sizes = np.linalg.svd(part, compute_uv=False)
        return len(part) == self.bound and bool(sizes[-1] > 64 * np.finfo(float).eps * sizes[0])


@dataclass(frozen=True, eq=False)
class FoolingSet(Certificate):
    """Positive cells (s, 2), no two of which lie in one rectangle: for (i, j) and (k, l) x_il or x_kj is 0."""

    cells: np.ndarray

    @classmethod
    def of(cls, X: np.ndarray, tol: float) -> FoolingSet:
        """A largest fooling set of a small pattern; one that cannot grow of a large one."""
        cells = fooling_set(pattern_of(X, tol))
        return cls(len(cells), cells)

    def check(self, X: Any, tol: float = 1e-8) -> bool:
        """Look at every pair of cells."""
        pattern = pattern_of(matrix_of(X, "check")[0], tol)
        return len(self.cells) == self.bound and is_fooling_set(pattern, self.cells)


@dataclass(frozen=True, eq=False)
class Antichain(Certificate):
    """Rows (``axis`` 0) or columns (1) none of whose supports contains another's: s of them need C(r, ⌊r/2⌋) ≥ s.

    Row i of W H is positive where one of the components of row i of W is, so rows of X with incomparable supports have
    incomparable sets of components, and r components have at most C(r, ⌊r/2⌋) such sets (Sperner; Gillis and Glineur
    2012, section 5).
    """

    lines: np.ndarray
    axis: int

    @classmethod
    def of(cls, X: np.ndarray, tol: float) -> Antichain:
        """The longer of the largest antichains of rows and of columns."""
        pattern = pattern_of(X, tol)
        lines, axis = max(
            ((antichain(pattern.T if a else pattern), a) for a in (0, 1)), key=lambda p: len(p[0])
        )
        return cls(sperner(len(lines)), lines, axis)

    def check(self, X: Any, tol: float = 1e-8) -> bool:
        """Look at every pair of supports."""
        pattern = pattern_of(matrix_of(X, "check")[0], tol)
        sets = (pattern.T if self.axis else pattern)[self.lines].astype(np.int64)
        below = (sets @ (1 - sets).T) == 0
        return int(below.sum()) == len(sets) and sperner(len(sets)) >= self.bound


@dataclass(frozen=True, eq=False)
class RectangleWeights(Certificate):
    """Weights of the positive cells such that no rectangle weighs more than 1: a cover needs as many as all weigh."""

    weights: np.ndarray

    @classmethod
    def of(cls, X: np.ndarray, tol: float) -> RectangleWeights | None:
        """The weights with the largest sum; None where X has too many rectangles."""
        pattern = pattern_of(X, tol)
        rows, columns = distinct_lines(pattern)
        small = pattern[np.ix_(rows, columns)]
        rectangles = maximal_rectangles(small, MANY_RECTANGLES)
        if rectangles is None:
            return None
        weights = np.zeros(pattern.shape)
        weights[np.ix_(rows, columns)] = rectangle_weights(small, rectangles)
        return cls(int(np.ceil(weights.sum() - 1e-6)), weights)

    def check(self, X: Any, tol: float = 1e-8) -> bool:
        """Weigh every rectangle that cannot grow."""
        pattern = pattern_of(matrix_of(X, "check")[0], tol)
        rectangles = maximal_rectangles(pattern, 2**31)
        assert rectangles is not None
        if (self.weights < 0).any() or self.weights[~pattern].any() or not self.weights.any():
            return False
        heaviest = np.einsum("ci,ij,cj->c", *(rectangles[0] * 1.0, self.weights, rectangles[1] * 1.0)).max()
        return bool(self.weights.sum() / heaviest > self.bound - 1 + 1e-7)


@dataclass(frozen=True, eq=False)
class RectangleCover(Certificate):
    """The smallest number of rectangles that cover the positive cells, found by branch and bound over all of them.

    ``rows`` (c, n) and ``columns`` (c, m) are the smallest cover found: an upper bound on the Boolean rank. The lower
    bound is what the integer programme proved, and is checked by solving it again.
    """

    rows: np.ndarray
    columns: np.ndarray

    @classmethod
    def of(cls, X: np.ndarray, tol: float) -> RectangleCover | None:
        """None where X has too many rectangles."""
        pattern = pattern_of(X, tol)
        small = distinct_lines(pattern)
        rectangles = maximal_rectangles(pattern[np.ix_(*small)], FEW_RECTANGLES)
        if rectangles is None:
            return None
        bound, chosen = least_cover(pattern[np.ix_(*small)], rectangles, NODES)
        columns = np.zeros((len(chosen), pattern.shape[1]), bool)
        columns[:, small[1]] = rectangles[1][chosen]
        # in the whole matrix a rectangle has all columns that its rows share, and all rows that have these
        rows = (columns.astype(np.int64) @ ~pattern.T) == 0
        columns = (rows.astype(np.int64) @ ~pattern) == 0
        return cls(bound, rows, columns)

    def check(self, X: Any, tol: float = 1e-8) -> bool:
        """Solve the integer programme again."""
        again = RectangleCover.of(matrix_of(X, "check")[0], tol)
        return again is not None and again.bound >= self.bound


@dataclass(frozen=True, eq=False)
class NestedPolygons(Certificate):
    """At rank 3: no polygon with fewer than ``corners`` corners lies between the columns of X and the orthant.

    (``axis`` 1; the rows for ``axis`` 0.) Were the non-negative rank r, a polytope with r corners would meet the plane
    of the columns in such a polygon with at most g(r) corners; the bound is the least r with g(r) ≥ ``corners`` (Gillis
    and Glineur 2012, section 4). ``starts`` are the angles that prove it; see `nonneg.exact.polygons`.
    """

    corners: int
    axis: int
    starts: np.ndarray
    polygon: np.ndarray  # (n, corners), or (m, corners): the columns that a smallest polygon stands for

    of_pattern = False

    @classmethod
    def of(cls, X: np.ndarray, tol: float, axis: int) -> NestedPolygons | None:
        """The smallest polygon, for X of rank 3; None where the columns do not lie in a plane once they have sum 1."""
        lines = X if axis else X.T
        seen, plane = _plane(lines, tol)
        if plane is None:
            return None
        count, points, starts = corners(plane)
        polygon = np.zeros((len(lines), count))
        polygon[seen] = (plane.c[:, None] + plane.Q @ points.T) * lines[seen].max(axis=1)[:, None]
        return cls(least_rank_of_polygon(count), count, axis, starts, np.maximum(polygon, 0))

    def check(self, X: Any, tol: float = 1e-8) -> bool:
        """Follow the tangents from every start."""
        X = matrix_of(X, "check")[0]
        plane = _plane(X if self.axis else X.T, tol)[1]
        if plane is None or self.bound != least_rank_of_polygon(self.corners):
            return False
        if self.corners == 3:
            return True
        ahead = turns(plane, self.corners - 1, self.starts)
        whole = self.starts[0] == 0 and self.starts[-1] == 2 * np.pi
        return bool(whole and (ahead[1:] + np.diff(self.starts) < 0).all())


def _plane(X: np.ndarray, tol: float) -> tuple[np.ndarray, Plane | None]:
    """Rows of X that are not zero, and the plane of its columns without those."""
    seen = pattern_of(X, tol)
    rows = np.asarray(seen.any(axis=1))
    columns = np.asarray(seen.any(axis=0))
    if not seen.any():
        return rows, None
    return rows, plane_of(np.where(seen, X, 0)[np.ix_(rows, columns)], 0.1 * min(tol, 1e-3), tol)


def least_rank_of_polygon(count: int) -> int:
    """The least r with g(r) ≥ count: a plane meets no polytope of r corners in a polygon of more than g(r) corners.

    A d-polytope meets a plane in a polygon whose corners lie on faces of dimension d − 2 and whose edges lie in facets,
    each on one of its own; a d-polytope with r corners has at most as many of either as the cyclic one (McMullen 1970).
    """
    r = 3
    while max(min(_faces(r, d, d - 2), _faces(r, d, d - 1)) for d in range(2, r)) < count:
        r += 1
    return r


def _faces(corners: int, d: int, k: int) -> int:
    """The number of k-faces of the cyclic d-polytope, from its h-vector h_i = C(corners − d − 1 + i, i), i ≤ d/2."""
    if d == 2:
        return corners
    h = [comb(corners - d - 1 + min(i, d - i), min(i, d - i)) for i in range(d + 1)]
    return sum(h[i] * comb(d - i, k + 1 - i) for i in range(k + 2))
