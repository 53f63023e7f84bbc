"""Supervisor, NMF module, student: shapes, signs, initial weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nonneg.deep import NMFModule, Student, StudentOutput, Supervisor


def test_supervisor_shows_every_layer(generator):
    taps = Supervisor(20, (9, 7, 5), generator=generator)(torch.rand(4, 20, generator=generator))
    assert [tap.shape[1] for tap in taps] == [9, 7, 5, 7, 9, 20]
    assert all((tap >= 0).all() for tap in taps[:-1])
    assert (taps[-1] < 0).any()  # the output layer is linear


def test_supervisor_is_equation_1(generator):
    net = Supervisor(6, (5, 4), code="linear", output="relu", generator=generator)
    h = x = torch.rand(3, 6, generator=generator)
    taps = net(x)
    layers = [*net.encoder.layers, *net.decoder.layers]
    for number, (layer, tap) in enumerate(zip(layers, taps, strict=True)):
        h = h @ layer.weight.T + layer.bias
        h = h if number == 1 else torch.relu(h)
        torch.testing.assert_close(tap, h)


def test_initial_weights_are_glorots_and_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    net = Student(400, (300, 200), 10, generator=torch.Generator().manual_seed(3))
    assert torch.equal(before, torch.get_rng_state())
    for name, weight in net.named_parameters():
        if "bias" in name:
            assert (weight == 0).all()
            continue
        bound = (6 / sum(weight.shape)) ** 0.5
        assert weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
    again = Student(400, (300, 200), 10, generator=torch.Generator().manual_seed(3))
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("gain", [1.0, 4.0])
def test_nmf_module_is_equation_3(generator, bias, nonnegative, gain):
    module = NMFModule(7, 3, bias=bias, nonnegative=nonnegative, gain=gain, generator=generator).double()
    if bias:
        module.bias.data.uniform_(-1, 1, generator=generator)
    z = torch.rand(5, 7, generator=generator, dtype=torch.float64)
    h, z_hat = module(z)
    offset = module.bias if bias else 0.0
    torch.testing.assert_close(h, 1 / (1 + torch.exp(-(gain * z @ module.projection.T + offset))))
    torch.testing.assert_close(z_hat, torch.relu(h @ module.W.T))
    assert ((h > 0) & (h < 1)).all()
    assert (z_hat >= 0).all()
    assert bool((module.W >= 0).all()) is nonnegative
    assert (module.bias is None) is not bias


def test_a_nonnegative_weight_below_zero_is_mirrored_and_goes_on_learning():
    module = NMFModule(1, 1, nonnegative=True)
    with torch.no_grad():
        module.weight.fill_(-0.01)
    (1.0 - module.decode(torch.ones(1, 1))).square().sum().backward()
    assert module.W.item() == pytest.approx(0.01)
    assert float(module.weight.grad) > 0  # further below zero: W grows towards 1


def test_student_has_two_layers_more_and_names_its_output(generator):
    student = Student(20, (9, 5), 3, generator=generator)
    x = torch.rand(4, 20, generator=generator)
    out = student(x)
    assert isinstance(out, StudentOutput)
    assert [tap.shape[1] for tap in out.taps] == [9, 5, 9, 20]
    assert out.taps[1] is out.z
    assert out.taps[-1] is out.y
    assert (out.h.shape, out.z_hat.shape) == ((4, 3), (4, 5))
    torch.testing.assert_close(student.encode(x), out.h)
    torch.testing.assert_close(student.decode(out.h), out.y)
    # z and ẑ are 2 apart in the student's own count of layers
    widths = [layer.weight.shape[0] for layer in student.encoder.layers]
    widths += [*student.nmf.projection.shape[:1], student.nmf.weight.shape[0]]
    widths += [layer.weight.shape[0] for layer in student.decoder.layers]
    assert widths == [9, 5, 3, 5, 9, 20]
    assert np.isfinite(out.y.detach().numpy()).all()
