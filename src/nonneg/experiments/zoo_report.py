"""Tables and the figure of the zoo, from the run files of a folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nonneg.experiments import tables
from nonneg.experiments.captions import N_PIXELS, TITLE, how, over, reduced
from nonneg.experiments.kept import load_array
from nonneg.experiments.measures import MEASURES
from nonneg.experiments.record import load_all, write_json
from nonneg.experiments.report import Result, sidecar
from nonneg.experiments.rows import (
    METHOD_NAMES,
    finished,
    fits,
    method_label,
    method_order,
    picked,
    rows_of,
    selection,
)
from nonneg.experiments.tables import Table
from nonneg.experiments.zoo import STACK_ITERATIONS, STACK_ROWS, STACKS, ZOO, absent, stack_layers
from nonneg.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nonneg.experiments.study import Study

__all__ = ["assemble", "measures_of"]

#: Parts of a model in the figure.
N_PARTS = 10


def assemble(studies: Sequence[Study], out: Path, *, draw: bool = True) -> Result:
    """Write a table a data set, a figure of parts a data set, and ``study.json``, from the runs in a folder.

    Parameters
    ----------
    studies : sequence of Study
        One a data set: they say which epochs and layers to show.
    out : Path
        The folder.
    draw : bool, default=True
        Figures too.
    """
    records = list(load_all(out))
    found = [table for study in studies if (table := _table(study, records)) is not None]
    files = [name for table in found for name in tables.write(table, out)]
    for study in studies if draw else ():
        figure = _parts(study, records, out)
        if figure is not None:
            files.append(f"parts-{study.dataset}.png")
            with atomic_write(out / files[-1]) as file:
                figure.savefig(file, format="png", dpi=110)
    datasets = sorted({record["run"]["dataset"] for record in records})
    write_json(out / "study.json", sidecar("zoo", studies, records) | {"datasets": datasets})
    text = "\n\n".join(f"{table.caption}\n\n{table.text}" for table in found)
    rows = [row for table in found for row in table.rows]
    return Result([*files, "study.json"], rows, text, _models(studies, records, out))


def measures_of(records: list[dict[str, Any]], study: Study) -> list[dict[str, Any]]:
    """Return one row a method and measure, as the rows of scores, without clustering: over training seeds alone.

    Parameters
    ----------
    records : list of dict
        Run files.
    study : Study
        Which of them.
    """
    groups: dict[tuple[str, str], list[tuple[int, float, int | None]]] = defaultdict(list)
    for label, entry, record in picked(records, selection(study), "measures"):
        for name in MEASURES:
            if entry.get(name) is not None:
                groups[label, name].append((record["run"]["seed"], entry[name], entry["epoch"]))
    rows = [_measure_row(study.dataset, *key, members) for key, members in groups.items()]
    names = list(MEASURES)
    return sorted(rows, key=lambda row: (*method_order(row["method"]), names.index(row["metric"])))


def _measure_row(
    dataset: str, label: str, name: str, members: list[tuple[int, float, int | None]]
) -> dict[str, Any]:
    values = np.array([value for _, value, _ in members])
    return {
        "dataset": dataset,
        "method": label,
        "clustering": None,
        "noise": 0.0,
        "metric": name,
        "mean": round(float(values.mean()), 4),
        "sd": round(float(values.std(ddof=1)), 4) if len(values) > 1 else None,
        "seeds": sorted(seed for seed, _, _ in members),
        "n": len(values),
        "epoch": members[0][2],
    }


def _table(study: Study, records: list[dict[str, Any]]) -> Table | None:
    scores, measures = rows_of(records, selection(study)), measures_of(records, study)
    if not scores:
        return None
    labels = {row["method"] for row in scores}
    stacks = ", ".join(METHOD_NAMES[name] for name in STACKS if METHOD_NAMES[name] in labels)
    caption = (
        f"**The zoo on {TITLE[study.dataset]}.** Scores: {over(scores, study, 'column “seeds”')}. {how(study)} "
        f"Networks: {study.epochs} epochs, trained alike.{reduced(study, scores)}"
    )
    if stacks:
        widths = stack_layers(study.hidden, N_PIXELS[study.dataset], 10)
        layers = "-".join(map(str, (*widths, 10)))
        caption += (
            f" Stacks of factorizations ({stacks}): at most {STACK_ITERATIONS} iterations a stage on the first "
            f"{STACK_ROWS:,} training images at most, layers {layers}."
        )
    parts = [
        tables.comparison(scores),
        _notes(study, records),
        "What a model makes of the test images, ‖X − X̂‖ / ‖X‖, and of its units, over training seeds: Hoyer's sparsity "
        "of `parts()` (0: even, 1: one pixel); units; dead ones, whose part has a norm below a thousandth of the "
        "largest; pairs of parts of one direction; the share of `components_` below 0; seconds of processor "
        "time of the whole fit (NMF and stacks have no epochs):",
        _drawn(measures),
    ]
    rows = [row for row in scores if row["clustering"] != "linear"] + measures
    return Table(f"zoo-{study.dataset}", caption, rows, "\n\n".join(part for part in parts if part))


def _notes(study: Study, records: list[dict[str, Any]]) -> str:
    """A line for each method asked for that has no rows, and why."""
    wanted = selection(study)
    shown = [record for record in records if fits(record["run"], wanted)]
    there = {record["run"]["method"] for record in shown}
    lacking = [name for name in study.methods if name not in there]
    lines = [f"{METHOD_NAMES[name]}: {why}" for name in lacking if (why := absent(name)) is not None]
    for record in shown:
        if record.get("failed"):
            label = method_label(record["run"]["method"], record["run"])
            lines.append(f"{label}, seed {record['run']['seed']}: {record['failed']}")
    return "; ".join(dict.fromkeys(lines)) + "." if lines else ""


def _drawn(rows: list[dict[str, Any]]) -> str:
    """The measures as Markdown: a line a method."""
    cells = {(row["method"], row["metric"]): row for row in rows}
    body = [
        [method, *(_cell(cells.get((method, name))) for name in MEASURES)]
        for method in dict.fromkeys(row["method"] for row in rows)
    ]
    return tables.markdown(["method", *MEASURES.values()], body)


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return "–"
    spread = "" if row["sd"] is None or row["metric"] == "units" else f" ± {row['sd']:.2g}"
    return f"{row['mean']:.3g}{spread}"


def _parts(study: Study, records: list[dict[str, Any]], out: Path) -> Figure | None:
    """Parts of each model's first seed, a line a model; of more than ten, those of the largest norm."""
    from nonneg import plots

    lines: dict[str, np.ndarray] = {}
    shape = None
    for record in finished(study, records, ZOO):
        path = out / "work" / record["name"] / "parts.npy"
        if path.is_file():
            values = load_array(path)
            shape = tuple(record["image_shape"])
            largest = np.sort(np.argsort(-np.linalg.norm(values, axis=1), kind="stable")[:N_PARTS])
            shown = np.zeros((N_PARTS, values.shape[1]))
            shown[: len(largest)] = values[largest] / max(float(values.max()), np.finfo(float).tiny)
            lines[method_label(record["run"]["method"], record["run"])] = shown
    if shape is None:
        return None
    titles = [""] * (N_PARTS * len(lines))
    figure = plots.parts(np.concatenate(list(lines.values())), shape, n_columns=N_PARTS, titles=titles)
    for number, label in enumerate(lines):
        figure.axes[N_PARTS * number].set_title(label, fontsize=8, loc="left")
    return figure


def _models(studies: Sequence[Study], records: list[dict[str, Any]], out: Path) -> dict[str, str]:
    models = {}
    for study in studies:
        for record in finished(study, records, ZOO):
            path = out / "work" / record["name"] / "model.nonneg"
            if path.is_file():
                models[f"{method_label(record['run']['method'], record['run'])}, {study.dataset}"] = str(path)
    return models
