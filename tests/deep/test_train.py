"""The loop: order of samples, schedules, records, resuming, interruption."""

from __future__ import annotations

import os
import signal
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from nonneg.data import as_source
from nonneg.deep.batches import Batches
from nonneg.deep.settings import TrainSettings, learning_rate_at, resolve_device, resolve_precision
from nonneg.deep.train import train
from nonneg.exceptions import CheckpointError
from nonneg.files import Checkpoint

X = np.random.default_rng(0).random((50, 4)).astype(np.float32)


class Line(nn.Module):
    """Fits x W to x, and does something at a chosen step."""

    def __init__(self, act=None, at: int = -1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 4))
        self.act, self.at, self.seen = act, at, []

    def loss_terms(self, batch):
        self.seen.append((batch.epoch, batch.rows.tolist()))
        if len(self.seen) - 1 == self.at:
            self.act()
        return {
            "objective": (batch.x @ self.weight - batch.x).square().sum(),
            "count": torch.tensor(float(len(batch.x))),
        }

    def record(self, sums, n):
        return {"loss": sums["objective"] / n, "count": sums["count"]}


def batches(source=X, **how):
    return Batches(as_source(source), 16, seed=3, **how)


def how(epochs: int = 4, **more) -> TrainSettings:
    return TrainSettings(epochs, 16, more.pop("learning_rate", 1e-2), device="cpu", **more)


def keeper(folder) -> Checkpoint:
    return Checkpoint(folder, "this fit")


def test_an_epoch_is_a_permutation_known_from_seed_and_epoch():
    found = batches()
    rows = [batch.rows.numpy() for batch in found.epoch(2)]
    assert [len(r) for r in rows] == [16, 16, 16, 2]
    assert len(found) == 4
    assert sorted(np.concatenate(rows)) == list(range(50))
    np.testing.assert_array_equal(np.concatenate(rows), batches().order(2))
    assert (batches().order(2) != batches().order(3)).any()
    assert (batches().order(2) != Batches(as_source(X), 16, seed=4).order(2)).any()
    later = [batch.rows.numpy() for batch in found.epoch(2, first=2)]
    np.testing.assert_array_equal(np.concatenate(later), np.concatenate(rows[2:]))


def test_batches_convert_and_scale_when_used():
    whole = np.arange(200, dtype=np.uint8).reshape(50, 4)
    found = batches(whole, scale=199.0)
    assert found.source.X is whole
    batch = next(found.epoch(0))
    assert batch.x.dtype == torch.float32
    np.testing.assert_allclose(batch.x, whole[batch.rows] / 199.0, rtol=1e-6)


def test_float64_data_beyond_float32_are_scaled_first():
    found = batches(X.astype(np.float64) * 1e-300, scale=1e-300)
    np.testing.assert_allclose(found.take(np.arange(50)).x, X, rtol=1e-6)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_schedules(schedule):
    settings = how(schedule=schedule, learning_rate=0.1)
    rates = [learning_rate_at(settings, step, 200) for step in range(200)]
    assert max(rates) == pytest.approx(0.1)
    if schedule == "constant":
        assert min(rates) == 0.1
    else:
        assert rates[0] == pytest.approx(0.1 / 20)
        assert rates[-1] == pytest.approx(0.001)
        assert all(a >= b for a, b in pairwise(rates[20:]))
    assert 0 < learning_rate_at(settings, 0, 1) <= 0.1


def test_records(tmp_path):
    records = list(train(Line(), batches(), how()))
    assert [record["epoch"] for record in records] == [1, 2, 3, 4]
    assert [record["count"] for record in records] == [50] * 4
    assert records[-1]["loss"] < records[0]["loss"]
    assert all(a["seconds"] <= b["seconds"] for a, b in pairwise(records))


def test_sgd_is_gradient_descent():
    model = Line()
    list(train(model, Batches(as_source(X), 50, seed=0), how(1, optimizer="sgd", learning_rate=0.5)))
    x = torch.from_numpy(X)
    torch.testing.assert_close(model.weight.detach(), 0.5 * 2 * x.T @ x / 50)


def weights_and_losses(model, records):
    return model.weight.detach().numpy(), [record["loss"] for record in records]


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("stop", [1, 2, 5, 10, 15])
def test_an_interrupted_training_goes_on_bit_for_bit(tmp_path, stop, schedule):
    expected = weights_and_losses(whole := Line(), list(train(whole, batches(), how(schedule=schedule))))

    def interrupt():
        raise KeyboardInterrupt  # before the step changes anything

    with pytest.raises(KeyboardInterrupt):
        list(train(Line(interrupt, stop), batches(), how(schedule=schedule), keeper(tmp_path)))
    model = Line()
    found = weights_and_losses(model, list(train(model, batches(), how(schedule=schedule), keeper(tmp_path))))
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[1] == expected[1]


class Counted(Line):
    """Adds to a buffer after an epoch what the weights then are, and shrinks them before the next."""

    def __init__(self, **more) -> None:
        super().__init__(**more)
        self.register_buffer("total", torch.zeros(4, 4))

    def before_epoch(self, epoch, batches):
        with torch.no_grad():
            self.weight *= 1 - 0.1 * epoch

    def after_epoch(self, epoch, batches):
        assert batches.n == 50
        self.total += (epoch + 1) * self.weight.detach()


@pytest.mark.parametrize("stop", [3, 7, 8])
def test_what_is_set_between_epochs_is_resumed_bit_for_bit(tmp_path, stop):
    whole, torn = Counted(), Counted()
    list(train(whole, batches(), how()))
    assert whole.total.abs().sum() > 0

    def interrupt():
        raise KeyboardInterrupt

    broken = Counted(act=interrupt, at=stop)
    with pytest.raises(KeyboardInterrupt):
        list(train(broken, batches(), how(), keeper(tmp_path)))
    list(train(torn, batches(), how(), keeper(tmp_path)))
    assert torch.equal(torn.total, whole.total) and torch.equal(torn.weight, whole.weight)


