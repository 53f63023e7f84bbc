"""``nonneg convert``: data from one kind of file into another."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from nonneg.cli.data import read_data
from nonneg.cli.errors import EXIT_DATA, EXIT_USAGE, CommandError

__all__ = ["convert_data"]


def convert_data(
    data: str,
    out: Path,
    /,
    *,
    layer: str | None = None,
    memory_limit: str | None = None,
    json_: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Write data to a file whose rows are read in parts and fast: for Parquet and tables that are fitted often.

    Parameters
    ----------
    data:
        What nonneg fit takes, dense. Names of columns do not come along.
    out:
        A .npy (read fastest), .zarr (compressed) or .h5 file. What is there is replaced when all is written.
    layer:
        Of .h5ad, .h5 and .zarr: which array.
    memory_limit:
        How much of the data is held in memory, 2GB for instance; default 512MB.
    json_:
        Print one JSON object.
    """
    from nonneg.data.convert import convert
    from nonneg.data.sink import check_target

    try:
        check_target(out, "OUT", data)
    except ValueError as error:
        raise CommandError(EXIT_USAGE, "usage", str(error)) from error
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* is Parquet, ", UserWarning)
        X = read_data(data, "error", "matrix", layer, memory_limit)
    try:
        found = convert(X, out)
    except ValueError as error:
        raise CommandError(EXIT_DATA, "data", f"DATA: {data}: {error}") from error
    n, m = found.shape
    report = {"out": str(out), "n_samples": n, "n_features": m, "dtype": str(found.dtype)}
    print(json.dumps(report) if json_ else f"{n} rows of {m} {found.dtype} written to {out}")
    return 0
