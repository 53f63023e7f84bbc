"""A ≈ H Hᵀ with pairs of rows that exclude each other: the objective, its descent, its starts, and labels."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from ..data import Source
from ..exceptions import warn_user
from ..init.nndsvd import randomized_svd
from .kkt import relative_residual

__all__ = ["SymmetricProblem", "exclusive_labels"]

EXACT = 8.0  # largest row sums of A: more than the curvature of the loss, so that an overlap is no minimum
REPAIRS = 10  # rounds
MOST_LOOKS = 200_000  # at a row, in a search for labels


class SymmetricProblem:
    """½‖A − H Hᵀ‖² + ρ Σ ⟨h_i, h_l⟩ over pairs that exclude each other: its value, its residual and its descent."""

    def __init__(self, source: Source, apart: sp.csr_array) -> None:
        self.source, self.apart = source, apart
        self.links = (apart.indices.astype(np.int64), apart.indptr.astype(np.int64))
        self.squares, self.largest, self.total = 0.0, 0.0, 0.0
        for block in source.blocks():
            values = (block.X.data if block.is_sparse else block.X).ravel().astype(np.float64)
            sums = np.asarray(block.X.sum(axis=1, dtype=np.float64))
            self.squares += float(values @ values)
            self.total += float(sums.sum())
            self.largest = max(self.largest, float(sums.max()))
        self.rho = EXACT * self.largest

    def sweep(self, H: np.ndarray, rho: float) -> None:
        """Move every row of H once, in place."""
        from ..kernels.symmetric import sweep_dense, sweep_sparse

        G = H.T @ H
        for block in self.source.blocks():
            X, last = block.X, (block.start, *self.links, 0.5 * rho)
            if block.is_sparse:
                sweep_sparse(X.data, X.indices, X.indptr, H, G, *last)
            else:
                sweep_dense(X, X @ H, H, G, *last)

    def look(self, H: np.ndarray) -> tuple[float, float]:
        """Value and first-order residual at H."""
        P, G = np.empty_like(H), H.T @ H
        for block in self.source.blocks():
            P[block.rows] = block.X @ H
        overlap = self.rho * (self.apart @ H)
        value = 0.5 * (self.squares - 2 * np.vdot(P, H) + np.vdot(G, G) + np.vdot(overlap, H))
        return float(value), relative_residual(H, 2 * P, 2 * (H @ G) + overlap)

    def spectral(self, k: int, rng: np.random.Generator) -> np.ndarray:
        """H_j = √σ_j · the larger half of the j-th eigenvector."""
        _, sigma, V = randomized_svd(self.source, self.source.summary(), k, rng)
        halves = np.maximum(V, 0), np.maximum(-V, 0)
        norms = [np.linalg.norm(half, axis=0) for half in halves]
        return np.sqrt(sigma) * np.where(norms[0] >= norms[1], *halves).astype(np.float64)

    def random(self, k: int, rng: np.random.Generator) -> np.ndarray:
        """Uniform cells, of the size at which H Hᵀ has the mean of A."""
        return rng.random((self.source.shape[0], k)) * (2 * np.sqrt(self.total / k) / self.source.shape[0])


def exclusive_labels(H: np.ndarray, apart: sp.csr_array) -> np.ndarray:
    """The largest entry of each row; rows that still exclude each other take the best label that is free."""
    labels = H.argmax(axis=1)
    rows = np.repeat(np.arange(len(H)), np.diff(apart.indptr))
    for _ in range(REPAIRS):
        clash = np.unique(rows[labels[rows] == labels[apart.indices]])
        if not len(clash):
            return labels
        for i in clash:
            taken = labels[apart.indices[apart.indptr[i] : apart.indptr[i + 1]]]
            free = np.setdiff1d(np.arange(H.shape[1]), taken)
            if labels[i] in taken and len(free):
                labels[i] = free[H[i, free].argmax()]
    part = connected_components(apart, directed=False)[1]
    for wrong in np.unique(part[rows[labels[rows] == labels[apart.indices]]]):
        labels = _searched(labels, H, apart, np.flatnonzero(part == wrong))
    left = int(np.count_nonzero(labels[rows] == labels[apart.indices])) // 2
    if left:
        warn_user(
            f"cannot_link: {left} pair(s) of groups could not get different labels; with n_components={H.shape[1]} "
            "too many may exclude each other"
        )
    return labels


def _searched(labels: np.ndarray, H: np.ndarray, apart: sp.csr_array, members: np.ndarray) -> np.ndarray:
    """Labels under which no members exclude each other, by backtracking; those given where the search finds none.

    The member with the fewest labels left comes next, and takes the largest entries of its row first.
    """
    near = {i: apart.indices[apart.indptr[i] : apart.indptr[i + 1]].tolist() for i in members.tolist()}
    found: dict[int, int] = {}
    stack: list[tuple[int, list[int]]] = []

    def free(i: int) -> list[int]:
        taken = {found.get(other) for other in near[i]}
        return [c for c in np.argsort(H[i], kind="stable").tolist() if c not in taken]

    for _ in range(MOST_LOOKS // len(near)):
        i = min((i for i in near if i not in found), key=lambda i: len(free(i)))
        stack.append((i, free(i)))
        while stack and not stack[-1][1]:
            stack.pop()
            if stack:
                found.pop(stack[-1][0])
        if not stack:
            return labels
        i, untried = stack[-1]
        found[i] = untried.pop()
        if len(found) == len(near):
            labels = labels.copy()
            labels[list(found)] = list(found.values())
            return labels
    return labels
