"""What a checkpoint of a matrix model belongs to: its data, its parameters and its seed, as one fingerprint."""

from __future__ import annotations

import functools
import types
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..data import Source
from ..data.threads import workers
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
        with workers(source) as pool:
            known = (units, list(pool.over(source, lambda block: fingerprint(*arrays_of(block)))))
        source._fingerprints = known  # type: ignore[attr-defined]
    return known[1]


def arrays_of(block: Any) -> list[np.ndarray]:
    """All arrays a block is made of: what a fingerprint of the data sees."""
    arrays = [block.X.data, block.X.indices, block.X.indptr] if block.is_sparse else [block.X]
    return arrays + [a for a in (block.weights, block.row_weights) if a is not None]


def plain(value: Any) -> Any:
    """A parameter as JSON knows it, in full (``repr`` leaves out the middle of long arrays), in every process alike."""
    if hasattr(value, "to_dict"):
        return plain(value.to_dict())
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.tolist()]
    if isinstance(value, np.generic):
        return value.item()
    if sp.issparse(value):
        found = sp.coo_array(value)
        return [list(found.shape), *(plain(array) for array in (*found.coords, found.data))]
    if callable(value) and not isinstance(value, type):
        return _plain_function(value)
    if type(value).__repr__ is object.__repr__:  # it would be an address: nothing that another process knows
        return [_name_of(type(value)), plain(getattr(value, "__dict__", {}))]
    return value if isinstance(value, (str, int, float)) else repr(value)


def _plain_function(function: Any) -> Any:
    """A callable by its name, its instructions and what it closes over; its ``repr`` is an address."""
    if isinstance(function, functools.partial):
        return [plain(function.func), plain(function.args), plain(function.keywords)]
    if isinstance(function, types.MethodType):
        return [plain(function.__func__), plain(function.__self__)]
    function = getattr(function, "py_func", function)  # what numba compiled
    if not isinstance(function, types.FunctionType):
        name = getattr(function, "__name__", type(function).__name__)
        return [_name_of(type(function)), name, plain(getattr(function, "__dict__", {}))]
    enclosed = [plain(cell.cell_contents) for cell in function.__closure__ or ()]
    return [_name_of(function), _plain_code(function.__code__), plain(function.__defaults__ or ()), enclosed]


def _plain_code(code: types.CodeType) -> Any:
    constants = [_plain_code(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts]
    return [code.co_code.hex(), list(code.co_names), constants]


def _name_of(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"
