"""From what the user wrote to one object a solver can ask: the sum of the penalties on one factor.

Knows how penalties add up: coordinate parts and Gram parts add as numbers, smooth parts as gradients, bounds
intersect, and at most one proximal part is allowed, since the prox of a sum is not the sum of the proxes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, cast

import numpy as np

from nonneg.exceptions import IncompatibleError
from nonneg.penalties.base import (
    FACTORS,
    Array,
    CoordinatePenalty,
    Factor,
    Penalty,
    ProxPenalty,
    QuadraticPenalty,
    SmoothPenalty,
    as_float,
    clip_cells,
)
from nonneg.penalties.norms import L2


def as_penalties(arg: Any, name: str = "penalty") -> tuple[Penalty, ...]:
    """What a user may write as one tuple: None, a number (the strength of `L2`), a penalty, or a list of these.

    Parameters
    ----------
    arg : None, float, Penalty or sequence of float and Penalty
        The argument.
    name : str, default="penalty"
        What to call it in messages.

    Raises
    ------
    TypeError
        If `arg` is something else.
    ValueError
        If a number is negative or not finite.
    """
    if arg is None:
        return ()
    if isinstance(arg, (list, tuple)):
        return tuple(_one(item, f"{name}[{i}]") for i, item in enumerate(arg))
    return (_one(arg, name),)


def _one(item: Any, name: str) -> Penalty:
    if isinstance(item, Penalty):
        return item
    if isinstance(item, Real) and not isinstance(item, (bool, np.bool_)):
        if not (0.0 <= float(item) < np.inf):
            raise ValueError(
                f"{name}: a number is the strength of L2 and must be finite and >= 0, got {item!r}."
            )
        return L2(cast(float, item))
    if isinstance(item, type) and issubclass(item, Penalty):
        raise TypeError(
            f"{name} got the class {item.__name__}; give an object, for instance {item.__name__}(...)."
        )
    raise TypeError(
        f"{name} must be None, a number (the strength of L2), an object of nonneg.penalties such as "
        f"L1(0.1), or a list of these, got {type(item).__name__}."
    )


@dataclass(frozen=True, eq=False)
class Combined:
    """The sum of the penalties on one factor, sorted by what a solver does with them.

    Attributes
    ----------
    factor : {"W", "H"}
        The factor.
    penalties : tuple of Penalty
        The active ones, in the order given. Empty: nothing to do.
    name : str
        What the user calls the argument.
    coordinates, quadratics, smooths : tuple of Penalty
        By kind.
    proximal : ProxPenalty or None
        The one of kind "prox".
    linear, diagonal, low, high : float
        Σ a, Σ b and the common bounds of the coordinate parts (0, 0, 0 and inf without any).
    """

    factor: Factor
    penalties: tuple[Penalty, ...]
    name: str
    coordinates: tuple[CoordinatePenalty, ...]
    quadratics: tuple[QuadraticPenalty, ...]
    smooths: tuple[SmoothPenalty, ...]
    proximal: ProxPenalty | None
    linear: float
    diagonal: float
    low: float
    high: float

    def __bool__(self) -> bool:
        return bool(self.penalties)

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds present: what a solver compares with the ones it supports."""
        return frozenset(p.kind for p in self.penalties)

    @property
    def has_bounds(self) -> bool:
        """Whether the coordinate parts leave less than v >= 0."""
        return self.low > 0 or self.high < np.inf

    @property
    def separable(self) -> Literal["rows", "none"]:
        """Whether every part is separable over rows ("rows") or not ("none")."""
        return "rows" if all(p.separable(self.factor) == "rows" for p in self.penalties) else "none"

    @property
    def by_component(self) -> bool:
        """Whether every part is a sum over component vectors."""
        return all(p.by_component(self.factor) for p in self.penalties)

    @property
    def fixes_scale(self) -> bool:
        """Whether some part pins the scale of the components."""
        return any(p.fixes_scale(self.factor) for p in self.penalties)

    @property
    def scale_free(self) -> bool:
        """Whether scaling components up and down changes no part."""
        return all(p.degree == 0 for p in self.penalties)

    @property
    def convex(self) -> bool:
        """Whether every part is convex."""
        return all(p.convex for p in self.penalties)

    def keep(self, wanted: Iterable[Penalty]) -> Combined:
        """The sum of some of the parts: of those that `transform` can honour, say."""
        chosen = list(wanted)
        return combine([p for p in self.penalties if any(p is q for q in chosen)], self.factor, self.name)

    def rescaled(self, c: float, weight: float = 1.0) -> Combined:
        """The sum P′ with P′(c V) = weight · P(V)."""
        return combine([p.rescaled(c, weight) for p in self.penalties], self.factor, self.name)

    def validate(self, shape: tuple[int, int]) -> None:
        """Raise ValueError when a part does not fit a V of this shape."""
        for penalty in self.penalties:
            penalty.validate(shape, self.factor)

    def value(self, V: Array) -> float:
        """Σ value(V)."""
        return float(sum(p.value(V, self.factor) for p in self.penalties))

    def gram(self, V: Array) -> Array:
        """``diagonal · I + Σ Q(V)``, (k, k): what is added to the Gram matrix of the other factor."""
        V = as_float(V)
        k = V.shape[1] if self.factor == "W" else V.shape[0]
        total = np.zeros((k, k), dtype=V.dtype)
        total[np.diag_indices(k)] = self.diagonal
        for penalty in self.quadratics:
            total += penalty.quadratic(V, self.factor)
        return total

    def gradient_parts(self, V: Array) -> tuple[Array, Array]:
        """(plus, minus) of all parts but the proximal one; the gradient is plus − minus."""
        V = as_float(V)
        plus, minus = np.zeros(V.shape, V.dtype), np.zeros(V.shape, V.dtype)
        for penalty in (*self.coordinates, *self.quadratics, *self.smooths):
            more, less = penalty.gradient_parts(V, self.factor)
            plus += more
            minus += less
        return plus, minus

    def gradient(self, V: Array) -> Array:
        """Gradient of all parts but the proximal one."""
        plus, minus = self.gradient_parts(V)
        return plus - minus

    def coupled_gradient(self, V: Array) -> Array:
        """Gradient of the quadratic and smooth parts: what a step must linearise when `prox` has the rest."""
        V = as_float(V)
        total = np.zeros(V.shape, V.dtype)
        for penalty in (*self.quadratics, *self.smooths):
            total += penalty.gradient(V, self.factor)
        return total

    def lipschitz(self, V: Array) -> float:
        """Σ smooth bounds + ‖Σ Q(V)‖₂: the curvature of a majoriser of the coupled parts at V."""
        V = as_float(V)
        total = sum(p.lipschitz(self.factor, V.shape) for p in self.smooths)
        if self.quadratics:
            Q = sum(p.quadratic(V, self.factor).astype(np.float64) for p in self.quadratics)
            total += float(np.abs(np.linalg.eigvalsh(Q)).max())
        return float(total)

    def prox(self, V: Array, step: float) -> Array:
        """Argmin over U >= 0 of ½‖U − V‖² + step · (coordinate parts + proximal part), exact.

        a u + ½ b u² only moves and rescales the square: the prox of the sum is the prox of the proximal part
        at (V − step a) / (1 + step b) with step / (1 + step b).
        """
        V, step = as_float(V), float(step)
        shrink = 1.0 + step * self.diagonal
        moved = (V - step * self.linear) / shrink
        if self.proximal is not None:
            return self.proximal.prox(moved, step / shrink, self.factor)
        return clip_cells(moved, self.low, self.high)

    def stationarity(self, V: Array, loss_gradient: Array, scale: Array | None = None) -> Array:
        """Cell by cell 0 at a stationary point: min(V, ∇V) of the contract, extended to constraints.

        Parameters
        ----------
        V : ndarray
            The factor.
        loss_gradient : ndarray
            Gradient of the loss per observed cell; the penalties' is added here.
        scale : ndarray of shape (k,), optional
            d: the residual is that of V's components times d, whose gradient is divided by d (balancing).

        Notes
        -----
        Without a proximal part: max(V − high, min(V − low, ∇)). With one: V − prox(V − ∇, 1), which is the
        same thing for v >= 0 alone, and `scale` is ignored, because a set or a group does not survive the
        scaling.
        """
        gradient = loss_gradient + self.gradient(V)
        if self.proximal is not None:
            return V - self.proximal.prox(V - gradient, 1.0, self.factor)
        d: Any = 1.0
        if scale is not None:
            d = scale[None, :] if self.factor == "W" else scale[:, None]
        residual = np.minimum((V - self.low) * d, gradient / d)
        return np.maximum((V - self.high) * d, residual) if self.high < np.inf else residual


