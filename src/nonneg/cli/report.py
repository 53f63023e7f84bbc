"""``nonneg report``: one page of HTML about a model, and about data if they are given."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from nonneg.cli.errors import EXIT_DATA, EXIT_RUNTIME, EXIT_USAGE, CommandError
from nonneg.cli.options import Json, Names, Quiet, Verbose, flagged, leading_name, limit
from nonneg.cli.rows import labels_of, row_names
from nonneg.cli.saved import load_model, open_for, say, weights_from
from nonneg.cli.write import check_place

__all__ = ["report_model"]

#: Arguments of `write_report` that are options here.
FLAGS = {
    "image_shape": "--image-shape",
    "parts": "--parts",
    "embedding": "--map",
    "labels": "--labels",
    "path": "--out",
}


def report_model(
    model: Path,
    data: str | None = None,
    /,
    *,
    out: Path,
    labels: str | None = None,
    image_shape: str | None = None,
    parts: Literal["auto", "images", "features", "spectra"] = "auto",
    map_: Annotated[Literal["t-sne", "umap", "none"], Parameter(name="--map")] = "t-sne",
    title: str | None = None,
    missing: Literal["error", "ignore", "unstored"] | None = None,
    layer: str | None = None,
    memory_limit: str | None = None,
    weights: Path | None = None,
    without: Names = (),
    threads: int | None = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json_: Json = False,
) -> int:
    """Write one page of HTML that shows what a model found, how it got there and what to be careful of.

    The page loads nothing, has no script and stays below 2 MB: it can be sent by mail.

    Parameters
    ----------
    model:
        A file that nonneg fit wrote.
    data:
        What nonneg fit takes, with the features of the fit; without it the page says nothing of rows.
    out:
        The HTML file; what is there is replaced when the page is complete.
    labels:
        What is known of the rows: a column of the table (then no feature), of a Parquet file or of AnnData's obs, or a
        file with one label a line. Data sets bring theirs.
    image_shape:
        Columns are pixels of images: 28,28, say, or 28,28,3 in colour. Folders of images and data sets say it
        themselves.
    parts:
        How components are shown; auto: as images where their shape is known, as spectra where names of columns are
        numbers in order, else by their largest features.
    map_:
        The map of at most 2,000 rows: by t-sne, by umap (pip install "nonneg[cluster]"), or none, which saves most of
        the time.
    title:
        Heading of the page.
    missing:
        As for nonneg fit; default: what the model was fitted with.
    layer:
        Of .h5ad: the layer to take instead of X. Of .h5 and Zarr: the array in it.
    memory_limit:
        How much of the data is held in memory at once where it is read in parts, for instance 2G; default 512M.
    weights:
        File with weights of the cells; 0 means missing.
    without:
        Columns of a table that are no features.
    threads:
        Threads of torch and of the linear algebra; default: as many as these choose themselves.
    """
    from nonneg.files import read_bundle
    from nonneg.report import write_report

    limit(threads)
    if out.exists() and any(Path(other).exists() and out.samefile(other) for other in (model, data) if other):
        raise CommandError(EXIT_USAGE, "usage", f"--out: {out} is the model or the data; give another file.")
    check_place(out)
    shape = _shape(image_shape)
    estimator = load_model(model)
    about: dict[str, Any] = {"image_shape": shape, "parts": parts, "title": title, "path": out}
    about["embedding"] = None if map_ == "none" else map_
    if data is None:
        for option, value in (("--labels", labels), ("--weights", weights), ("--without", without)):
            if value:
                raise CommandError(EXIT_USAGE, "usage", f"{option} is about the rows of DATA: give DATA too.")
    else:
        say(verbose, f"reading {data}")
        about |= _rows(estimator, data, labels, missing, layer, memory_limit, without, about)
        about |= weights_from(weights)
    say(verbose, "computing and drawing")
    try:
        with _waiting(quiet):
            written = write_report(estimator, **about, versions=read_bundle(model)[0].get("versions"))
    except (ValueError, TypeError) as error:
        name = leading_name(str(error))
        if name in FLAGS:
            raise CommandError(EXIT_USAGE, "usage", flagged(str(error), FLAGS)) from error
        raise CommandError(EXIT_DATA, "data", f"DATA: {data}: {error}") from error
    except OSError as error:
        raise CommandError(EXIT_RUNTIME, "runtime", f"--out: {error}") from error
    size = written.stat().st_size
    if json_:
        print(json.dumps({"out": str(out), "bytes": size}))
    elif not quiet:
        print(f"report of {size / 1e6:.2f} MB written to {out}")
    return 0


def _shape(text: str | None) -> tuple[int, ...] | None:
    try:
        return None if text is None else tuple(int(side) for side in text.replace("x", ",").split(","))
    except ValueError:
        problem = f"--image-shape must be ROWS,COLUMNS, as 28,28, or 28,28,3 for colour, got {text!r}."
        raise CommandError(EXIT_USAGE, "usage", problem) from None


def _rows(
    model: Any, data: str, labels: str | None, missing: str | None, layer: str | None, memory: str | None,
    without: Sequence[str], about: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """What `write_report` is told of DATA."""
    opened = open_for(model, data, missing, layer, memory, without, labels)
    names = row_names(opened)
    n = len(names) if names is not None else _count(opened.X)
    shape = about["image_shape"]
    if shape is None and opened.path is None:
        shape = opened.held.get("image_shape")
    return {
        "X": opened.X,
        "labels": labels_of(opened, labels, n),
        "row_names": names,
        "image_shape": shape,
        "data_name": opened.text,
    }


def _count(X: Any) -> int:
    """Rows of X, or of its first view."""
    first = next(iter(X.values())) if isinstance(X, dict) else X
    return int(first.shape[0]) if hasattr(first, "shape") else len(first)


def _waiting(quiet: bool) -> Any:
    """Say on a terminal that something is being done."""
    if quiet or not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status("computing and drawing: amounts, map, certificate")
