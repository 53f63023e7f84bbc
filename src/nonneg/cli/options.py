"""What several commands need: flags, NAME=VALUE options, folders that can be written, which process this is."""

from __future__ import annotations

import inspect
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from nonneg.cli.errors import EXIT_RUNTIME, EXIT_USAGE, CommandError

__all__ = [
    "Flag",
    "Json",
    "Many",
    "Names",
    "Quiet",
    "Verbose",
    "flagged",
    "leading_name",
    "limit",
    "parse_option",
    "place",
    "unwrapped",
    "writable",
]

#: A switch without a --no- of its own.
Flag = Parameter(negative=(), show_default=False)
#: Several values behind one option.
Many = Parameter(
    consume_multiple=True,
    negative=(),
    show_default=lambda values: None if values is None else " ".join(map(str, values)),
)
#: Several words, none by default.
Names = Annotated[Sequence[str], Parameter(consume_multiple=True, negative=(), show_default=False)]
#: Of every command.
Json = Annotated[bool, Parameter(name="--json", help="Print one JSON object."), Flag]
Quiet = Annotated[bool, Parameter(name=("--quiet", "-q"), help="Say nothing but results and errors."), Flag]
Verbose = Annotated[
    bool,
    Parameter(name=("--verbose", "-v"), help="Say on stderr what is done, also where it is no terminal."),
    Flag,
]

#: How messages begin that name a parameter: as this library words them, and as scikit-learn does.
_PARAMETER = re.compile(r"The '(\w+)' parameter of \w+|(\w+)")


def leading_name(text: str) -> str:
    """Return the word that a message begins with: the name of a parameter, if it is about one."""
    found = _PARAMETER.match(text)
    return "" if found is None else found[1] or found[2]


def flagged(text: str, flags: Mapping[str, str], otherwise: str | None = None) -> str:
    """Put what to write on the command line where a message begins with the name of a parameter.

    Parameters
    ----------
    text : str
        The message.
    flags : mapping
        Parameter → option.
    otherwise : str, optional
        What stands before any other name; None: other messages stay as they are.
    """
    found = _PARAMETER.match(text)
    name = leading_name(text)
    if found is None or (otherwise is None and name not in flags):
        return text
    return f"{flags.get(name, f'{otherwise}{name}')}{text[found.end() :]}"


def parse_option(text: str) -> tuple[str, Any]:
    """Read NAME=VALUE, the value being JSON where it can be read so, else a word.

    Raises
    ------
    CommandError
        With exit code 2, when it is not of that form.
    """
    name, sign, value = text.partition("=")
    if not (sign and name.isidentifier()):
        raise CommandError(
            EXIT_USAGE, "usage", f"--set must be NAME=VALUE, for instance gain=8, got {text!r}."
        )
    if value in ("True", "False", "None"):
        return name, {"True": True, "False": False, "None": None}[value]
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def unwrapped(text: str) -> str:
    """A docstring whose paragraphs are lines, for terminals of any width."""
    lines: list[str] = []
    for line in inspect.cleandoc(text).splitlines():
        before = lines[-1] if lines else ""
        ruled = {before[:2], line[:2]} & {"--"}
        same = len(before) - len(before.lstrip()) == len(line) - len(line.lstrip())
        if before.strip() and line.strip() and same and not ruled:
            lines[-1] = f"{before} {line.strip()}"
        else:
            lines.append(line)
    return "\n".join(lines)


def writable(folder: Path, option: str = "--out") -> None:
    """Raise unless files can be written into a folder, or into the one it would be made in; make nothing."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        text = f"{option}: {folder} cannot be written ({error.strerror or error}); give another folder."
        raise CommandError(EXIT_RUNTIME, "runtime", text) from error


def limit(threads: int | None) -> None:
    """Hold torch and the linear algebra at a number of threads; None leaves both as they are.

    Raises
    ------
    CommandError
        With exit code 2, for less than one.
    """
    if threads is None:
        return
    if threads < 1:
        raise CommandError(EXIT_USAGE, "usage", f"--threads must be at least 1, got {threads}.")
    from nonneg.experiments.pool import limit_threads

    limit_threads(threads)


def place() -> tuple[int, int]:
    """Return the number of this process and how many torchrun started; (0, 1) without it."""
    if not all(os.environ.get(name) for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")):
        return 0, 1
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
