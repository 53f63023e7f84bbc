"""The training loop of every deep model: batches, optimizer, epoch records, checkpoints, interruption.

A model to be trained is a `torch.nn.Module` with two more methods (`Trainable`): ``loss_terms`` gives the tensors of a
batch, ``record`` turns their sums over an epoch into numbers. Two are optional: ``before_epoch`` and ``after_epoch``
change parameters and buffers by other means than gradients. The loop knows nothing else of it. Everything random is a
function of the seed, the epoch and the number of a sample, so a training that was interrupted and resumed is, bit for
bit, the one that never stopped (same machine, same number of threads).

In a process group of `torch.distributed` the processes train one model: each takes its share of every batch, gradients
and terms are summed over all of them once a step, and the first one keeps the checkpoints.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from nonneg.deep import ranks
from nonneg.deep.batches import Batch, Batches
from nonneg.deep.interrupt import deferred_interrupt, flushed_denormals
from nonneg.deep.settings import TrainSettings, learning_rate_at, make_optimizer
from nonneg.exceptions import CheckpointError
from nonneg.files import Checkpoint

__all__ = ["EpochRecord", "Trainable", "train"]

EpochRecord = dict[str, float]

#: Share of the time that writing checkpoints may take; the first epoch's and the last one's are always written.
CHECKPOINT_SHARE = 0.05


class Trainable(Protocol):
    """What a module must offer beside `torch.nn.Module`'s own methods.

    With a method ``before_epoch(epoch, batches)`` or ``after_epoch(epoch, batches)`` it may set parameters and buffers
    before the first step of an epoch (from 0), or between its last step and its record. They are part of the
    checkpoint, and must follow from what they were and from the arguments.
    """

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return weighted sums over the batch; ``objective`` is minimised, divided by the batch's expected weight.

        Of several processes each sees its share of the batch, perhaps none of it: what is no sum over samples goes
        through `ranks.together`.
        """

    def record(self, sums: dict[str, float], n: float) -> EpochRecord:
        """Return numbers for the history, from the sums of all terms over an epoch of n samples (or weight n)."""


@dataclass
class _State:
    """Where a training stands; with weights and optimizer, all that a checkpoint needs."""

    epoch: int = 0  # epochs done
    step: int = 0  # steps done in this epoch
    in_step: bool = False  # weights may be half updated
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)  # of this epoch so far
    history: list[EpochRecord] = field(default_factory=list)


def train(
    model: Any,
    batches: Batches,
    settings: TrainSettings,
    checkpoint: Checkpoint | None = None,
) -> Generator[EpochRecord, None, None]:
    """Minimise a model's objective; yield one record an epoch.

    After a resume the records of the epochs done before come first, so that a caller sees each epoch once.

    Parameters
    ----------
    model : Trainable module
        On `batches.device`; changed in place.
    batches : Batches
        The samples.
    settings : TrainSettings
        How to train.
    checkpoint : Checkpoint, optional
        Training starts from its newest step. It is written after the first and the last epoch, after others as
        long as writing takes less than 5 % of the time, on an interrupt (Ctrl-C waits for the step under way to
        end), and when the caller stops iterating or raises.

    Yields
    ------
    dict of str to float
        ``epoch`` (from 1), what ``model.record`` returns, ``learning_rate`` and ``seconds`` (since the start,
        summed over resumed runs).

    Raises
    ------
    FloatingPointError
        When the objective is no longer finite.
    KeyboardInterrupt
        After the checkpoint was written.
    CheckpointError
        The checkpoint is damaged, foreign, ahead of `max_epochs`, or cannot be written.
    """
    with ExitStack() as held:  # no other fit writes into the folder meanwhile
        ranks.on_first(lambda: checkpoint and held.enter_context(checkpoint))
        yield from _epochs(model, batches, settings, checkpoint)


def _epochs(
    model: Any, batches: Batches, settings: TrainSettings, checkpoint: Checkpoint | None
) -> Generator[EpochRecord, None, None]:
    optimizer = make_optimizer(model, settings)
    state = _State()
    keeper = _Keeper(checkpoint, model, optimizer, state, len(batches))
    ranks.alike(model)
    keeper.load()
    if (state.epoch, state.step) > (settings.max_epochs, 0):
        begun = f" and {state.step} steps" if state.step else ""
        raise CheckpointError(
            f"the checkpoint holds {state.epoch} epochs{begun}, more than max_epochs={settings.max_epochs}; "
            "raise max_epochs, or give another folder"
        )
    yield from state.history[:]
    try:
        with flushed_denormals(), deferred_interrupt() as interrupt:
            exchange = ranks.Exchange(model, interrupt) if ranks.size() > 1 else None
            while state.epoch < settings.max_epochs:
                record = _run_epoch(model, batches, settings, optimizer, state, interrupt, exchange)
                state.history.append(record)
                keeper.after_epoch(last=state.epoch == settings.max_epochs)
                interrupt.check()
                yield record
    except (KeyboardInterrupt, GeneratorExit):
        if not state.in_step:
            keeper.save()
        raise


