"""What several commands need: NAME=VALUE options, and folders that can be written."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from nonneg.cli.errors import EXIT_RUNTIME, EXIT_USAGE, CommandError

__all__ = ["limit", "parse_option", "writable"]


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


def writable(folder: Path, option: str = "--out") -> None:
    """Make a folder if need be, and raise unless files can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
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
