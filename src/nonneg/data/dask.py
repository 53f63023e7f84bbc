"""A dask array as a source: its blocks are its row chunks, small ones joined.

Without a client the chunks are computed in this process, one after the other, and any model that takes data on disk
takes these. With a client the passes of `NMF` run on its workers (`data.passes`): this process then knows of X how its
parts are made, and not what they hold.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from .parts import DaskSource, is_dask, refuse_closed
from .source import BLOCK_BYTES, Source, float_dtype_of

__all__ = ["DaskSource", "from_dask", "is_dask", "with_client"]

PART_BYTES = 1 << 25  # of float data: chunks are joined up to this size; a task costs some milliseconds
PARTS = 1024  # and so that there are at most about twice as many as this: see docs/scale.md


def from_dask(X: Any, name: str = "X") -> DaskSource:
    """The source of a ``dask.array.Array`` of two dimensions, with the default client where there is one.

    Raises
    ------
    TypeError, ValueError
        For data frames, other numbers of dimensions, dtypes that are no real numbers, and chunks of unknown sizes.
    """
    if not hasattr(X, "chunks"):
        raise TypeError(
            f"{name} is a dask {type(X).__name__}, whose partitions do not say how many rows they have; pass "
            f"{name}.to_dask_array(lengths=True)"
        )
    if X.ndim != 2:
        raise ValueError(
            f"{name}: expected a 2-D array (n_samples, n_features), got {X.ndim}-D of shape {X.shape}. Reshape it "
            "with .reshape(len(X), -1)."
        )
    if X.dtype.kind not in "fiub" or X.dtype.itemsize > 8:
        raise ValueError(f"{name} has dtype {X.dtype}, which no model takes; convert it with .astype(float)")
    sizes = X.chunks[0]
    if any(np.isnan(size) for axis in X.chunks for size in axis):
        raise ValueError(
            f"{name} has chunks of unknown sizes (shape {X.shape}); call {name}.compute_chunk_sizes() first"
        )
    import dask
    from dask import delayed

    if len(X.chunks[1]) > 1:
        X = X.rechunk({1: -1})
    (X,) = dask.optimize(X)
    chunks = X.to_delayed(optimize_graph=False)[:, 0]
    m, sparse = X.shape[1], _is_sparse(X._meta)
    joined, first = [], 0
    for group in _groups(sizes, m * float_dtype_of(X.dtype).itemsize):
        rows = sum(sizes[i] for i in group)
        members = [chunks[i] for i in group]
        joined.append(
            (first, first + rows, delayed(_joined, pure=False)(members, (rows, m), X.dtype, sparse))
        )
        first += rows
    return DaskSource(joined, X.shape, X.dtype, sparse, default_client())


def with_client(source: Source, client: Any, name: str = "X") -> Source:
    """The source for a client that the user gave; None leaves it as it is.

    Raises
    ------
    TypeError, ValueError
        For what is no client or a closed one, and for data that only this process can read.
    """
    if client is None:
        if source.client is not None:
            refuse_closed(source.client)
        return source
    if not hasattr(client, "compute") or not hasattr(client, "scheduler_info"):
        raise TypeError(f"client={client!r} must be a dask.distributed.Client")
    if client.asynchronous:
        raise ValueError("client was made with asynchronous=True; make it without")
    refuse_closed(client)
    if source.weights is not None:
        raise ValueError(
            f"client: {name} is a source with weights of cells, which cannot go to the workers; open it again without "
            'them, or mark its missing cells by NaN, with missing="ignore"'
        )
    if not isinstance(source, DaskSource):
        if source.in_memory:
            raise ValueError(
                f"client: {name} is in the memory of this process, which its workers do not see; pass a path that "
                "they see, or dask.array.from_array(...) of it"
            )
        source = _of_stored(source)
    if source.client is not client:
        source.held = {}  # futures belong to a client
    source.client, source.chosen = client, True
    return source


def default_client() -> Any:
    """The client that dask takes where none is named; None where there is none."""
    if "distributed" not in sys.modules:
        return None
    from distributed import default_client as ask

    try:
        return ask()
    except ValueError:
        return None


def _of_stored(source: Source) -> DaskSource:
    """A source of data on disk whose parts are read by whoever needs them."""
    from dask import delayed

    n = source.shape[0]
    blocks = len(source.bounds())
    step = source.block_rows * max(1, _target(blocks * BLOCK_BYTES) // BLOCK_BYTES)
    read = delayed(_read, pure=False)
    kept = delayed(source, traverse=False)
    cuts = [(start, min(start + step, n)) for start in range(0, n, step)]
    parts = [(start, stop, read(kept, start, stop)) for start, stop in cuts]
    found = DaskSource(parts, source.shape, source.dtype, source.is_sparse, None)
    found.nan_is_missing, found.names, found.row_weights = (
        source.nan_is_missing,
        source.names,
        source.row_weights,
    )
    return found


def _target(size: int) -> int:
    return max(PART_BYTES, size // PARTS)


def _groups(sizes: Sequence[int], row_bytes: int) -> list[list[int]]:
    """Consecutive chunks that make a part; those without rows go."""
    target = _target(sum(sizes) * row_bytes)
    groups: list[list[int]] = []
    size = 0
    for i, rows in enumerate(sizes):
        if rows == 0:
            continue
        if not groups or size + rows * row_bytes > target:
            groups.append([])
            size = 0
        groups[-1].append(i)
        size += rows * row_bytes
    return groups


def _is_sparse(X: Any) -> bool:
    return sp.issparse(X) or type(X).__module__.split(".")[0] == "sparse"


def _joined(chunks: list[Any], shape: tuple[int, int], dtype: np.dtype, sparse: bool) -> Any:
    """Some chunks as one, as a source stores rows: an ndarray or canonical CSR."""
    if sparse:
        rows = [sp.csr_array(chunk if sp.issparse(chunk) else chunk.to_scipy_sparse()) for chunk in chunks]
        found = rows[0] if len(rows) == 1 else sp.vstack(rows, format="csr")
        if not found.has_canonical_format:
            found = found.copy()
            found.sum_duplicates()
    else:
        arrays = [np.asarray(chunk) for chunk in chunks]
        found = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    if found.shape != shape:
        raise ValueError(
            f"X: a chunk of the dask array has shape {found.shape}, but says that it has {shape}"
        )
    return found.astype(dtype, copy=False)


def _read(source: Source, start: int, stop: int) -> Any:
    return source._read(slice(start, stop))
