"""What the data are."""

from __future__ import annotations

from typing import Any

from ..blocks import Section, Table
from ..facts import Facts
from ..words import counted, number, percent

__all__ = ["data"]


def data(facts: Facts) -> Section | None:
    """Shape, kind, range, zeros and missing cells; without data what the model remembers of them."""
    m = int(facts.model.n_features_in_)
    if facts.source is None or facts.summary is None:
        named = "with names" if facts.names is not None else "without names"
        text = (
            f"The model was fitted to {counted(m, 'column')} {named}. Data were not given to this report: what is said "
            "of rows is left out of it."
        )
        return Section("data", "The data", [text])
    source, summary = facts.source, facts.summary
    (n, m), (observed, zeros) = source.shape, facts.cells
    missing = n * m - observed
    rows: list[tuple[str, Any]] = [
        ("Rows", int(n)),
        ("Columns", int(m)),
        ("Kind", "sparse" if source.is_sparse else "dense"),
        ("Type", str(source.dtype)),
        ("Smallest value", float(summary.minimum)),
        ("Largest value", float(summary.maximum)),
        ("Mean", float(summary.mean)),
        ("Zeros, of the observed cells", percent(zeros / observed) if observed else "–"),
        ("Missing cells", missing),
        ("Rows without a value above 0", int(summary.n_zero_rows)),
    ]
    if facts.data_name:
        rows.insert(0, ("From", facts.data_name))
    named = "named" if facts.names is not None else "without names"
    sentences = [
        f"X has {counted(n, 'row')} and {counted(m, 'column')} ({named}), with values from "
        f"{number(float(summary.minimum))} to {number(float(summary.maximum))}; "
        f"{percent(zeros / observed) if observed else 'none'} of the observed cells are zero"
        + (f", and {percent(missing / (n * m))} of all cells are missing." if missing else ".")
    ]
    cautions = []
    if missing:
        cautions.append(
            f"{number(missing)} cells are missing and were left out of the fit of these rows: the less a row has, the "
            "less certain is what is said of it."
        )
    if summary.n_zero_rows and summary.minimum >= 0:
        cautions.append(
            f"{counted(summary.n_zero_rows, 'row')} of X {'is' if summary.n_zero_rows == 1 else 'are'} zero "
            "everywhere: such rows have no shares, and count for no component."
        )
    return Section(
        "data", "The data", sentences, cautions, [Table("X in numbers", ["Quantity", "Value"], rows)]
    )
