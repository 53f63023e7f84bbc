"""Objects that are their constructor arguments: comparing, copying, printing, writing to JSON.

A penalty is a value: two penalties of one class with equal arguments are the same penalty. This module gives
that value semantics to any class whose `__init__` stores its arguments unchanged under their own names (which
is what `sklearn.clone` asks for too: a number that comes in as an int stays an int) and checks them. It knows
nothing about what a penalty computes.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp


class Parametrised:
    """Value semantics from constructor arguments, and a registry of subclasses by name."""

    _registry: ClassVar[dict[str, type[Parametrised]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        known = Parametrised._registry.get(cls.__name__)
        # running a notebook cell twice defines the same class again; another class under a taken name would make
        # saved models load as something else
        same = known is None or (known.__module__, known.__qualname__) == (cls.__module__, cls.__qualname__)
        if not same:
            raise TypeError(
                f"a penalty named {cls.__name__!r} is already registered ({known.__module__}); "  # type: ignore[union-attr]
                "choose another class name, because saved models find penalties by name."
            )
        Parametrised._registry[cls.__name__] = cls

    @classmethod
    def _argument_names(cls) -> list[str]:
        return [name for name in inspect.signature(cls).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor arguments by name, as scikit-learn asks for them.

        Parameters
        ----------
        deep : bool, default=True
            Ignored: a penalty holds no estimators.
        """
        return {name: getattr(self, name) for name in self._argument_names()}

    def set_params(self, **params: Any) -> Parametrised:
        """Change arguments in place, checked as at construction; nothing changes when one is refused.

        Parameters
        ----------
        **params
            New values by argument name. A grid search reaches them as ``penalty_H__strength``.
        """
        unknown = sorted(set(params) - set(self._argument_names()))
        if unknown:
            raise ValueError(
                f"{type(self).__name__} has no argument {unknown[0]!r}; it has {self._argument_names()}."
            )
        changed = type(self)(**{**self.get_params(), **params})
        self.__dict__.clear()
        self.__dict__.update(changed.__dict__)
        return self

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        mine, theirs = self._comparable(), other._comparable()  # type: ignore[attr-defined]
        return all(_equal(mine[name], theirs[name]) for name in mine)

    # `set_params` changes an object in place, so it must not be a key
    __hash__ = None  # type: ignore[assignment]

    def _comparable(self) -> dict[str, Any]:
        """What `==` compares and `to_dict` writes: the arguments, in a form that NumPy and JSON know."""
        return self.get_params()

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={_short(value)}" for name, value in self.get_params().items())
        return f"{type(self).__name__}({inside})"

    def to_dict(self) -> dict[str, Any]:
        """``{"name": class, "params": {...}}`` of plain JSON values; `from_dict` reads it back."""
        return {
            "name": type(self).__name__,
            "params": {name: _encode(value) for name, value in self._comparable().items()},
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Any:
        """The object that `to_dict` wrote, of whatever registered class it names.

        Parameters
        ----------
        state : mapping
            ``{"name": str, "params": mapping}``.

        Raises
        ------
        ValueError
            If the mapping has another shape or names no known class of this kind.
        """
        if not isinstance(state, Mapping) or not {"name", "params"} <= set(state):
            raise ValueError(f"expected a mapping with the keys 'name' and 'params', got {_short(state)}.")
        found = Parametrised._registry.get(state["name"])
        if found is None or not issubclass(found, cls) or inspect.isabstract(found):
            known = sorted(
                name
                for name, c in Parametrised._registry.items()
                if issubclass(c, cls) and not inspect.isabstract(c)
            )
            raise ValueError(
                f"no penalty named {state['name']!r}; known: {', '.join(known)}. "
                "One of your own must be imported before it is loaded."
            )
        return found(**{name: _decode(value) for name, value in state["params"].items()})


def check_number(
    owner: object,
    name: str,
    value: Any,
    low: float = 0.0,
    high: float = math.inf,
    *,
    open_low: bool = False,
    allow_inf: bool = False,
) -> None:
    """Refuse `value` unless it is a real number in [low, high] (in (low, high] with `open_low`).

    The message names the class of `owner` and the argument, what was got and what is expected.
    """
    label = f"{type(owner).__name__}: {name}"
    edge = f"{'>' if open_low else '>='} {low:g}" + (f" and <= {high:g}" if math.isfinite(high) else "")
    expected = f"a {'' if allow_inf else 'finite '}number {edge}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"{label} must be {expected}, got {_short(value)} of type {type(value).__name__}.")
    x = float(value)
    below = x <= low if open_low else x < low
    if math.isnan(x) or below or x > high or (math.isinf(x) and not allow_inf):
        raise ValueError(f"{label} must be {expected}, got {value!r}.")


def check_choice(owner: object, name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Refuse `value` unless it is one of the strings `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(
            f"{type(owner).__name__}: {name} must be one of {', '.join(map(repr, choices))}, got {_short(value)}."
        )


def _equal(a: Any, b: Any) -> bool:
    if sp.issparse(a) or sp.issparse(b):
        if not (sp.issparse(a) and sp.issparse(b)):
            return False
        return a.shape == b.shape and (a != b).nnz == 0
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    return bool(a == b)


def _short(value: Any) -> str:
    """A one-line description: numbers as they are, arrays by shape (a graph would fill the screen)."""
    if sp.issparse(value):
        return f"<sparse {value.shape[0]}x{value.shape[1]}, {value.nnz} stored>"
    if isinstance(value, np.ndarray) and value.ndim:
        return f"<array {'x'.join(map(str, value.shape))}>"
    if isinstance(value, (np.floating, np.integer)):
        return repr(value.item())
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _encode(value: Any) -> Any:
    if sp.issparse(value):
        coo = sp.coo_array(value)
        return {
            "sparse": {
                "shape": list(coo.shape),
                "row": coo.row.tolist(),
                "col": coo.col.tolist(),
                "data": coo.data.tolist(),
            }
        }
    if isinstance(value, np.ndarray):
        return {"array": value.tolist()}
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        x = float(value)
        # JSON has no infinity, and writers differ in what they make of it
        return x if math.isfinite(x) else {"float": repr(x)}
    return value


def _decode(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    if "float" in value:
        return float(value["float"])
    if "array" in value:
        return np.asarray(value["array"])
    if "sparse" in value:
        part = value["sparse"]
        return sp.csr_array(
            sp.coo_array((part["data"], (part["row"], part["col"])), shape=tuple(part["shape"]))
        )
    return dict(value)
