"""Where the codes that `transform` computes go: into memory, or run by run into a file; and names of their rows."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.utils._set_output import _get_output_config

from ..data import Source, Summary
from ..data.limit import parse_limit
from ..data.runs import runs
from ..data.sink import mapped_rows, write_rows
from ..data.trees import is_anndata

__all__ = ["codes", "with_row_names"]

AT_ONCE = 64
SHARE = 4  # W of more than a quarter of the memory that the user allows is not held in it


def codes(
    model: Any,
    source: Source,
    summary: Summary,
    out: str | os.PathLike[str] | None = None,
    memory_limit: int | str | None = None,
) -> Any:
    """W of a source: an array (a dask array where X is one and the model can), or what is written to ``out``, opened.

    Parameters
    ----------
    model : Factorization
    source : Source
    summary : Summary
        Of ``source``.
    out : path, optional
        See `nonneg.data.sink.write_rows`.
    memory_limit : int or str, optional
        W that is too large for it comes as a memory map.
    """
    if out is None and source.spread and hasattr(model, "_lazy_codes"):
        return model._lazy_codes(source, summary)
    pieces, n = _pieces(model, source, summary), source.shape[0]
    if out is not None:
        return write_rows(out, pieces, n)
    size = n * model.n_components_ * source.float_dtype.itemsize
    if memory_limit is not None and SHARE * size > parse_limit(memory_limit):
        return mapped_rows(pieces, n)
    return model._transform_source(source)


def with_row_names(model: Any, W: Any, X: Any) -> Any:
    """W with the names that an AnnData X has for its rows, where ``set_output`` asks for a pandas DataFrame.

    scikit-learn does this for X that are DataFrames.
    """
    wanted = _get_output_config("transform", model)["dense"]
    if wanted != "pandas" or not is_anndata(X) or not isinstance(W, np.ndarray):
        return W
    from pandas import DataFrame

    return DataFrame(W, index=X.obs_names, copy=False)


def _pieces(model: Any, source: Source, summary: Summary) -> Iterator[np.ndarray]:
    """W of one run of blocks after the other; of models whose rows depend on each other W as a whole."""
    if source.client is not None and hasattr(model, "_lazy_codes"):
        chunks = list(model._lazy_codes(source, summary).to_delayed().ravel())
        for first in range(0, len(chunks), AT_ONCE):  # so many are with the workers
            for future in source.client.compute(chunks[first : first + AT_ONCE]):
                yield future.result()
        return
    if not model._in_runs:
        yield model._transform_source(source)
        return
    for run in runs(source, summary, model.n_components_):
        with warnings.catch_warnings():
            if run.first:
                warnings.simplefilter("ignore")  # the first run has said it
            try:
                W = model._transform_source(run)
            except ValueError as error:
                error.add_note(f"In a run of rows that begins with row {run.first} of X.")
                raise
        yield W
