"""From the words of an option to its value: numbers, lists, words, penalties and losses, arrays in files.

Nothing is evaluated. Penalties and losses are read as expressions, ``[L1(0.1), Box(0, 1)]``, whose names are the public
classes of `nonneg.penalties` and `nonneg.losses`, and whose arguments are values again.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from nonneg.cli.errors import EXIT_DATA, EXIT_USAGE, CommandError
from nonneg.cli.parameters import Option, options_of

__all__ = ["meant", "value_of"]

_NO_LITERAL = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)


def value_of(option: Option, words: str | bool | Sequence[str]) -> Any:
    """Return what was written after an option as the value of its parameter.

    Parameters
    ----------
    option : Option
    words : str, bool or sequence of str
        One word; several where ``option.is_sequence``; yes or no where ``option.is_switch``.

    Raises
    ------
    CommandError
        With exit code 2 for what the parameter does not take; with 3 for a file that cannot be read.
    """
    if isinstance(words, bool):
        return words
    if isinstance(words, str):
        return _value(option, words)
    values = tuple(_value(option, word) for word in words)
    if len(values) == 1 and (option.type.startswith("int") or not isinstance(values[0], int)):
        return values[0]  # one number for all, or a list in one word
    return values


def meant(word: str, known: Sequence[str]) -> str:
    """Return " Did you mean …?" for a misspelt word; "" where none of those known is near."""
    small = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), list(small), n=1)
    return f" Did you mean {small[near[0]]!r}?" if near else ""


def _value(option: Option, word: str) -> Any:
    if word in option.choices:
        return word
    try:
        return ast.literal_eval(word)
    except _NO_LITERAL:
        pass
    known = _classes(option)
    if known and (tree := _expression(word)) is not None:
        return _built(option, tree, known)
    if "float" in option.type:
        try:
            return float(word)  # inf, which is no literal
        except ValueError:
            pass
    if option.is_array and Path(word).exists():
        return _array(option, word)
    if option.is_path:
        return word
    raise _refused(option, word, known)


def _refused(option: Option, word: str, known: Mapping[str, Any]) -> CommandError:
    """The error of a word that is no value of this option."""
    remarks = []
    if word in known:
        remarks.append(f" Write {word}({', '.join(options_of(known[word]))}).")
    else:
        remarks.append(meant(word, [*option.choices, *known]))
    if known:
        remarks.append(f" Known are {', '.join(f'{name}(…)' for name in known)}.")
    if option.is_array:
        remarks.append(" There is no such file.")
    if "callable" in option.type:
        remarks.append(" Functions cannot be given here, only in Python.")
    text = f"{option.flag} must be {option.type}, got {word!r}.{''.join(remarks)}"
    return CommandError(EXIT_USAGE, "usage", text)


# -- penalties and losses -------------------------------------------------------------------------------------


def _classes(option: Option) -> dict[str, Callable[..., Any]]:
    """The classes whose objects the option takes, by their names."""
    if "penalty" in option.type:
        from nonneg import penalties

        return {
            name: cls
            for name, cls in vars(penalties).items()
            if name in penalties.__all__
            and isinstance(cls, type)
            and issubclass(cls, penalties.Penalty)
            and not inspect.isabstract(cls)
        }
    if "loss object" in option.type:
        from nonneg import losses

        return {"BetaLoss": losses.BetaLoss}
    return {}


def _expression(word: str) -> ast.expr | None:
    """The syntax tree of an expression with calls; None for other words."""
    try:
        tree = ast.parse(word.strip(), mode="eval").body
    except _NO_LITERAL:
        return None
    return tree if any(isinstance(node, ast.Call) for node in ast.walk(tree)) else None


def _built(option: Option, node: ast.expr, known: Mapping[str, Callable[..., Any]]) -> Any:
    """The value of a syntax tree: calls of what is known, lists of them, and literals."""
    if isinstance(node, ast.List | ast.Tuple):
        return [_built(option, item, known) for item in node.elts]
    if isinstance(node, ast.Call):
        return _called(option, node, known)
    try:
        return ast.literal_eval(node)
    except _NO_LITERAL:
        raise _refused(option, ast.unparse(node), known) from None


def _called(option: Option, node: ast.Call, known: Mapping[str, Callable[..., Any]]) -> Any:
    name = ast.unparse(node.func)
    if name not in known:
        raise _refused(option, name, known)
    if any(isinstance(item, ast.Starred) for item in node.args) or any(
        not item.arg for item in node.keywords
    ):
        raise CommandError(EXIT_USAGE, "usage", f"{option.flag}: write the arguments of {name} one by one.")
    own = options_of(known[name])
    arguments = [*zip(own, node.args, strict=False), *((str(item.arg), item.value) for item in node.keywords)]
    found: dict[str, Any] = {}
    for key, tree in arguments:
        value = _built(option, tree, {})
        is_file = isinstance(value, str) and key in own and own[key].is_array
        found[key] = _array(option, value) if is_file else value
    needed = {key for key, one in own.items() if one.default is inspect.Parameter.empty}
    if not needed <= set(found) <= set(own) or len(found) < len(node.args) + len(node.keywords):
        text = f"{option.flag}: {ast.unparse(node)} does not go; write {name}({', '.join(own)})."
        raise CommandError(EXIT_USAGE, "usage", text)
    try:
        return known[name](**found)
    except (TypeError, ValueError) as error:
        text = f"{option.flag}: {name}: {str(error).removeprefix(f'{name}: ')}"
        raise CommandError(EXIT_USAGE, "usage", text) from error


# -- arrays ---------------------------------------------------------------------------------------------------


def _array(option: Option, word: str) -> Any:
    """What a file holds: an array of any kind; several as a dict, or as a list where the option takes no dict."""
    import numpy as np

    from nonneg.data.paths import open_path

    if not Path(word).exists():
        raise CommandError(EXIT_USAGE, "usage", f"{option.flag}: there is no file {word}.")
    try:
        found = open_path(word, option.flag, several=True)
    except (ValueError, TypeError, OSError) as error:
        text = str(error).removeprefix(f"{option.flag}: ")
        raise CommandError(EXIT_DATA, "data", f"{option.flag}: {text}") from error
    if isinstance(found, dict):
        return found if "dict" in option.type else list(found.values())
    counts = option.type.startswith("array-like of int")
    if counts or "(n_samples,)" in option.type:
        found = np.ravel(np.asarray(found))
    return _counted(found) if counts or "(p, 2)" in option.type else found


def _counted(found: Any) -> Any:
    """Whole numbers as such, where a table holds them as floats."""
    import numpy as np

    array = np.asarray(found)
    whole = array.dtype.kind == "f" and bool((array == np.rint(array)).all())
    return array.astype(np.int64) if whole else array
