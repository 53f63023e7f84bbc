"""From any kind of data to one whose rows are read in parts and fast."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np

from .as_source import as_source
from .sink import check_target, refuse_data, write_rows

__all__ = ["convert"]


def convert(
    X: Any,
    out: str | os.PathLike[str],
    *,
    layer: str | None = None,
    memory_limit: int | str | None = None,
) -> Any:
    """Write X to a ``.npy``, ``.zarr`` or ``.h5`` file, block by block, with the numbers and the dtype that it has.

    Worth its while for Parquet, of which each pass turns columns into rows, for ``.csv``, which is read as text each
    time, and for rows that are compressed in large chunks of many columns. ``.npy`` is read fastest, ``.zarr`` is
    compressed.

    Parameters
    ----------
    X : array-like, DataFrame, Source or path, (n_samples, n_features)
        Dense; whatever `nonneg.as_source` takes. Names of columns do not come along.
    out : path
        What is there is replaced when all is written.
    layer, memory_limit : optional
        How X is read; see `nonneg.as_source`.

    Returns
    -------
    memory map, zarr.Array or h5py.Dataset
        What is written, open for reading.

    Raises
    ------
    ValueError, TypeError
        For data that cannot be read, for sparse ones, and for an ``out`` of another kind, or that is X, or that holds
        more than one array.
    OSError
        Where ``out`` cannot be written; what was there stays.
    """
    check_target(out, source=X)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* is Parquet, ", UserWarning)  # it advises what is being done
        source = as_source(X, layer=layer, memory_limit=memory_limit)
    refuse_data(out, source)
    if source.is_sparse:
        raise ValueError(
            "X is sparse, and what convert writes is dense; scipy.sparse.save_npz writes a file that is loaded, "
            "anndata.AnnData(X).write_h5ad one that is read in parts"
        )
    rows = (np.asarray(source._read(slice(*cut)), source.dtype) for cut in source.bounds())
    return write_rows(out, rows, source.shape[0])
