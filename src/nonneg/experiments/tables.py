"""Rows to tables: Markdown to read, CSV and JSON to compute with."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nonneg.experiments.record import write_json
from nonneg.experiments.rows import CLUSTERING_NAMES, CODE_FIELDS, FIELDS, METHOD_NAMES, METRICS
from nonneg.files import atomic_write

__all__ = [
    "PIXELS",
    "Table",
    "by_epoch",
    "by_noise",
    "classifier",
    "comparison",
    "markdown",
    "number",
    "of_codes",
    "seed_counts",
    "write",
]

#: The method without a training.
PIXELS = METHOD_NAMES["raw"]


@dataclass(frozen=True)
class Table:
    """A table as it is written.

    Attributes
    ----------
    name : str
        File name without its ending.
    caption : str
        What, how, with which seeds.
    rows : list of dict
        For JSON and CSV.
    text : str
        Markdown, without the caption.
    fields : sequence of str
        Columns of the CSV.
    """

    name: str
    caption: str
    rows: list[dict[str, Any]]
    text: str
    fields: Sequence[str] = FIELDS


def write(table: Table, out: Path) -> list[str]:
    """Write ``<name>.md``, ``.csv`` and ``.json`` and return their names."""
    with atomic_write(out / f"{table.name}.md", "w") as file:
        file.write(f"{table.caption}\n\n{table.text}\n")
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, table.fields, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for row in table.rows:
        writer.writerow(row | {"seeds": " ".join(map(str, row["seeds"]))})
    with atomic_write(out / f"{table.name}.csv", "w") as file:
        file.write(buffer.getvalue())
    write_json(out / f"{table.name}.json", table.rows)
    return [f"{table.name}.{ending}" for ending in ("md", "csv", "json")]


def seed_counts(rows: Iterable[dict[str, Any]]) -> set[int]:
    """Return how many training seeds rows have; pixels, which nothing is trained for, do not count."""
    return {len(row["seeds"]) for row in rows if row["method"] != PIXELS}


def number(row: dict[str, Any] | None, *, seeds: bool = False) -> str:
    """Mean ± sd, with `seeds` also the number of training seeds in brackets; a dash for no row."""
    if row is None:
        return "–"
    text = f"{row['mean']:.3f}" + ("" if row["sd"] is None else f" ± {row['sd']:.3f}")
    return f"{text} [{_seeds(row)}]" if seeds else text


def _seeds(row: dict[str, Any]) -> str:
    return "–" if row["method"] == PIXELS else str(len(row["seeds"]))


def markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table with columns of even width."""
    lines = [list(head), *[list(line) for line in body]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]

    def drawn(line: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"

    return "\n".join(
        [drawn(head), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(drawn, body)]
    )


def comparison(rows: list[dict[str, Any]]) -> str:
    """Tables 1 and 2: a line a method and clustering, a column a metric; the best mean of a column is bold.

    Where methods differ in their number of training seeds, a column says it.
    """
    differ = len(seed_counts(rows)) > 1
    cells = {
        (row["method"], row["clustering"], row["metric"]): row
        for row in rows
        if row["clustering"] != "linear"
    }
    lines = list(dict.fromkeys((method, clustering) for method, clustering, _ in cells))
    best = {
        metric: max((r["mean"] for key, r in cells.items() if key[2] == metric), default=0)
        for metric in METRICS
    }
    body = []
    for method, clustering in lines:
        found = [cells.get((method, clustering, metric)) for metric in METRICS]
        texts = [
            f"**{number(row)}**" if row is not None and row["mean"] == best[metric] else number(row)
            for row, metric in zip(found, METRICS, strict=True)
        ]
        own = [_seeds(next(row for row in found if row is not None))] if differ else []
        body.append([method, CLUSTERING_NAMES[clustering], *own, *texts])
    return markdown(["method", "clustering", *(["seeds"] if differ else []), *METRICS], body)


def by_noise(rows: list[dict[str, Any]]) -> str:
    """Table 3: for each metric a line a method and clustering, a column a noise level."""
    differ = len(seed_counts(rows)) > 1
    levels = sorted({row["noise"] for row in rows})
    parts = []
    for metric in METRICS:
        cells = {
            (row["method"], row["clustering"], row["noise"]): row
            for row in rows
            if row["metric"] == metric and row["clustering"] != "linear"
        }
        lines = sorted(
            dict.fromkeys(key[:2] for key in cells), key=lambda line: list(CLUSTERING_NAMES).index(line[1])
        )
        body = [
            [
                method,
                CLUSTERING_NAMES[clustering],
                *(number(cells.get((method, clustering, level)), seeds=differ) for level in levels),
            ]
            for method, clustering in lines
        ]
        head = ["method", "clustering", *(f"{level:.0%}" for level in levels)]
        parts.append(f"**{metric}**\n\n{markdown(head, body)}")
    return "\n\n".join(parts)


def by_epoch(rows: list[dict[str, Any]]) -> str:
    """ACC of each method and clustering at several epochs."""
    differ = len(seed_counts(rows)) > 1
    epochs = sorted({row["epoch"] for row in rows if row["epoch"] is not None})
    cells = {(row["method"], row["clustering"], row["epoch"]): row for row in rows if row["metric"] == "ACC"}
    lines = list(
        dict.fromkeys((row["method"], row["clustering"]) for row in rows if row["epoch"] is not None)
    )
    names = CLUSTERING_NAMES | {"linear": "linear classifier"}
    body = [
        [
            method,
            names[clustering],
            *(number(cells.get((method, clustering, epoch)), seeds=differ) for epoch in epochs),
        ]
        for method, clustering in lines
    ]
    return markdown(["method", "clustering", *map(str, epochs)], body)


def classifier(rows: list[dict[str, Any]]) -> str:
    """Accuracy of the linear classifier on the codes of each method."""
    differ = len(seed_counts(rows)) > 1
    body = [
        [row["method"], *([_seeds(row)] if differ else []), number(row)]
        for row in rows
        if row["clustering"] == "linear"
    ]
    return markdown(["method", *(["seeds"] if differ else []), "accuracy"], body)


def of_codes(rows: list[dict[str, Any]]) -> str:
    """What codes look like: a line a data set and method."""
    head = [
        "data",
        "method",
        "epochs",
        "seeds",
        "units",
        "constant units",
        "Hoyer sparsity",
        "NMF module's error",
    ]
    body = [
        [
            row["dataset"],
            row["method"],
            "–" if row["epoch"] is None else str(row["epoch"]),
            _seeds(row),
            str(row["units"]),
            *("–" if row[name] is None else f"{row[name]:.3g}" for name in CODE_FIELDS[-3:]),
        ]
        for row in rows
    ]
    return markdown(head, body)
