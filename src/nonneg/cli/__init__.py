"""The command line: ``nonneg fit …`` and its sisters, one file a command; `build_app` lists them.

This package reads arguments, calls the library and prints; it computes nothing. Nothing heavy is imported before a
command runs, so that ``nonneg --help`` is quick.

Exit codes: 0; 1 runtime error; 2 usage; 3 data; 4 not converged with ``--strict``; 130 interrupted. An expected error
is one line on stderr. With ``--json`` stdout holds exactly one JSON object, ``{"error": …}`` after an error.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import cyclopts

from nonneg.cli.convert import convert_data
from nonneg.cli.errors import EXIT_INTERRUPTED, EXIT_USAGE, CommandError, describe_error, usage_text
from nonneg.cli.fit import fit_model
from nonneg.cli.options import place
from nonneg.cli.reproduce import reproduce_ddnmf
from nonneg.cli.zoo import reproduce_zoo
from nonneg.experiments.progress import show_warning

__all__ = ["build_app", "main"]


def _version() -> str:
    from nonneg import __version__

    return __version__


#: Headings of ``nonneg --help``.
MODELS, DATA, STUDIES = (
    cyclopts.Group(name, sort_key=i) for i, name in enumerate(("Models", "Data", "Studies"))
)


def build_app(tokens: Sequence[str] = ()) -> cyclopts.App:
    """Return all commands; `fit` with the options of the model that the arguments name.

    Parameters
    ----------
    tokens : sequence of str
        Arguments, without the program's name.
    """
    app = cyclopts.App(
        name="nonneg",
        help="Non-negative factorization, from the classical matrix model to deep networks.",
        help_epilogue=(
            "Exit codes: 0; 1 runtime error; 2 usage; 3 data; 4 not converged (--strict); 130 interrupted. "
            "NONNEG_DATA_HOME: folder with data sets. NONNEG_OFFLINE=1: never download."
        ),
        help_format="plaintext",
        group_commands=cyclopts.Group("Options", sort_key=9),
        version=_version,
        suppress_keyboard_interrupt=False,
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
    )
    app.command(fit_model, name="fit", group=MODELS)
    app.command(convert_data, name="convert", group=DATA)
    studies = cyclopts.App(
        name="reproduce", help="Run a study again: tables, figures and trained models.", group=STUDIES
    )
    studies.command(reproduce_ddnmf, name="ddnmf")
    studies.command(reproduce_zoo, name="zoo")
    app.command(studies)
    return app


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of the process by default.
    """
    tokens = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in tokens
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning if place()[0] == 0 else lambda *_: None
            result = build_app(tokens)(tokens)
        return result if isinstance(result, int) else 0
    except cyclopts.CycloptsError as error:
        return _fail(EXIT_USAGE, "usage", usage_text(error, tokens), as_json)
    except CommandError as error:
        return _fail(error.code, error.kind, str(error), as_json)
    except KeyboardInterrupt:
        text = "interrupted; what is done is on disk, and the same command goes on from there"
        return _fail(EXIT_INTERRUPTED, "interrupted", text, as_json)
    except BrokenPipeError:
        sys.stderr.close()  # the reader has left: there is nobody to tell
        return 1
    except Exception as error:
        expected = describe_error(error)
        if expected is None:  # a defect of the program: the traceback is what its authors need
            if as_json:
                _print_error(1, "defect", f"{type(error).__name__}: {error}")
            raise
        return _fail(*expected, as_json)


def _fail(code: int, kind: str, text: str, as_json: bool) -> int:
    line = " ".join(text.split())
    rank, size = place()
    print(f"nonneg: {line}" if size == 1 else f"nonneg (rank {rank}): {line}", file=sys.stderr)
    if as_json:
        _print_error(code, kind, line)
    return code


def _print_error(code: int, kind: str, text: str) -> None:
    report: dict[str, Any] = {"error": {"kind": kind, "message": text, "exit_code": code}}
    if place()[0] == 0:  # one object, of several processes
        print(json.dumps(report))
