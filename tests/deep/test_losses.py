"""The terms of the interpretability loss: their values, their gradients, and who gets them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nonneg.deep import Noise, Student, Supervisor
from nonneg.deep.batches import Batch
from nonneg.deep.losses import (
    apposition,
    interpretability,
    non_negative_constraint,
    squared_distance,
    squared_norm,
    symmetric,
)
from nonneg.deep.network import DDNMFNetwork, LossSettings

HIDDEN = (8, 6)


def network(generator: torch.Generator, noise: float = 0.2, **losses) -> DDNMFNetwork:
    supervisor = Supervisor(12, HIDDEN, generator=generator)
    student = Student(12, HIDDEN, 3, generator=generator)
    return DDNMFNetwork(supervisor, student, LossSettings(**losses), Noise("masking", noise, 1)).double()


def batch(generator: torch.Generator) -> Batch:
    return Batch(torch.rand(5, 12, generator=generator, dtype=torch.float64), torch.arange(5), 0)


@given(st.integers(1, 6), st.integers(1, 9), st.sampled_from(["sum", "mean"]))
@settings(max_examples=25, deadline=None)
def test_squared_distance_is_that_of_numpy(rows, columns, reduction):
    rng = np.random.default_rng(rows * 10 + columns)
    a, b = rng.normal(size=(2, rows, columns))
    expected = ((a - b) ** 2).sum() / (columns if reduction == "mean" else 1)
    found = squared_distance(torch.from_numpy(a), torch.from_numpy(b), reduction)
    assert float(found) == pytest.approx(expected, rel=1e-12)


def test_gradients_are_those_of_finite_differences(generator):
    a = torch.rand(3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    b = torch.rand(3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    for reduction in ("sum", "mean"):
        assert torch.autograd.gradcheck(lambda a, b, how=reduction: squared_distance(a, b, how), (a, b))


@pytest.mark.parametrize("relative", [False, True])
def test_a_weight_counts_a_row_that_often(generator, relative):
    z, z_hat = torch.rand(2, 3, 4, generator=generator, dtype=torch.float64)
    z.requires_grad_()
    twice = [0, 0, 2]
    weight = torch.tensor([2.0, 0.0, 1.0], dtype=torch.float64)
    expected = non_negative_constraint(z[twice], z_hat[twice], relative=relative)
    found = non_negative_constraint(z, z_hat, relative=relative, weight=weight)
    torch.testing.assert_close(found, expected)
    pair = [torch.autograd.grad(value, z)[0] for value in (found, expected)]
    torch.testing.assert_close(*pair)


def test_half_precision_is_summed_in_float32():
    a = torch.ones(1, 4096, dtype=torch.bfloat16, requires_grad=True)
    total = squared_distance(a, torch.zeros_like(a))
    assert total.dtype == torch.float32
    assert total.item() == 4096.0  # a sum in bfloat16 stops at 256
    total.backward()
    assert a.grad is not None
    assert a.grad.dtype == torch.bfloat16
    assert float(squared_norm(a)) == 4096.0


def test_terms_add_up_over_batches(generator):
    model = network(generator, noise=0.0)
    whole = batch(generator)
    parts = [Batch(whole.x[i], whole.rows[i], 0) for i in (slice(0, 2), slice(2, 5))]
    total = model.loss_terms(whole)
    halves = [model.loss_terms(part) for part in parts]
    for name, value in total.items():
        assert value.item() == pytest.approx(sum(half[name].item() for half in halves), rel=1e-12), name


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_terms_are_the_papers(generator, reduction):
    weights = {"alpha": 0.7, "beta": 0.3, "gamma": 1.9, "reconstruction_weight": 0.4}
    model = network(generator, noise=0.0, reduction=reduction, **weights)
    x = batch(generator).x
    taps = [x, *model.supervisor(x)]
    encoded = model.student.encoder(x)
    h = torch.sigmoid(encoded[-1] @ model.student.nmf.projection.T)
    z_hat = torch.relu(h @ model.student.nmf.weight.T)
    layers = [*encoded, h, z_hat, *model.student.decoder(z_hat)]  # L + 2 of them

    def distance(a, b):
        return ((a - b) ** 2).sum() / (a.shape[1] if reduction == "mean" else 1)

    L = 2 * len(HIDDEN)
    ap = sum(distance(taps[i], layers[i - 1]) for i in range(1, L // 2 + 1))
    ap += sum(distance(taps[i], layers[i + 2 - 1]) for i in range(L // 2 + 1, L + 1))
    sym, nc = distance(x, taps[-1]), distance(encoded[-1], z_hat)
    terms = model.loss_terms(batch(torch.Generator().manual_seed(0))._replace(x=x))
    assert torch.allclose(terms["symmetric"], sym)
    assert torch.allclose(terms["apposition"], ap)
    assert torch.allclose(terms["non_negative_constraint"], nc)
    total = 0.7 * sym + 0.3 * ap + 1.9 * nc
    assert torch.allclose(terms["interpretability"], total)
    assert torch.allclose(terms["objective"], total + 0.4 * distance(x, layers[-1]))


def gradients(term: torch.Tensor, module: torch.nn.Module) -> list[torch.Tensor]:
    found = torch.autograd.grad(term, list(module.parameters()), allow_unused=True, retain_graph=True)
    return [torch.zeros(1) if g is None else g for g in found]


def test_only_the_symmetric_loss_moves_the_supervisor(generator):
    model = network(generator, stop_gradient=True)
    terms = model.loss_terms(batch(generator))
    for name in ("apposition", "non_negative_constraint"):
        assert all((g == 0).all() for g in gradients(terms[name], model.supervisor)), name
    whole = gradients(terms["objective"], model.supervisor)
    own = gradients(terms["symmetric"], model.supervisor)
    assert all(torch.equal(a, b) for a, b in zip(whole, own, strict=True))
    assert any((g != 0).any() for g in own)


def test_the_student_is_not_moved_by_the_symmetric_loss(generator):
    model = network(generator)
    terms = model.loss_terms(batch(generator))
    assert all((g == 0).all() for g in gradients(terms["symmetric"], model.student))
    assert all((g != 0).any() for g in gradients(terms["apposition"], model.student))


def test_without_stop_gradient_the_supervisor_feels_the_student(generator):
    model = network(generator, stop_gradient=False)
    terms = model.loss_terms(batch(generator))
    assert any((g != 0).any() for g in gradients(terms["apposition"], model.supervisor))


def test_relative_constraint_does_not_see_the_scale_of_z(generator):
    z, z_hat = torch.rand(2, 6, 5, generator=generator, dtype=torch.float64)
    value = non_negative_constraint(z, z_hat, relative=True)
    assert float(value) == pytest.approx(float(non_negative_constraint(z / 100, z_hat / 100, relative=True)))
    expected = 6 * ((z - z_hat) ** 2).sum() / (z**2).sum()
    assert float(value) == pytest.approx(float(expected))
    zero = torch.zeros(2, 3)
    assert float(non_negative_constraint(zero, zero, relative=True)) == 0.0


def test_apposition_refuses_unpaired_layers():
    with pytest.raises(ValueError, match="shorter"):
        apposition([torch.zeros(1, 1)], [])


def test_interpretability_is_the_weighted_sum():
    x = torch.ones(2, 3)
    sym = symmetric(x, torch.zeros_like(x))
    assert float(interpretability(sym, 2 * sym, 3 * sym, 1.0, 0.5, 0.1)) == pytest.approx(6 * (1 + 1 + 0.3))
