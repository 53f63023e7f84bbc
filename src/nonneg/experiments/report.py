"""Tables, figures and the sidecar of the DDNMF study, from the run files of a folder."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nonneg.experiments import tables
from nonneg.experiments.captions import N_TRAIN, TITLE, how, over, reduced
from nonneg.experiments.images import N_PROBE
from nonneg.experiments.record import environment, load_all, write_json
from nonneg.experiments.rows import (
    CODE_FIELDS,
    codes_of,
    finished,
    method_label,
    rows_of,
    selection,
)
from nonneg.experiments.tables import Table

if TYPE_CHECKING:
    from nonneg.experiments.study import Study

__all__ = ["Result", "assemble", "sidecar"]

#: The paper's numbers for its tables; the small digits stand in for MNIST.
TABLE_OF = {"digits": "table1", "mnist": "table1", "fashion-mnist": "table2"}


@dataclass(frozen=True)
class Result:
    """What a study has written.

    Attributes
    ----------
    files : list of str
        Names in the study's folder.
    rows : list of dict
        Of all tables.
    text : str
        The main tables, as Markdown with captions.
    models : dict
        Label of a DDNMF ("DDNMF (best), mnist") → file of its trained model.
    """

    files: list[str]
    rows: list[dict[str, Any]]
    text: str
    models: dict[str, str]


def assemble(studies: Sequence[Study], out: Path, *, draw: bool = True) -> Result:
    """Write every table and figure that the runs in a folder allow.

    Parameters
    ----------
    studies : sequence of Study
        One a data set: they say which epochs, layers and noise to show.
    out : Path
        The folder.
    draw : bool, default=True
        Figures too.
    """
    records = list(load_all(out))
    found: list[Table] = []
    for study in studies:
        found += [table for table in (_clean(study, records), _epochs(study, records)) if table is not None]
    noise = _noise(studies, records)
    found += [noise] if noise is not None else []
    codes = _codes(studies, records)
    files = [name for table in [*found, *([codes] if codes else [])] for name in tables.write(table, out)]
    if draw:
        from nonneg.experiments import figures

        files += figures.draw_all(studies, records, out)
    write_json(out / "study.json", sidecar("ddnmf", studies, records))
    main = [table for table in found if table.name in TABLE_OF.values()] or found
    text = "\n\n".join(f"{table.caption}\n\n{table.text}" for table in main)
    rows = [row for table in found for row in table.rows]
    return Result([*files, "study.json"], rows, text, _models(studies, records, out))


def _models(studies: Sequence[Study], records: list[dict[str, Any]], out: Path) -> dict[str, str]:
    models = {}
    for study in studies:
        for record in finished(study, records, ("ddnmf",)):
            path = out / "work" / record["name"] / "model.nonneg"
            if path.is_file():
                models[f"{method_label('ddnmf', record['run'])}, {study.dataset}"] = str(path)
    return models


def _clean(study: Study, records: list[dict[str, Any]]) -> Table | None:
    rows = rows_of(records, selection(study))
    if not rows:
        return None
    name = TABLE_OF[study.dataset]
    caption = (
        f"**Table {name[-1]}.** Clustering of {TITLE[study.dataset]}: {over(rows, study, 'column “seeds”')}. "
        f"{how(study)} Deep methods: {study.epochs} epochs.{reduced(study, rows)}"
    )
    n_train = study.n_train or N_TRAIN[study.dataset]
    linear = (
        f"Accuracy of a linear classifier (logistic regression) on the codes of the same test images, trained on the "
        f"codes of {'all' if n_train <= N_PROBE else f'{N_PROBE:,}'} training images:"
    )
    text = f"{tables.comparison(rows)}\n\n{linear}\n\n{tables.classifier(rows)}"
    return Table(name, caption, rows, text)


def _epochs(study: Study, records: list[dict[str, Any]]) -> Table | None:
    epochs = sorted(
        {row["epoch"] for r in records for row in r["scores"] if row["epoch"] and "noise" not in r["run"]}
    )
    rows = [
        row for epoch in epochs for row in rows_of(records, selection(study, epoch=epoch)) if row["epoch"]
    ]
    if len({row["epoch"] for row in rows}) < 2:
        return None
    caption = (
        f"**By epoch.** ACC on {TITLE[study.dataset]}, as in Table {TABLE_OF[study.dataset][-1]}: "
        f"{over(rows, study, 'in brackets')}. {how(study)}"
    )
    return Table(f"epochs-{study.dataset}", caption, rows, tables.by_epoch(rows))


def _noise(studies: Sequence[Study], records: list[dict[str, Any]]) -> Table | None:
    texts, rows, captions = [], [], []
    for study in studies:
        found = rows_of(records, selection(study, noise=True))
        if not found:
            continue
        rows += found
        texts.append(f"### {TITLE[study.dataset]}\n\n{tables.by_noise(found)}")
        captions.append(
            f"{TITLE[study.dataset]}: {study.noise} noise, {study.noise_epochs} epochs; "
            f"{over(found, study, 'in brackets')}."
        )
    if not rows:
        return None
    caption = (
        "**Table 3.** DDNMF and AE1 at several noise levels of training and test images. AE1 is trained on the noisy "
        "images; DDNMF's student sees them too, its supervisor sees clean ones. " + " ".join(captions)
    )
    return Table("table3", caption, rows, "\n\n".join(texts))


def _codes(studies: Sequence[Study], records: list[dict[str, Any]]) -> Table | None:
    rows = [row for study in studies for row in codes_of(records, selection(study))]
    if not rows:
        return None
    caption = (
        "**Codes** of the clean test images, as means over training seeds: units that say the same of every image, "
        "Hoyer's sparsity of a row (0: all units alike, 1: one unit alone), and what DDNMF's NMF module leaves of its "
        "input, relatively, at the end of training."
    )
    return Table("codes", caption, rows, tables.of_codes(rows), CODE_FIELDS)


def sidecar(name: str, studies: Sequence[Study], records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what a folder was computed with: versions, processor, seconds, and what failed."""
    seconds = {
        kind: round(sum(record["seconds"][kind] for record in records), 1)
        for kind in ("training", "evaluation")
    }
    return {
        "study": name,
        "datasets": [study.dataset for study in studies],
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "environment": environment(),
        "environments_of_runs": _distinct(record.get("environment") for record in records),
        "runs": len(records),
        "incomplete": sum(not record["complete"] for record in records),
        "failed": {r["run"]["method"]: r["failed"] for r in records if r.get("failed")},
        "seconds": seconds,
    }


def _distinct(values: Any) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value is not None and value not in found:
            found.append(value)
    return found
