"""scikit-learn's NMF through its public ``fit_transform``, watched after each of its updates of H.

The private functions that update a factor are wrapped; the arithmetic is scikit-learn's own. Coordinate descent for
Frobenius, multiplicative updates for KL (the only solver scikit-learn has for it), with each start.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import sklearn.decomposition._nmf as module
from benchmarks.nmf.harness import BaseSolver, Enough, Recorder, hooked
from sklearn.decomposition import NMF

NAMES = {"frobenius": "frobenius", "kl": "kullback-leibler"}
SOLVES = {"cd": "frobenius", "mu": "kl"}


class Solver(BaseSolver):
    """The peer."""

    name = family = "scikit-learn"
    parameters = {"solver": ("cd", "mu"), "init": ("nndsvda", "random", "nndsvd")}
    requirements = ("sklearn",)

    def skip(self, X: Any, loss: str) -> str | None:
        """Refuse combinations that scikit-learn does not have or advises against."""
        if loss != SOLVES[self.chosen["solver"]]:
            return "the other solver is for this loss"
        if self.chosen["solver"] == "mu" and self.chosen["init"] == "nndsvd":
            return "multiplicative updates cannot leave the zeros of nndsvd"
        return None

    def model(self, **changes: Any) -> NMF:
        """Tolerance 0: the curve ends it."""
        settings = {"tol": 0.0, "max_iter": 1_000_000, **changes}
        return NMF(self.k, beta_loss=NAMES[self.loss], random_state=self.seed, **self.chosen, **settings)

    def warm_up(self) -> None:
        """Two iterations on some of the rows."""
        self.model(max_iter=2).fit(self.X[: max(500, self.k)])

    def run(self, recorder: Recorder) -> None:
        """One fit, watched between iterations."""
        calls = 0
        if self.chosen["solver"] == "cd":
            name = "_update_coordinate_descent"

            def after(args: tuple[Any, ...], result: Any) -> None:  # called for W and for H in turn
                nonlocal calls
                calls += 1
                if calls % 2 == 0:
                    recorder.peek(lambda: (args[2], np.asarray(args[1]).T))
        else:
            name = "_multiplicative_update_h"

            def after(args: tuple[Any, ...], result: Any) -> None:
                recorder.peek(lambda: (args[1], result))

        with hooked(module, name, after):
            recorder.start()
            try:
                model = self.model()
                W = model.fit_transform(self.X)
            except Enough:
                return
        recorder.returned(lambda: (W, model.components_))
