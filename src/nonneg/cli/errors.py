"""What goes wrong, in one line, and with which exit code."""

from __future__ import annotations

import re
from collections.abc import Sequence

import cyclopts

__all__ = [
    "EXIT_DATA",
    "EXIT_INTERRUPTED",
    "EXIT_RUNTIME",
    "EXIT_STRICT",
    "EXIT_USAGE",
    "CommandError",
    "describe_error",
    "spoken",
    "usage_text",
]

#: What torch says, in a RuntimeError.
OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "Storage size calculation overflowed")
EXIT_RUNTIME, EXIT_USAGE, EXIT_DATA, EXIT_STRICT, EXIT_INTERRUPTED = 1, 2, 3, 4, 130


#: What the library advises in Python, and what that is on the command line.
_ADVICE = (
    (re.compile(r"(\bcolumn '.*); leave it out\b"), r"\1; leave it out (--without)"),
    (re.compile(r"\bwith missing='(\w+)'"), r"with --missing \1"),
    (re.compile(r"\bnonneg\.convert\('([^']+)', '([^']+)'\)"), r"nonneg convert \1 \2"),
)


def spoken(text: str) -> str:
    """Return a message of the library with its advice as it is written on the command line."""
    for pattern, words in _ADVICE:
        text = pattern.sub(words, text)
    return text


class CommandError(Exception):
    """An error that a command has understood: exit code, kind and a sentence."""

    def __init__(self, code: int, kind: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.kind = kind


def usage_text(error: cyclopts.CycloptsError, tokens: Sequence[str]) -> str:
    """Return what is wrong with the arguments, and where to read on."""
    words = ["nonneg", *(error.command_chain or ())]
    if "--model" in tokens[:-1]:  # whose options are those of a model
        words += ["--model", tokens[tokens.index("--model") + 1]]
    return f"{str(error).strip()} (see: {' '.join(words)} --help)"


def describe_error(error: Exception) -> tuple[int, str, str] | None:
    """Return (exit code, kind, text) of an error that users can cause, or None for a defect of the program."""
    from concurrent.futures.process import BrokenProcessPool

    from nonneg.exceptions import CheckpointError, DatasetUnavailable, MissingExtraError

    if isinstance(error, DatasetUnavailable):
        return EXIT_DATA, "data", str(error)
    if isinstance(error, CheckpointError | MissingExtraError | FloatingPointError | MemoryError):
        return EXIT_RUNTIME, "runtime", str(error) or type(error).__name__
    if isinstance(error, BrokenProcessPool):
        return EXIT_RUNTIME, "runtime", "a worker process died, perhaps for lack of memory; use fewer --jobs"
    if isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY):
        text = "not enough memory for layers of these widths (hidden) and this batch_size: make them smaller"
        return EXIT_RUNTIME, "runtime", f"{text} ({str(error).splitlines()[0]})"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return EXIT_RUNTIME, "runtime", f"{where}{error.strerror or error}"
    return None
