"""The training loop of every deep model: batches, optimizer, epoch records, checkpoints, interruption.

A model to be trained is a `torch.nn.Module` with two more methods (`Trainable`): ``loss_terms`` gives the tensors of a
batch, ``record`` turns their sums over an epoch into numbers. The loop knows nothing else of it. Everything random is a
function of the seed, the epoch and the number of a sample, so a training that was interrupted and resumed is, bit for
bit, the one that never stopped (same machine, same number of threads).
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from nonneg.data import Source
from nonneg.deep.interrupt import deferred_interrupt, flushed_denormals
from nonneg.exceptions import CheckpointError
from nonneg.files import Checkpoint

__all__ = [
    "Batch",
    "Batches",
    "EpochRecord",
    "TrainSettings",
    "Trainable",
    "resolve_device",
    "resolve_precision",
    "train",
]

Schedule = Literal["constant", "linear", "cosine"]
OptimizerName = Literal["adam", "sgd"]
Precision = Literal["auto", "float32", "bfloat16", "float64"]
EpochRecord = dict[str, float]

#: Share of the time that writing checkpoints may take; the first epoch's and the last one's are always written.
CHECKPOINT_SHARE = 0.05
WARMUP_STEPS = 100  # of the schedules that decay


class Batch(NamedTuple):
    """Some samples as a model sees them."""

    x: Tensor  #: (batch, m), clean, divided by the scale
    rows: Tensor  #: (batch,) int64, their numbers in the whole data set
    epoch: int  #: from 0
    weight: Tensor | None = None  #: (batch,), weights of the samples; None: all 1


class Trainable(Protocol):
    """What a module must offer beside `torch.nn.Module`'s own methods."""

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return weighted sums over the batch; ``objective`` is minimised, divided by the batch's expected weight."""

    def record(self, sums: dict[str, float], n: float) -> EpochRecord:
        """Return numbers for the history, from the sums of all terms over an epoch of n samples (or weight n)."""


@dataclass(frozen=True)
class TrainSettings:
    """How to train.

    Parameters
    ----------
    max_epochs : int
        Passes over the data.
    batch_size : int
        Samples a step.
    learning_rate : float
        Of the optimizer; the largest one under a schedule.
    schedule : {"constant", "linear", "cosine"}
        ``linear`` and ``cosine`` rise over 100 steps (or a tenth of all, if that is less), then fall to 1 % of the
        learning rate at the last step.
    optimizer : {"adam", "sgd"}
        Adam (β = .9, .999), or gradient descent without momentum (eq. 8 of the paper).
    precision : {"auto", "float32", "bfloat16", "float64"}
        ``bfloat16``: products of layers in bfloat16, weights and sums in float32; ``auto``: that where the processor
        has instructions for it, else float32.
    device : str
        Of torch, or ``"auto"``: CUDA where there is one.
    seed : int
        Of the order of samples.
    """

    max_epochs: int
    batch_size: int
    learning_rate: float
    schedule: Schedule = "constant"
    optimizer: OptimizerName = "adam"
    precision: Precision = "float32"
    device: str = "auto"
    seed: int = 0


def resolve_device(name: str) -> torch.device:
    """Return the device of a name; ``"auto"`` is CUDA where there is one.

    Raises
    ------
    ValueError
        When torch does not know the name, or has no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device={name!r} cannot be used ({reason}); give 'auto', 'cpu' or 'cuda'") from None
    return device


def resolve_precision(name: Precision, device: torch.device) -> Precision:
    """Turn ``"auto"`` into ``"bfloat16"`` where the hardware multiplies it, else ``"float32"``."""
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return "bfloat16" if known.get("avx512_bf16") or known.get("amx_bf16") or known.get("bf16") else "float32"


class Batches:
    """Batches of a source: converted and scaled when used, in an order given by seed and epoch.

    Parameters
    ----------
    source : Source
        The samples, with their weights; uint8 and sparse ones stay so until a batch is made.
    batch_size : int
        The last batch of an epoch may be smaller.
    seed : int
        Of the order.
    scale : float
        What samples are divided by.
    dtype : torch.dtype
        Of the batches.
    device : torch.device
        Where they go.
    """

    def __init__(
        self,
        source: Source,
        batch_size: int,
        *,
        seed: int,
        scale: float = 1.0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self.source = source
        self.n = source.shape[0]
        weights = source.row_weights
        self.weights = None if weights is None else torch.from_numpy(np.array(weights)).to(device, dtype)
        self.total_weight = float(self.n if weights is None else np.sum(weights, dtype=np.float64))
        self.batch_size = min(batch_size, self.n)
        self.seed = seed
        self.scale = scale
        self.dtype = dtype
        self.device = torch.device(device)

    def __len__(self) -> int:
        """Batches an epoch."""
        return -(-self.n // self.batch_size)

    def order(self, epoch: int) -> np.ndarray:
        """Return the order of the samples in an epoch: a permutation of 0 … n − 1."""
        return np.random.Generator(np.random.Philox(key=[self.seed, epoch])).permutation(self.n)

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, from number `first` on."""
        order = self.order(epoch)
        for start in range(first * self.batch_size, self.n, self.batch_size):
            yield self.take(order[start : start + self.batch_size], epoch)

    def take(self, rows: np.ndarray, epoch: int = 0) -> Batch:
        """Return the samples with these numbers."""
        found = self.source.take(rows)
        if self.scale != 1.0:
            # before any cast: float64 data may be out of float32's range
            found /= found.dtype.type(self.scale)
        x = torch.from_numpy(found).to(self.device, self.dtype)
        numbers = torch.from_numpy(rows).to(self.device)
        return Batch(x, numbers, epoch, None if self.weights is None else self.weights[numbers])


