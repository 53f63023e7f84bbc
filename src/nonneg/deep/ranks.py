"""Several processes that train one model together: who is who, and what they tell each other.

Every exchange is one of `torch.distributed`. Where there is no process group, or one of a single process, all functions
here return what they were given, so that a training by itself does not change by a bit. Knows nothing of models.
"""

from __future__ import annotations

import datetime
import functools
import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = [
    "Exchange",
    "agree",
    "alike",
    "from_first",
    "joined",
    "on_first",
    "own_device",
    "rank",
    "share",
    "size",
    "together",
]

Found = TypeVar("Found")

LAUNCHED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # what torchrun sets
# the first process may read all of X while the others wait for it; one that is killed ends their wait at once
PATIENCE = datetime.timedelta(days=1)
_groups = count()  # made by this process: each has names of its own in the store


# -- who is who -------------------------------------------------------------------------------------------------


def size() -> int:
    """Return how many processes train together; 1 by itself."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process among them, from 0; the first one writes and reports."""
    return dist.get_rank() if size() > 1 else 0


def launched() -> bool:
    """Return whether torchrun started this process with others (and it is no child of such a process)."""
    return (
        all(os.environ.get(name) for name in LAUNCHED)
        and int(os.environ["WORLD_SIZE"]) > 1
        and multiprocessing.parent_process() is None
    )


def own_device(device: torch.device) -> torch.device:
    """Return the GPU of this process where torchrun started several and CUDA without a number was asked for."""
    if device.type != "cuda" or device.index is not None or dist.is_initialized() or not launched():
        return device
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    torch.cuda.set_device(device)
    return device


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Be in a process group: the present one or, where torchrun started this process, one of its own for a while."""
    if not dist.is_available() or dist.is_initialized() or not launched():
        yield
        return
    store, number, of = _rendezvous()
    # a store keeps the names of groups that are gone, in this process or one before a restart: the same would clash
    names = dist.PrefixStore(
        f"nonneg-{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}-{next(_groups)}", store
    )
    dist.init_process_group(_backend(device), store=names, rank=number, world_size=of, timeout=PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


@functools.cache
def _rendezvous() -> tuple[Any, int, int]:
    """Store, rank and size; one store for all groups, since it lives in the first process."""
    return next(iter(dist.rendezvous("env://")))


def _backend(device: torch.device) -> str:
    """NCCL between GPUs where each process has one of its own, else gloo."""
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    own = device.type == "cuda" and local <= torch.cuda.device_count() and dist.is_nccl_available()
    return "cpu:gloo,cuda:nccl" if own else "gloo"


def share(rows: np.ndarray) -> np.ndarray:
    """Return this process's part of the rows of a batch: neighbours in the data, so that they are read together."""
    return rows if size() == 1 else np.array_split(np.sort(rows), size())[rank()]


# -- what they tell each other ----------------------------------------------------------------------------------


def _told(exchange: Callable[..., Any], *arguments: Any) -> None:
    """Take part in an exchange; another process that is gone is an error of the connection."""
    try:
        exchange(*arguments)
    except RuntimeError as error:
        raise ConnectionError(
            f"rank {rank()} of {size()} lost the others: one of them has failed or was killed; start all again, with "
            "checkpoint= they go on from the last epoch that was saved"
        ) from error


class _Together(torch.autograd.Function):
    """The sum over the processes; its gradient is that of the sum of what all of them make of it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.detach().clone()
        _told(dist.all_reduce, total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].clone()
        _told(dist.all_reduce, total)
        return total


def together(x: Tensor) -> Tensor:
    """Return Σ x over the processes: for losses of a batch that are no sums over its samples.

    The objective being the sum of what the processes return, gradients come out as in one process.
    """
    return x if size() == 1 else _Together.apply(x)


def on_first(make: Callable[[], Found]) -> Found | None:
    """Return what the first process makes, None in the others; what it raises is raised in all of them."""
    if size() == 1:
        return make()
    made: Found | None = None
    raised: list[Any] = [None]
    if rank() == 0:
        try:
            made = make()
        except Exception as error:
            raised = [error]
    _told(dist.broadcast_object_list, raised)
    if raised[0] is not None:
        raise raised[0]
    return made


def from_first(make: Callable[[], Found]) -> Found:
    """Return what the first process makes, or raise what it raises, in all of them."""
    box: list[Any] = [on_first(make)]
    if size() > 1:
        _told(dist.broadcast_object_list, box)
    return box[0]


def agree(given: dict[str, Any]) -> None:
    """Raise ValueError, in all processes, unless all were given the same."""
    if size() == 1:
        return
    every: list[Any] = [None] * size()
    _told(dist.all_gather_object, every, {name: str(value) for name, value in given.items()})
    for number, other in enumerate(every):
        for name, value in other.items():
            if value != every[0].get(name):
                raise ValueError(
                    f"{name}: rank 0 was given {every[0].get(name)}, rank {number} {value}; give all processes the "
                    "whole X and the same parameters: each trains on its share of every batch"
                )


@torch.no_grad()
def alike(model: nn.Module) -> None:
    """Give all processes the parameters and buffers of the first one."""
    if size() > 1:
        for value in model.state_dict().values():
            _told(dist.broadcast, value, 0)


class Exchange:
    """What the processes of a training tell each other in a step: gradients, terms and a wish to stop, in one sum.

    Parameters
    ----------
    model : nn.Module
        Its gradients live in one tensor from the first step on.
    interrupt : Interrupt
        Pending in one process, it is asked for in all, at the end of the same step.
    """

    def __init__(self, model: nn.Module, interrupt: Any) -> None:
        self.parameters = [value for value in model.parameters() if value.requires_grad]
        self.interrupt = interrupt
        self.interrupt.asked = False
        self.flat: Tensor | None = None

    def backward(self, loss: Tensor, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """Find the gradients of the loss and return the terms, both summed over the processes."""
        values = torch.stack(list(terms.values())).detach()
        if self.flat is None:
            numbers = sum(value.numel() for value in self.parameters) + len(values) + 1
            self.flat = torch.empty(numbers, dtype=self.parameters[0].dtype, device=values.device)
        self.flat.zero_()
        start = 0
        for value in self.parameters:
            value.grad = self.flat[start : start + value.numel()].view_as(value)
            start += value.numel()
        loss.backward()
        self.flat[start:-1] = values
        self.flat[-1] = float(self.interrupt.pending)
        _told(dist.all_reduce, self.flat)
        self.interrupt.asked = bool(self.flat[-1] > 0)
        return dict(zip(terms, self.flat[start:-1].clone(), strict=True))
