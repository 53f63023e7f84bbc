"""From the raw files to tables: time to within 1 % and .3 % of the best loss any method reached, ratios, probes.

Needs the standard library alone, so that the process that starts the others stays small.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

TARGETS = {"1 %": 1.01, ".3 %": 1.003}
PACKAGES = ("nonneg", "numpy", "scipy", "numba", "scikit-learn", "tensorly", "torch", "torchnmf", "nimfa")
WHOLE, LOOP, PEER = "nonneg[whole]", "nonneg[loop]", "scikit-learn"

Run = dict[str, Any]


def read(folder: Path) -> list[Run]:
    """All runs below a folder; half-written files do not exist."""
    files = sorted(folder.rglob("*-s*.json"))
    return [json.loads(file.read_text()) for file in files if not file.name.startswith("probe-")]


def lowest(run: Run) -> float:
    """The lowest loss of a run."""
    losses = [point["loss"] for point in run["points"] if point["loss"] is not None]
    return min(losses, default=float("inf"))


def best_loss(runs: Iterable[Run]) -> float | None:
    """The lowest loss of all runs."""
    best = min((lowest(run) for run in runs), default=float("inf"))
    return best if best < float("inf") else None


def seconds_to(run: Run, target: float | None) -> dict[str, float | None]:
    """Wall and processor seconds to a loss of at most ``target``; None where it was not reached.

    Where iterations lie between two points the crossing is interpolated, so that points further apart favour nobody.
    """
    nothing: dict[str, float | None] = {"wall": None, "cpu": None}
    if target is None:
        return nothing
    before: Run | None = None
    for point in run["points"]:
        loss = point["loss"]
        if loss is None:
            continue
        if loss <= target:
            at = {"wall": point["wall"], "cpu": point["cpu"]}
            apart = before is not None and point["iteration"] - before["iteration"] > 1
            if run.get("interpolate") and apart and before is not None:
                share = (before["loss"] - target) / (before["loss"] - loss)
                at = {name: before[name] + share * (point[name] - before[name]) for name in at}
            return at
        before = point
    return nothing


def spent(run: Run) -> float:
    """Seconds until the last point: a time at which a target was not yet reached."""
    return max((point["wall"] for point in run["points"]), default=0.0)


def ratios(
    own: dict[int, Run], peer: dict[int, Run], target: float, clock: str
) -> tuple[list[float], list[bool]]:
    """Return peer's time / own time for every seed, and whether it is only a lower bound.

    A seed where the library does not get there counts 0.
    """
    values, bounds = [], []
    for seed in sorted(own.keys() & peer.keys()):
        mine, theirs = (seconds_to(run[seed], target)[clock] for run in (own, peer))
        if mine is None:
            values.append(0.0)
            bounds.append(False)
            continue
        limit = max((point[clock] for point in peer[seed]["points"]), default=0.0)
        values.append((limit if theirs is None else theirs) / mine)
        bounds.append(theirs is None)
    return values, bounds


def summarise(runs: list[Run], goals: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one entry a data set and k, with one line a solver."""
    entries = []
    keys = list(dict.fromkeys((run["dataset"], run["k"]) for run in runs))
    order = list(goals)
    keys.sort(key=lambda key: (order.index(key[0]) if key[0] in order else 99, key[1]))
    for name, k in keys:
        mine = [run for run in runs if (run["dataset"], run["k"]) == (name, k)]
        best = best_loss(mine)
        by_solver: dict[str, dict[int, Run]] = {}
        for run in mine:
            by_solver.setdefault(run["solver"], {})[run["seed"]] = run
        lines = [line_of(label, seeds, best) for label, seeds in by_solver.items()]
        about = goals.get(name, {})
        entry: dict[str, Any] = {
            "dataset": name,
            "work": about.get("work") or name,
            "held_out": about.get("held_out", False),
            "k": k,
            "goal": about.get("goals", {}).get(k),
            "best_loss": best,
            "solvers": lines,
        }
        peers = [line for line in lines if line["family"] == PEER and not line["errors"]]
        if best is not None and peers:
            peer = min(peers, key=_rank)
            entry["peer"] = peer["solver"]
            for own in (WHOLE, LOOP):
                for target, factor in TARGETS.items():
                    for clock in ("wall", "cpu"):
                        values, bounds = ratios(
                            by_solver.get(own, {}), by_solver[peer["solver"]], factor * best, clock
                        )
                        entry[f"{own} {target} {clock}"] = _median(values, bounds)
        entries.append(entry)
    return entries


