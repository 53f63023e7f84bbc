"""The command line: ``nonneg fit …`` and its sisters, one file a command; `build_app` lists them.

This package reads arguments, calls the library and prints; it computes nothing. Nothing heavy is imported before a
command runs, so that ``nonneg --help`` is quick.

Exit codes: 0; 1 runtime error; 2 usage; 3 data; 4 not converged with ``--strict``; 130 interrupted. An expected error
is one line on stderr. With ``--json`` stdout holds exactly one JSON object, ``{"error": …}`` after an error.
"""

from __future__ import annotations

import inspect
import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import cyclopts

from nonneg.cli.config import take_config
from nonneg.cli.convert import convert_data
from nonneg.cli.datasets import fetch_data_set, list_data_sets
from nonneg.cli.errors import EXIT_INTERRUPTED, EXIT_USAGE, CommandError, describe_error, spoken, usage_text
from nonneg.cli.estimators import with_options
from nonneg.cli.evaluate import evaluate_model
from nonneg.cli.fit import fit_model
from nonneg.cli.inspection import inspect_model
from nonneg.cli.models import list_models
from nonneg.cli.options import place, unwrapped
from nonneg.cli.report import report_model
from nonneg.cli.reproduce import reproduce_ddnmf
from nonneg.cli.transform import transform_data
from nonneg.cli.zoo import reproduce_zoo
from nonneg.experiments.progress import show_warning

__all__ = ["build_app", "main"]


def _version() -> str:
    from nonneg import __version__

    return __version__


#: None of these is an option.
COMMANDS = ("fit", "transform", "report", "evaluate", "inspect", "models", "datasets", "convert", "reproduce")
#: Headings of ``nonneg --help``.
MODELS, DATA, STUDIES = (
    cyclopts.Group(name, sort_key=i) for i, name in enumerate(("Models", "Data", "Studies"))
)


def build_app(
    tokens: Sequence[str] = (), config: Mapping[str, Any] | None = None, source: str = ""
) -> cyclopts.App:
    """Return all commands; `fit` with the options of the model that the arguments name.

    Parameters
    ----------
    tokens : sequence of str
        Arguments, without the program's name.
    config : mapping, optional
        Options from a file.
    source : str
        The file's name.
    """
    config = config or {}
    app = cyclopts.App(
        name="nonneg",
        help=(
            "Non-negative factorization, from the classical matrix model to deep networks. For instance:\n\n"
            "  nonneg fit table.csv --n-components 5 --out model.nmf\n"
            "  nonneg transform model.nmf table.csv --out amounts.csv\n"
            "  nonneg report model.nmf table.csv --out report.html"
        ),
        help_epilogue=(
            "Exit codes: 0; 1 runtime error; 2 usage; 3 data; 4 not converged (--strict); 130 interrupted. "
            "--config FILE.toml, of every command: options from a file; those given here win. "
            "NONNEG_DATA_HOME: folder with data sets. NONNEG_OFFLINE=1: never download."
        ),
        config=cyclopts.config.Dict(dict(config), source=source, use_commands_as_keys=False),
        help_format="plaintext",
        group_commands=cyclopts.Group("Options", sort_key=9),
        version=_version,
        suppress_keyboard_interrupt=False,
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
    )
    fit = with_options(fit_model, tokens, config) if tokens[:1] == ["fit"] else fit_model
    app.command(fit, name="fit", group=MODELS)
    app.command(transform_data, name="transform", group=MODELS)
    app.command(
        report_model,
        name="report",
        group=MODELS,
        usage="Usage: nonneg report --out PATH [OPTIONS] MODEL [DATA]",
    )
    app.command(evaluate_model, name="evaluate", group=MODELS)
    app.command(inspect_model, name="inspect", group=MODELS)
    app.command(list_models, name="models", group=MODELS, usage="Usage: nonneg models [OPTIONS] [NAME]")
    sets = cyclopts.App(name="datasets", help="Data sets by name.", group=DATA)
    sets.command(list_data_sets, name="list")
    sets.command(fetch_data_set, name="fetch")
    app.command(sets)
    app.command(convert_data, name="convert", group=DATA)
    studies = cyclopts.App(
        name="reproduce", help="Run a study again: tables, figures and trained models.", group=STUDIES
    )
    studies.command(reproduce_ddnmf, name="ddnmf")
    studies.command(reproduce_zoo, name="zoo")
    app.command(studies)
    app.register_install_completion_command()
    _prepare_help(app)
    return app


def _prepare_help(app: cyclopts.App) -> None:
    """Commands stand in the order of `build_app`; paragraphs of their help are lines, for terminals of any width."""
    for place_, command in enumerate(app.subapps):
        command.sort_key = place_
        if inspect.isfunction(told := command.default_command):
            told.__doc__ = unwrapped(told.__doc__ or "")
        _prepare_help(command)


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
        tokens, config, source = take_config(tokens, COMMANDS)
        as_json = as_json or config.get("json") is True
        quiet = config.get("quiet") is True or not {"--quiet", "-q"}.isdisjoint(tokens)
        if quiet and not {"--verbose", "-v"}.isdisjoint(tokens):
            raise CommandError(
                EXIT_USAGE, "usage", "--quiet and --verbose do not go together; give one of them."
            )
        with warnings.catch_warnings():
            told = place()[0] == 0 and not quiet
            warnings.showwarning = _warn if told else lambda *_: None  # type: ignore[assignment]
            result = build_app(tokens, config, source)(tokens)
        return result if isinstance(result, int) else 0
    except cyclopts.CycloptsError as error:
        return _fail(EXIT_USAGE, "usage", usage_text(error, tokens), as_json)
    except CommandError as error:
        return _fail(error.code, error.kind, str(error), as_json)
    except KeyboardInterrupt:
        goes_on = not {"fit", "reproduce"}.isdisjoint(tokens[:1])
        more = (
            "what is done is on disk, and the same command goes on from there"
            if goes_on
            else "nothing is written"
        )
        text = f"interrupted; {more}"
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


def _warn(message: Warning | str, *rest: Any, **more: Any) -> None:
    show_warning(spoken(str(message)), *rest, **more)


def _fail(code: int, kind: str, text: str, as_json: bool) -> int:
    line = " ".join(spoken(text).split())
    rank, size = place()
    print(f"nonneg: {line}" if size == 1 else f"nonneg (rank {rank}): {line}", file=sys.stderr)
    if as_json:
        with suppress(OSError):  # stdout may be what failed
            _print_error(code, kind, line)
    return code


def _print_error(code: int, kind: str, text: str) -> None:
    report: dict[str, Any] = {"error": {"kind": kind, "message": text, "exit_code": code}}
    if place()[0] == 0:  # one object, of several processes
        print(json.dumps(report))
