"""Options from a TOML file: ``--config FILE`` of every command. What the command line says wins."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from nonneg.cli.errors import EXIT_USAGE, CommandError

__all__ = ["take_config"]


def take_config(tokens: Sequence[str], commands: Collection[str]) -> tuple[list[str], dict[str, Any], str]:
    """Return the arguments without ``--config FILE``, the options in that file, and its name.

    Parameters
    ----------
    tokens : sequence of str
        Arguments, without the program's name.
    commands : collection of str
        Names of commands, which are no options: cyclopts would pass over such a key in silence.

    Raises
    ------
    CommandError
        With exit code 2, when there is no such file, it is no TOML, or a key of it is a command.
    """
    rest, file = list(tokens), None
    for i, token in enumerate(tokens):
        if token == "--config":
            file = tokens[i + 1] if i + 1 < len(tokens) else ""
            del rest[i : i + 2]
            break
        if token.startswith("--config="):
            file = token.removeprefix("--config=")
            del rest[i]
            break
    if file is None:
        return rest, {}, ""
    if not file:
        raise CommandError(EXIT_USAGE, "usage", "--config needs a TOML file, as in --config fit.toml.")
    try:
        found = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        text = f"--config: {file} cannot be read ({reason}); give a TOML file, say with loss = 'kl' in it."
        raise CommandError(EXIT_USAGE, "usage", text) from error
    if named := [name for name in found if name in commands]:
        text = f"--config: {file}: {named[0]} is a command, no option; write options without a heading [{named[0]}]."
        raise CommandError(EXIT_USAGE, "usage", text)
    return rest, {name: _plain(value) for name, value in found.items()}, file


def _plain(value: Any) -> Any:
    """A value as the command line would have it: lists of words as several, others as one."""
    several = isinstance(value, list) and not all(isinstance(item, str) for item in value)
    return repr(value) if several or isinstance(value, dict) else value
