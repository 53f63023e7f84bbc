"""Where H starts. W is then solved from H (see the solvers' cold start), so an init is a function to H alone."""

from __future__ import annotations

from .nndsvd import nndsvd, nndsvda
from .random import random
from .separable import separable
from .start import INITS, initial_components

__all__ = ["INITS", "initial_components", "nndsvd", "nndsvda", "random", "separable"]
