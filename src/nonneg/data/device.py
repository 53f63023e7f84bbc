"""X on a device: a torch tensor as a source, W beside it, and passes that hand out large blocks of both.

The solvers' loop is the same. H, and sums over rows, stay with the processor; blocks of X and rows of W are tensors
where X lies, and functions marked by `by_place` know how to compute with them. A device wants large blocks, so several
blocks of the source are one block of a pass, and what is no float is converted a block at a time there. Whoever asks
the source itself for a block gets ndarrays, as from any other source.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from ..exceptions import IncompatibleError, MissingExtraError
from .array import ArraySource
from .block import Block
from .by_place import is_tensor
from .source import Source
from .threads import Workers

__all__ = ["DevicePasses", "DeviceRows", "DeviceSource", "as_array", "lies_elsewhere", "on", "there"]

T = TypeVar("T")

CELLS = {"cpu": 1 << 22}  # of X, in a block of a pass: 16 MB of float32
MANY_CELLS = 1 << 28  # on any other device: 1 GB
HELD = {"float16", "float32", "float64", "bool", "uint8", "int8", "int16", "int32", "int64"}


def lies_elsewhere(X: Any) -> bool:
    """Whether X is a tensor that is not in the memory of this process."""
    return is_tensor(X) and X.device.type != "cpu"


def as_array(X: Any) -> np.ndarray:
    """An ndarray of a tensor."""
    X = X.detach().cpu()
    return (X.float() if str(X.dtype) == "torch.bfloat16" else X).numpy()


def there(array: Any, like: Any) -> Any:
    """A tensor of an ndarray, with the dtype of the tensor ``like``, where that lies."""
    import torch

    return torch.from_numpy(np.array(array)).to(like.device, like.dtype)


def on(device: Any, X: Any, name: str = "X") -> DeviceSource:
    """X on a device: a tensor, or what a source holds, block by block and in its own dtype.

    Parameters
    ----------
    device : str or torch.device
    X : tensor or Source
    name : str
        What messages call X.

    Raises
    ------
    ValueError, TypeError
        For a device that is not there, and for data that do not lie there: sparse, complex, of other than two ways.
    MissingExtraError
        Where torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", "deep", f"device={device!r}") from error
    try:
        place = torch.empty(0, device=device).device
        torch.empty(1, device=place).cpu()
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        why = str(error).splitlines()[0]
        raise ValueError(
            f"device={device!r}: torch cannot compute there ({why}); leave device out"
        ) from error
    if isinstance(X, DeviceSource):
        return X if X.X.device == place else DeviceSource(X.X.to(place), name)
    if is_tensor(X):
        return DeviceSource(X.detach().to(place), name)
    if X.is_sparse:
        raise IncompatibleError(f"device={device!r} takes dense data and {name} is sparse; leave device out")
    if X.weights is not None:
        raise IncompatibleError(f"device={device!r}: {name} has weights of cells; leave device out")
    held = X.dtype if X.dtype.name in HELD and X.dtype.isnative else X.float_dtype
    kind = torch.from_numpy(np.empty(0, held)).dtype
    if place.type == "cpu" and isinstance(X, ArraySource) and X.dtype == held and min(X.X.strides) >= 0:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it may not be written to, and is not
            tensor = torch.from_numpy(X.X)
    else:
        tensor = torch.empty(X.shape, dtype=kind, device=place)
        for start, stop in X.bounds():
            tensor[start:stop] = torch.from_numpy(np.array(X._read(slice(start, stop)), held, order="C"))
    found = DeviceSource(tensor, name)
    found.names, found.row_weights = X.names, X.row_weights
    return found


class DeviceSource(Source):
    """A torch tensor of shape (n, m), wherever it lies; without weights of cells.

    Parameters
    ----------
    X : torch.Tensor
        Not copied.
    name : str
        What messages call X.
    """

    in_memory = False

    def __init__(self, X: Any, name: str = "X") -> None:
        import torch

        if X.layout != torch.strided:
            raise IncompatibleError(f"{name} is a sparse tensor; pass a SciPy matrix of it, without device")
        if X.is_complex():
            raise ValueError(
                f"Complex data not supported: {name} has dtype {X.dtype}; pass magnitudes, {name}.abs()"
            )
        if X.ndim != 2:
            raise ValueError(
                f"{name}: expected a 2-D tensor (n_samples, n_features), got {X.ndim}-D of shape {tuple(X.shape)}. "
                "Reshape your data with .reshape(len(X), -1) if the first axis counts samples."
            )
        self.X = X.detach()
        self.shape = tuple(X.shape)  # type: ignore[assignment]
        self.dtype = as_array(self.X[:0]).dtype
        self.device = str(X.device)

    def refuse(self, weights: Any, missing: str, client: Any, name: str) -> None:
        """Raise for weights of cells, cells that may be missing, and for passes to be made elsewhere."""
        if client is not None:
            raise IncompatibleError(
                f"client: {name} lies on device={self.device!r}, where its passes are made; leave one of them out"
            )
        if weights is None and missing == "error":
            return
        said = "weights" if weights is not None else f"missing={missing!r}"
        moved = f" and pass {name}.cpu()" if lies_elsewhere(self.X) else ""
        raise IncompatibleError(
            f"{said}: on device={self.device!r} every cell of {name} counts alike; leave device out{moved}"
        )

    def _read(self, rows: slice | np.ndarray) -> np.ndarray:
        import torch

        picked = rows if isinstance(rows, slice) else torch.from_numpy(np.array(rows)).to(self.X.device)
        return as_array(self.X[picked])

    def tensor(self, cuts: list[tuple[int, int]]) -> Any:
        """Some runs of rows, one after the other, as floats in the units of the source; a view where they are that."""
        import torch

        kind = torch.from_numpy(np.empty(0, self.float_dtype)).dtype
        X = torch.cat([self.X[slice(*cut)] for cut in cuts]) if len(cuts) > 1 else self.X[slice(*cuts[0])]
        if self.scale != 1.0:
            X = X.to(torch.float64) * self.scale
        X = X.to(kind)
        return torch.where(self.floor > X, 0, X) if self.floor else X


