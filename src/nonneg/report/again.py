"""The lines that fit a model again, in Python and on the command line."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import penalties
from ..losses import BetaLoss
from ..registry import MODELS
from .facts import Facts

__all__ = ["in_python", "in_shell", "written"]

OF_THE_CALL = ("checkpoint", "verbose")  # not of the model
_NUMPY = re.compile(r"\bnp\.\w+\(([-+.\w]+)\)")


def written(value: Any) -> str | None:
    """A value as Python reads it; None for what has no such form: arrays, functions, generators.

    Parameters
    ----------
    value : object
        Penalties are written with their classes, which are to be imported; a loss object as its β.
    """
    value = value.beta if isinstance(value, BetaLoss) else value
    text = re.sub(r"\n\s*", " ", repr(value.item() if isinstance(value, np.generic) else value))
    text = _NUMPY.sub(r"\1", text)
    try:
        names = {node.id for node in ast.walk(ast.parse(text, mode="eval")) if isinstance(node, ast.Name)}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return text if names <= set(penalties.__all__) else None


def in_python(facts: Facts, changed: Mapping[str, Any]) -> str:
    """Lines of Python, with ``...`` for arguments that cannot be written."""
    texts = {name: written(value) for name, value in changed.items()}
    arguments = ", ".join(f"{name}={text or '...'}" for name, text in texts.items())
    classes = sorted(set(re.findall(r"\b([A-Z]\w*)\(", arguments)) & set(penalties.__all__))
    given = ["X"]
    if facts.weights is not None:
        given.append("weights=weights")
    if facts.how["layer"] is not None:
        given.append(f"layer={facts.how['layer']!r}")
    unknown = [name for name, text in texts.items() if text is None]
    return "\n".join(
        [
            "import nonneg",
            *([f"from nonneg.penalties import {', '.join(classes)}"] if classes else []),
            "",
            *([f"# put what was given as {' and '.join(unknown)} in place of ..."] if unknown else []),
            f"model = nonneg.{facts.name}({arguments})",
            f"W = model.fit_transform({', '.join(given)})",
            'model.save("model.nmf")',
        ]
    )


def in_shell(facts: Facts, changed: Mapping[str, Any]) -> str | None:
    """The line of ``nonneg fit``, DATA and WEIGHTS being files; None where it would not be the same fit."""
    seed = facts.model.get_params(deep=False).get("random_state", 0)
    own = {name: value for name, value in changed.items() if name not in OF_THE_CALL}
    if facts.name not in MODELS or not isinstance(seed, (int, np.integer)):
        return None
    words = ["nonneg", "fit", "DATA", "--model", facts.name.lower()]
    for name, value in own.items():
        flag, text = f"--{name.replace('_', '-')}", written(value)
        if text is None:
            return None
        if isinstance(value, (bool, np.bool_)):
            words.append(f"{flag}={text}")
        elif isinstance(value, (tuple, list)) and all(type(item) is int for item in value):
            words += [flag, *map(str, value)]
        else:
            words += [flag, value if isinstance(value, str) else text]
    if facts.how["layer"] is not None:
        words += ["--layer", str(facts.how["layer"])]
    if facts.weights is not None:
        words += ["--weights", "WEIGHTS"]
    return shlex.join([*words, "--out", "model.nmf"])
