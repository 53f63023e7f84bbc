"""Numbers and names as readers see them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..plots.canvas import printable

__all__ = ["counted", "hundredths", "listed", "number", "percent", "shown"]

LONGEST = 80  # characters of a name
NBSP = "\u00a0"


def number(value: Any) -> str:
    """Three digits; thousands are whole and grouped; what is not known is a dash."""
    if value is None or (isinstance(value, (float, np.floating)) and math.isnan(value)):
        return "–"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if 1e-3 <= abs(value) < 1e6:
        if abs(value) >= 1000:
            return f"{value:,.0f}"
        return np.format_float_positional(value, precision=3, fractional=False, trim="-")
    return f"{value:.3g}"


def percent(share: float) -> str:
    """A share in percent: two digits, more near 0 and near 100; the sign stays with its number."""
    if math.isnan(share):
        return "–"
    if share in (0, 1):
        return f"{share:.0%}".replace("%", NBSP + "%")
    digits = 0 if 0.1 <= abs(share) <= 0.9 else (1 if 0.01 <= abs(share) <= 0.99 else 2)
    text = f"{100 * share:.{digits}f}"
    if 0 < share < 1 and float(text) in (0, 100):
        return f"less than 0.01{NBSP}%" if share < 0.5 else f"more than 99.99{NBSP}%"
    return f"{text}{NBSP}%"


def hundredths(share: float) -> float:
    """A share in percent as a number, for columns of a table: tenths are enough there."""
    return round(100 * float(share), 1)


def counted(count: int, noun: str) -> str:
    """``1 row``, ``2 rows``; a noun in -y changes it."""
    if count == 1:
        return f"1 {noun}"
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{count:,} {plural}"


def listed(items: Sequence[Any], most: int = 8) -> str:
    """``1, 2 and 3``; of many the first ones."""
    words = [str(item) for item in items]
    if len(words) > most:
        return f"{', '.join(words[:most])} and {len(words) - most:,} more"
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def shown(text: Any) -> str:
    """A name from the data on one line: what cannot stand in a page is replaced, what is too long is cut."""
    clean = printable(text)
    return clean if len(clean) <= LONGEST else clean[: LONGEST - 1] + "…"
