"""``memory_limit``: how a user writes an amount of memory, and what it is if nobody says."""

from __future__ import annotations

import re
from numbers import Integral
from typing import Any

__all__ = ["parse_limit", "shown_bytes"]

UNITS = {f"{p}{b}": 1000**i for i, p in enumerate(("", "K", "M", "G", "T")) for b in ("", "B")}
UNITS |= {f"{p}I{b}": 1024**i for i, p in enumerate(("K", "M", "G", "T"), 1) for b in ("", "B")}
DEFAULT = 512 * 1000**2


def parse_limit(memory_limit: Any) -> int:
    """Return ``memory_limit`` in bytes; 512 MB for None.

    Parameters
    ----------
    memory_limit : int, str or None
        Bytes, or a number with B, KB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB (powers of 1024); the last B
        may be left out.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    if memory_limit is None:
        return DEFAULT
    found = memory_limit
    if isinstance(memory_limit, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([a-zA-Z]*)\s*", memory_limit)
        if match is None or match[2].upper() not in UNITS:
            raise ValueError(f"memory_limit={memory_limit!r} is no amount of memory; write '500MB' or '2GB'")
        found = int(float(match[1]) * UNITS[match[2].upper()])
    elif isinstance(memory_limit, bool) or not isinstance(memory_limit, Integral):
        raise TypeError(
            f"memory_limit must be a number of bytes, or text like '2GB', got {memory_limit!r}; leave it out for 512 MB"
        )
    if found <= 0:
        raise ValueError(f"memory_limit={memory_limit!r} must be positive; write '500MB' or '2GB'")
    return int(found)


def shown_bytes(count: float) -> str:
    """A number of bytes as messages show it, in a form that `parse_limit` takes."""
    power = next((i for i in range(4) if count < 1000 ** (i + 1)), 4)
    return f"{count / 1000**power:.3g} {('B', 'KB', 'MB', 'GB', 'TB')[power]}"
