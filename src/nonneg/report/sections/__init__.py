"""The sections of a report, in order, a file each.

A section is a function of `Facts` that returns a `Section`, or None where there is nothing to say: a new one is a file
here and a name in `SECTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable

from ..blocks import Section
from ..facts import Facts
from .amounts import amounts
from .certificate import certificate
from .components import components
from .convergence import convergence
from .data import data
from .groups import groups
from .memberships import memberships
from .modes import modes
from .parts import parts
from .plane import plane
from .repeat import repeat
from .similarity import similarity

__all__ = ["SECTIONS"]

SECTIONS: tuple[Callable[[Facts], Section | None], ...] = (
    parts,
    modes,
    components,
    similarity,
    amounts,
    memberships,
    plane,
    groups,
    convergence,
    certificate,
    data,
    repeat,
)
