"""What a misspelt choice was meant to be."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from sklearn.utils._param_validation import StrOptions

__all__ = ["suggestion"]

#: Words of sklearn.decomposition.NMF → what means the same here; the nearest word would be another method.
MEANT = {"cd": "hals", "nndsvdar": "nndsvda"}


def suggestion(message: str, constraints: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """Return " Did you mean …?" for scikit-learn's message about a parameter that takes words; "" where none is near.

    Parameters
    ----------
    message : str
        It begins with "The 'name' parameter".
    constraints : mapping
        Parameter → what it may be, as in `nonneg.models.parameters`.
    values : mapping
        Parameter → what it is.
    """
    for name, allowed in constraints.items():
        value = values.get(name)
        if isinstance(value, str) and message.startswith(f"The {name!r} parameter"):
            words = [word for rule in allowed if isinstance(rule, StrOptions) for word in rule.options]
            same = MEANT.get(value)
            near = [same] if same in words else get_close_matches(value.lower(), sorted(words), n=1)
            return f" Did you mean {near[0]!r}?" if near else ""
    return ""
