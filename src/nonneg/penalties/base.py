"""What a penalty is. A solver's author needs this page only.

The problem that every solver of the library minimises is

    loss(X, W H) / N  +  Σ P_W(W)  +  Σ P_H(H)        over W >= 0, H >= 0,

X (n, m), W (n, k), H (k, m), N the number of observed cells. A *component* is a column of W and a row of H:
below, "component vector" means W[:, j] or H[j, :]. One penalty object serves either factor: every method
takes the matrix ``V`` and ``factor``, "W" or "H", and knows from it where the components lie. Penalties are
pure functions of V: they hold constructor arguments and nothing that was learned. A constraint is a penalty
that is 0 or infinite.

Every method returns new memory, C-contiguous, in V's own float type (float32 stays float32; sums are taken in
float64), never changes V, and may assume V finite. `value` accepts any V; the others assume V >= 0, except
`prox`.

**kind** says what a solver can ask of a penalty:

"coordinate"
    value = Σ (a v + ½ b v²) over the cells, within bounds lo <= v <= hi. `linear(factor)` is a,
    `quadratic_diag(factor)` is b, `bounds(factor)` is (lo, hi), numbers that contain the strength. Coordinate
    descent adds a to its linear term, b to its curvature, and clips. (L1, L2, ElasticNet, Box.)
"quadratic"
    `quadratic(V, factor)` is a symmetric (k, k) matrix Q. The penalty is, or is majorised with contact at
    this V by, ½ tr(V Q Vᵀ) for W, ½ tr(Vᵀ Q V) for H, plus a constant: add Q to the Gram matrix. Q need not
    be positive definite, but its diagonal is >= 0. Refresh it at every outer iteration. (Orthogonality,
    MinimumVolume.)
"prox"
    `prox(V, step, factor)` = argmin over U >= 0 of ½‖U − V‖² + step · value(U), exact; V may have any sign.
    With a constraint the step does not matter. (Group, Simplex, UnitNorm, HoyerSparsity; "coordinate" ones
    have it too.)
"smooth"
    `gradient(V, factor)`, and `lipschitz(factor, shape)`, an upper bound of the gradient's Lipschitz
    constant, so that value(V) + ⟨gradient, U − V⟩ + ½ lipschitz ‖U − V‖² majorises value(U). (Smoothness,
    GraphLaplacian.)

All kinds but "prox" have `gradient`, and `gradient_parts` = (plus, minus), both >= 0, gradient = plus −
minus, which is what multiplicative updates need.

The other attributes:

``strength``
    finite, >= 0. Zero means "not there". A constraint has 1.0, which nothing reads.
``separable(factor)``
    "rows": given H, each row of W can be updated alone, so W may be walked in blocks and new rows be
    transformed under the penalty. "none": W must be kept whole, and `transform` drops the penalty. Defined
    for "H" too, where no solver cares.
``by_component(factor)``
    the penalty is a sum over component vectors: HALS may apply `prox` to one of them, V[:, [j]] or V[[j], :].
``fixes_scale(factor)``
    the penalty alone forbids scaling components up and down against the other factor. Then the other factor
    is not normalised. All the others are made scale-safe by the solver: when one factor is penalised, the
    other's components are normalised (`factor_to_normalise`).
``degree``
    value(c V) = c^degree value(V). 0 means that scaling changes nothing. None: not homogeneous.
``rescaled(c, weight)``
    the penalty P′ with P′(c V) = weight · P(V), whatever the degree: for changing the unit of V, and for
    solvers that minimise a sum instead of a mean (``rescaled(1.0, N)``).
``convex``
    whether `value` is convex on V >= 0. A non-convex one gives `transform` a sub-problem without a unique
    answer.
``is_constraint``
    value is 0 or inf.
``validate(shape, factor)``
    ValueError when the penalty does not fit a V of this shape (a graph of another size). Call once a fit.

`combine` (in `combine.py`) turns the user's argument into one `Combined` object that answers all of this for
a sum.

To add a penalty: subclass the class of its kind, store constructor arguments unchanged, check them in
`__init__`, and export it; printing, comparison, cloning, JSON and the combination with others follow.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nonneg.penalties.parameters import Parametrised, check_number

Factor = Literal["W", "H"]
Kind = Literal["coordinate", "quadratic", "prox", "smooth"]
Array = NDArray[Any]

FACTORS: tuple[str, ...] = get_args(Factor)
KINDS: tuple[str, ...] = get_args(Kind)


def as_float(V: ArrayLike) -> Array:
    """V as a float32 or float64 array; other types become float64."""
    V = np.asarray(V)
    return V if V.dtype in (np.float32, np.float64) else V.astype(np.float64)


def component_rows(V: Array, factor: Factor) -> Array:
    """View of V with one component vector a row: (k, n) for W, (k, m) for H."""
    return V.T if factor == "W" else V


def clip_cells(V: Array, low: float, high: float) -> Array:
    """V within [low, high], C-contiguous and of V's type; a bound beyond the type's range is no bound."""
    out = np.maximum(V, low)
    if high <= float(np.finfo(V.dtype).max):
        np.minimum(out, high, out=out)
    return np.ascontiguousarray(out)


def rounding(V: Array) -> float:
    """Relative error up to which a constraint on V counts as met: eps^(2/3), 4e-11 or 2e-5."""
    dtype = V.dtype if V.dtype == np.float32 else np.float64
    return float(np.finfo(dtype).eps ** (2 / 3))


class Penalty(Parametrised, ABC):
    """Base of all penalties; the module's docstring is the contract."""

    kind: ClassVar[Kind]
    degree: ClassVar[int | None] = None
    convex: ClassVar[bool] = True
    is_constraint: ClassVar[bool] = False
    strength: float = 1.0

    @abstractmethod
    def value(self, V: ArrayLike, factor: Factor) -> float:
        """The penalty at V; inf where a constraint is violated by more than rounding.

        Parameters
        ----------
        V : ndarray of shape (n, k) for "W", (k, m) for "H"
            The factor.
        factor : {"W", "H"}
            Which factor V is.
        """

    @abstractmethod
    def rescaled(self, c: float, weight: float = 1.0) -> Penalty:
        """The penalty P′ with P′(c V) = weight · P(V).

        Parameters
        ----------
        c : float > 0
            New units of V per old unit.
        weight : float > 0, default=1.0
            Factor of the value. Constraints ignore it.
        """

    def separable(self, factor: Factor) -> Literal["rows", "none"]:
        """Whether the rows of W can be updated one by one given H ("rows") or not ("none")."""
        return "rows"

    def fixes_scale(self, factor: Factor) -> bool:
        """Whether the penalty alone pins the scale of the components of V."""
        return False

    def by_component(self, factor: Factor) -> bool:
        """Whether the penalty is a sum over component vectors."""
        return False

    @property
    def is_active(self) -> bool:
        """Whether the penalty can have any effect: its strength is not zero."""
        return float(self.strength) > 0

    def validate(self, shape: tuple[int, int], factor: Factor) -> None:
        """Raise ValueError when the penalty does not fit a V of this shape."""
        if factor not in FACTORS:
            raise ValueError(f"factor must be 'W' or 'H', got {factor!r}.")

    def _check_strength(self) -> None:
        check_number(self, "strength", self.strength)


