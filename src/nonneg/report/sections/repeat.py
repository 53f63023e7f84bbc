"""What is needed to do it again: parameters, seed, versions, code."""

from __future__ import annotations

import inspect
import platform
from typing import Any

import numpy as np

from ... import __version__
from ..again import in_python, in_shell
from ..blocks import Code, Section, Table
from ..facts import Facts
from ..words import shown

__all__ = ["repeat"]

LONGEST = 60  # characters of a value


def repeat(facts: Facts) -> Section | None:
    """Parameters, versions and code that fits the same model."""
    given = facts.model.get_params(deep=False)
    defaults = {
        name: parameter.default for name, parameter in inspect.signature(type(facts.model)).parameters.items()
    }
    changed = {name: value for name, value in given.items() if not _same(value, defaults.get(name))}
    rows = [
        (name, _text(value), "given" if name in changed else "default")
        for name, value in sorted(given.items())
    ]
    sentences, cautions = [], []
    if "random_state" in given:
        seed = given["random_state"]
        if isinstance(seed, (int, np.integer)):
            sentences.append(
                f"The seed was {seed}: with the same data, read in the same way, the same versions and the same number "
                "of threads the fit gives the same numbers."
            )
        else:
            cautions.append(
                "The fit had no fixed seed (random_state), so another fit may end elsewhere. The saved model is what "
                "can be repeated: transform gives the same numbers every time."
            )
    blocks: list[Any] = [Code("The same fit in Python", in_python(facts, changed))]
    line = in_shell(facts, changed)
    if line is not None:
        blocks.append(Code("The same parameters on the command line, DATA being the file of X", line))
    blocks.append(Table(f"Parameters of {facts.name}", ["Parameter", "Value", "Set"], rows))
    blocks.append(Table("Versions", ["Package", "Of the fit", "Of this report"], _versions(facts)))
    return Section("repeat", "How to repeat it", sentences, cautions, blocks)


def _same(value: Any, default: Any) -> bool:
    if value is default:
        return True
    if isinstance(value, np.ndarray) or isinstance(default, np.ndarray):
        return False
    try:
        return type(value) is type(default) and bool(value == default)
    except (TypeError, ValueError):
        return False


def _text(value: Any) -> str:
    """A value as it is written in Python; arrays by their shape."""
    if isinstance(value, np.ndarray) and value.size > 10:
        return f"array of shape {value.shape}"
    text = " ".join(repr(value.item() if isinstance(value, np.generic) else value).split())
    return text if len(text) <= LONGEST else f"{shown(text[: LONGEST - 1])}…"


def _versions(facts: Facts) -> list[tuple[str, str, str]]:
    here = {"nonneg": __version__, "numpy": np.__version__, "python": platform.python_version()}
    fitted = facts.versions or {}
    return [(name, shown(fitted.get(name, "not known")), version) for name, version in here.items()]
