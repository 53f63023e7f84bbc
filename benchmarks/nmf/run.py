"""The speed benchmark of NMF: one command.

    python benchmarks/nmf/run.py [--quick] [--seeds 5] [--budget-minutes 15] [--only dataset=fashion-mnist k=10,49]

Resumable: every data set × k × solver × seed, and every probe, is one file under ``results/raw``; what is there is not
run again (``--fresh`` removes it). The tables are written after every data set. Data sets are gone through in order, at
one k after the other, and there seed by seed with all solvers taking turns.

``--only`` takes ``dataset=``, ``solver=``, ``k=``, ``seeds=``, ``probe=`` with values separated by commas; data sets,
solvers and probes may be patterns (``solver=nonneg*``). With ``dataset=`` alone no probe runs, with ``probe=`` alone no
data set.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
PROBES = ("small", "latency", "products", "memory", "threads")
COMMA = r",(?![^\[]*\])"  # but not within the brackets of a solver's name
CRASHES = 20  # a worker that died that often is given up


def main() -> None:
    options = parse()
    # set before numpy is imported, here and in every process that is started from here
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(options.threads)))
    sys.path.insert(0, str(HERE.parents[1]))
    from benchmarks.nmf import report
    from benchmarks.nmf.harness import datasets, missing, solvers

    raw = options.out / "raw" / f"threads-{options.threads}"
    if options.fresh:
        shutil.rmtree(raw, ignore_errors=True)
    until = time.time() + 60 * options.budget_minutes
    labels = [label for label in solvers() if matches(label, options.only.get("solver", ["*"]))]
    if options.quick and "solver" not in options.only:
        labels = [label for label in labels if label.startswith(("nonneg", "scikit-learn["))]
    if not labels:
        sys.exit(f"no solver is called {', '.join(options.only['solver'])}; there are {', '.join(solvers())}")
    probes = [name for name in PROBES if matches(name, options.only.get("probe", ["*"]))]
    if "dataset" in options.only and "probe" not in options.only:
        probes = []
    skip_curves = "probe" in options.only and "dataset" not in options.only
    for name, dataset in {} if skip_curves else datasets().items():
        patterns = options.only.get("dataset", [name if not dataset.hidden else ""])
        if not matches(name, patterns):
            continue
        if absent := missing(dataset.requirements):
            print(f"{name}: left out, {', '.join(absent)} not installed", flush=True)
            continue
        for k in dataset.ranks:
            if "k" in options.only and str(k) not in options.only["k"]:
                continue
            if time.time() < until:
                job = {
                    "raw": str(raw), "dataset": name, "k": k, "solvers": labels, "seeds": options.seeds,
                    "limit": options.limit, "own_limit": options.own_limit, "until": until,
                    "stop_early": options.quick,
                    "spacing": 1.15 if options.quick else 1.05,
                    "flat": 1e-4 if options.quick else 2e-5,
                }  # fmt: skip
                run_worker(job, raw)
                report.write(options.out, raw, options.threads, options.name)
    for name in probes:
        run_probe(name, raw / f"probe-{name}.json", options, until)
    files = report.write(options.out, raw, options.threads, options.name)
    print(files[0].read_text())
    print("written:", *files)


def parse() -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds, from 0 on")
    parser.add_argument("--only", nargs="+", default=[], metavar="KEY=VALUES")
    parser.add_argument(
        "--quick", action="store_true", help="scikit-learn alone, curves end once behind both targets"
    )
    parser.add_argument("--limit", type=float, help="seconds a peer may take for one curve (120; quick: 20)")
    parser.add_argument("--own-limit", type=float, help="the same for nonneg (60; quick: 6)")
    parser.add_argument("--budget-minutes", type=float, default=float("inf"), help="begin nothing after that")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fresh", action="store_true", help="remove what earlier runs have left")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--name", help="of the tables; default: the date")
    options = parser.parse_args()
    words = [word.split("=", 1) for word in options.only]
    allowed = {"dataset", "solver", "k", "seeds", "probe"}
    if any(len(word) != 2 or word[0] not in allowed for word in words):
        parser.error(f"--only takes KEY=VALUES with KEY one of {', '.join(sorted(allowed))}")
    options.only = {key: re.split(COMMA, values) for key, values in words}
    seeds = options.only.pop("seeds", None)
    options.seeds = [int(seed) for seed in seeds] if seeds else list(range(options.seeds))
    options.limit = options.limit or (20.0 if options.quick else 120.0)
    options.own_limit = options.own_limit or (6.0 if options.quick else 60.0)
    return options


def matches(name: str, patterns: list[str]) -> bool:
    # brackets are parts of solvers' names, not of patterns
    return any(name == p or fnmatch.fnmatchcase(name, p.replace("[", "[[]")) for p in patterns)


def run_worker(job: dict[str, Any], raw: Path) -> None:
    """Run the jobs of a data set and k; a run that crashes or hangs gets a file that says so, and the rest go on."""
    from benchmarks.nmf.harness import write_json

    print(f"{time.strftime('%H:%M:%S')} {job['dataset']} k={job['k']}", flush=True)
    patience = 4 * job["limit"] + 300
    command = [sys.executable, str(HERE / "worker.py")]
    for _ in range(CRASHES):
        # infinity is no JSON number
        options = {**job, "until": min(job["until"], 1e18)}
        process = subprocess.Popen([*command, json.dumps(options)], stdout=subprocess.PIPE, text=True)
        lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=pump, args=(process.stdout, lines), daemon=True).start()
        current: tuple[str, int] | None = None
        why = "crashed"
        while True:
            try:
                line = lines.get(timeout=patience)
            except queue.Empty:
                process.kill()
                why = f"killed after {patience:.0f} s"
                break
            if line is None:
                break
            word, *rest = line.strip().split(" ")
            if word == "job":
                current = (" ".join(rest[:-1]), int(rest[-1]))
                print(f"{time.strftime('%H:%M:%S')}   {line.strip()[4:]}", flush=True)
        code = process.wait()
        if code == 0:
            return
        if current is None:
            print(f"  {job['dataset']}: the worker ended with {code} before its first run", flush=True)
            return
        label, seed = current
        file = raw / f"{job['dataset']}-k{job['k']}" / f"{label.replace(' ', '_')}-s{seed}.json"
        if not file.exists():
            about = {"dataset": job["dataset"], "k": job["k"], "solver": label, "seed": seed}
            family = label.split("[")[0]
            error = f"{why} (exit code {code})"
            write_json(file, {**about, "family": family, "error": error, "ended": "error", "points": []})


def pump(stream: Any, lines: queue.Queue[str | None]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def run_probe(name: str, file: Path, options: argparse.Namespace, until: float) -> None:
    """Run a probe, if it has no file yet."""
    if file.exists() or time.time() > until:
        return
    print(f"{time.strftime('%H:%M:%S')} probe {name}", flush=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(HERE / "probes" / f"{name}.py"), "--out", str(file)]
    if options.quick:
        command.append("--quick")
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(command, timeout=1800, check=False)
        if done.returncode:
            print(f"  probe {name} failed with exit code {done.returncode}", flush=True)


if __name__ == "__main__":
    main()
