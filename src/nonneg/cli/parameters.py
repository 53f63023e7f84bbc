"""The parameters of a class or function as options: names, types, defaults and help, read from it and nowhere else.

Knows signatures and numpydoc docstrings; no model, and nothing of what is done with an option's value. A docstring may
refer to another for what both share ("As for `NMF`."): then the other one is read.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

__all__ = ["Option", "entries", "options_of"]

_DEFAULT = re.compile(r",? (?:default\b.*|optional)$|^optional$")
_REFERENCE = re.compile(r"(?<!`)`([\w.]+)`(?!`)")
_FOLLOWED = re.compile(r"(?:As for|.*\bsee) `([\w.]+)`[.,;]?\s*")


@dataclass(frozen=True)
class Option:
    """A parameter as an option of a command.

    Parameters
    ----------
    name : str
        Of the parameter.
    type : str
        What it takes, as its docstring words it.
    default : object
        `inspect.Parameter.empty` where it must be given.
    help : str
    """

    name: str
    type: str
    default: Any
    help: str

    @property
    def flag(self) -> str:
        """How it is written on a command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def is_switch(self) -> bool:
        """Whether it is yes or no."""
        return self.type.startswith("bool")

    @property
    def is_sequence(self) -> bool:
        """Whether several values may follow."""
        return re.search(r"\b(sequence|pair) of\b", self.type) is not None

    @property
    def is_array(self) -> bool:
        """Whether it takes numbers that stand in a file."""
        return re.search(r"array-like|ndarray|sparse", self.type) is not None

    @property
    def is_path(self) -> bool:
        """Whether it takes any words."""
        return re.search(r"\b(str|path|Any)\b", self.type) is not None

    @property
    def choices(self) -> list[str]:
        """The words that it takes."""
        return re.findall(r'"([^"]+)"', self.type)


def options_of(call: Callable[..., Any], *others: Callable[..., Any]) -> dict[str, Option]:
    """Return the options of a class or function by the names of their parameters.

    Parameters
    ----------
    call : callable
        Its docstring has a section Parameters; so may those of its bases, for what they share.
    *others : callable
        Whose docstrings say the rest: the methods that a method overrides.
    """
    found = {}
    for name, parameter in inspect.signature(call).parameters.items():
        if name == "self" or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        told = [_described(one, name) for one in (*_with_bases(call), *others)]
        type_ = next((type_ for type_, _ in told if type_), str(parameter.annotation))
        text = next((text for _, text in told if text), "")
        found[name] = Option(name, type_, parameter.default, text.replace("`", ""))
    return found


def entries(call: Callable[..., Any]) -> dict[str, tuple[str, str, bool]]:
    """Return what the section Parameters says: name → (type, text, whether the text is about several parameters)."""
    lines = (inspect.getdoc(call) or "").splitlines()
    if "Parameters" not in lines:
        return {}
    found: dict[str, tuple[str, str, bool]] = {}
    names: list[str] = []
    for line, below in pairwise([*lines[lines.index("Parameters") + 2 :], ""]):
        if below and set(below) == {"-"}:  # the heading of the next section
            break
        if line and not line[0].isspace():
            head, _, type_ = line.partition(" : ")
            names = head.split(", ")
            found |= {name: (_DEFAULT.sub("", type_), "", len(names) > 1) for name in names}
        else:
            for name in names:
                type_, text, shared = found[name]
                found[name] = (type_, f"{text} {line.strip()}".strip(), shared)
    return found


def _described(call: Callable[..., Any], name: str) -> tuple[str, str]:
    """Type and text of a parameter, those of the docstring that its own refers to where it says no more."""
    known = entries(call)
    type_, text, shared = known.get(name, ("", "", False))
    reference = _FOLLOWED.match(text)
    if not reference and text:
        return type_, text
    others = [reference[1]] if reference else _references(known)
    for other in _found(others, call):
        its_type, its_text = _described(other, name)
        if its_text:
            rest = "" if shared or reference is None else text[reference.end() :]
            return type_ or its_type, f"{its_text} {rest[:1].upper()}{rest[1:]}".strip()
    return type_, text


def _references(known: dict[str, tuple[str, str, bool]]) -> list[str]:
    """What the texts refer to for anything."""
    return list(dict.fromkeys(name for _, text, _ in known.values() for name in _REFERENCE.findall(text)))


def _with_bases(call: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """The callable; of a class also the bases that are of its package."""
    package = call.__module__.partition(".")[0]
    for one in inspect.getmro(call) if isinstance(call, type) else (call,):
        if one.__module__.partition(".")[0] == package:
            yield one


def _found(names: list[str], call: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """The classes and functions of these names: public ones, or of modules beside the one that refers to them."""
    package, _, room = call.__module__.partition(".")
    beside = f"{package}.{room.partition('.')[0]}"
    around = [
        sys.modules[package],
        *(module for name, module in sys.modules.items() if name.startswith(beside)),
    ]
    for name in names:
        last = name.removeprefix(f"{package}.")
        other = next((vars(module)[last] for module in around if last in vars(module)), None)
        other = other or getattr(sys.modules[package], last, None)
        if callable(other) and other is not call:
            yield other
