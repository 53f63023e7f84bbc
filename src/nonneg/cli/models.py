"""``nonneg models``: what can be fitted, to what, and with which parameters."""

from __future__ import annotations

import inspect
import json
import textwrap
from typing import Any

from nonneg.cli.options import Json, Quiet, Verbose
from nonneg.cli.saved import say

__all__ = ["list_models"]

TAKES = {"matrix": "a matrix", "ways": "an array of n ways", "views": "several views of the same rows"}


def list_models(
    name: str | None = None, /, *, quiet: Quiet = False, verbose: Verbose = False, json_: Json = False
) -> int:
    """List the models that nonneg fit takes, or the parameters of one.

    Parameters
    ----------
    name:
        A model, in any case. Without it all are listed, with what they need of the data.
    """
    say(verbose, "loading the models, networks with torch")
    if name is not None:
        from nonneg.cli.estimators import model_class

        report: Any = _described(model_class(name, "NAME"))
        print(json.dumps(report) if json_ else _page(report))
        return 0
    rows = [_row(known) for known in _names()]
    if json_:
        print(json.dumps({"models": rows}))
        return 0
    for row in rows:
        print(f"{row['name']:<24}{row['summary']}")
        print(textwrap.indent(row["data"], " " * 24))
    print("\nnonneg models NAME lists the parameters of one; docs/models.md says which is for what.")
    return 0


def _names() -> list[str]:
    from nonneg.cli.estimators import NAMES

    return list(NAMES)


def _row(name: str) -> dict[str, Any]:
    """One line about a model, from its docstring, and what data it takes."""
    from nonneg.cli.estimators import model_class
    from nonneg.exceptions import MissingExtraError

    try:
        cls = model_class(name)
    except MissingExtraError as error:
        return {"name": name, "summary": str(error), "data": ""}
    return {"name": name, "summary": _summary(cls), "data": _data(cls)}


def _summary(cls: type) -> str:
    """The first sentence of its docstring."""
    first = (inspect.getdoc(cls) or "").split("\n\n")[0]
    return " ".join(first.split())


def _data(cls: Any) -> str:
    """What data it takes: shape, sign, missing cells, weights."""
    any_sign = cls._any_sign if isinstance(cls._any_sign, bool) else True
    words = [
        TAKES[getattr(cls, "_takes", "matrix")],
        "any sign" if any_sign else "no negative cells",
        "missing cells" if "missing" in cls._get_param_names() else "no missing cells",
        "weights of cells" if cls._takes_weights else "no weights of cells",
    ]
    return ", ".join(words)


def _described(cls: Any) -> dict[str, Any]:
    """The model's row with its parameters: option, type, default and what they mean."""
    from nonneg.cli.estimators import estimator_options, fit_options

    return {
        "name": cls.__name__.lower(),
        "summary": _summary(cls),
        "data": _data(cls),
        "parameters": [_option(option) for option in estimator_options(cls).values()],
        "fit": [_option(option) for option in fit_options(cls).values()],
    }


def _option(option: Any) -> dict[str, Any]:
    default = None if option.default is inspect.Parameter.empty else option.default
    plain = default is None or isinstance(default, bool | int | float | str)
    return {
        "option": option.flag,
        "type": option.type,
        "default": default if plain else repr(default),
        "help": option.help,
    }


def _page(report: dict[str, Any]) -> str:
    lines = [report["summary"], "", f"Data: {report['data']}."]
    for title, key in (("Parameters", "parameters"), ("Beside DATA, from files", "fit")):
        if report[key]:
            lines += ["", f"{title}:"]
        for option in report[key]:
            default = "" if option["default"] is None else f"; default {option['default']}"
            lines.append(f"  {option['option']} ({option['type']}{default})")
            lines += textwrap.wrap(option["help"], 100, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)
