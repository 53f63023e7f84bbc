"""The terms of the interpretability loss, under the paper's names.

Every term is a *sum* over the samples of the batch, so that terms of batches add up to the term of an epoch. Over
the features of a sample it is a sum (``reduction="sum"``, the paper's eq. 4–6) or a mean (``"mean"``, the authors'
demo); the two differ in the balance between layers of different width, and so between α, β and γ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nonneg.deep import ranks

__all__ = [
    "Reduction",
    "apposition",
    "count_of",
    "interpretability",
    "non_negative_constraint",
    "squared_distance",
    "squared_norm",
    "symmetric",
    "weights_of",
]

Reduction = Literal["sum", "mean"]


def squared_norm(a: Tensor, weight: Tensor | None = None) -> Tensor:
    """Σ_i w_i ‖a_i‖² over the rows, without a gradient; half-precision entries are summed in float32."""
    a = a.detach()
    if weight is not None:
        a = a * weight.sqrt()[:, None]
    flat = a.reshape(-1)
    if flat.dtype in (torch.bfloat16, torch.float16):
        flat = flat.float()
    return torch.dot(flat, flat)


class _SquaredDistance(torch.autograd.Function):
    """‖A − B‖² with two passes over memory forward and one backward (autograd's own takes five)."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, root: Tensor | None) -> Tensor:
        difference = a - b
        if root is not None:
            difference = difference * root
        ctx.save_for_backward(difference)
        ctx.root = root
        ctx.dtypes = a.dtype, b.dtype
        return squared_norm(difference)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (difference,) = ctx.saved_tensors
        if ctx.root is not None:
            difference = difference * ctx.root
        grad_a = grad_b = None
        if ctx.needs_input_grad[0]:
            grad_a = (difference * (2.0 * grads[0])).to(ctx.dtypes[0])
        if ctx.needs_input_grad[1]:
            grad_b = (difference * (-2.0 * grads[0])).to(ctx.dtypes[1])
        return grad_a, grad_b, None


def count_of(x: Tensor, weight: Tensor | None = None) -> Tensor | int:
    """Σ_i w_i over the rows of a batch; where several processes share it, over all of them."""
    if weight is not None:
        return ranks.together(weight.sum())
    if ranks.size() == 1:
        return x.shape[0]
    return ranks.together(torch.full((), float(x.shape[0]), device=x.device))


def weights_of(weight: Tensor | None, cells: Tensor | None) -> Tensor | None:
    """s_i c_ij, to be multiplied with cells of a batch: weights of the samples (batch,) and of the cells (batch, m)."""
    if weight is None:
        return cells
    return weight[:, None] if cells is None else weight[:, None] * cells


def squared_distance(
    a: Tensor,
    b: Tensor,
    reduction: Reduction = "sum",
    weight: Tensor | None = None,
    cells: Tensor | None = None,
) -> Tensor:
    """Σ_ij s_i c_ij (a_ij − b_ij)²; with ``reduction="mean"`` divided by the number of columns."""
    counted = weights_of(weight, cells)
    total = _SquaredDistance.apply(a, b, None if counted is None else counted.sqrt())
    return total if reduction == "sum" else total / a.shape[-1]


def symmetric(
    x: Tensor,
    y: Tensor,
    reduction: Reduction = "sum",
    weight: Tensor | None = None,
    cells: Tensor | None = None,
) -> Tensor:
    """L_sym = Σ_i ‖x_i − y_i‖², the supervisor's reconstruction error (eq. 4), of the observed cells."""
    return squared_distance(x, y, reduction, weight, cells)


def apposition(
    supervisor_taps: Sequence[Tensor],
    student_taps: Sequence[Tensor],
    reduction: Reduction = "sum",
    stop_gradient: bool = True,
    weight: Tensor | None = None,
) -> Tensor:
    """L_ap = Σ_i Σ_l ‖h_i(l) − h̃_i(l′)‖², the distance of paired layers (eq. 5).

    Parameters
    ----------
    supervisor_taps, student_taps : sequences of L tensors
        Outputs of the paired layers, from first to last.
    reduction : {"sum", "mean"}, default="sum"
        Over the features of each layer.
    stop_gradient : bool, default=True
        Whether the supervisor is left alone: eq. 9 lets L_sym alone move it.
    weight : tensor (batch,), optional
        Of the samples.
    """
    terms = [
        squared_distance(h.detach() if stop_gradient else h, h_student, reduction, weight)
        for h, h_student in zip(supervisor_taps, student_taps, strict=True)
    ]
    return torch.stack(terms).sum()


def non_negative_constraint(
    z: Tensor,
    z_hat: Tensor,
    reduction: Reduction = "sum",
    relative: bool = False,
    weight: Tensor | None = None,
) -> Tensor:
    """L_nc = Σ_i ‖z_i − ẑ_i‖², the residual of the NMF module (eq. 6).

    Parameters
    ----------
    z, z_hat : tensors (batch, d)
        The module's input and its model of it.
    reduction : {"sum", "mean"}, default="sum"
        Over the d features.
    relative : bool, default=False
        Divide by the batch's mean ‖z_i‖² (taken as a constant): the value is then the squared relative error, and does
        not fall when Z merely shrinks. `reduction` has no effect.
    weight : tensor (batch,), optional
        Of the samples.
    """
    if not relative:
        return squared_distance(z, z_hat, reduction, weight)
    mean_square = ranks.together(squared_norm(z, weight)) / count_of(z, weight)
    return squared_distance(z, z_hat, weight=weight) / mean_square.clamp_min(torch.finfo(torch.float32).tiny)


def interpretability(
    symmetric: Tensor,
    apposition: Tensor,
    non_negative_constraint: Tensor,
    alpha: float = 1.0,
    beta: float = 1.0,
    gamma: float = 1.0,
) -> Tensor:
    """L_in = α L_sym + β L_ap + γ L_nc (eq. 7)."""
    return alpha * symmetric + beta * apposition + gamma * non_negative_constraint
