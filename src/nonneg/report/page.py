"""Sections into one page of HTML: everything from the data is escaped, everything else is in the file itself."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..exceptions import MissingExtraError
from ..plots.canvas import printable
from .blocks import Section
from .facts import Facts
from .words import counted, number, percent, shown

__all__ = ["page"]

HERE = Path(__file__).parent


def page(facts: Facts, sections: Sequence[Section], title: str | None = None) -> str:
    """The report as text.

    Parameters
    ----------
    facts : Facts
    sections : sequence of Section
    title : str, optional
        By default the model's name and size.

    Raises
    ------
    MissingExtraError
        Without jinja2.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise MissingExtraError("jinja2", "report", "a report") from error
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(cell=_cell, number=number)
    heading = title or f"{facts.name} with {counted(facts.k, 'component')}"
    return environment.get_template("page.html").render(
        title=shown(heading),
        style=(HERE / "page.css").read_text(encoding="utf-8"),
        about=_about(facts),
        glance=_glance(facts),
        cautions=[(section, text) for section in sections for text in section.cautions],
        sections=sections,
        version=__version__,
        date=datetime.date.today().isoformat(),
    )


def _cell(value: Any) -> str:
    return printable(value) if isinstance(value, (str, bool)) else number(value)


def _about(facts: Facts) -> str:
    """What the model is, in the first line of its own description."""
    words = (type(facts.model).__doc__ or "").strip().splitlines()
    return words[0].replace("``", "").replace("`", "") if words else ""


def _glance(facts: Facts) -> list[tuple[str, str]]:
    model, summary = facts.model, facts.summary_of_parts
    pairs = [("Components", f"{facts.k:,}")]
    if facts.source is not None:
        sides = (facts.source.shape[0], *getattr(model, "tensor_shape_", facts.source.shape[1:]))
        pairs.append(("Data", " × ".join(f"{side:,}" for side in sides)))
    else:
        pairs.append(("Columns", f"{int(model.n_features_in_):,}"))
    pairs.append(("Converged", "yes" if model.converged_ else "no"))
    if not np.isnan(facts.explained):
        pairs.append(("Explained", percent(facts.explained)))
    pairs.append(("Dead components", f"{len(summary['dead'])} of {facts.k:,}"))
    sparse = summary["hoyer_sparsity"]
    if np.isfinite(sparse).any():
        pairs.append(("Mean sparsity of parts", number(float(np.nanmean(sparse)))))
    return pairs
