"""Units and weights of several views: each near 1 by a power of two of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..data.views import Views
from .units import exponent_of, power_of

__all__ = ["views_in_range", "weight_roots"]

FARTHEST = 900  # powers of two between views, beyond which √α is no float


def views_in_range(views: Views) -> None:
    """Let every view bring its cells near 1; the whole stands in the units of the largest."""
    for _, view, _ in views.there():
        view.scale = 2.0 ** -exponent_of([view.summary().maximum])
    views.scale = min(view.scale for _, view, _ in views.there())


def weight_roots(weights: Any, views: Views, names: list[str] | None) -> np.ndarray:
    """Return √α in the units of the views (α itself may be no float), from the parameter ``view_weights``."""
    if weights is None:
        return np.ones(len(views.views))
    if isinstance(weights, str):
        squares = np.array([view.summary().squares for _, view, _ in views.there()])
        powers = power_of(views) - np.array([power_of(view) for _, view, _ in views.there()])
        beside = np.array([view.weight_power for _, view, _ in views.there()]) - views.weight_power
        if np.abs(powers).max() > FARTHEST:
            raise ValueError(
                f"X: the cells of its views differ in size by a factor of 2^{np.abs(powers).max()}, and no float holds "
                "the weights that would balance them; multiply the small views by a constant"
            )
        common = float(np.ldexp(squares, 2 * powers + beside).mean()) or 1.0
        roots = np.ldexp(np.sqrt(common / np.where(squares > 0, squares, common)), -powers)
        return roots * np.exp2(-beside / 2)
    if isinstance(weights, Mapping):
        by_name = {str(name): weight for name, weight in weights.items()}
        if names is None or set(by_name) != set(names):
            raise ValueError(f"view_weights has names {list(by_name)}, X has {names}; give one for each view")
        weights = [by_name[name] for name in names]
    found = np.asarray(weights, np.float64)
    if found.shape != (len(views.views),) or not np.isfinite(found).all() or (found <= 0).any():
        raise ValueError(
            f"view_weights={weights!r} must be {len(views.views)} positive numbers, one for each view"
        )
    return np.sqrt(found)
