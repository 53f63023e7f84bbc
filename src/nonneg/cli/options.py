"""What several commands need: NAME=VALUE options, and folders that can be written."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from nonneg.cli.errors import EXIT_RUNTIME, EXIT_USAGE, CommandError

__all__ = ["limited", "parse_option", "writable"]


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


@contextmanager
def limited(threads: int | None) -> Iterator[None]:
    """Hold torch and the linear algebra at a number of threads; None leaves both as they are."""
    if threads is None:
        yield
        return
    if threads < 1:
        raise CommandError(EXIT_USAGE, "usage", f"--threads must be at least 1, got {threads}.")
    from threadpoolctl import threadpool_limits

    torch: Any = None
    with suppress(ImportError):
        torch = import_module("torch")
    before = threads if torch is None else torch.get_num_threads()
    try:
        if torch is not None:
            torch.set_num_threads(threads)
        with threadpool_limits(threads):
            yield
    finally:
        if torch is not None:
            torch.set_num_threads(before)
