"""Bring rows of any sign into the non-negative orthant by a change of basis, where that can be done.

Rows a_i of A (n, k) become non-negative in another basis, A Q ≥ 0 with Q invertible, if they lie in a half-space,
z · a_i > 0 for every a_i ≠ 0 (Gillis and Kumar 2015, *Exact and heuristic algorithms for semi-nonnegative matrix
factorization*, SIAM J. Matrix Anal. Appl. 36, section 3). The z with the widest margin is the point of the convex
hull of the directions a_i / ‖a_i‖ that is nearest to the origin: it is unique, and depends neither on the order of the
rows nor on how often each is there.
"""

from __future__ import annotations

import numpy as np

__all__ = ["half_space", "nonnegative_basis"]

MARGIN = 1e-6  # of z with directions: narrower, and the new basis would have lost half the digits
STEPS = 1000


def half_space(A: np.ndarray) -> np.ndarray | None:
    """The unit z (k,) with the largest min_i z · a_i / ‖a_i‖ over the rows that are not zero; None if that is ≤ 0.

    Wolfe (1976), *Finding the nearest point in a polytope*: a small set of directions (at most k of them) grows by
    the one that is farthest behind the nearest point of its hull, and loses those that this point does without.
    """
    size = np.linalg.norm(A, axis=1)
    kept = size > np.finfo(A.dtype).eps * size.max(initial=0)
    if not kept.any():
        return np.eye(A.shape[1])[0]
    D = A[kept].astype(np.float64) / size[kept, None]
    share, members = np.ones(1), [int((D @ D.mean(axis=0)).argmin())]
    for _ in range(STEPS):
        x = share @ D[members]
        heights = D @ x
        lowest = int(heights.argmin())
        if heights[lowest] >= x @ x - 1e-12 or lowest in members:
            break
        members, share = _nearest(D, [*members, lowest], np.append(share, 0.0))
    margin = np.linalg.norm(x)
    return x / margin if margin > MARGIN and heights.min() > 0 else None


def _nearest(D: np.ndarray, members: list[int], share: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Members and shares of the nearest point of the hull of some directions, from a point of that hull."""
    while True:
        C = D[members]
        y = np.linalg.lstsq(C @ C.T + 1.0, np.ones(len(C)), rcond=None)[0]
        y /= y.sum()  # the nearest point of the plane through them
        if (y > 1e-12).all():
            return members, y
        leaves = y <= 1e-12
        step = (share[leaves] / np.maximum(share[leaves] - y[leaves], 1e-300)).min()
        share = share + min(step, 1.0) * (y - share)
        stays = share > 1e-12
        stays[np.where(leaves, share, np.inf).argmin()] = False
        members, share = [i for i, stay in zip(members, stays, strict=True) if stay], share[stays]
        share = share / share.sum()


def nonnegative_basis(A: np.ndarray, counted: np.ndarray | None = None) -> np.ndarray | None:
    """Q (k, k), invertible, with A Q ≥ 0 to rounding for the rows that count; None if there is no half-space.

    Q is a reflection that takes z to the first axis, after which the first column is positive, and multiples of this
    column, just enough of them, are added to the others.
    """
    A = A if counted is None else A[counted]
    z = half_space(A)
    if z is None:
        return None
    k = A.shape[1]
    mirror = z - np.eye(k)[0]
    Q = np.eye(k)
    if mirror @ mirror > 1e-30:
        Q -= 2 * np.outer(mirror, mirror) / (mirror @ mirror)
    turned = A.astype(np.float64) @ Q
    first = turned[:, :1]
    short = np.divide(-turned, first, out=np.zeros_like(turned), where=first > 0)
    lift = np.maximum(short.max(axis=0, initial=0.0), 0.0)
    lift[0] = 0.0
    return Q + np.outer(Q[:, 0], lift)
