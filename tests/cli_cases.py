"""What tests of the command line share."""

from __future__ import annotations

from nonneg.cli import main


def run(capsys, *tokens):
    """Exit code, stdout and stderr of a command line."""
    code = main([str(token) for token in tokens])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def one_line(text):
    return text.count("\n") == 1 and "Traceback" not in text
