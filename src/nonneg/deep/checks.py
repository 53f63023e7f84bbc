"""Refusals of parameters: one line that names the argument, what was got and what is expected."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["check_bool", "check_choice", "check_hidden", "check_integer", "check_number", "check_widths"]


def check_integer(name: str, value: Any, least: int = 1) -> int:
    """Return an integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name}={value!r} must be an integer, at least {least}")
    if value < least:
        raise ValueError(f"{name}={value!r} must be at least {least}")
    return int(value)


def check_number(name: str, value: Any, *, positive: bool = False) -> float:
    """Return a finite number that is not negative (or, if `positive`, not zero either)."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}={value!r} must be a number")
    number = float(value)
    if not math.isfinite(number) or number < 0 or (positive and number == 0):
        raise ValueError(f"{name}={value!r} must be finite and {'positive' if positive else 'not negative'}")
    return number


def check_bool(name: str, value: Any) -> bool:
    """Return a truth value; numbers are refused, they are mistakes here."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}={value!r} must be True or False")
    return bool(value)


def check_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return one of some names."""
    if value not in choices:
        raise ValueError(f"{name}={value!r}: expected one of {', '.join(map(repr, choices))}")
    return value


def check_hidden(value: Any) -> tuple[int, ...]:
    """Return the widths of the encoder's layers as a tuple."""
    if isinstance(value, str) or not (isinstance(value, Sequence) or hasattr(value, "tolist")):
        raise TypeError(f"hidden={value!r} must be a sequence of widths, such as (500, 500, 2000)")
    return check_widths("hidden", list(value))


def check_widths(name: str, values: Sequence[Any]) -> tuple[int, ...]:
    """Return positive integers, at least one."""
    if len(values) == 0:
        raise ValueError(f"{name}={values!r} must hold at least one width, such as (500, 500, 2000)")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise TypeError(f"{name}={tuple(values)!r} must hold integers only, got {value!r}")
        if value < 1:
            raise ValueError(f"{name}={tuple(values)!r} must hold positive widths only, got {value!r}")
    return tuple(int(value) for value in values)
