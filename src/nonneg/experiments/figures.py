"""Figures of the DDNMF study: a function of run files and of the codes and parts that lie beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nonneg import plots
from nonneg.experiments.images import images_of
from nonneg.experiments.kept import load_array, load_codes
from nonneg.experiments.rows import CLUSTERING_NAMES, METRICS, finished, method_label, rows_of, selection
from nonneg.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nonneg.experiments.study import Study

__all__ = ["draw_all"]

#: Clustering of Figure 3: the first of these that was computed.
FIGURE_3 = ("gmm-full", "gmm-spherical", "kmeans")


def draw_all(studies: Sequence[Study], records: list[dict[str, Any]], out: Path) -> list[str]:
    """Draw what the runs in a folder allow; return the names of the files."""
    files = []
    for name, figure in (
        ("figure2.png", _embeddings(studies, records, out)),
        ("figure3.png", _noise(studies, records)),
        ("losses.png", _losses(studies, records)),
    ):
        if figure is not None:
            files.append(_save(figure, out / name))
    for study in studies:
        for record in finished(study, records, ("ddnmf", "nmf")):
            figure = _parts(study, record, out)
            if figure is not None:
                label = "-".join([study.dataset, record["run"]["method"], *_words(record["run"])])
                files.append(_save(figure, out / f"parts-{label}.png"))
    return files


def _save(figure: Figure, path: Path) -> str:
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=150)
    return path.name


def _words(run: dict[str, Any]) -> list[str]:
    return [run["profile"]] if "profile" in run else []


def _work(out: Path, record: dict[str, Any]) -> Path:
    """The folder of by-products of a run."""
    return out / "work" / record["name"]


def _embeddings(studies: Sequence[Study], records: list[dict[str, Any]], out: Path) -> Figure | None:
    """Figure 2: t-SNE of DDNMF's H beside AE1's code, coloured by the true label."""
    panels: list[tuple[Study, str, NDArray]] = []
    for study in studies:
        for record in finished(study, records, ("ddnmf", "ae1-relu", "ae1-linear")):
            method, epochs = record["run"]["method"], record["run"]["epochs"]
            path = _work(out, record) / f"codes-{method}-{epochs}.npz"
            if path.is_file():
                panels.append((study, method_label(method, record["run"]), load_codes(path).test))
    if not panels:
        return None
    rows = [study for study in studies if any(panel[0] is study for panel in panels)]
    width = max(sum(panel[0] is study for panel in panels) for study in rows)
    figure, grid = plots.new_figure(len(rows), width, size=(3.6, 3.2))
    for line, study in zip(grid, rows, strict=True):
        own = [panel for panel in panels if panel[0] is study]
        y = images_of(study.dataset, study.n_train, study.n_test).y_test
        for number, axes in enumerate(line):
            if number >= len(own):
                axes.set_axis_off()
                continue
            points, chosen = plots.embed(own[number][2], n_points=2000)
            last = number == len(own) - 1
            plots.embedding(
                points, y[chosen], title=f"{own[number][1]}, {study.dataset}", legend=last, axes=axes
            )
    return figure


def _noise(studies: Sequence[Study], records: list[dict[str, Any]]) -> Figure | None:
    """Figure 3: ACC, NMI and ARI against the noise level."""
    lines = []
    for study in studies:
        wanted = selection(study, noise=True)
        rows = rows_of(records, wanted)
        clustering = next((name for name in FIGURE_3 if any(row["clustering"] == name for row in rows)), None)
        if clustering is not None:
            lines.append((study, clustering, [row for row in rows if row["clustering"] == clustering]))
    if not lines:
        return None
    figure, grid = plots.new_figure(len(lines), len(METRICS), size=(3.6, 3.0))
    for (study, clustering, rows), axes_line in zip(lines, grid, strict=True):
        levels = sorted({row["noise"] for row in rows})
        for axes, metric in zip(axes_line, METRICS, strict=True):
            cells = {(row["method"], row["noise"]): row for row in rows if row["metric"] == metric}
            curves: dict[str, tuple[Any, Any]] = {}
            for method in dict.fromkeys(row["method"] for row in rows):
                found = [cells.get((method, level)) for level in levels]
                mean = [np.nan if row is None else row["mean"] for row in found]
                sd = [np.nan if row is None else row["sd"] or 0.0 for row in found]
                curves[method] = (mean, sd)
            title = f"{study.dataset}, {CLUSTERING_NAMES[clustering]}"
            plots.metric_curves(
                levels, curves, metric=metric, x_label=f"{study.noise} noise level", title=title,
                legend=axes is axes_line[0], axes=axes,
            )  # fmt: skip
    return figure


def _losses(studies: Sequence[Study], records: list[dict[str, Any]]) -> Figure | None:
    """Each term of the interpretability loss, and the relative error of the NMF module."""
    panels = [(study, record) for study in studies for record in finished(study, records, ("ddnmf",))]
    if not panels:
        return None
    figure, grid = plots.new_figure(1, len(panels), size=(4.4, 3.4))
    for axes, (study, record) in zip(grid[0], panels, strict=True):
        title = f"{method_label('ddnmf', record['run'])}, {study.dataset}"
        plots.loss_curves(record["history"], title=title, axes=axes)
    return figure


def _parts(study: Study, record: dict[str, Any], out: Path) -> Figure | None:
    path = _work(out, record) / "parts.npy"
    if not path.is_file():
        return None
    shape = record.get("image_shape")  # files before 0.1 do not have it
    if shape is None:
        shape = images_of(study.dataset, study.n_train, study.n_test).shape
    return plots.parts(load_array(path), tuple(shape))