def learning_rate_at(settings: TrainSettings, step: int, total: int) -> float:
    """Learning rate of a step (from 0) among `total`."""
    if settings.schedule == "constant":
        return settings.learning_rate
    warmup = max(1, min(WARMUP_STEPS, total // 10))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    left = 1.0 - (step - warmup) / max(1, total - 1 - warmup)
    shape = left if settings.schedule == "linear" else 0.5 * (1.0 - math.cos(math.pi * left))
    return settings.learning_rate * (0.01 + 0.99 * shape)


def make_optimizer(model: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """Return the optimizer of the settings; Adam in one fused pass over the weights where torch has it."""
    if settings.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), lr=settings.learning_rate)
    try:
        return torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    except RuntimeError:  # no fused kernel for this device
        return torch.optim.Adam(model.parameters(), lr=settings.learning_rate)


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
    optimizer = make_optimizer(model, settings)
    state = _State()
    keeper = _Keeper(checkpoint, model, optimizer, state, len(batches))
    keeper.load()
    if state.epoch > settings.max_epochs:
        raise CheckpointError(
            f"the checkpoint holds {state.epoch} epochs, more than max_epochs={settings.max_epochs}; "
            "raise max_epochs, or give another folder"
        )
    yield from state.history[:]
    try:
        with flushed_denormals(), deferred_interrupt() as interrupt:
            while state.epoch < settings.max_epochs:
                record = _run_epoch(model, batches, settings, optimizer, state, interrupt)
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
    try:
        for batch in batches.epoch(state.epoch, state.step):
            rate = learning_rate_at(settings, state.epoch * len(batches) + state.step, total_steps)
            state.in_step = True
            mean_weight = batches.total_weight / batches.n
            terms = _step(model, optimizer, batch, settings, rate, mean_weight)
            state.in_step = False
            values = torch.stack(list(terms.values())).double()
            totals = values if totals is None else totals.to(values.device) + values
            names = names or list(terms)
            state.step += 1
            state.seconds = before + time.perf_counter() - started
            interrupt.check()
    finally:
        if totals is not None:
            state.sums = dict(zip(names, totals.tolist(), strict=True))
    sums, state.sums = state.sums, {}
    state.epoch, state.step = state.epoch + 1, 0
    if not math.isfinite(sums["objective"]):
        raise FloatingPointError(
            f"training diverged in epoch {state.epoch}: the objective is {sums['objective']}; "
            f"lower learning_rate={settings.learning_rate:g}"
        )
    record = {"epoch": float(state.epoch), **model.record(sums, batches.total_weight)}
    return record | {"learning_rate": rate, "seconds": state.seconds}


def _step(
    model: Any,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    settings: TrainSettings,
    rate: float,
    mean_weight: float,
) -> dict[str, Tensor]:
    """Take one step of the optimizer and return the detached terms."""
    half = settings.precision == "bfloat16"
    with torch.autocast(batch.x.device.type, torch.bfloat16) if half else nullcontext():
        terms = model.loss_terms(batch)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    (terms["objective"] / (batch.x.shape[0] * mean_weight)).backward()
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
        found = None if self.checkpoint is None else self.checkpoint.load_latest()
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
