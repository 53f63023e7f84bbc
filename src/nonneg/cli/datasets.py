"""``nonneg datasets``: data sets by name, and fetching one before it is needed."""

from __future__ import annotations

import json
from typing import Any, Literal

from nonneg.cli.errors import EXIT_USAGE, CommandError
from nonneg.cli.options import Json, Quiet, Verbose
from nonneg.cli.saved import say

__all__ = ["fetch_data_set", "list_data_sets"]


def list_data_sets(*, quiet: Quiet = False, verbose: Verbose = False, json_: Json = False) -> int:
    """List the data sets that dataset:NAME stands for, and where each comes from."""
    say(verbose, "of which those that other packages carry need the extra examples")
    rows = _known()
    if json_:
        print(json.dumps({"datasets": rows}))
        return 0
    for row in rows:
        print(f"{row['name']:<18}{row['description']}\n{'':<18}{row['source']}")
    return 0


def fetch_data_set(
    name: str,
    /,
    *,
    split: Literal["train", "test", "all"] = "all",
    quiet: Quiet = False,
    verbose: Verbose = False,
    json_: Json = False,
) -> int:
    """Look for a data set, download it where it is not there, check it, and say what it holds.

    Parameters
    ----------
    name:
        One of nonneg datasets list.
    split:
        Which rows.
    """
    from nonneg.datasets import load

    say(verbose, f"looking for {name}, else downloading it")
    try:
        bunch = load(name, split)
    except ValueError as error:
        raise CommandError(EXIT_USAGE, "usage", f"NAME: {error}") from error
    n, m = bunch.data.shape
    target = bunch.get("target")
    report = {
        "name": name,
        "split": split,
        "n_samples": n,
        "n_features": m,
        "dtype": str(bunch.data.dtype),
        "sparse": not hasattr(bunch.data, "__array__"),
        "image_shape": None if bunch.image_shape is None else list(bunch.image_shape),
        "labels": None if target is None else [str(label) for label in bunch.target_names],
    }
    print(json.dumps(report) if json_ else _sentence(report))
    return 0


def _known() -> list[dict[str, Any]]:
    from nonneg.datasets.fetch import NAMES
    from nonneg.datasets.packages import PACKAGED
    from nonneg.datasets.registry import IMAGE_SETS

    rows = []
    for name in NAMES:
        if name in PACKAGED:
            text, source = PACKAGED[name].description, f"with the package {PACKAGED[name].package}"
        elif name in IMAGE_SETS:
            text, source = (
                IMAGE_SETS[name].description,
                f"downloaded where it is not there; {IMAGE_SETS[name].advice}",
            )
        else:
            text, source = (
                "Digits of 8 x 8 pixels, 1,797 images, grey levels 0-16.",
                "with the package scikit-learn",
            )
        rows.append({"name": name, "description": text.splitlines()[0], "source": source})
    return rows


def _sentence(report: dict[str, Any]) -> str:
    labels = report["labels"]
    kind = "sparse " if report["sparse"] else ""
    text = f"{report['name']}: {report['n_samples']} rows of {report['n_features']} features ({kind}{report['dtype']})"
    return text + (f", {len(labels)} labels: {', '.join(labels)}" if labels else ", no labels")
