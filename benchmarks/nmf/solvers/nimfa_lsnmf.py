"""nimfa: projected gradients (Lsnmf) for Frobenius, multiplicative updates for KL; calls with growing max_iter.

nimfa 1.4.0 calls ``np.mat``, which numpy 2 no longer has, so with numpy 2 the table says that it does not run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from benchmarks.nmf.harness import BaseSolver, Recorder
from scipy import sparse

GRID = (5, 10, 20, 50, 100, 200, 500)


class Solver(BaseSolver):
    """Whole calls."""

    name = family = "nimfa"
    requirements = ("nimfa",)

    def skip(self, X: Any, loss: str) -> str | None:
        """Dense data of moderate size."""
        if sparse.issparse(X):
            return "dense data only"
        return "more than 5 million cells" if X.size > 5_000_000 else None

    def fit(self, X: Any, iterations: int) -> tuple[np.ndarray, np.ndarray]:
        """Return W, H."""
        import nimfa

        np.random.seed(self.seed)
        if self.loss == "frobenius":
            method = nimfa.Lsnmf(X, rank=self.k, max_iter=iterations, seed="random_vcol", min_residuals=0.0)
        else:
            method = nimfa.Nmf(
                X, rank=self.k, max_iter=iterations, seed="random_vcol", update="divergence", objective="div",
            )  # fmt: skip
        fitted = method()
        return np.asarray(fitted.basis()), np.asarray(fitted.coef())

    def run(self, recorder: Recorder) -> None:
        """One call for each number of iterations."""
        spent = 0.0
        for iterations in GRID:
            recorder.start()
            W, H = self.fit(self.X, iterations)
            loss = recorder.returned(lambda W=W, H=H: (W, H))
            recorder.points[-1]["iteration"] = iterations
            spent += recorder.points[-1]["wall"]
            if loss <= recorder.stop_below or spent > recorder.limit:
                break