def combine(arg: Any, factor: Factor, name: str | None = None) -> Combined:
    """The penalties of one factor as a `Combined`; those of strength zero are left out.

    Parameters
    ----------
    arg : None, float, Penalty or sequence of these
        As in `as_penalties`.
    factor : {"W", "H"}
        The factor they act on.
    name : str, optional
        What to call the argument in messages; default ``penalty_W`` or ``penalty_H``.

    Raises
    ------
    IncompatibleError
        Two proximal penalties, a proximal penalty with bounds, or bounds that exclude each other.
    """
    if factor not in FACTORS:
        raise ValueError(f"factor must be 'W' or 'H', got {factor!r}.")
    name = name or f"penalty_{factor}"
    active = tuple(p for p in as_penalties(arg, name) if p.is_active)
    coordinates = tuple(p for p in active if isinstance(p, CoordinatePenalty))
    proximal = tuple(p for p in active if isinstance(p, ProxPenalty))
    low, high = _bounds(coordinates, factor, name)
    boxes = [p for p in coordinates if p.bounds(factor) != (0.0, np.inf)]
    _refuse_two_sets(proximal, boxes, name)
    return Combined(
        factor=factor,
        penalties=active,
        name=name,
        coordinates=coordinates,
        quadratics=tuple(p for p in active if isinstance(p, QuadraticPenalty)),
        smooths=tuple(p for p in active if isinstance(p, SmoothPenalty)),
        proximal=proximal[0] if proximal else None,
        linear=float(sum(p.linear(factor) for p in coordinates)),
        diagonal=float(sum(p.quadratic_diag(factor) for p in coordinates)),
        low=low,
        high=high,
    )