def line_of(label: str, runs: dict[int, Run], best: float | None) -> dict[str, Any]:
    """Medians of one solver over its seeds."""
    values = list(runs.values())
    line: dict[str, Any] = {
        "solver": label,
        "family": values[0]["family"],
        "seeds": sorted(runs),
        "errors": sorted({run["error"] for run in values if "error" in run}),
        "spent": median(spent(run) for run in values),
        "lowest_loss": min(lowest(run) for run in values),
    }
    for target, factor in TARGETS.items():
        found = [seconds_to(run, factor * best if best is not None else None) for run in values]
        line[f"{target} reached"] = sum(at["wall"] is not None for at in found)
        for clock in ("wall", "cpu"):
            # a median over all seeds: where half of them do not get there, neither does it
            times = [float("inf") if at[clock] is None else at[clock] for at in found]
            middle = median(times)
            line[f"{target} {clock}"] = middle if middle < float("inf") else None
    line["excess"] = median(lowest(run) / best - 1 for run in values) if best else None
    return line


def _rank(line: dict[str, Any]) -> tuple[float, float, float]:
    time = line["1 % wall"]
    # a variant that was dropped after the first seed cannot be the better one
    return -len(line["seeds"]), float("inf") if time is None else time, line["excess"] or 0.0


def _median(values: list[float], bounds: list[bool]) -> dict[str, Any] | None:
    if not values:
        return None
    middle = median(values)
    is_bound = any(bound for value, bound in zip(values, bounds, strict=True) if value <= middle)
    return {"ratio": middle, "at_least": is_bound, "values": values}


def write(out: Path, raw: Path, threads: int, name: str | None = None) -> tuple[Path, Path]:
    """Write the tables of everything under ``raw``; return the two files."""
    from benchmarks.nmf.harness import datasets

    goals = {
        key: {"work": cls.work, "goals": cls.goals, "held_out": cls.held_out}
        for key, cls in datasets().items()
    }
    runs = read(raw)
    probes = {
        file.stem.removeprefix("probe-"): json.loads(file.read_text()) for file in raw.glob("probe-*.json")
    }
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "measured": sorted({run["started"][:10] for run in runs if "started" in run}),
        "processor": processor(),
        "threads": threads,
        "seeds": sorted({run["seed"] for run in runs}),
        "load": median(loads) if (loads := [run["load"] for run in runs if "load" in run]) else None,
        "limits": sorted({run["limit"] for run in runs if "limit" in run}),
        "versions": {"python": platform.python_version(), **versions()},
    }
    entries = summarise(runs, goals)
    stem = (name or about["date"]) + ("" if threads == 1 else f"-threads-{threads}")
    out.mkdir(parents=True, exist_ok=True)
    content = {"about": about, "results": entries, "probes": probes}
    from benchmarks.nmf.harness import write_json

    write_json(out / f"{stem}.json", content)
    (out / f"{stem}.md").write_text(markdown(about, entries, probes))
    return out / f"{stem}.md", out / f"{stem}.json"


