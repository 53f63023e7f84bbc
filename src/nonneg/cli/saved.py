"""What MODEL on the command line stands for, and what several commands do with it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from nonneg.cli.data import DataFile, open_data
from nonneg.cli.errors import EXIT_DATA, EXIT_USAGE, CommandError

__all__ = ["load_model", "open_for", "say", "weights_from"]


def load_model(path: Path) -> Any:
    """Return the model that `nonneg fit` wrote, or raise with exit code 3."""
    from nonneg import load
    from nonneg.exceptions import CheckpointError

    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        raise CommandError(
            EXIT_DATA, "data", f"MODEL: {path} {what}; give the file that nonneg fit --out wrote."
        )
    try:
        return load(path)
    except (CheckpointError, ValueError) as error:
        raise CommandError(EXIT_DATA, "data", f"MODEL: {error}") from error


def open_for(
    model: Any,
    data: str,
    missing: str | None,
    layer: str | None,
    memory_limit: str | None,
    without: Any = (),
    labels: str | None = None,
) -> DataFile:
    """DATA as a model takes it, which from then on treats missing cells as ``missing`` says.

    Raises
    ------
    CommandError
        With exit code 2, where the model takes no missing cells; and as `open_data`.
    """
    from nonneg.data.images import image_shape

    if missing is not None:
        if "missing" not in model.get_params(deep=False):
            text = f"--missing: {type(model).__name__} takes no missing cells; leave it out, and fill them first."
            raise CommandError(EXIT_USAGE, "usage", text)
        model.set_params(missing=missing)
    shape = image_shape(getattr(model, "feature_names_in_", None))
    return open_data(
        data,
        getattr(model, "missing", "error"),
        getattr(model, "_takes", "matrix"),
        layer,
        memory_limit,
        without=without,
        labels=labels,
        colour=shape is not None and len(shape) == 3,
    )


def weights_from(path: Path | None) -> dict[str, str]:
    """--weights as methods of models take it, or raise with exit code 3."""
    if path is None:
        return {}
    if not path.exists():
        raise CommandError(EXIT_DATA, "data", f"--weights: there is no file {path}.")
    return {"weights": str(path)}


def say(verbose: bool, text: str) -> None:
    """With --verbose, say on stderr what is done."""
    if verbose:
        print(f"nonneg: {text}", file=sys.stderr)
