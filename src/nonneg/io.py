"""``model.save(path)`` and ``nonneg.load(path)``: one checksummed file, no code in it.

The file is a bundle (see `nonneg.files`): ``model.json`` holds the schema version, the registered name of the class,
its parameters, its fitted attributes and library versions; ``arrays.safetensors`` every array, named by where it
belongs. Loading builds the class from `nonneg.registry` and refuses what it does not know. The JSON is that of
RFC 8259, without NaN and infinity, which readers in other languages refuse.
"""

from __future__ import annotations

import importlib
import math
import os
import platform
from typing import Any

import numpy as np

from . import __version__
from .files import read_bundle, write_bundle
from .registry import MODELS

__all__ = ["load", "save"]

SCHEMA = 1
#: What a class says to parameters and attributes that are not its own.
_UNFIT = (AttributeError, LookupError, OverflowError, RecursionError, RuntimeError, TypeError, ValueError)


def save(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator to ``path``, atomically.

    Raises
    ------
    TypeError
        For a class that is not registered, or a value that is no number, string, array, penalty or container.
    """
    name = type(estimator).__name__
    if name not in MODELS:
        raise TypeError(f"save: {name} is not a registered model; known: {', '.join(sorted(MODELS))}")
    arrays: dict[str, np.ndarray] = {}
    parameters = estimator.get_params(deep=False)
    for key, value in parameters.items():
        if isinstance(value, (np.random.RandomState, np.random.Generator)):
            parameters[key] = None  # a generator's past cannot be repeated from a file
    meta = {
        "schema": SCHEMA,
        "class": name,
        "versions": {"nonneg": __version__, "numpy": np.__version__, "python": platform.python_version()},
        "parameters": _encode(parameters, "parameters", arrays),
        "state": _encode(estimator._get_state(), "state", arrays),
    }
    write_bundle(path, meta, arrays)


def load(path: str | os.PathLike[str]) -> Any:
    """Read an estimator that `save` wrote.

    Raises
    ------
    CheckpointError
        When the file is damaged or no nonneg file.
    ValueError
        When it holds a class or a schema this version does not know, or not what this version keeps of the class.
    """
    meta, arrays = read_bundle(path)
    name = meta.get("class")
    if name not in MODELS or meta.get("schema") != SCHEMA:
        raise ValueError(
            f"{path}: holds class {name!r} with schema {meta.get('schema')!r}; nonneg {__version__} knows schema "
            f"{SCHEMA} and {', '.join(sorted(MODELS))}"
        )
    cls = getattr(importlib.import_module(MODELS[name]), name)
    try:
        estimator = cls(**_decode(meta["parameters"], arrays))
        estimator._set_state(_decode(meta["state"], arrays))
    except _UNFIT as error:
        raise ValueError(
            f"{path}: does not hold what nonneg {__version__} keeps of {name} ({type(error).__name__}: {error}); "
            "load it with the version that saved it, or fit again"
        ) from error
    return estimator


def _encode(value: Any, where: str, arrays: dict[str, np.ndarray]) -> Any:
    """JSON for ``value``; arrays go into ``arrays`` under their path."""
    if isinstance(value, np.generic):  # before float, which float64 is too
        return {"@scalar": [value.dtype.str, _encode(value.item(), where, arrays)]}
    if isinstance(value, float) and not math.isfinite(value):
        return {"@float": repr(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "OUS":
            return {"@strings": [str(item) for item in value.ravel()], "shape": list(value.shape)}
        arrays[where] = value
        return {"@array": where}
    if isinstance(value, (list, tuple)):
        items = [_encode(item, f"{where}.{i}", arrays) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"@tuple": items}
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str) or key.startswith("@"):
                raise TypeError(
                    f"save: {where} has the key {key!r}; a file takes strings that begin with no '@'"
                )
        return {key: _encode(item, f"{where}.{key}", arrays) for key, item in value.items()}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "to_dict") and hasattr(type(value), "kind"):
        return {"@penalty": _encode(value.to_dict(), where, arrays)}
    if type(value).__name__ == "BetaLoss":
        return {"@beta": value.beta}
    raise TypeError(f"save: {where} is a {type(value).__name__}, which a file cannot hold")


def _decode(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if "@array" in value:
        return arrays[value["@array"]]
    if "@float" in value:
        return float(value["@float"])
    if "@scalar" in value:
        dtype, item = value["@scalar"]
        return np.dtype(dtype).type(_decode(item, arrays))
    if "@strings" in value:
        return np.array(value["@strings"], dtype=object).reshape(value["shape"])
    if "@tuple" in value:
        return tuple(_decode(item, arrays) for item in value["@tuple"])
    if "@penalty" in value:
        from .penalties import Penalty

        return Penalty.from_dict(_decode(value["@penalty"], arrays))
    if "@beta" in value:
        from .losses import BetaLoss

        return BetaLoss(value["@beta"])
    if unknown := [key for key in value if key.startswith("@")]:
        raise ValueError(f"{unknown[0]!r} is no kind of value")
    return {key: _decode(item, arrays) for key, item in value.items()}
