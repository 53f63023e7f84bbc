"""tensorly's HALS for non-negative CP, on a matrix, watched after each update of the second factor."""

from __future__ import annotations

from typing import Any

import numpy as np
from benchmarks.nmf.harness import BaseSolver, Enough, Recorder, hooked
from scipy import sparse


class Solver(BaseSolver):
    """A matrix is a tensor of two modes."""

    name = family = "tensorly HALS"
    parameters = {"init": ("svd", "random")}
    requirements = ("tensorly",)

    def skip(self, X: Any, loss: str) -> str | None:
        """Dense Frobenius alone; its SVD start would take minutes on tall data with many components."""
        return "dense Frobenius only" if sparse.issparse(X) or loss != "frobenius" else None

    def fit(self, X: Any, iterations: int) -> Any:
        """Without its own stopping rule."""
        from tensorly.decomposition import non_negative_parafac_hals

        return non_negative_parafac_hals(
            X, self.k, n_iter_max=iterations, tol=0, random_state=self.seed, **self.chosen
        )

    def warm_up(self) -> None:
        """Two iterations on some of the rows."""
        self.fit(self.X[: max(500, self.k)], 2)

    def run(self, recorder: Recorder) -> None:
        """One fit, watched between iterations."""
        import sys

        from tensorly.decomposition import non_negative_parafac_hals

        module = sys.modules[non_negative_parafac_hals.__module__]
        factors: list[Any] = []

        def after(args: tuple[Any, ...], result: Any) -> None:  # W first, then H, both transposed
            factors.append(result)
            if len(factors) == 2:
                W, H = factors
                factors.clear()
                recorder.peek(lambda: (np.asarray(W).T, np.asarray(H)))

        with hooked(module, "hals_nnls", after):
            recorder.start()
            try:
                self.fit(self.X, 1_000_000)
            except Enough:
                return