def versions() -> dict[str, str]:
    """Versions of what is installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def processor() -> str:
    """Kind of processor, and its vector instructions."""
    kind, flags = platform.machine(), set()
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                kind = line.split(":", 1)[1].strip()
            if line.startswith("flags"):
                flags = set(line.split(":", 1)[1].split())
                break
    wanted = [flag for flag in ("avx2", "avx512f") if flag in flags]
    return " ".join([kind, *wanted])


def markdown(about: dict[str, Any], entries: list[dict[str, Any]], probes: dict[str, Any]) -> str:
    """Return the tables as text."""
    said = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    seeds = ", ".join(map(str, about["seeds"]))
    lines = [
        "# Speed of NMF: time to a loss",
        "",
        f"{about['date']}; {about['processor']}; {about['threads']} thread(s); seeds {seeds or 'none'}; {said}. "
        f"Load average while measuring (median): {about['load']}; limits in seconds: {about['limits']}.",
        "",
        "`docs/benchmarks.md` says how these numbers come about. Targets are 1 % and .3 % above the lowest loss "
        "that any method reached on the same data at the same k. Seconds are medians over seeds, initialisation "
        "included; ratios are medians over seeds of scikit-learn's time over nonneg's in the same round, scikit-learn "
        "with the better of its starts. *whole*: from the call of `fit` to its return; *loop*: factors between "
        "iterations, which is how scikit-learn is clocked. ≥: scikit-learn had not got there when its time was over.",
        "",
        "## Against scikit-learn",
        "",
        "| work | k | goal (hoped) | scikit-learn, s (start) | nonneg whole, s | nonneg loop, s | ratio whole | "
        "ratio loop | ratio whole, processor time | .3 %: ratio whole | seeds | goal met |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|",
        *(main_row(entry) for entry in entries),
        "",
        "## Every method",
        "",
        "Median seconds to 1 % and to .3 % (reached / run), and how far above the best loss the curve ended. A variant "
        "that is far from its family's best on the first seed is not run on the others.",
        "",
        "| work | k | method | 1 % | .3 % | ended at | note |",
        "|---|---:|---|---:|---:|---:|---|",
        *(row for entry in entries for row in method_rows(entry)),
        "",
    ]
    for name, show in PROBE_TABLES.items():
        if probes.get(name):
            lines += [*show(probes[name]), ""]
    return "\n".join(lines)


def main_row(entry: dict[str, Any]) -> str:
    """One data set and k against scikit-learn."""
    by_name = {line["solver"]: line for line in entry["solvers"]}
    peer = by_name.get(entry.get("peer", ""))
    own, loop = by_name.get(WHOLE), by_name.get(LOOP)
    whole, goal = entry.get(f"{WHOLE} 1 % wall"), entry["goal"]
    start = entry.get("peer", "").removeprefix("scikit-learn[").rstrip("]").replace(",", ", ")
    cells = [
        entry["work"],
        entry["k"],
        f"{goal[0]:g} × ({goal[1]:g} ×)" if goal else "–",
        f"{_time(peer)} ({start})" if peer else "–",
        _time(own),
        _time(loop),
        _ratio(whole),
        _ratio(entry.get(f"{LOOP} 1 % wall")),
        _ratio(entry.get(f"{WHOLE} 1 % cpu")),
        _ratio(entry.get(f"{WHOLE} .3 % wall")),
        len(own["seeds"]) if own else 0,
        _met(whole, entry.get(f"{LOOP} 1 % wall"), goal),
    ]
    return _row(cells)


def _met(whole: Run | None, loop: Run | None, goal: Any) -> str:
    if not goal or not whole:
        return "–"
    if whole["ratio"] >= goal[0]:
        return "yes, as hoped" if whole["ratio"] >= goal[1] else "yes"
    if loop and loop["ratio"] >= goal[0]:
        return "by the loop, not by the whole call"
    return "open (lower bound)" if whole["at_least"] else "no"


def method_rows(entry: dict[str, Any]) -> list[str]:
    """Every method on one data set and k, the quickest first."""

    def rank(line: dict[str, Any]) -> tuple[float, float]:
        time = line["1 % wall"]
        return float("inf") if time is None else time, line["lowest_loss"] or float("inf")

    rows = []
    for line in sorted(entry["solvers"], key=rank):
        cells = [entry["work"], entry["k"], line["solver"]]
        for target in TARGETS:
            cells.append(f"{_time(line, target)} ({line[f'{target} reached']}/{len(line['seeds'])})")
        excess = line["excess"]
        ended = excess is not None and excess < float("inf")
        cells += [f"+{100 * excess:.2f} %" if ended else "–", "; ".join(line["errors"])]
        rows.append(_row(cells))
    return rows


def _time(line: dict[str, Any] | None, target: str = "1 %") -> str:
    if line is None:
        return "–"
    seconds = line[f"{target} wall"]
    return f"not in {_digits(line['spent'])}" if seconds is None else _digits(seconds)


def _digits(value: float) -> str:
    return f"{value:.4f}" if value < 0.1 else f"{value:.3g}"


def _ratio(found: dict[str, Any] | None) -> str:
    return "–" if not found else f"{'≥ ' if found['at_least'] else ''}{found['ratio']:.3g}"


def _row(cells: Iterable[Any]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "/") for cell in cells) + " |"


# -- probes -----------------------------------------------------------------------------------------------------


def show_small(rows: list[Run]) -> list[str]:
    """Whole fits of 500 × 100."""
    lines = [
        "## Whole fits of 500 × 100, k = 5 (goal: no slower; hoped for 5 ×)",
        "",
        "| setting | scikit-learn, ms | nonneg, ms | ratio | ratio, processor time | loss, nonneg / scikit-learn |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for setting in dict.fromkeys(row["setting"] for row in rows):
        own, peer = (
            {row["seed"]: row for row in rows if (row["setting"], row["library"]) == (setting, library)}
            for library in ("nonneg", "scikit-learn")
        )
        seeds = sorted(own.keys() & peer.keys())
        ratio = {
            clock: median(peer[seed][clock] / own[seed][clock] for seed in seeds) for clock in ("wall", "cpu")
        }
        losses = median(own[seed]["loss"] / peer[seed]["loss"] for seed in seeds)
        lines.append(
            _row(
                [
                    f"{setting} ({len(seeds)} repetitions)",
                    f"{1e3 * median(row['wall'] for row in peer.values()):.2f}",
                    f"{1e3 * median(row['wall'] for row in own.values()):.2f}",
                    f"{ratio['wall']:.2f}",
                    f"{ratio['cpu']:.2f}",
                    f"{losses:.5f}",
                ]
            )
        )
    return lines


def show_products(rows: list[Run]) -> list[str]:
    """An iteration beside its products."""
    keys = ("bare", "iteration", "ratio", "ratio_cpu")
    bare, iteration, ratio, ratio_cpu = (median(row[key] for row in rows) for key in keys)
    return [
        f"## HALS with 8 sweeps beside its data products (goal: at most 1.4 ×), {rows[0]['rows']} × 784, k = 49",
        "",
        "| X Hᵀ and Wᵀ X, s | iteration, s | ratio (median) | ratio, processor time |",
        "|---:|---:|---:|---:|",
        _row([f"{bare:.4f}", f"{iteration:.4f}", f"{ratio:.2f}", f"{ratio_cpu:.2f}"]),
    ]


def show_memory(rows: list[Run]) -> list[str]:
    """Peaks."""
    lines = [
        "## Peak memory beyond X, W, H and one copy of W and H, in units of X",
        "",
        "Goal: at most 0.4 for dense data (X counted as float32); sparse KL may add one column-ordered copy (1).",
        "",
        "| library | data | resident | traced (tracemalloc) |",
        "|---|---|---:|---:|",
    ]
    cells = ([r["library"], r["case"], f"{r['resident']:.2f}", f"{r['traced']:.2f}"] for r in rows)
    return [*lines, *map(_row, cells)]


def show_latency(rows: list[Run]) -> list[str]:
    """First use."""
    lines = [
        "## First use: the first fit less the second, s (goal: under 3 cold, under .5 with a filled cache)",
        "",
        "| fit | cache | compile latency (median) | the same, processor time | `import nonneg` | `import numba` |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for case, cache in dict.fromkeys((row["case"], row["cache"]) for row in rows):
        same = [row for row in rows if (row["case"], row["cache"]) == (case, cache)]
        values = (median(row[key] for row in same) for key in ("latency", "latency_cpu", "import", "numba"))
        lines.append(_row([case, cache, *(f"{value:.2f}" for value in values)]))
    return lines


def show_threads(rows: list[Run]) -> list[str]:
    """Two threads."""
    one, two = ({r["repetition"]: r for r in rows if r["threads"] == count} for count in (1, 2))
    seeds = sorted(one.keys() & two.keys())
    same = all(one[seed]["sha256"] == two[seed]["sha256"] for seed in seeds)
    speedup = median(one[seed]["wall"] / two[seed]["wall"] for seed in seeds)
    return [
        "## Two threads, Fashion-MNIST, k = 49, 20 iterations (goal: 1.6 ×, and the same result)",
        "",
        "| one thread, s | two threads, s | speed-up (median) | W and H equal bit for bit |",
        "|---:|---:|---:|---|",
        _row(
            [
                f"{median(row['wall'] for row in one.values()):.2f}",
                f"{median(row['wall'] for row in two.values()):.2f}",
                f"{speedup:.2f}",
                "yes" if same else "NO",
            ]
        ),
    ]


PROBE_TABLES: dict[str, Callable[[list[Run]], list[str]]] = {
    "small": show_small,
    "products": show_products,
    "memory": show_memory,
    "threads": show_threads,
    "latency": show_latency,
}
