"""Start from the singular value decomposition: each singular pair gives its larger non-negative half.

Boutsidis and Gallopoulos (2008), *SVD based initialization: a head start for nonnegative matrix factorization*,
Pattern Recognition 41. The SVD is a randomized one (Halko, Martinsson, Tropp 2011, algorithm 4.4) on the side of
the features: every pass is a sum over row blocks, so it works for any source, and the order of the rows or a row
given twice instead of with weight 2 does not matter.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..data import Source, Summary
from ..data.block import Block
from ..data.by_place import by_place
from ..data.filled import Filled
from ..data.threads import workers

__all__ = ["complete", "nndsvd", "nndsvda", "randomized_svd"]

OVERSAMPLING = 10
EXACT = 50
POWER_ITERATIONS = 2


def nndsvd(source: Source, summary: Summary, n_components: int, rng: np.random.Generator) -> np.ndarray:
    """H_k = σ_k ‖u_k^±‖ ‖v_k^±‖ · v_k^± / (‖v_k^±‖ √n), the sign with the larger product; many exact zeros.

    Returns
    -------
    H : ndarray of shape (n_components, n_features)
    """
    codes, sigma, V = randomized_svd(source, summary, n_components, rng)
    n = source.shape[0] if source.row_weights is None else float(source.row_weights.sum(dtype=np.float64))
    H = np.zeros((n_components, source.shape[1]))
    for j in range(n_components):
        u, v = codes[:, j], V[:, j]
        halves = []
        for sign in (1.0, -1.0):
            v_half, u_half = np.maximum(sign * v, 0), np.maximum(sign * u, 0)
            halves.append((np.linalg.norm(u_half) * np.linalg.norm(v_half), v_half))
        strength, half = max(halves, key=lambda pair: pair[0])
        if strength > 0:
            H[j] = sigma[j] * strength / np.sqrt(n) * half / np.linalg.norm(half)
    return H.astype(source.float_dtype)


def nndsvda(source: Source, summary: Summary, n_components: int, rng: np.random.Generator) -> np.ndarray:
    """`nndsvd` with its zeros filled by the mean of X: multiplicative updates can move every entry."""
    H = nndsvd(source, summary, n_components, rng)
    H[H == 0] = (summary.mean or 1.0) / np.sqrt(n_components)
    return H


def randomized_svd(
    source: Source,
    summary: Summary,
    n_components: int,
    rng: np.random.Generator,
    spare: int = OVERSAMPLING,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """U (n, k), σ (k,) and V (m, k) of √s · X, s the row weights; missing cells count as the mean of X.

    Cells of little weight do so in part (`data.filled`).

    The more ``spare`` directions, the nearer to the SVD: `EXACT` for a bound on what any factorization can reach.
    """
    m = source.shape[1]
    width = min(m, n_components + spare)
    dtype = source.float_dtype
    basis = rng.standard_normal((m, width)).astype(dtype) if width < m else np.eye(m, dtype=dtype)
    source = complete(source, summary)
    with workers(source if source.device else len(source.bounds())) as pool:
        if width < m:
            for _ in range(POWER_ITERATIONS):
                found = _sum(pool.over(source, functools.partial(image, basis=basis)))
                basis = np.linalg.qr(found)[0].astype(dtype)
        codes = np.concatenate(list(pool.over(source, functools.partial(codes_of, basis=basis))))
    weighted = codes if source.row_weights is None else codes * np.sqrt(source.row_weights)[:, None]
    # not from the Gram matrix, which has lost what lies below √eps of the largest value
    R: Any = np.linalg.qr(weighted, mode="r")
    _, sigma, rotation = np.linalg.svd(R.astype(np.float64), full_matrices=False)
    sigma, rotation = sigma[:n_components], rotation[:n_components].T
    kept = sigma > sigma[0] * len(basis) * np.finfo(dtype).eps if sigma.size and sigma[0] > 0 else sigma > 0
    U = weighted @ (rotation * np.where(kept, 1 / np.where(kept, sigma, 1), 0))
    V = basis @ rotation
    missing = n_components - len(sigma)
    if missing:
        U, V = np.pad(U, ((0, 0), (0, missing))), np.pad(V, ((0, 0), (0, missing)))
        sigma, kept = np.pad(sigma, (0, missing)), np.pad(kept, (0, missing))
    return U, np.where(kept, sigma, 0), V


def complete(source: Source, summary: Summary) -> Source:
    """The source with the mean of X in its missing cells."""
    if not source.is_masked:
        return source
    return Filled(source, np.full(source.shape[1], summary.mean))


@by_place
def codes_of(block: Block, basis: np.ndarray) -> np.ndarray:
    """X B of a block."""
    return block.X @ basis


@by_place
def image(block: Block, basis: np.ndarray) -> np.ndarray:
    """Xᵀ S X B of a block, S the row weights."""
    codes = block.X @ basis
    if block.row_weights is not None:
        codes *= block.row_weights[:, None]
    return block.X.T @ codes


def _sum(parts: Iterable[np.ndarray]) -> np.ndarray:
    return functools.reduce(np.add, parts, np.zeros((), np.float64))
