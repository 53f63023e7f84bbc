"""Ctrl-C between steps, and the processor's handling of very small numbers: state of the process, for a while."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

__all__ = ["Interrupt", "deferred_interrupt", "flushed_denormals"]


class Interrupt:
    """Remembers a Ctrl-C until it is asked for.

    Attributes
    ----------
    pending : bool
        Whether one came.
    asked : bool or None
        Of several processes that must stop at the same step: whether one came to any of them by the last exchange.
        None: this process stands by itself.
    """

    def __init__(self) -> None:
        self.pending = False
        self.asked: bool | None = None

    def __call__(self, signum: int, frame: Any) -> None:
        """Handle SIGINT: the first waits, the second does not."""
        if self.pending:
            raise KeyboardInterrupt
        self.pending = True

    def check(self) -> None:
        """Raise the KeyboardInterrupt that is pending."""
        if self.pending if self.asked is None else self.asked:
            self.pending, self.asked = False, None
            raise KeyboardInterrupt


@contextmanager
def deferred_interrupt() -> Iterator[Interrupt]:
    """Hold SIGINT back until `Interrupt.check`, where Python's own handler is in place and this is the main thread."""
    interrupt = Interrupt()
    in_charge = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if not in_charge:
        yield interrupt
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # reached without an exception only: one that came after the last check is not lost
    interrupt.asked = None
    interrupt.check()


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Treat numbers below 1e-38 as 0: Adam's moments of idle weights decay into that range, where sums are slow."""
    before = (torch.tensor([1e-310], dtype=torch.float64) * 1.0).item() == 0.0  # torch has no getter
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
