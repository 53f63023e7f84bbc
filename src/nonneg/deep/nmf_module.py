"""The NMF module: the two layers between the student's encoder and decoder.

Rows are samples, as everywhere in the library: the paper's H (r, n) is this module's H transposed.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nonneg.models.nmf import NMF

__all__ = ["NMFModule"]

START_ITERATIONS = 50
OFF = 0.05  # what the sigmoid starts at where an amount is 0, and 1 less that where it is largest


def _ridge(A: Tensor, B: Tensor) -> Tensor:
    """X of A X ≈ B by least squares, with so little of a ridge that it is felt where A has no variance only."""
    ridge = 1e-6 * A.square().sum().clamp_min(1e-30) * torch.eye(A.shape[1], dtype=A.dtype, device=A.device)
    return torch.linalg.solve(A.T @ A + ridge, A.T @ B)


class NMFModule(nn.Module):
    """H = σ(g · Z W′ᵀ + b),  Ẑ = ReLU(H Wᵀ) with W = g · V: a rank-k non-negative model of Z.

    Parameters
    ----------
    width : int
        Columns d of Z.
    n_components : int
        Columns k of H.
    bias : bool, default=False
        Whether the sigmoid layer has a bias b (the paper's has none, its authors' demo has one).
    nonnegative : bool, default=False
        Whether W ≥ 0. W is then |V|, element by element: unlike clamping, a weight that reaches zero is reflected and
        goes on learning, so units do not die of it.
    gain : float, default=1.0
        The factor g > 0. Above 1 it moves the sigmoid out of its flat middle and lets W grow faster, which plain
        initial weights leave H and Ẑ too small for.
    generator : torch.Generator, optional
        Source of the initial weights (Glorot uniform).

    Notes
    -----
    Source: Chen et al. (2021), eq. 3. The gain, the bias and W ≥ 0 are not in the paper.
    """

    def __init__(
        self,
        width: int,
        n_components: int,
        *,
        bias: bool = False,
        nonnegative: bool = False,
        gain: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.nonnegative = nonnegative
        self.gain = gain
        generator = torch.Generator() if generator is None else generator
        self.projection = nn.Parameter(torch.empty(n_components, width))  # W′ (k, d)
        self.weight = nn.Parameter(torch.empty(width, n_components))  # V (d, k)
        nn.init.xavier_uniform_(self.projection, generator=generator)
        nn.init.xavier_uniform_(self.weight, generator=generator)
        self.bias = nn.Parameter(torch.zeros(n_components)) if bias else None

    @torch.no_grad()
    def fit_start(self, z: Tensor, spread: float = 1.5) -> None:
        """Set W′ and W from a sample of Z, so that H uses the sigmoid's range and Ẑ is near Z from the first step.

        W of any sign. W′: the k leading principal directions of Z, made orthogonal to its mean (which stands for the
        bias that eq. 3 lacks) and scaled so that every column of g · Z W′ᵀ has standard deviation `spread`; where Z has
        fewer directions with variance than there are units, the other rows of W′ stay as they are. W: the least squares
        solution of Z ≈ H Wᵀ.

        W ≥ 0. An NMF of the sample, Z ≈ A B: W = Bᵀ with amounts A between 0 and 1, and W′ the least squares solution
        of g · Z W′ᵀ ≈ logit A within the k leading singular directions of Z. (A least squares W without its negative
        entries leaves units that say nothing, and these die.)

        Parameters
        ----------
        z : tensor (n, d)
            The encoder's output for n ≥ 2 samples.
        spread : float, default=1.5
            Of the sigmoid's argument; at 1.5 two thirds of H lie between .18 and .82.
        """
        wide = z.double()
        if self.nonnegative:
            self._fit_nonnegative(wide)
            return
        mean = wide.mean(dim=0)
        _, _, directions = torch.linalg.svd(wide - mean, full_matrices=False)
        directions = directions[: len(self.projection)]
        norm = mean.square().sum()
        if norm > 0:
            directions = directions - (directions @ mean / norm)[:, None] * mean
        sd = (wide @ directions.T).std(dim=0)
        useful = sd > 1e-6 * sd.max().clamp_min(1e-30)
        rows = directions[useful] * (spread / (self.gain * sd[useful]))[:, None]
        self.projection[: len(rows)] = rows.to(self.projection)
        self.weight.copy_(_ridge(self.encode(z).double(), wide).T / self.gain)

    def _fit_nonnegative(self, z: Tensor) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a start need not converge, nor use every unit
            model = NMF(len(self.projection), max_iter=START_ITERATIONS, random_state=0)
            A = torch.from_numpy(model.fit_transform(z.cpu().numpy())).to(z)
        top = torch.quantile(A, 0.99, dim=0).clamp_min(torch.finfo(z.dtype).tiny)
        directions = torch.linalg.svd(z, full_matrices=False)[2][: len(self.projection)]
        amounts = torch.logit(A / top, eps=OFF)
        self.projection.copy_((directions.T @ _ridge(z @ directions.T, amounts)).T / self.gain)
        B = torch.from_numpy(model.components_).to(z) * top[:, None]
        self.weight.copy_(B.T / self.gain + 1e-4)

    @property
    def W(self) -> Tensor:
        """The base matrix W (d, k), such that Ẑ = ReLU(H Wᵀ)."""
        weight = self.weight.abs() if self.nonnegative else self.weight
        return weight if self.gain == 1.0 else self.gain * weight

    def encode(self, z: Tensor) -> Tensor:
        """Z (batch, d) → H (batch, k) in (0, 1)."""
        projection = self.projection if self.gain == 1.0 else self.gain * self.projection
        return torch.sigmoid(F.linear(z, projection, self.bias))

    def decode(self, h: Tensor) -> Tensor:
        """H (batch, k) → Ẑ (batch, d) ≥ 0."""
        return F.relu_(F.linear(h, self.W))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Z → (H, Ẑ)."""
        h = self.encode(z)
        return h, self.decode(h)
