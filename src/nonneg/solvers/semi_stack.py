"""The block descent of deep semi-NMF: X ≈ W Z_p … Z_1 with W ≥ 0 and layers of any sign.

Rows of W move by coordinate descent; then every layer, the last one first, is solved for exactly. Given W that takes no
more of X than Wᵀ X, so that an iteration costs as much as one of `SemiNMF`, however many layers there are.
"""

from __future__ import annotations

import numpy as np

from .kkt import Residual
from .quadratic import Sweep
from .semi import SWEEPS, ByGram
from .stack import Factors, above, layers_of, named, product

__all__ = ["SemiStack", "fitted_layers"]


class SemiStack(ByGram):
    """Descent of all layers at once; `ByGram` is that of one."""

    def start(self, W: np.ndarray, layers: list[np.ndarray]) -> Factors:  # type: ignore[override]
        """What `move` takes."""
        return {"W": W, "P": self.products.right(product(layers).T), **named(layers)}

    def pushed(self, depth: int) -> tuple[str, ...]:
        """Which factors are extrapolated."""
        return ("W",)

    def loss(self, factors: Factors) -> float:
        """½ Σ s_i ‖x_i − w_i M‖² of a start."""
        W, layers = factors["W"], layers_of(factors)
        loss = self._loss(W, product(layers), factors["P"])
        return self.exact_loss(W, *layers) if self.cancels(loss, np.inf) else loss

    def move(self, factors: Factors) -> tuple[Factors, float, float]:
        """Sweeps over W, then the best layers in turn; with the loss and the KKT residual there."""
        layers, P = layers_of(factors), factors["P"]
        W, M = factors["W"].copy(), product(layers)
        Sweep(SWEEPS).rows(W, M @ M.T, P, 0.0, np.inf)
        SW = self._weighted(W)
        layers, left = fitted_layers(layers, SW.T @ W, self.products.left(SW).T)
        M = product(layers)
        P = self.products.right(M.T)
        kkt = max(self._residual(W, M, P).relative, left)
        return {"W": W, "P": P, **named(layers)}, self._loss(W, M, P), kkt

    def exact_loss(self, W: np.ndarray, *layers: np.ndarray) -> float:  # type: ignore[override]
        """The loss from the residual itself."""
        return super().exact_loss(W, product(layers))

    def residual(self, W: np.ndarray, *layers: np.ndarray) -> Residual:  # type: ignore[override]
        """The KKT residual of these factors, over 1."""
        SW, of_rows = self._weighted(W), super().residual(W, product(layers))
        C, T = (SW.T @ W).astype(np.float64), self.products.left(SW).T.astype(np.float64)
        of_layers = _residual([Z.astype(np.float64) for Z in layers], C, T)
        return Residual(max(of_rows.relative, of_layers), 1.0)


def fitted_layers(layers: list[np.ndarray], C: np.ndarray, T: np.ndarray) -> tuple[list[np.ndarray], float]:
    """Each layer as it is best given the others, from the last to the first, and the residual that is left.

    With N = Z_p … Z_{l+1} and B = Z_{l−1} … Z_1 the loss is ½ tr(C N Z_l B Bᵀ Z_lᵀ Nᵀ) − ⟨Nᵀ T Bᵀ, Z_l⟩. Where N or B
    lack rank there are many best Z_l; the one nearest to the present Z_l is taken, so that a layer keeps what it has
    learned of the data beyond the rank of the code.

    Parameters
    ----------
    layers : list of ndarray
    C, T : ndarray of shapes (k, k) and (k, m)
        Wᵀ S W and Wᵀ S X.

    Returns
    -------
    layers : list of ndarray
    residual : float
        max |∇| / max |Nᵀ T Bᵀ| over the layers.
    """
    dtype = layers[0].dtype
    C, T = C.astype(np.float64), T.astype(np.float64)
    found = [Z.astype(np.float64) for Z in layers]
    below = _below(found)
    N = np.eye(len(found[-1]))
    for level in reversed(range(len(found))):
        Z, B, F = found[level], below[level], N.T @ C @ N
        gap = N.T @ (T - C @ (N @ (Z if B is None else Z @ B)))
        step = _inverse(F, dtype) @ gap
        if B is not None:
            step = step @ B.T @ _inverse(B @ B.T, dtype)
        found[level] = Z + step
        N = N @ found[level]
    found = [Z.astype(dtype) for Z in found]
    return found, _residual(found, C, T)


def _below(layers: list[np.ndarray]) -> list[np.ndarray | None]:
    """Z_{l−1} … Z_1 for every layer l; None, which stands for the unit matrix, for the first."""
    found: list[np.ndarray | None] = [None]
    for Z in layers[:-1]:
        found.append(Z if found[-1] is None else Z @ found[-1])
    return found


def _residual(layers: list[np.ndarray], C: np.ndarray, T: np.ndarray) -> float:
    rest, worst = T - C @ product(layers), 0.0
    for N, B in zip(above(layers), _below(layers), strict=True):
        slope, size = (N.T @ V if B is None else (N.T @ V) @ B.T for V in (rest, T))
        largest = float(np.abs(size).max())
        worst = max(worst, float(np.abs(slope).max()) / largest if largest > 0 else 0.0)
    return worst


def _inverse(A: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return np.linalg.pinv(A, rcond=len(A) * float(np.finfo(dtype).eps), hermitian=True)