def test_an_interrupt_after_the_weights_moved_is_no_second_step(tmp_path, monkeypatch):
    expected = weights_and_losses(whole := Line(), list(train(whole, batches(), how())))
    real, calls = torch.stack, []

    def interrupted(values):  # the first thing after a step
        calls.append(1)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return real(values)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "stack", interrupted)
        with pytest.raises(KeyboardInterrupt):
            list(train(Line(), batches(), how(), keeper(tmp_path)))
    model = Line()
    found = weights_and_losses(model, list(train(model, batches(), how(), keeper(tmp_path))))
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[1] == expected[1]


@pytest.fixture
def pythons_handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_waits_for_the_step_and_leaves_a_checkpoint(tmp_path, pythons_handler):
    expected = weights_and_losses(whole := Line(), list(train(whole, batches(), how())))
    model = Line(lambda: os.kill(os.getpid(), signal.SIGINT), at=6)
    with pytest.raises(KeyboardInterrupt):
        list(train(model, batches(), how(), keeper(tmp_path)))
    assert len(model.seen) == 7  # the step under way was finished, no other begun
    assert keeper(tmp_path).steps()[-1] == 7
    model = Line()
    found = weights_and_losses(model, list(train(model, batches(), how(), keeper(tmp_path))))
    assert len(model.seen) == 16 - 7
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[1] == expected[1]


def test_a_checkpoint_within_an_epoch_is_no_shorter_training(tmp_path, pythons_handler):
    with pytest.raises(KeyboardInterrupt):
        list(train(Line(lambda: os.kill(os.getpid(), signal.SIGINT), 9), batches(), how(), keeper(tmp_path)))
    assert keeper(tmp_path).steps()[-1] == 10  # two epochs and two steps
    with pytest.raises(CheckpointError, match="2 epochs and 2 steps, more than max_epochs=2"):
        list(train(Line(), batches(), how(2), keeper(tmp_path)))


def test_a_second_ctrl_c_does_not_wait(tmp_path, pythons_handler):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        list(train(Line(twice, at=6), batches(), how(), keeper(tmp_path)))
    assert keeper(tmp_path).steps()[-1] <= 6


def test_a_caller_that_stops_leaves_a_checkpoint(tmp_path):
    epochs = train(Line(), batches(), how(), keeper(tmp_path))
    next(epochs), next(epochs), next(epochs)
    epochs.close()
    assert keeper(tmp_path).steps()[-1] == 12


def test_a_finished_training_is_not_trained_again(tmp_path):
    first = Line()
    records = list(train(first, batches(), how(), keeper(tmp_path)))
    second = Line()
    assert list(train(second, batches(), how(), keeper(tmp_path))) == records
    assert second.seen == []
    assert torch.equal(first.weight, second.weight)
    with pytest.raises(CheckpointError, match="4 epochs, more than max_epochs=3"):
        list(train(Line(), batches(), how(3), keeper(tmp_path)))
    longer = Line()
    assert len(list(train(longer, batches(), how(6), keeper(tmp_path)))) == 6
    assert {epoch for epoch, _ in longer.seen} == {4, 5}


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_works(tmp_path):
    expected = weights_and_losses(whole := Line(), list(train(whole, batches(), how(2), keeper(tmp_path))))
    steps = keeper(tmp_path).steps()
    assert len(steps) == 2
    path = keeper(tmp_path).path(steps[-1])
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    model = Line()
    with pytest.warns(UserWarning, match="damaged"):
        found = weights_and_losses(model, list(train(model, batches(), how(2), keeper(tmp_path))))
    assert {epoch for epoch, _ in model.seen} == {1}
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[1] == expected[1]


def test_divergence_is_an_error_that_names_the_learning_rate():
    with pytest.raises(FloatingPointError, match="learning_rate=1e\\+30"):
        list(train(Line(), batches(), how(9, optimizer="sgd", learning_rate=1e30)))


def test_divergence_in_the_last_step_is_an_error_too():
    with pytest.raises(FloatingPointError, match="the largest weight inf"):
        list(
            train(
                Line(), Batches(as_source(X * 1e6), 50, seed=3), how(1, optimizer="sgd", learning_rate=1e30)
            )
        )


def test_devices_and_precisions():
    assert resolve_device("cpu").type == "cpu"
    for name in ("cuda:99", "abacus"):
        with pytest.raises(ValueError, match=f"device='{name}'"):
            resolve_device(name)
    cpu = torch.device("cpu")
    assert resolve_precision("float64", cpu) == "float64"
    assert resolve_precision("auto", cpu) in ("float32", "bfloat16")


@pytest.mark.parametrize("wanted", [False, True])
def test_the_handling_of_denormals_is_put_back(wanted):
    def flushes() -> bool:
        return (torch.tensor([1e-310], dtype=torch.float64) * 1.0).item() == 0.0

    torch.set_flush_denormal(wanted)
    try:
        seen = [flushes() for _ in train(Line(), batches(), how(2))]
        assert flushes() is wanted
    finally:
        torch.set_flush_denormal(False)
    assert seen == [True, True]


def test_a_folder_is_of_one_training_until_it_is_closed(tmp_path):
    first = train(Line(), batches(), how(), keeper(tmp_path))
    next(first)
    with pytest.raises(CheckpointError, match="another fit is using this folder"):
        next(train(Line(), batches(), how(), keeper(tmp_path)))
    first.close()
    assert len(list(train(Line(), batches(), how(), keeper(tmp_path)))) == 4
