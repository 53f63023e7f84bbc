"""torchnmf's multiplicative updates, watched after each update of its second factor."""

from __future__ import annotations

from typing import Any

from benchmarks.nmf.harness import BaseSolver, Enough, Recorder, hooked
from scipy import sparse


class Solver(BaseSolver):
    """X ≈ H Wᵀ in torchnmf's letters."""

    name = family = "torchnmf"
    requirements = ("torch", "torchnmf")

    def skip(self, X: Any, loss: str) -> str | None:
        """Dense data alone."""
        return "dense data only" if sparse.issparse(X) else None

    def set_objective(self, X: Any, n_components: int, loss: str, seed: int) -> None:
        """Take the data as a tensor, with as many threads as the others have."""
        import torch
        from threadpoolctl import threadpool_info

        super().set_objective(X, n_components, loss, seed)
        blas = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
        torch.set_num_threads(max(blas, default=1))
        self.tensor = torch.from_numpy(X)

    def fit(self, tensor: Any, iterations: int) -> Any:
        """Without its own stopping rule."""
        import torch
        from torchnmf.nmf import NMF

        torch.manual_seed(self.seed)
        self.network = NMF(tuple(tensor.shape), rank=self.k)
        # -1e9: its rule stops at a fall of the loss below tol, and 0 would stop it at any rise by rounding
        self.network.fit(tensor, beta=2 if self.loss == "frobenius" else 1, tol=-1e9, max_iter=iterations)
        return self.network

    def warm_up(self) -> None:
        """Two iterations on some of the rows."""
        self.fit(self.tensor[: max(500, self.k)], 2)

    def run(self, recorder: Recorder) -> None:
        """One fit, watched between iterations."""
        import torchnmf.nmf as module

        calls = 0

        def after(args: tuple[Any, ...], result: Any) -> None:
            nonlocal calls
            calls += 1
            if calls % 2 == 0:
                network = self.network
                recorder.peek(lambda: (network.H.detach().numpy(), network.W.detach().numpy().T))

        with hooked(module, "_double_backward_update", after):
            recorder.start()
            try:
                self.fit(self.tensor, 1_000_000)
            except Enough:
                return