def _bounds(coordinates: Sequence[CoordinatePenalty], factor: Factor, name: str) -> tuple[float, float]:
    bounds = [p.bounds(factor) for p in coordinates]
    low = max((lo for lo, _ in bounds), default=0.0)
    high = min((hi for _, hi in bounds), default=np.inf)
    if low > high:
        boxes = " and ".join(repr(p) for p in coordinates if p.bounds(factor) != (0.0, np.inf))
        raise IncompatibleError(f"{name}: no number lies in {boxes}; widen one of them.")
    return float(low), float(high)


def _refuse_two_sets(proximal: Sequence[ProxPenalty], boxes: Sequence[CoordinatePenalty], name: str) -> None:
    clashing: list[Penalty] = [*proximal, *(boxes if proximal else ())]
    if len(clashing) > 1:
        first, second = clashing[:2]
        raise IncompatibleError(
            f"{name}: {first!r} and {second!r} cannot act on the same factor, because a step onto one "
            "leaves the other. Keep one, put the other on the other factor, or use a sum (L1, L2, "
            "Orthogonality, Smoothness) in its place."
        )


def factor_to_normalise(W: Combined, H: Combined) -> Factor | None:
    """The factor whose components a solver must normalise, so that a penalty on the other cannot be scaled away.

    Parameters
    ----------
    W, H : Combined
        The penalties of the two factors.

    Returns
    -------
    {"W", "H"} or None
        None when nothing depends on the scale, when a constraint fixes it, or when both factors are penalised
        and so hold each other.
    """
    if W.fixes_scale or H.fixes_scale or W.scale_free == H.scale_free:
        return None
    return "H" if H.scale_free else "W"
