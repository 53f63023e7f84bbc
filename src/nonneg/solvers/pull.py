"""What penalties add to the sub-problem of each factor, safe against scaling.

A penalty on one factor alone means nothing, because W → W D, H → D⁻¹ H makes it as small as one likes. So where
`nonneg.penalties.factor_to_normalise` names a factor, its components are normalised:

- Sums over cells (L1, L2, elastic net) are taken of the *normalised* factorization, without ever normalising: L1 on
  W reads a Σ_k ‖W_:k‖₁ · mean(H_k), L2 on W reads ½ b Σ_k ‖W_:k‖² · mean(H_k²), and likewise for H with the roles
  swapped. This does not change under scaling; given the other factor it is again a linear and a quadratic term
  per component, for W and for H, so coordinate descent minimises it exactly and block by block.
- For everything else the other factor gets the constraint that its components have root mean square 1.

All numbers here are in the units of the summed loss: strength × (sum of weights) × unit^β.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..penalties import Combined, UnitNorm, combine, factor_to_normalise
from ..penalties.sets import NormalisedCone

__all__ = ["Penalties", "Pull", "build_penalties"]


@dataclass
class Pull:
    """Terms of one sub-problem: + linear·v + ½ v (Q) v for every row (column) v, within [low, high].

    ``step`` is the combined penalty where a proximal or smooth part asks for proximal gradient steps.
    """

    linear: np.ndarray
    Q: np.ndarray
    low: float
    high: float
    step: Combined | None

    def rescaled(self, c: float, weight: float) -> Pull:
        """The pull on c V beside a loss that is ``weight`` times as large."""
        step = None if self.step is None else self.step.rescaled(c, weight)
        linear, Q = self.linear * (weight / c), self.Q * (weight / c**2)
        return Pull(linear, Q, self.low * c, self.high * c, step)


@dataclass
class Penalties:
    """The penalties of both factors in summed-loss units.

    Parameters
    ----------
    W, H : Combined
    coupled : "W", "H" or None
        The factor that cell-wise penalties of the other one see normalised.
    unit : float
        Unit of X; H carries it, unless the user's penalty pins the scale of H: then W does.
    n, m : float
        Total row weight and number of features: what the means are over.
    """

    W: Combined
    H: Combined
    coupled: str | None
    unit: float
    n: float
    m: float
    whole_by_choice: bool = False  # the user's own penalty couples rows of W
    pins_H: bool = False  # the user's penalty pins the scale of H
    pinned_unit: float | None = None  # unit of W where the user's penalties pin both scales
    normalised: str | None = None  # the factor whose components are held at root mean square 1
    given: tuple[Combined, ...] = ()  # the penalties as the user gave them: what messages show

    @property
    def unit_W(self) -> float:
        """Unit of W."""
        if self.pinned_unit is not None:
            return self.pinned_unit
        return self.unit if self.pins_H else 1.0

    @property
    def unit_H(self) -> float:
        """Unit of H."""
        return 1.0 if self.pins_H else self.unit

    def __bool__(self) -> bool:
        return bool(self.W) or bool(self.H)

    @property
    def whole_W(self) -> bool:
        """Whether rows of W cannot be updated one block at a time."""
        return self.W.separable == "none"

    @property
    def holds_W(self) -> bool:
        """Whether the columns of W are held at one size for the sake of a penalty on H."""
        return self.whole_W and not self.whole_by_choice

    def on_W(self, W: np.ndarray, H: np.ndarray) -> Pull:
        """The pull on W given H."""
        sums, squares = H.sum(axis=1, dtype=np.float64), np.einsum("ij,ij->i", H, H, dtype=np.float64)
        if self.coupled == "H":
            linear = self.W.linear * sums / (self.m * self.unit)
            diagonal = self.W.diagonal * squares / (self.m * self.unit**2)
        else:
            linear, diagonal = np.full(len(H), self.W.linear), np.full(len(H), self.W.diagonal)
            if self.coupled == "W":
                linear = linear + self.H.linear * sums / self.n
                diagonal = diagonal + self.H.diagonal * squares / self.n
        return self._pull(self.W, W, linear, diagonal)

    def on_H(self, H: np.ndarray, sums: np.ndarray, squares: np.ndarray) -> Pull:
        """The pull on H given the (row-weighted) column sums and sums of squares of W."""
        if self.coupled == "W":
            linear = self.H.linear * sums / self.n
            diagonal = self.H.diagonal * squares / self.n
        else:
            linear, diagonal = np.full(len(H), self.H.linear), np.full(len(H), self.H.diagonal)
            if self.coupled == "H":
                linear = linear + self.W.linear * sums / (self.m * self.unit)
                diagonal = diagonal + self.W.diagonal * squares / (self.m * self.unit**2)
        return self._pull(self.H, H, linear, diagonal)

    def on_new_rows(self, W: np.ndarray, H: np.ndarray) -> Pull:
        """The pull on rows that come later: what couples rows is left out."""
        pull = self.on_W(W, H)
        if self.whole_W:
            kept = self.W.keep(p for p in self.W.penalties if p.separable("W") == "rows")
            pull = Penalties(kept, self.H, self.coupled, self.unit, self.n, self.m).on_W(W, H)
        return pull

    def _pull(self, own: Combined, V: np.ndarray, linear: np.ndarray, diagonal: np.ndarray) -> Pull:
        Q = np.diag(diagonal)
        for penalty in own.quadratics:
            Q = Q + penalty.quadratic(V, own.factor)
        step = own if own.proximal is not None or own.smooths else None
        return Pull(linear.astype(V.dtype), Q.astype(V.dtype), own.low, own.high, step)

    def normalise(self, W: np.ndarray, H: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A start with the same product, whose normalised factor meets its constraint."""
        if self.normalised is None:
            return W, H
        sizes = np.linalg.norm(H, axis=1) / (np.sqrt(self.m) * self.unit_H)
        if self.normalised == "W":
            sizes = (
                np.sqrt(W.shape[0])
                * self.unit_W
                / np.maximum(np.linalg.norm(W, axis=0), np.finfo(W.dtype).tiny)
            )
        sizes = np.where(sizes > 0, sizes, 1).astype(W.dtype)
        return W * sizes, H / sizes[:, None]

    def value(self, W: np.ndarray, H: np.ndarray, sums: np.ndarray, squares: np.ndarray) -> float:
        """The penalties at (W, H), with the (row-weighted) column sums and sums of squares of W."""
        if self.coupled == "H":
            s1 = H.sum(axis=1, dtype=np.float64) / (self.m * self.unit)
            s2 = np.einsum("ij,ij->i", H, H, dtype=np.float64) / (self.m * self.unit**2)
            return float(self.W.linear * np.dot(sums, s1) + 0.5 * self.W.diagonal * np.dot(squares, s2))
        if self.coupled == "W":
            h1 = H.sum(axis=1, dtype=np.float64)
            h2 = np.einsum("ij,ij->i", H, H, dtype=np.float64)
            cells = self.H.linear * np.dot(sums, h1) + 0.5 * self.H.diagonal * np.dot(squares, h2)
            return float(cells / self.n)
        # constraints are met by construction, but for frozen rows, which nobody moves; a row's weight counts for its
        # penalty as for its loss, and so does not move the row
        cells = self.W.linear * sums.sum() + 0.5 * self.W.diagonal * squares.sum()
        others = [
            p.value(W, "W") for p in self.W.penalties if not (p.is_constraint or p.kind == "coordinate")
        ]
        of_H = [p.value(H, "H") for p in self.H.penalties if not p.is_constraint]
        return float(cells) + sum(others) + sum(of_H)


