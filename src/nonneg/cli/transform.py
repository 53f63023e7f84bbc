"""``nonneg transform``: a fitted model and data to codes, with the names of both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from nonneg.cli.data import DataFile
from nonneg.cli.errors import EXIT_DATA, EXIT_USAGE, CommandError
from nonneg.cli.options import Flag, Json, Names, Quiet, Verbose, limit
from nonneg.cli.saved import load_model, open_for, say, weights_from
from nonneg.cli.write import ARRAYS, check_out, pieces_of, put_array, write_annotated, write_table

__all__ = ["transform_data"]

Missing = Literal["error", "ignore", "unstored"]


def transform_data(
    model: Path,
    data: str,
    /,
    *,
    out: Path,
    memberships: Annotated[bool, Flag] = False,
    reconstruct: Annotated[bool, Flag] = False,
    impute: Annotated[bool, Flag] = False,
    missing: Missing | None = None,
    layer: str | None = None,
    memory_limit: str | None = None,
    weights: Path | None = None,
    without: Names = (),
    device: str | None = None,
    threads: int | None = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json_: Json = False,
) -> int:
    """Say how much of each component every row has, with the components of a fitted model.

    Parameters
    ----------
    model:
        A file that nonneg fit wrote.
    data:
        What nonneg fit takes, with the features of the fit.
    out:
        A .csv, .tsv (also .gz) or .parquet file with names of components and rows; a .h5ad file: of AnnData a copy,
        with W in obsm and the parts in varm; .npy, .zarr or .h5, written as they are computed, without names. What is
        there is replaced when all is written.
    memberships:
        Shares of the components in each row, which sum to 1, in place of W.
    reconstruct:
        What the model makes of the data, with names of features, in place of W.
    impute:
        The data with missing cells filled by the model, in place of W.
    missing:
        As for nonneg fit; default: what the model was fitted with.
    layer:
        Of .h5ad: the layer to take instead of X. Of .h5 and Zarr: the array in it.
    memory_limit:
        How much of the data is held in memory at once where it is read in parts, for instance 2G; default 512M.
    weights:
        File with weights of the cells; 0 means missing.
    without:
        Columns of a table that are no features: labels, say.
    device:
        Where torch computes, cuda for instance, for models that can.
    threads:
        Threads of torch and of the linear algebra; default: as many as these choose themselves.
    """
    limit(threads)
    if memberships + reconstruct + impute > 1:
        text = "--memberships, --reconstruct and --impute are written one at a time: give one of them."
        raise CommandError(EXIT_USAGE, "usage", text)
    kind = check_out(out, model, data, weights)
    if kind == ".h5ad" and (reconstruct or impute):
        text = f"--out: {out} takes W or memberships; write what is as wide as X to .csv, .parquet, .npy or .zarr."
        raise CommandError(EXIT_USAGE, "usage", text)
    estimator = load_model(model)
    say(verbose, f"reading {data}")
    opened = open_for(estimator, data, missing, layer, memory_limit, without)
    check_out(out, opened.X, opened.held)
    what = "memberships" if memberships else "impute" if impute else "reconstruct" if reconstruct else "W"
    say(verbose, f"computing {what} with {type(estimator).__name__}")
    found = _computed(estimator, opened, what, kind, out, weights_from(weights), memory_limit, device)
    _write(found, kind, out, opened, estimator, what)
    n, k = found.shape
    report = {"out": str(out), "what": what, "n_samples": n, "n_columns": k, "dtype": str(found.dtype)}
    if json_:
        print(json.dumps(report))
    elif not quiet:
        print(f"{what}: {n} rows of {k} {found.dtype} written to {out}")
    return 0


def _computed(
    model: Any,
    data: DataFile,
    what: str,
    kind: str,
    out: Path,
    how: dict[str, Any],
    memory: str | None,
    device: Any,
) -> Any:
    """The rows; what goes into an array in storage is written as it is computed."""
    from nonneg.exceptions import IncompatibleError

    if what in ("memberships", "impute") and not hasattr(model, what):
        text = f"--{what}: {type(model).__name__} has no {what}."
        raise CommandError(EXIT_USAGE, "usage", text)
    if what == "reconstruct" and not hasattr(model, "inverse_transform"):
        text = f"--reconstruct: {type(model).__name__} has no inverse_transform."
        raise CommandError(EXIT_USAGE, "usage", text)
    if what in ("reconstruct", "impute") and getattr(model, "_takes", "matrix") == "views":
        text = f"--{what}: {type(model).__name__} has several views, and a file holds one table."
        raise CommandError(EXIT_USAGE, "usage", text)
    try:
        if what == "memberships":
            return model.memberships(data.X, **how)
        if what == "impute":
            return model.impute(data.X, **how)
        target = out if kind in ARRAYS and what == "W" else None
        W = model.transform(data.X, **how, memory_limit=memory, device=device, out=target)
        return W if what == "W" else model.inverse_transform(W).reshape(len(W), -1)
    except IncompatibleError as error:
        raise CommandError(EXIT_USAGE, "usage", str(error)) from error
    except (ValueError, TypeError) as error:
        raise CommandError(EXIT_DATA, "data", f"DATA: {data.text}: {error}") from error


def _write(found: Any, kind: str, out: Path, data: DataFile, model: Any, what: str) -> None:
    """Put rows into the file, with names where it has room for them; W in an array is there already."""
    if kind in ARRAYS:
        if what != "W":
            from nonneg.data.sink import write_rows

            write_rows(out, pieces_of(found), len(found))
        return
    from nonneg.cli.rows import row_names

    names = row_names(data)
    if kind == ".h5ad":
        _annotate(found, out, data, model, what, names)
        return
    columns = list(model.get_feature_names_out()) if what in ("W", "memberships") else _features(model)
    write_table(out, pieces_of(found), columns, names)


def _features(model: Any) -> list[str]:
    """Names of features: those of the fit, or x0, x1, … as scikit-learn says."""
    names = getattr(model, "feature_names_in_", None)
    return [f"x{j}" for j in range(model.n_features_in_)] if names is None else [str(name) for name in names]


def _annotate(found: Any, out: Path, data: DataFile, model: Any, what: str, names: list[str] | None) -> None:
    """W into obsm and the parts into varm, beside all that a .h5ad file has, or else beside names."""
    name, features, parts = type(model).__name__, _features(model), model.parts()
    key = f"X_{name.lower()}" + ("_memberships" if what == "memberships" else "")
    source = data.path if data.path is not None and data.path.suffix.lower() == ".h5ad" else None

    def fill(content: Any) -> None:
        put_array(content, "obsm", key, found)
        if getattr(parts, "shape", ())[1:] == (len(features),):
            put_array(content, "varm", name, parts.T)

    write_annotated(out, source, names or [str(i) for i in range(len(found))], features, fill)
