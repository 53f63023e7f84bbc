"""scikit-learn's MiniBatchNMF at its default batch of 1,024, watched after each pass over the rows."""

from __future__ import annotations

import warnings
from typing import Any

from benchmarks.nmf.harness import BaseSolver, Enough, Recorder
from sklearn.decomposition import MiniBatchNMF

NAMES = {"frobenius": "frobenius", "kl": "kullback-leibler"}


class Solver(BaseSolver):
    """Another peer, in a family of its own."""

    name = family = "scikit-learn MiniBatchNMF"
    requirements = ("sklearn",)

    def model(self, max_iter: int = 1_000_000) -> MiniBatchNMF:
        """Without its own stopping rules."""
        return MiniBatchNMF(
            self.k, beta_loss=NAMES[self.loss], tol=0.0, max_no_improvement=None, max_iter=max_iter,
            random_state=self.seed,
        )  # fmt: skip

    def warm_up(self) -> None:
        """One pass over some of the rows."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.model(1).fit(self.X[: max(500, self.k)])

    def run(self, recorder: Recorder) -> None:
        """One fit, watched between passes."""
        model = self.model()
        step = model._minibatch_step
        rows = 0

        def watched(X: Any, W: Any, H: Any, update_H: bool) -> Any:
            nonlocal rows
            cost = step(X, W, H, update_H)
            rows += X.shape[0]
            if rows >= self.X.shape[0]:
                rows = 0
                whole = W if W.base is None else W.base
                recorder.peek(lambda: (whole, H))
            return cost

        model._minibatch_step = watched
        recorder.start()
        try:
            W = model.fit_transform(self.X)
        except Enough:
            return
        recorder.returned(lambda: (W, model.components_))
