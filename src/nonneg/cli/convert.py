"""``nonneg convert``: data from one kind of file into another."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Annotated, Any

from nonneg.cli.data import DataFile, open_data
from nonneg.cli.errors import EXIT_DATA, CommandError
from nonneg.cli.options import Flag, Json, Names, Quiet, Verbose
from nonneg.cli.saved import say
from nonneg.cli.write import ARRAYS, check_out, mark_array, write_annotated, write_table

__all__ = ["convert_data"]


def convert_data(
    data: str,
    out: Path,
    /,
    *,
    layer: str | None = None,
    without: Names = (),
    colour: Annotated[bool, Flag] = False,
    memory_limit: str | None = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json_: Json = False,
) -> int:
    """Write data to another kind of file: for Parquet, tables and folders of images that are fitted often.

    Parameters
    ----------
    data:
        What nonneg fit takes.
    out:
        A .h5ad file, which keeps names of rows and columns and is read in parts; .npy (read fastest), .zarr
        (compressed) or .h5, without names; .csv, .tsv (also .gz) or .parquet, with names. Sparse data go to .h5ad.
        What is there is replaced when all is written.
    layer:
        Of .h5ad, .h5 and .zarr: which array.
    without:
        Columns of a table that are left out.
    colour:
        Of a folder of images: their colours, and not their grey levels.
    memory_limit:
        How much of the data is held in memory, 2G for instance; default 512M.
    """
    kind = check_out(out, data, name="OUT")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* is Parquet, ", UserWarning)  # it advises what is being done
        opened = open_data(data, "error", "matrix", layer, memory_limit, without=without, colour=colour)
    check_out(out, opened.X, opened.held, name="OUT")
    say(verbose, f"writing {out}")
    try:
        n, m, dtype, named = _written(opened, out, kind)
    except ValueError as error:
        raise CommandError(EXIT_DATA, "data", f"DATA: {data}: {error}") from error
    report = {"out": str(out), "n_samples": n, "n_features": m, "dtype": dtype, "names": named}
    if json_:
        print(json.dumps(report))
    elif not quiet:
        names = "" if named else ", without names"
        print(f"{n} rows of {m} {dtype} written to {out}{names}")
    return 0


def _written(data: DataFile, out: Path, kind: str) -> tuple[int, int, str, bool]:
    """Write; sizes and dtype of what is written, and whether names of columns came along."""
    from nonneg.cli.rows import row_names
    from nonneg.data import as_source
    from nonneg.data.convert import convert

    source = as_source(data.X)
    n, m = source.shape
    if kind in ARRAYS:
        found = convert(source, out)
        return n, m, str(found.dtype), False
    rows = row_names(data)
    if kind == ".h5ad":
        columns = source.names or [str(j) for j in range(m)]
        write_annotated(
            out, None, rows or [str(i) for i in range(n)], columns, lambda file: _fill(file, source)
        )
    elif source.is_sparse:
        raise ValueError(f"it is sparse, and {kind} is dense; give a .h5ad file, which is read in parts")
    else:
        write_table(out, _pieces(source), source.names or [f"x{j}" for j in range(m)], rows)
    return n, m, str(source.dtype), source.names is not None


def _pieces(source: Any) -> Any:
    """Rows as stored, block by block."""
    import numpy as np

    return (np.asarray(source._read(slice(*cut)), source.dtype) for cut in source.bounds())


def _fill(file: Any, source: Any) -> None:
    """X of an AnnData file: dense block by block, sparse as CSR."""
    if "X" in file:
        del file["X"]
    if not source.is_sparse:
        X = file.create_dataset("X", source.shape, source.dtype)
        for (start, stop), rows in zip(source.bounds(), _pieces(source), strict=True):
            X[start:stop] = rows
        mark_array(X)
        return
    group = file.create_group("X")
    group.attrs["encoding-type"], group.attrs["encoding-version"] = "csr_matrix", "0.1.0"
    group.attrs["shape"] = source.shape
    parts = {name: group.create_dataset(name, (0,), kind, maxshape=(None,), chunks=(1 << 16,)) for name, kind in
             (("data", source.dtype), ("indices", "i8"))}  # fmt: skip
    ends = [0]
    for cut in source.bounds():
        rows = source._read(slice(*cut))
        ends += (ends[-1] + rows.indptr[1:].astype("i8")).tolist()
        for name, stored in (("data", rows.data), ("indices", rows.indices)):
            parts[name].resize((ends[-1],))
            parts[name][ends[-1] - len(stored) :] = stored
    group.create_dataset("indptr", data=ends, dtype="i8")
