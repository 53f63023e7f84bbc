"""What the zeros of X alone say: fooling sets, antichains, and covers by rectangles.

A product W H ≥ 0 of r components covers the positive cells of X by r rectangles (a set of rows times a set of columns)
in which X has no zero. So every lower bound on the number of such rectangles is one on the non-negative rank, and the
smallest number itself is the Boolean rank of the pattern.
"""

from __future__ import annotations

from math import comb

import numpy as np
import scipy.sparse as sp
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse.csgraph import maximum_bipartite_matching

__all__ = [
    "antichain",
    "distinct_lines",
    "fooling_set",
    "is_fooling_set",
    "least_cover",
    "maximal_rectangles",
    "rectangle_weights",
    "sperner",
]

MANY_CELLS = 400  # positive cells beyond which a fooling set is only grown, not searched for
MANY_NODES = 20_000


def distinct_lines(pattern: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of rows and of columns that differ from those before and are not zero."""
    found = []
    for lines in (pattern, pattern.T):
        first = np.unique(lines, axis=0, return_index=True)[1]
        found.append(np.sort(first[lines[first].any(axis=1)]))
    return found[0], found[1]


def sperner(count: int) -> int:
    """The least k ≥ 1 with C(k, ⌊k/2⌋) ≥ count: so many points have ``count`` subsets, none inside another."""
    k = 1
    while comb(k, k // 2) < count:
        k += 1
    return k


def antichain(pattern: np.ndarray) -> np.ndarray:
    """A largest set of rows none of whose supports contains another's (Dilworth: a minimum cover by chains).

    r rectangles cut a row's support into at most r parts, so such rows ask for r with C(r, ⌊r/2⌋) ≥ their number.
    """
    rows = np.sort(np.unique(pattern, axis=0, return_index=True)[1])
    sets = pattern[rows].astype(np.int64)
    below = (sets @ (1 - sets).T) == 0  # row a is a subset of row b
    np.fill_diagonal(below, False)
    to = maximum_bipartite_matching(sp.csr_array(below), perm_type="column")
    back = np.full(len(rows), -1)
    back[to[to >= 0]] = np.flatnonzero(to >= 0)
    # König: what alternating paths from unmatched left ends reach on the left and do not reach on the right
    left, right = to < 0, np.zeros(len(rows), bool)
    fresh = left
    while fresh.any():
        reached = below[fresh].any(axis=0) & ~right
        right = right | reached
        fresh = np.zeros(len(rows), bool)
        fresh[back[reached & (back >= 0)]] = True
        fresh &= ~left
        left = left | fresh
    return rows[left & ~right]


def is_fooling_set(pattern: np.ndarray, cells: np.ndarray) -> bool:
    """Whether the cells (s, 2) are positive and no two of them lie in one rectangle: X_ij X_i'j' > 0 = X_ij' X_i'j."""
    crossed = pattern[np.ix_(cells[:, 0], cells[:, 1])]
    together = crossed & crossed.T
    return bool(np.diagonal(together).all() and together.sum() == len(cells))


def fooling_set(pattern: np.ndarray) -> np.ndarray:
    """A fooling set, (s, 2): a largest one where the pattern has few positive cells, else one that cannot grow."""
    grown = _grown_fooling_set(pattern)
    cells = np.argwhere(pattern)
    if not 0 < len(cells) <= MANY_CELLS:
        return grown
    i, j = cells.T
    together = pattern[i[:, None], j[None, :]] & pattern[i[None, :], j[:, None]]
    clique = _largest_clique(~together, len(grown))
    return cells[clique] if len(clique) > len(grown) else grown


def _grown_fooling_set(pattern: np.ndarray) -> np.ndarray:
    """One cell after another, each the one that rules out the fewest."""
    weight = pattern.sum(axis=1)[:, None] * pattern.sum(axis=0)[None, :].astype(float)
    weight[~pattern] = np.inf
    chosen = []
    while np.isfinite(weight).any():
        i, j = np.unravel_index(int(weight.argmin()), weight.shape)
        chosen.append((i, j))
        weight[np.ix_(pattern[:, j], pattern[i])] = np.inf
    return np.array(chosen, dtype=np.int64).reshape(-1, 2)


def _largest_clique(adjacent: np.ndarray, size: int) -> list[int]:
    """A clique of more than ``size`` vertices, the largest where the search ends in time (Tomita & Seki 2003)."""
    near = [sum(1 << int(b) for b in np.flatnonzero(row)) & ~(1 << a) for a, row in enumerate(adjacent)]
    best: list[int] = []
    nodes = 0

    def colours(free: int) -> list[tuple[int, int]]:
        order, colour = [], 0
        while free:
            colour += 1
            rest = free
            while rest:
                vertex = (rest & -rest).bit_length() - 1
                order.append((vertex, colour))
                free &= ~(1 << vertex)
                rest &= ~near[vertex] & ~(1 << vertex)
        return order

    def expand(free: int, chosen: list[int]) -> None:
        nonlocal best, nodes
        nodes += 1
        if len(chosen) > max(size, len(best)):
            best = chosen
        for vertex, colour in reversed(colours(free)):
            if len(chosen) + colour <= max(size, len(best)) or nodes > MANY_NODES:
                return
            expand(free & near[vertex], [*chosen, vertex])
            free &= ~(1 << vertex)

    expand((1 << len(near)) - 1, [])
    return best


def maximal_rectangles(pattern: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray] | None:
    """All rectangles of positive cells that cannot grow: rows (c, n) and columns (c, m); None where > ``most``.

    Their column sets are the intersections of the rows' supports (the formal concepts of the pattern).
    """
    lines = [sum(1 << int(j) for j in np.flatnonzero(row)) for row in pattern]
    closed = {(1 << pattern.shape[1]) - 1}
    for line in lines:
        closed |= {other & line for other in closed}
        if len(closed) > most:
            return None
    sets = sorted(closed)
    columns = np.array([[s >> j & 1 for j in range(pattern.shape[1])] for s in sets], dtype=bool)
    rows = (columns.astype(np.int64) @ ~pattern.T) == 0
    full = rows.any(axis=1) & columns.any(axis=1)
    return rows[full], columns[full]


def _incidence(pattern: np.ndarray, rectangles: tuple[np.ndarray, np.ndarray]) -> sp.csr_array:
    """Which rectangle (a column) covers which positive cell (a row)."""
    i, j = np.nonzero(pattern)
    rows, columns = rectangles
    return sp.csr_array((rows[:, i] & columns[:, j]).T.astype(float))


def rectangle_weights(pattern: np.ndarray, rectangles: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Weights of the cells, (n, m), with the largest sum such that no rectangle weighs more than 1.

    A cover has at least as many rectangles as all cells weigh (the dual of the fractional cover).
    """
    cover = _incidence(pattern, rectangles)
    found = linprog(-np.ones(cover.shape[0]), A_ub=cover.T, b_ub=np.ones(cover.shape[1]), method="highs")
    weights = np.zeros(pattern.shape)
    weights[pattern] = np.maximum(found.x, 0)
    return weights


def least_cover(
    pattern: np.ndarray, rectangles: tuple[np.ndarray, np.ndarray], most_nodes: int = MANY_NODES
) -> tuple[int, np.ndarray]:
    """A lower bound on the number of rectangles of a cover, and the indices of the best cover found.

    The two agree where branch and bound (HiGHS) ended within ``most_nodes``.
    """
    cover = _incidence(pattern, rectangles)
    found = milp(
        np.ones(cover.shape[1]),
        constraints=LinearConstraint(cover, lb=1),
        bounds=Bounds(0, 1),
        integrality=np.ones(cover.shape[1]),
        options={"node_limit": most_nodes},
    )
    bound = 0 if found.mip_dual_bound is None else int(np.ceil(found.mip_dual_bound - 1e-6))
    chosen = np.arange(cover.shape[1]) if found.x is None else np.flatnonzero(found.x > 0.5)
    return bound, chosen
