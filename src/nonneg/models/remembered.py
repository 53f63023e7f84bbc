"""What a checkpoint of a matrix model belongs to: its data, its parameters and its seed, as one fingerprint."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..data import Source
from ..data.threads import workers
from ..data.views import Views
from ..files import Checkpoint, fingerprint

__all__ = ["arrays_of", "checkpoint_of", "plain"]

#: Of the computation, not of the model: what a fingerprint leaves out.
OF_THE_RUN = ("checkpoint", "max_iter", "max_time", "verbose")


def checkpoint_of(
    model: Any,
    version: int,
    attempt: int,
    seed: int,
    source: Source,
    *starts: np.ndarray | None,
    data: Any = None,
) -> Checkpoint | None:
    """The checkpoint of one start of a fit, bound to data, parameters and seed; None where none is asked for.

    Parameters
    ----------
    model : estimator
    version : int
        Of the algorithm: another one is another fit.
    attempt, seed : int
        Which of ``n_init`` starts, and its seed.
    source : Source
        As it hands out blocks during the fit.
    *starts : ndarray or None
        Start values of the user.
    data : list of ndarray, optional
        What the fingerprint sees instead of the blocks of ``source``.
    """
    if model.checkpoint is None:
        return None
    parameters = {name: plain(value) for name, value in model.get_params(deep=False).items()}
    for name in OF_THE_RUN:
        parameters.pop(name, None)
    parameters["random_state"] = None if model.random_state is None else seed  # generators have no name
    # solvers may differ where X is not in memory, and n-way arrays of other sides may be the same matrix
    place = [bool(source.in_memory), list(getattr(model, "tensor_shape_", ()))]
    seen = _blocks_of(source) if data is None else [fingerprint(*data)]
    given = [array for array in starts if array is not None]
    folder = model.checkpoint if attempt == 0 else f"{model.checkpoint}/start-{attempt}"
    name = type(model).__name__
    return Checkpoint(folder, fingerprint(name, version, parameters, attempt, seen, place, *given))


def _blocks_of(source: Source) -> list[str]:
    """The fingerprints of the blocks, one in memory at a time; read once for all starts of a fit."""
    units = (source.scale, source.floor, source.weight_power)
    known = getattr(source, "_fingerprints", None)
    if known is None or known[0] != units:
        seen: list[str] = []
        if isinstance(source, Views):
            seen.extend("all" if rows is None else fingerprint(np.asarray(rows)) for rows in source.rows)
        for part in [view for _, view, _ in source.there()] if isinstance(source, Views) else [source]:
            with workers(part) as pool:
                seen.extend(pool.over(part, lambda block: fingerprint(*arrays_of(block))))
        known = (units, seen)
        source._fingerprints = known  # type: ignore[attr-defined]
    return known[1]


def arrays_of(block: Any) -> list[np.ndarray]:
    """All arrays a block is made of: what a fingerprint of the data sees."""
    arrays = [block.X.data, block.X.indices, block.X.indptr] if block.is_sparse else [block.X]
    return arrays + [a for a in (block.weights, block.row_weights) if a is not None]


def plain(value: Any, within: tuple[int, ...] = ()) -> Any:
    """A parameter as JSON knows it, in full (``repr`` leaves out the middle of long arrays), in every process alike.

    ``within`` holds the ids of what ``value`` lies in: a function that calls itself lies in its own closure.
    """
    if id(value) in within:
        return ["above", len(within) - within.index(id(value))]
    part = functools.partial(plain, within=(*within, id(value)))
    if hasattr(value, "to_dict"):
        return part(value.to_dict())
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {key: part(item) for key, item in value.items()}
        return ["dict", sorted(([part(key), part(item)] for key, item in value.items()), key=fingerprint)]
    if isinstance(value, (list, tuple, range)):
        return [part(item) for item in value]
    if isinstance(value, (set, frozenset)):  # hashes, and so the order, of words are others in every process
        return ["set", sorted(map(part, value), key=fingerprint)]
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.tolist()]
    if isinstance(value, np.generic):
        return value.item()
    if sp.issparse(value):
        found = sp.coo_array(value)
        return [list(found.shape), *(part(array) for array in (*found.coords, found.data))]
    if callable(value) and not isinstance(value, type):
        return _plain_function(value, part)
    if type(value).__repr__ is object.__repr__:  # it would be an address: nothing that another process knows
        return [_name_of(type(value)), part(getattr(value, "__dict__", {}))]
    return value if isinstance(value, (str, int, float)) else repr(value)


def _plain_function(function: Any, part: Callable[[Any], Any]) -> Any:
    """A callable by its name, its instructions and what it closes over; its ``repr`` is an address."""
    if isinstance(function, functools.partial):
        return [part(function.func), part(function.args), part(function.keywords)]
    if isinstance(function, types.MethodType):
        return [part(function.__func__), part(function.__self__)]
    function = getattr(function, "py_func", function)  # what numba compiled
    if not isinstance(function, types.FunctionType):
        name = getattr(function, "__name__", type(function).__name__)
        return [_name_of(type(function)), name, part(getattr(function, "__dict__", {}))]
    enclosed = [_content(cell, part) for cell in function.__closure__ or ()]
    defaults = [part(function.__defaults__ or ()), part(function.__kwdefaults__ or {})]
    return [_name_of(function), _plain_code(function.__code__), *defaults, enclosed]


def _content(cell: types.CellType, part: Callable[[Any], Any]) -> Any:
    try:
        content = cell.cell_contents
    except ValueError:  # a name that has no value yet, or no longer
        return ["empty"]
    return part(content)


def _plain_code(code: types.CodeType) -> Any:
    return [code.co_code.hex(), list(code.co_names), [_plain_constant(c) for c in code.co_consts]]


def _plain_constant(constant: Any) -> Any:
    if isinstance(constant, types.CodeType):
        return _plain_code(constant)
    if isinstance(constant, tuple):
        return ["tuple", [_plain_constant(c) for c in constant]]
    if isinstance(constant, frozenset):  # of `x in {"a", "b"}`
        return ["set", sorted(map(_plain_constant, constant), key=fingerprint)]
    return repr(constant)


def _name_of(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"