def _run_epoch(
    model: Any,
    batches: Batches,
    settings: TrainSettings,
    optimizer: torch.optim.Optimizer,
    state: _State,
    interrupt: Any,
    exchange: ranks.Exchange | None,
) -> EpochRecord:
    """Take the steps of an epoch that are left, and return its record."""
    names: list[str] = list(state.sums)
    totals: Tensor | None = (
        torch.tensor([state.sums[name] for name in names], dtype=torch.float64) if names else None
    )
    total_steps = settings.max_epochs * len(batches)
    rate = settings.learning_rate
    before = state.seconds
    started = time.perf_counter()
    model.train()
    if state.step == 0 and hasattr(model, "before_epoch"):
        state.in_step = True
        model.before_epoch(state.epoch, batches)
        ranks.alike(model)
        state.in_step = False
    try:
        for batch in batches.epoch(state.epoch, state.step):
            rate = learning_rate_at(settings, state.epoch * len(batches) + state.step, total_steps)
            state.in_step = True
            terms = _step(
                model, optimizer, batch, settings, rate, batches.expected_weight(state.step), exchange
            )
            values = torch.stack(list(terms.values())).double()
            totals = values if totals is None else totals.to(values.device) + values
            names = names or list(terms)
            state.step += 1
            state.in_step = False  # weights, sums and position agree again
            state.seconds = before + time.perf_counter() - started
            interrupt.check()
    finally:
        if totals is not None:
            state.sums = dict(zip(names, totals.tolist(), strict=True))
    if hasattr(model, "after_epoch"):
        state.in_step = True
        model.after_epoch(state.epoch, batches)
        ranks.alike(model)
        state.in_step = False
        state.seconds = before + time.perf_counter() - started
    state.seconds = ranks.from_first(lambda: state.seconds)
    sums, state.sums = state.sums, {}
    state.epoch, state.step = state.epoch + 1, 0
    weights = _largest_weight(model)
    if not (math.isfinite(sums["objective"]) and math.isfinite(weights)):
        found = f"the objective is {sums['objective']}, the largest weight {weights}"
        raise FloatingPointError(
            f"training diverged in epoch {state.epoch}: {found}; "
            f"lower learning_rate={settings.learning_rate:g}"
        )
    record = {"epoch": float(state.epoch), **model.record(sums, batches.total_weight)}
    return record | {"learning_rate": rate, "seconds": state.seconds}


def _largest_weight(model: nn.Module) -> float:
    """The objective of an epoch is measured before its last step: what that did shows in the weights."""
    with torch.no_grad():
        return float(
            torch.stack([value.abs().max() for value in model.parameters()]).max()
        )  # NaN comes through


def _step(
    model: Any,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    settings: TrainSettings,
    rate: float,
    expected_weight: float,
    exchange: ranks.Exchange | None,
) -> dict[str, Tensor]:
    """Take one step of the optimizer and return the detached terms of the whole batch."""
    half = settings.precision == "bfloat16"
    with torch.autocast(batch.x.device.type, torch.bfloat16) if half else nullcontext():
        terms = model.loss_terms(batch)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    loss = terms["objective"] / expected_weight
    if exchange is None:
        loss.backward()
    else:
        terms = exchange.backward(loss, terms)
    optimizer.step()
    return {name: term.detach() for name, term in terms.items()}


class _Keeper:
    """Writes and reads the checkpoints of a training."""

    def __init__(
        self,
        checkpoint: Checkpoint | None,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        state: _State,
        epoch_steps: int,
    ) -> None:
        self.checkpoint = checkpoint
        self.model = model
        self.optimizer = optimizer
        self.state = state
        self.epoch_steps = epoch_steps
        self.cost = 0.0  # seconds of the last save
        self.at = -math.inf  # when it ended
        self.saved: tuple[int, int] | None = None

    def after_epoch(self, last: bool) -> None:
        """Save, unless that would cost too large a share of the time."""
        if last or time.perf_counter() - self.at >= self.cost / CHECKPOINT_SHARE:
            self.save()

    def save(self) -> None:
        """Write weights, moments, history and position; nothing where this position is written already."""
        position = (self.state.epoch, self.state.step)
        if ranks.rank() > 0:  # the first process writes for all
            return
        if self.checkpoint is None or position == self.saved or position == (0, 0):
            return
        started = time.perf_counter()
        arrays = {f"model/{name}": value.cpu().numpy() for name, value in self.model.state_dict().items()}
        for number, moments in self.optimizer.state_dict()["state"].items():
            for name, value in moments.items():
                arrays[f"optimizer/{number}/{name}"] = torch.as_tensor(value).cpu().numpy()
        meta = {name: getattr(self.state, name) for name in ("epoch", "step", "seconds", "sums", "history")}
        self.checkpoint.save(self.state.epoch * self.epoch_steps + self.state.step, arrays, meta)
        self.at = time.perf_counter()
        self.cost = self.at - started
        self.saved = position

    def load(self) -> None:
        """Put model, optimizer and state where the newest checkpoint has them."""
        found = ranks.from_first(lambda: None if self.checkpoint is None else self.checkpoint.load_latest())
        if found is None:
            return
        _, arrays, meta = found
        # copies: torch would keep a view of the file's buffer
        tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
        self.model.load_state_dict(
            {
                name.removeprefix("model/"): value
                for name, value in tensors.items()
                if name.startswith("model/")
            }
        )
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimizer/"):
                _, number, key = name.split("/")
                moments.setdefault(int(number), {})[key] = value
        content = self.optimizer.state_dict()
        self.optimizer.load_state_dict({"state": moments, "param_groups": content["param_groups"]})
        for name, value in meta.items():
            setattr(self.state, name, value)
        self.saved = (self.state.epoch, self.state.step)
