"""nonneg.NMF with its default solver and start.

``loop``: the factors between iterations, as for the peers. ``whole``: calls of ``fit_transform`` with growing
``max_iter``, each timed from start to return, so that the last pass (exact W, loss, certificate) counts too.
"""

from __future__ import annotations

import warnings
from typing import Any
from unittest import mock

from benchmarks.nmf.harness import BaseSolver, Enough, Recorder

from nonneg import NMF
from nonneg.models import nmf

GRID = (1, 2, 3, 5, 8, 13, 20, 35, 60, 100, 200, 400)
FOREVER = 1_000_000


class Solver(BaseSolver):
    """The library."""

    name = family = "nonneg"
    parameters = {"clock": ("whole", "loop")}

    def model(self, **changes: Any) -> NMF:
        """An estimator at its defaults but for what ends it."""
        return NMF(self.k, loss=self.loss, random_state=self.seed, **{"tol": 0.0, **changes})

    def warm_up(self) -> None:
        """One iteration on the same data: every kernel is loaded or compiled for them."""
        self.model(max_iter=1).fit(self.X)

    def run(self, recorder: Recorder) -> None:
        """See the module."""
        (self.whole if self.chosen["clock"] == "whole" else self.loop)(recorder)

    def whole(self, recorder: Recorder) -> None:
        """One call for each value of ``max_iter``."""
        spent, last = 0.0, float("inf")
        for max_iter in GRID:
            recorder.start()
            model = self.model(max_iter=max_iter)
            W = model.fit_transform(self.X)
            loss = recorder.returned(lambda W=W, model=model: (W, model.components_))
            recorder.points[-1]["iteration"] = max_iter
            spent += recorder.points[-1]["wall"]
            if model.n_iter_ < max_iter or spent > 3 * recorder.limit:
                break
            if last - loss < 1e-4 * loss and max_iter >= 20:
                break
            last = loss

    def loop(self, recorder: Recorder) -> None:
        """One fit, watched between iterations."""
        solve = nmf.solve

        def watched(problem: Any, *args: Any, **kwargs: Any) -> Any:
            back = 1.0 / problem.source.scale

            def callback(iteration: int, record: Any, state: Any) -> None:
                recorder.peek(lambda: (state.W, state.H * state.H.dtype.type(back)))

            return solve(problem, *args, **{**kwargs, "callback": callback})

        with mock.patch.object(nmf, "solve", watched), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            recorder.start()
            try:
                model = self.model(max_iter=FOREVER)
                W = model.fit_transform(self.X)
            except Enough:
                return
            recorder.returned(lambda: (W, model.components_))