def build_penalties(
    penalty_W: object, penalty_H: object, *, shape: tuple[int, int], k: int, weight: float, beta: float, unit: float,
    rows_weight: float, source_scale: float = 1.0,
) -> Penalties:  # fmt: skip
    """Bring the user's penalties into summed-loss units and settle what is normalised.

    Parameters
    ----------
    penalty_W, penalty_H
        As the user gave them: strengths multiply the loss divided by the number of observed cells, in the problem
        whose mean observed cell is 1.
    weight : float
        Total weight of the observed cells.
    rows_weight : float
        Total weight of the rows.
    source_scale : float
        What the source multiplies X by.
    """
    n, m = shape
    scale = weight * unit**beta
    W, H = combine(penalty_W, "W", "penalty_W"), combine(penalty_H, "H", "penalty_H")
    W.validate((n, k))
    H.validate((k, m))
    whole, pins_W, pins_H = W.separable == "none", W.fixes_scale, H.fixes_scale
    given, loose = (W, H), factor_to_normalise(W, H)
    cellwise = (W.kinds | H.kinds) <= {"coordinate"}
    if loose is not None and not cellwise:
        if loose == "H":
            H = _normalised(H, float(np.sqrt(m)))
        else:
            W = _normalised(W, float(np.sqrt(n)))
    # pinned both: in the units of the data, nothing is left to choose
    found = Penalties(
        W, H, loose if cellwise else None, unit, rows_weight, float(m), whole, pins_H,
        source_scale if pins_H and pins_W else None, None if cellwise else loose, given,
    )  # fmt: skip
    found.W, found.H = W.rescaled(found.unit_W, scale), H.rescaled(found.unit_H, scale)
    return found


def _normalised(own: Combined, radius: float) -> Combined:
    """The penalties of a factor with the constraint that its components have the given length."""
    cone = own.proximal
    if cone is None:
        return combine([*own.penalties, UnitNorm("l2", radius)], own.factor, own.name)
    others = [penalty for penalty in own.penalties if penalty is not cone]
    return combine([*others, NormalisedCone(cone, radius)], own.factor, own.name)
