"""Nested polygons: the restricted non-negative rank of a matrix of rank 3, with a proof that a reader can repeat.

Columns of X, divided by their sums, lie in a plane. There P, their hull, lies inside S, the points of the plane with
no negative coordinate, and X = W H with rank W = 3 says: the columns of W are corners of a polygon between P and S.
The smallest number of corners is the restricted non-negative rank (Gillis and Glineur 2012, *On the geometric
interpretation of the nonnegative rank*, Linear Algebra and its Applications 437, section 3).

From a point s on the edge of S, draw the tangent that keeps P on its left, on to the edge of S again: f(s). A polygon
with q corners exists if and only if q tangents from some s go round, f^q(s) ≥ s + one turn (Aggarwal, Booth, O'Rourke,
Suri and Yap 1989, *Finding minimal convex nested polygons*, Information and Computation 83). f does not fall along
the edge, so for starts s₀ < s₁ < … around S

    f^q(s_{i+1}) < s_i + one turn for all i

proves that there is none with q corners: those starts are the certificate. Positions are angles seen from a point
inside P.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

__all__ = ["Plane", "corners", "plane_of", "turns"]

TURN = 2 * np.pi
FIRST = 64  # intervals
FINEST = 1e-9  # an interval still open at this width is taken for one that closes


@dataclass(frozen=True)
class Plane:
    """The plane of the columns of X: points y (2,) stand for columns c + Q y.

    Parameters
    ----------
    c, Q : ndarray of shapes (n,) and (n, 2)
    inner : ndarray of shape (m, 2)
        The columns of X, which P is the hull of; the origin is inside.
    slack : float
        S is where c + Q y ≥ −slack: a little more than what is allowed, so that rounding proves nothing.
    """

    c: np.ndarray
    Q: np.ndarray
    inner: np.ndarray
    slack: float

    def edge(self, angles: np.ndarray) -> np.ndarray:
        """Points of the edge of S at these angles, (b, 2)."""
        return self._hit(np.zeros((len(angles), 2)), np.stack([np.cos(angles), np.sin(angles)], axis=1))

    def step(self, points: np.ndarray) -> np.ndarray:
        """f: from points of the edge of S along the tangent that has P on its left, (b, 2)."""
        directions = self.inner[None] - points[:, None]
        # the corner to the right of which there is none: P is seen under less than half a turn
        angles = np.arctan2(directions[:, :, 1], directions[:, :, 0])
        middle = np.arctan2(-points[:, 1], -points[:, 0])
        relative = (angles - middle[:, None] + np.pi) % TURN - np.pi
        at = relative.argmin(axis=1)
        return self._hit(points, directions[np.arange(len(points)), at])

    def _hit(self, points: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Where rays from points inside S leave it."""
        room = np.maximum(self.c + self.slack + points @ self.Q.T, 0)
        falling = -(directions @ self.Q.T)
        size = np.abs(falling).max(axis=1, keepdims=True)
        along = np.full(room.shape, np.inf)
        # a line through a point of an edge, into S, does not end at that edge
        np.divide(room, falling, out=along, where=falling > 1e-12 * size)
        return points + along.min(axis=1)[:, None] * directions


def plane_of(X: np.ndarray, slack: float, tol: float) -> Plane | None:
    """The plane of the columns of X (n, m), without zero rows and columns; None where they lie in none, up to tol."""
    X = X / X.max(axis=1, keepdims=True)
    X = X / X.sum(axis=0)
    c = X.mean(axis=1)
    left, size, right = np.linalg.svd(X - c[:, None], full_matrices=False)
    if len(size) < 3 or size[1] <= tol * size[0] or size[2] > 100 * tol * size[0]:
        return None
    stretch = size[:2] / np.sqrt(X.shape[1])  # P round: angles then tell its corners apart
    return Plane(c, left[:, :2] * stretch, right[:2].T * np.sqrt(X.shape[1]), slack)


def turns(plane: Plane, q: int, starts: np.ndarray) -> np.ndarray:
    """By how much q tangents get further than one turn, from starts at these angles: f^q(s) − s − 2π."""
    points = plane.edge(starts)
    advanced = np.full(len(starts), -TURN)
    for _ in range(q):
        after = plane.step(points)
        cross = points[:, 0] * after[:, 1] - points[:, 1] * after[:, 0]
        advanced += np.arctan2(cross, (points * after).sum(axis=1)) % TURN
        points = after
    return advanced


def corners(plane: Plane) -> tuple[int, np.ndarray, np.ndarray]:
    """The smallest polygon between P and S.

    Returns
    -------
    count : int
        Its number of corners.
    polygon : ndarray of shape (count, 2)
    proof : ndarray of angles, increasing from 0 to 2π
        Starts that prove that there is none with one corner less.
    """
    count, angle = _walk(plane)
    while True:
        proof, better = _excluded(plane, count - 1)
        if better is None:
            break
        count, angle = count - 1, better
    points = [plane.edge(np.array([angle]))]
    while len(points) < count:
        points.append(plane.step(points[-1]))
    return count, np.concatenate(points), proof


def _walk(plane: Plane) -> tuple[int, float]:
    """Tangents from a start until they have gone round: the smallest number or one more."""
    for q in range(3, len(plane.c) + len(plane.inner) + 2):
        if turns(plane, q, np.zeros(1))[0] >= 0:
            return q, 0.0
    raise ArithmeticError("tangents do not go round: X is not of rank 3 to working precision")


def _excluded(plane: Plane, q: int) -> tuple[np.ndarray, float | None]:
    """Starts that prove that q tangents never go round; or a start from which they do."""
    if q < 3:
        return np.array([0.0, TURN]), None
    grid = np.linspace(0, TURN, FIRST + 1)
    known = dict(zip(grid.tolist(), turns(plane, q, grid).tolist(), strict=True))
    open_ends = list(itertools.pairwise(grid.tolist()))
    while open_ends:
        closing = max(known, key=lambda s: known[s])
        if known[closing] >= 0:
            return grid, closing
        # f^q(right) < left + one turn
        open_ends = [(a, b) for a, b in open_ends if known[b] + (b - a) >= 0]
        if open_ends and open_ends[0][1] - open_ends[0][0] < FINEST:
            return grid, open_ends[0][1]
        middles = np.array([(a + b) / 2 for a, b in open_ends])
        known |= dict(zip(middles.tolist(), turns(plane, q, middles).tolist(), strict=True))
        open_ends = [
            half for (a, b), s in zip(open_ends, middles.tolist(), strict=True) for half in ((a, s), (s, b))
        ]
    return np.array(sorted(known)), None
