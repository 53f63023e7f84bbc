"""Run the solvers on one data set at one k: seed by seed, all solvers in rotating order, one JSON file each.

Started by ``run.py`` with the number of threads in its environment. Prints ``job <solver> <seed>`` before each run, so
that whoever started it can tell a run that hangs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.nmf import report
from benchmarks.nmf.harness import BaseSolver, Recorder, datasets, missing, solvers, write_json
from benchmarks.nmf.objective import Objective

BOTH_TARGETS = 1.0005  # of the best loss known: both targets (1 % and .3 %) are behind
SLOWER = 2.0  # a variant that much slower than its family's best on the first seed is not run again


class Worker:
    """The jobs of one data set at one k."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.options = arguments
        self.folder = Path(arguments.raw) / f"{arguments.dataset}-k{arguments.k}"
        self.dataset = datasets()[arguments.dataset]()
        self.warm: set[str] = set()

    def file(self, label: str, seed: int) -> Path:
        """Where a run is kept."""
        return self.folder / f"{label.replace(' ', '_')}-s{seed}.json"

    def run(self) -> None:
        """All jobs that have no file yet."""
        X = self.dataset.get_data()
        self.X, self.objective = X, Objective()
        self.objective.set_data(X, self.dataset.loss)
        chosen = {
            label: solver
            for label, solver in solvers().items()
            if label in self.options.solvers and solver.skip(X, self.dataset.loss) is None
        }
        labels = list(chosen)
        first = self.options.seeds[0]
        for turn, seed in enumerate(self.options.seeds):
            start = turn % len(labels) if labels else 0
            for label in labels[start:] + labels[:start]:
                if time.time() > self.options.until:
                    return
                done = self.file(label, seed).exists()
                if not done and (seed == first or self.worth_another(label, chosen, first)):
                    self.job(chosen[label], seed, is_first=seed == first)

    def worth_another(self, label: str, chosen: dict[str, BaseSolver], first: int) -> bool:
        """After the first seed only nonneg, and of each other family what was near its best, go on."""
        family = chosen[label].family
        if family == "nonneg":
            return True
        runs = report.read(self.folder)
        best = report.best_loss(runs)
        of_family = [run for run in runs if run["family"] == family and run["seed"] == first]
        times = {run["solver"]: report.seconds_to(run, 1.01 * best)["wall"] for run in of_family}
        reached = {name: seconds for name, seconds in times.items() if seconds is not None}
        if label in reached:
            return reached[label] <= SLOWER * min(reached.values())
        if reached or family != "scikit-learn":
            return False
        finals = {run["solver"]: report.lowest(run) for run in of_family}
        return bool(finals) and label == min(finals, key=lambda name: finals[name])

    def job(self, solver: BaseSolver, seed: int, *, is_first: bool) -> None:
        """One curve, and its file."""
        print(f"job {solver.label} {seed}", flush=True)
        best = report.best_loss(report.read(self.folder))
        is_own = solver.family == "nonneg"
        # nonneg goes first: stopped at the best of its own, it would not be there when somebody finds a better one
        known = best is not None and not is_own and (self.options.stop_early or not is_first)
        limit = min(self.options.limit, self.options.own_limit) if is_own else self.options.limit
        recorder = Recorder(
            self.objective.evaluate_result,
            limit,
            BOTH_TARGETS * best if known and best is not None else 0.0,
            self.options.spacing,
            self.options.flat,
        )
        about: dict[str, Any] = {
            "dataset": self.dataset.name,
            "loss": self.dataset.loss,
            "shape": list(self.X.shape),
            "k": self.options.k,
            "solver": solver.label,
            "family": solver.family,
            "seed": seed,
            "threads": int(os.environ.get("OMP_NUM_THREADS", "0")),
            "limit": limit,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "load": round(os.getloadavg()[0], 2),
            "interpolate": solver.chosen.get("clock") != "whole" and solver.family != "nimfa",
        }
        try:
            absent = missing(solver.requirements)
            if absent:
                raise ModuleNotFoundError(f"{', '.join(absent)} not installed")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                solver.set_objective(self.X, self.options.k, self.dataset.loss, seed)
                if solver.label not in self.warm:
                    solver.warm_up()
                    self.warm.add(solver.label)
                solver.run(recorder)
        except Exception as error:
            about["error"] = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        write_json(
            self.file(solver.label, seed), {**about, "ended": recorder.ended, "points": recorder.points}
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("options", type=json.loads, help="a JSON object, from run.py")
    Worker(argparse.Namespace(**parser.parse_args().options)).run()


if __name__ == "__main__":
    main()
