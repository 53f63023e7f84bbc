"""The block descent of autoencoder-like deep NMF: X ≈ W M and W ≈ X Mᵀ for M = Z_p … Z_1, all non-negative.

    ½ Σ_i s_i (‖x_i − w_i M‖² + ‖w_i − x_i Mᵀ‖²) + ½ λ tr(Wᵀ L W)

In W it is the quadratic with the Gram matrix M Mᵀ + I (and λ L); in a layer Z_l, with N = Z_p … Z_{l+1} and
B = Z_{l−1} … Z_1,

    ½⟨Z_l, NᵀC N Z_l B Bᵀ + NᵀN Z_l B K Bᵀ⟩ − 2⟨Nᵀ Wᵀ S X Bᵀ, Z_l⟩,   C = Wᵀ S W, K = Xᵀ S X.

The layers above the first see X only through Y = X Z_1ᵀ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from ..data import Source, Summary
from ..data.products import Products
from ..data.threads import Workers
from .kkt import relative_residual
from .quadratic import Sweep
from .stack import Factors, above, layers_of, named, product, quadratic

__all__ = ["EncoderStack", "Ties", "nearest_codes"]

SWEEPS = 8  # of W
STEPS = 8  # of a layer that does not need X
STEPS_ON_X = 4  # of the first layer, where each needs two products with X
GRAM_UP_TO = 1024  # features: K is at hand


@dataclass
class Ties:
    """λ L as its diagonal and, with the other sign, what is off it."""

    degrees: np.ndarray
    edges: sp.csr_array

    @classmethod
    def of(cls, laplacian: sp.csr_array, strength: float, dtype: np.dtype) -> Ties:
        """From L (n, n) and λ."""
        degrees = laplacian.diagonal()
        edges = sp.csr_array(sp.diags_array(degrees) - laplacian)
        edges.eliminate_zeros()
        edges.sort_indices()
        return cls((strength * degrees).astype(dtype), sp.csr_array((strength * edges).astype(dtype)))

    def arrays(self) -> tuple[np.ndarray, ...]:
        """All it is made of."""
        return self.degrees, self.edges.data, self.edges.indices, self.edges.indptr


def nearest_codes(W: np.ndarray, G: np.ndarray, P: np.ndarray, ties: Ties | None) -> None:
    """Lower the loss over W ≥ 0, in place, for G = M Mᵀ and P = X Mᵀ."""
    G = G + np.eye(len(G), dtype=G.dtype)
    if ties is None:
        Sweep(SWEEPS).rows(W, G, 2 * P, 0.0, np.inf)
        return
    from ..kernels.graph import sweep

    for _ in range(SWEEPS // 2):
        sweep(W, G, 2 * P, ties.degrees, ties.edges, 2)


class EncoderStack:
    """Descent of W and all layers.

    Parameters
    ----------
    source : Source
    summary : Summary
    pool : Workers
    ties : Ties, optional
        Rows of W that are to be alike; without row weights.
    """

    def __init__(self, source: Source, summary: Summary, pool: Workers, ties: Ties | None = None) -> None:
        self.source, self.summary, self.ties = source, summary, ties
        self.products = Products(source, pool)
        n, m = source.shape
        self.K = _gram(source) if m <= min(n, GRAM_UP_TO) else None
        self.row_sums = self._times_gram(np.ones((1, m), source.float_dtype))[0]  # of K

    def start(self, W: np.ndarray | None, layers: list[np.ndarray]) -> Factors:
        """What `move` takes; without W, the codes X Mᵀ."""
        Y = self.products.right(layers[0].T)
        return {"W": Y @ above(layers)[0].T if W is None else W, "Y": Y, **named(layers)}

    def pushed(self, depth: int) -> tuple[str, ...]:
        """Which factors are extrapolated: all, and Y, which is linear in Z_1, along with it."""
        return ("W", "Y", *(f"Z{level}" for level in range(1, depth + 1)))

    def loss(self, factors: Factors) -> float:
        """The loss of a start."""
        return self.look(factors["W"], factors["Y"], layers_of(factors))[0]

    def _weighted(self, V: np.ndarray) -> np.ndarray:
        s = self.source.row_weights
        return V if s is None else (V * s[:, None]).astype(V.dtype, copy=False)

    def _times_gram(self, M: np.ndarray) -> np.ndarray:
        """M K for M (r, m)."""
        if self.K is not None:
            return M @ self.K
        return self.products.left(self._weighted(self.products.right(M.T))).T

    def move(self, factors: Factors) -> tuple[Factors, float, float]:
        """W, then the layers from the last to the first; with the loss and the KKT residual there."""
        layers, Y = layers_of(factors), factors["Y"]
        N, M = above(layers), product(layers)
        W = factors["W"].copy()
        nearest_codes(W, M @ M.T, Y @ N[0].T, self.ties)
        SW = self._weighted(W)
        C, T = SW.T @ W, SW.T @ Y
        Q, S = layers[0] @ layers[0].T, self._weighted(Y).T @ Y
        Ns = np.eye(len(C), dtype=W.dtype)
        for level in range(len(layers) - 1, 0, -1):
            B = product([np.eye(len(Q), dtype=W.dtype), *layers[1:level]])
            F, E, BQ, BS = Ns.T @ C @ Ns, Ns.T @ Ns, B @ Q @ B.T, B @ S @ B.T
            layers[level] = quadratic(
                layers[level],
                lambda V, F=F, E=E, BQ=BQ, BS=BS: F @ V @ BQ + E @ V @ BS,  # type: ignore[misc]
                np.outer(F.sum(axis=1), BQ.sum(axis=1)) + np.outer(E.sum(axis=1), BS.sum(axis=1)),
                2 * Ns.T @ T @ B.T,
                STEPS,
            )
            Ns = Ns @ layers[level]
        L = self.products.left(SW).T
        F, E = Ns.T @ C @ Ns, Ns.T @ Ns
        asked: list[np.ndarray] = [layers[0], layers[0]]

        def slope(V: np.ndarray) -> np.ndarray:
            asked[:] = V, self._times_gram(Ns @ V)
            return F @ V + Ns.T @ asked[1]

        layers[0] = quadratic(
            layers[0],
            slope,
            F.sum(axis=1, keepdims=True) + np.outer(E.sum(axis=1), self.row_sums),
            2 * Ns.T @ L,
            STEPS_ON_X if self.K is None else STEPS,
        )
        Y = self.products.right(layers[0].T)
        MK = asked[1] if asked[0] is layers[0] else None
        loss, kkt = self.look(W, Y, layers, L, MK)
        return {"W": W, "Y": Y, **named(layers)}, loss, kkt

    def look(
        self,
        W: np.ndarray,
        Y: np.ndarray,
        layers: list[np.ndarray],
        L: np.ndarray | None = None,
        MK: np.ndarray | None = None,
    ) -> tuple[float, float]:
        """The loss and the KKT residual: the worst of `kkt.relative_residual` of the factors.

        L = Wᵀ S X and M K are found where they are not at hand.
        """
        N, M, SW = above(layers), product(layers), self._weighted(W)
        G, P = M @ M.T, Y @ N[0].T
        L = self.products.left(SW).T if L is None else L
        C, MK = SW.T @ W, self._times_gram(M) if MK is None else MK
        up, down = W @ G + W, 2 * P
        loss = 0.5 * self.summary.squares + 0.5 * _dot(C, G) + 0.5 * float(np.trace(C)) - 2 * _dot(SW, P)
        loss += 0.5 * _dot(MK, M)
        if self.ties is not None:
            toward = self.ties.edges @ W
            loss += 0.5 * (_dot(self.ties.degrees[:, None] * W, W) - _dot(toward, W))
            up, down = up + self.ties.degrees[:, None] * W, down + toward
        s = self.source.row_weights
        seen = slice(None) if s is None else s > 0
        worst = relative_residual(W[seen], down[seen], up[seen])
        up, down = C @ M + MK, 2 * L
        B = None
        for Z, above_it in zip(layers, N, strict=True):
            halves = [above_it.T @ V if B is None else (above_it.T @ V) @ B.T for V in (down, up)]
            worst = max(worst, relative_residual(Z, *halves))
            B = Z if B is None else Z @ B
        return max(loss, 0.0), worst


def _dot(A: np.ndarray, B: np.ndarray) -> float:
    return float(np.einsum("ij,ij->", A, B, dtype=np.float64))


def _gram(source: Source) -> np.ndarray:
    """Xᵀ S X, (m, m)."""
    found = np.zeros((source.shape[1],) * 2)
    for block in source.blocks():
        X = block.X.astype(np.float64)
        weighted = (
            X if block.row_weights is None else sp.diags_array(block.row_weights.astype(np.float64)) @ X
        )
        part = X.T @ weighted
        found += part.toarray() if block.is_sparse else part
    return found.astype(source.float_dtype)
