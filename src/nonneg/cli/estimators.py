"""The models by their names on the command line, and the command `fit` with the options of one of them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from cyclopts import Group, Parameter

from nonneg.cli.errors import EXIT_USAGE, CommandError
from nonneg.cli.parameters import Option, options_of
from nonneg.cli.values import meant
from nonneg.registry import MODELS

__all__ = ["NAMES", "estimator_options", "fit_options", "model_class", "with_options"]

#: What --model takes: every registered model in lower case.
NAMES = {name.lower(): name for name in MODELS}

#: Shorter names of parameters.
ALIASES = {"random_state": "--seed", "max_epochs": "--epochs"}

#: Of the call, so that the command has options of its own for them, or none.
_OF_THE_CALL = {"checkpoint", "verbose", "X", "y", "layer", "memory_limit", "client"}


def model_class(name: str, argument: str = "--model") -> Any:
    """The class of a model, by its name in any case; ``argument`` is where it was written.

    Raises
    ------
    CommandError
        With exit code 2 for a name that no model has.
    MissingExtraError
        For a network without torch.
    """
    import nonneg

    if name.lower() not in NAMES:
        text = f"{argument} must be one of {', '.join(NAMES)}, got {name!r}.{meant(name, list(NAMES))}"
        raise CommandError(EXIT_USAGE, "usage", text)
    return getattr(nonneg, NAMES[name.lower()])


@functools.cache
def estimator_options(cls: Any) -> dict[str, Option]:
    """The parameters of an estimator; ``random_state`` is 0 here unless it is given."""
    found = {name: option for name, option in options_of(cls).items() if name not in _OF_THE_CALL}
    if "random_state" in found:
        found["random_state"] = replace(found["random_state"], default=0)
    return found


@functools.cache
def fit_options(cls: Any) -> dict[str, Option]:
    """What ``fit`` of an estimator takes beside the data."""
    overridden = [vars(base)["fit"] for base in cls.__mro__[1:] if "fit" in vars(base)]
    found = options_of(cls.fit, *overridden)
    refused = set(_OF_THE_CALL) | set(estimator_options(cls))
    if not cls._takes_weights:
        refused.add("weights")
    if not cls._takes_device:
        refused.add("device")
    return {name: option for name, option in found.items() if name not in refused}


def with_options(
    command: Callable[..., int], tokens: Sequence[str], config: Mapping[str, Any]
) -> Callable[..., int]:
    """A command that takes ``**parameters``, with one option for each parameter of the model that was named.

    Parameters
    ----------
    command : callable
        Its parameter ``model`` names the model.
    tokens : sequence of str
        The arguments of the command line.
    config : mapping
        Options from a file.
    """
    signature = inspect.signature(command, eval_str=True)
    name = _named("--model", tokens) or config.get("model") or signature.parameters["model"].default
    cls = model_class(str(name))
    parts = [part for part in signature.parameters.values() if part.kind is not part.VAR_KEYWORD]
    own, beside = (
        Group(f"Parameters of {cls.__name__}", sort_key=1),
        Group("Beside DATA, from files", sort_key=2),
    )
    options = list(estimator_options(cls).values())
    parts.append(_parameter(options[0], own, "--n-components"))  # the first counts them, whatever its name
    parts += [_parameter(option, own) for option in options[1:]]
    parts += [_parameter(option, beside) for option in fit_options(cls).values()]

    @functools.wraps(command)
    def run(*arguments: Any, **given: Any) -> int:
        return command(*arguments, **given)

    del run.__wrapped__
    run.__signature__ = inspect.Signature(parts)  # type: ignore[attr-defined]
    run.__annotations__ = {part.name: part.annotation for part in parts}
    return run


def _parameter(option: Option, group: Group, *others: str) -> inspect.Parameter:
    """The option as cyclopts reads it, by its own name and others."""
    names = [option.flag, option.flag.lower(), ALIASES.get(option.name), *others]
    kind: Any = bool if option.is_switch else list[str] if option.is_sequence else str
    default = option.default
    plain = option.is_switch or option.type in ("int", "float", "str")
    metavar = option.type.upper() if plain else "FILE" if option.is_array else "VALUE"
    how = Parameter(
        name=tuple(dict.fromkeys(name for name in names if name)),
        help=option.help if plain else f"{option.help} [{option.type}]",
        metavar=None if option.is_switch else metavar,
        group=group,
        show_default=False if default is None else lambda _: str(default),
        consume_multiple=option.is_sequence,
        negative=None if option.is_switch else (),
    )
    return inspect.Parameter(
        option.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, how]
    )


def _named(option: str, tokens: Sequence[str]) -> str | None:
    """What a command line says after an option."""
    found = None
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        if token == option:
            found = after
        elif token.startswith(f"{option}="):
            found = token.partition("=")[2]
    return found