class DeviceRows:
    """A row array on a device.

    Parameters
    ----------
    tensor : torch.Tensor of shape (n, k)
    dtype : dtype
        The same for ndarrays.
    """

    def __init__(self, tensor: Any, dtype: Any) -> None:
        self.tensor, self.dtype, self.shape = tensor, np.dtype(dtype), tuple(tensor.shape)

    def copy(self) -> DeviceRows:
        """Another one of the same values."""
        return DeviceRows(self.tensor.clone(), self.dtype)

    def __getitem__(self, rows: slice | np.ndarray) -> Any:
        """A view for a slice; an ndarray of the rows with some numbers."""
        if isinstance(rows, slice):
            return self.tensor[rows]
        import torch

        return as_array(self.tensor[torch.from_numpy(np.array(rows)).to(self.tensor.device)])

    def __setitem__(self, rows: slice, values: Any) -> None:
        self.tensor[rows] = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All rows, in this process."""
        found = as_array(self.tensor)
        return found if dtype is None else found.astype(dtype, copy=False)


class DevicePasses(Workers):
    """`Workers` whose passes are made on the device where X lies, a few large blocks after each other.

    Products of float32 are held at float32 meanwhile, as they are on the processor.
    """

    def __init__(self, source: Source) -> None:
        import torch

        super().__init__(1)
        root = source.root(*source.bounds()[0])[0]
        assert isinstance(root, DeviceSource)
        self._where = root.X.device
        self._precision = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")

    def over(
        self,
        source: Source,
        work: Callable[..., T],
        *rows: Any,
        out: tuple[Any, ...] = (),
        merge: Callable[[T, T], T] | None = None,
    ) -> Iterator[T]:
        """`Workers.over`, with tensors."""
        for start, stop, root, cuts in _blocks(source):
            weights, *mine = self._rows((start, stop), (source.row_weights, *out, *rows), root.float_dtype)
            yield work(Block(start, stop, root.tensor(_joined(cuts)), None, weights), *mine)

    def along(
        self, source: Source, work: Callable[..., T], *rows: Any, out: tuple[Any, ...] = ()
    ) -> Iterator[T]:
        """`Workers.along`, with tensors."""
        for start, stop, _, _ in _blocks(source):
            yield work(*self._rows((start, stop), out + rows, source.float_dtype))

    def _rows(self, cut: tuple[int, int], rows: tuple[Any, ...], dtype: np.dtype) -> list[Any]:
        """Rows of a block; those of ndarrays are brought to the device."""
        import torch

        def of_block(array: Any) -> Any:
            if array is None or isinstance(array, DeviceRows):
                return array if array is None else array[slice(*cut)]
            return torch.from_numpy(np.array(array[slice(*cut)], dtype)).to(self._where)

        return [of_block(array) for array in rows]

    def empty(self, source: Source, k: int, dtype: Any) -> Any:
        """Return a row array of k columns, not yet written."""
        return self.given(source, np.empty((0, k), dtype), source.shape[0])

    def zeros(self, source: Source, k: int, dtype: Any) -> Any:
        """Return a row array of zeros, of k columns."""
        found = self.empty(source, k, dtype)
        found.tensor.zero_()
        return found

    def given(self, source: Source, W: Any, n: int | None = None) -> Any:
        """Return the row array of an ndarray; of ``n`` rows like its own, where that is given."""
        import torch

        if isinstance(W, DeviceRows):
            return W
        tensor = torch.from_numpy(np.array(W))
        if n is not None:
            return DeviceRows(torch.empty((n, W.shape[1]), dtype=tensor.dtype, device=self._where), W.dtype)
        # a copy in any case: solvers write into it
        return DeviceRows(tensor.to(self._where), W.dtype)

    def close(self) -> None:
        """Give products the precision that they had."""
        import torch

        torch.set_float32_matmul_precision(self._precision)


def _blocks(source: Source) -> Iterator[tuple[int, int, DeviceSource, list[tuple[int, int]]]]:
    """Blocks of a pass: their rows in the source, its root, and the runs of rows of the root that these are."""
    most = max(1, CELLS.get(source.device or "cpu", MANY_CELLS) // source.shape[1])
    first, root = 0, source
    cuts: list[tuple[int, int]] = []
    for start, stop in source.bounds():
        if cuts and stop - first > most:
            yield first, start, root, cuts  # type: ignore[misc]
            first, cuts = start, []
        root, cut = source.root(start, stop)
        cuts.append(cut)
    yield first, source.shape[0], root, cuts  # type: ignore[misc]


def _joined(cuts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Runs of rows, with those made one that follow each other."""
    found = [cuts[0]]
    for start, stop in cuts[1:]:
        if start == found[-1][1]:
            found[-1] = (found[-1][0], stop)
        else:
            found.append((start, stop))
    return found