class DifferentiablePenalty(Penalty):
    """A penalty with a gradient on V >= 0: every kind but "prox"."""

    @abstractmethod
    def gradient_parts(self, V: ArrayLike, factor: Factor) -> tuple[Array, Array]:
        """(plus, minus), both >= 0 for V >= 0, with gradient = plus − minus."""

    def gradient(self, V: ArrayLike, factor: Factor) -> Array:
        """The gradient at V."""
        plus, minus = self.gradient_parts(V, factor)
        return plus - minus


class CoordinatePenalty(DifferentiablePenalty):
    """Σ (a v + ½ b v²) over the cells of V, within lo <= v <= hi; a, b, lo, hi contain the strength."""

    kind = "coordinate"

    def linear(self, factor: Factor) -> float:
        """The coefficient a of v."""
        return 0.0

    def quadratic_diag(self, factor: Factor) -> float:
        """The coefficient b of v²/2."""
        return 0.0

    def bounds(self, factor: Factor) -> tuple[float, float]:
        """(lo, hi) with 0 <= lo <= hi."""
        return 0.0, np.inf

    def by_component(self, factor: Factor) -> bool:
        """True: a sum over cells is one over component vectors."""
        return True

    def value(self, V: ArrayLike, factor: Factor) -> float:
        """Σ (a |v| + ½ b v²)."""
        V = as_float(V)
        a, b = self.linear(factor), self.quadratic_diag(factor)
        total = a * float(np.abs(V).sum(dtype=np.float64)) if a else 0.0
        return total + (0.5 * b * float(np.square(V, dtype=np.float64).sum()) if b else 0.0)

    def prox(self, V: ArrayLike, step: float, factor: Factor) -> Array:
        """clip((V − step a) / (1 + step b), lo, hi), the exact minimiser cell by cell."""
        V, step = as_float(V), float(step)
        out = (V - step * self.linear(factor)) / (1.0 + step * self.quadratic_diag(factor))
        return clip_cells(out, *self.bounds(factor))

    def gradient_parts(self, V: ArrayLike, factor: Factor) -> tuple[Array, Array]:
        """(a + b V, 0)."""
        V = as_float(V)
        plus = np.ascontiguousarray(self.quadratic_diag(factor) * V + self.linear(factor))
        return plus, np.zeros_like(plus)

    def gradient(self, V: ArrayLike, factor: Factor) -> Array:
        """The derivative a + b v, at v = 0 from the right."""
        return self.gradient_parts(V, factor)[0]


