"""Where a block lies decides who computes with it: the processor, or the device that holds it.

A function of a block, or of rows of W, that works on ndarrays is marked by `by_place` where the passes over X on a
device (`data.device`) need it. Where an argument is a torch tensor, or a block of one, its namesake in the module
``on_device`` of the same room takes its place. These modules alone compute with tensors; they are loaded when a tensor
comes.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any, TypeVar

from .block import Block

__all__ = ["by_place", "is_tensor"]

F = TypeVar("F", bound=Callable[..., Any])


def is_tensor(value: Any) -> bool:
    """Whether a value is a torch tensor; torch need not be installed."""
    return type(value).__module__ == "torch" and hasattr(value, "device")


def by_place(function: F) -> F:
    """Let the namesake in the room's ``on_device`` do it where an argument is a tensor, or a block of one."""
    package = function.__module__.rpartition(".")[0]

    @functools.wraps(function)
    def chosen(*args: Any, **options: Any) -> Any:
        for value in args:
            if is_tensor(value.X if isinstance(value, Block) else value):
                module = importlib.import_module(f"{package}.on_device")
                return getattr(module, function.__name__)(*args, **options)
        return function(*args, **options)

    return chosen  # type: ignore[return-value]