class QuadraticPenalty(DifferentiablePenalty):
    """½ tr(V Q Vᵀ) for W, ½ tr(Vᵀ Q V) for H; Q (k, k) symmetric, possibly a majoriser that moves with V."""

    kind = "quadratic"

    @abstractmethod
    def quadratic(self, V: ArrayLike, factor: Factor) -> Array:
        """The (k, k) matrix Q at V; its diagonal is >= 0."""

    def gradient_parts(self, V: ArrayLike, factor: Factor) -> tuple[Array, Array]:
        """(Q⁺ V, Q⁻ V) with Q = Q⁺ − Q⁻ cell by cell (V on the left for W)."""
        V = as_float(V)
        Q = self.quadratic(V, factor)
        parts = (np.maximum(Q, 0), np.maximum(-Q, 0))
        plus, minus = (V @ part if factor == "W" else part @ V for part in parts)
        return plus, minus

    def gradient(self, V: ArrayLike, factor: Factor) -> Array:
        """V Q for W, Q V for H: the majoriser touches, so this is the gradient of the penalty itself."""
        V = as_float(V)
        Q = self.quadratic(V, factor)
        return V @ Q if factor == "W" else Q @ V


class ProxPenalty(Penalty):
    """A penalty known by its proximal operator."""

    kind = "prox"

    @abstractmethod
    def prox(self, V: ArrayLike, step: float, factor: Factor) -> Array:
        """Argmin over U >= 0 of ½‖U − V‖² + step · value(U)."""


class SmoothPenalty(DifferentiablePenalty):
    """A differentiable penalty with a Lipschitz gradient."""

    kind = "smooth"

    @abstractmethod
    def lipschitz(self, factor: Factor, shape: tuple[int, int]) -> float:
        """An upper bound of the gradient's Lipschitz constant for a V of this shape."""
