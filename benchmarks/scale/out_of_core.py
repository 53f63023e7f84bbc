"""NMF of a matrix on disk that is much larger than the memory it may take, cache cold.

    python benchmarks/scale/out_of_core.py [--gigabytes 20] [--features 1000] [--components 10] [--memory-limit 512MB]
        [--iterations 10] [--seed 0] [--folder .] [--results benchmarks/scale/results]

Writes a planted matrix (ten non-negative parts and noise, float32) block by block, and removes it at the end. Then,
each in a process of its own and with the file dropped from the cache before and, once a second, all along:

- *bare*: all of it read once, in pieces of 64 MB into one buffer; before the fit and after it;
- *fit*: ``NMF(components, max_iter=iterations).fit(path, memory_limit=…)``;
- *transform*: ``transform(path, out="W.npy", memory_limit=…)`` of the fitted model.

A pass is as many bytes read as the file has: the summary, starts, checks and the last solve for W count as what they
read. Memory is ``RssAnon`` of the process, 20 times a second: what cannot be dropped and read again. "from the disk" is
the share of the bytes read that came from the device, read ahead in vain included.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PIECE = 64_000_000
PARTS, NOISE = 10, 3.0


def main() -> None:
    options = parse()
    sys.path.insert(0, str(HERE.parents[1]))
    path = options.folder / "out_of_core_X.npy"
    try:
        n, m = make(path, options)
        settings = {"path": str(path), "components": options.components, "limit": options.memory_limit}
        settings |= {"iterations": options.iterations, "seed": options.seed}
        before = measured("bare", settings)
        fit = measured("fit", settings)
        after = measured("bare", settings)
    finally:
        path.unlink(missing_ok=True)
    report(options, n, m, {"bare, before": before, "fit": fit, "bare, after": after})


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=20.0, help="of the matrix, powers of 1000")
    parser.add_argument("--features", type=int, default=1000)
    parser.add_argument("--components", type=int, default=10)
    parser.add_argument("--memory-limit", default="512MB")
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path(), help="where the matrix is written")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    if "--measure" in sys.argv:
        measure(json.loads(sys.argv[-1]))
        sys.exit()
    return parser.parse_args()


def make(path: Path, options: argparse.Namespace) -> tuple[int, int]:
    """Write X = W H + noise, some rows at a time."""
    import numpy as np

    from nonneg.data.sink import write_rows

    m = options.features
    n = int(options.gigabytes * 1e9 / (4 * m))
    rng = np.random.default_rng(options.seed)
    H = rng.gamma(0.5, size=(PARTS, m)).astype(np.float32)

    def piece(rows: int) -> np.ndarray:
        X = rng.standard_exponential((rows, PARTS), np.float32) @ H
        X += np.float32(NOISE) * rng.random((rows, m), np.float32)
        return X

    step = PIECE // (4 * m)
    write_rows(path, (piece(min(step, n - start)) for start in range(0, n, step)), n)
    return n, m


def measured(what: str, settings: dict[str, Any]) -> dict[str, Any]:
    """What a process of its own finds."""
    command = [sys.executable, __file__, "--measure", json.dumps({**settings, "what": what})]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(what, json.dumps(found), flush=True)
    return found


# -- in the process that is measured ----------------------------------------------------------------------------------


def measure(settings: dict[str, Any]) -> None:
    """Print what one process finds, as JSON."""
    path = settings["path"]
    if settings["what"] == "bare":
        print(json.dumps({"read": watched(path, lambda: read(path))[0]}))
        return
    import warnings

    import numpy as np

    from nonneg import NMF

    warnings.simplefilter("ignore")  # that so few iterations do not settle
    model = NMF(settings["components"], max_iter=settings["iterations"], random_state=settings["seed"])
    small = np.random.default_rng(0).random((30_000, 50), np.float32)
    model.fit(small).transform(small)  # what is compiled is compiled
    del small
    target = Path(path).with_name("out_of_core_W.npy")
    try:
        fitted, model = watched(path, lambda: model.fit(path, memory_limit=settings["limit"]))
        written, _ = watched(path, lambda: model.transform(path, out=target, memory_limit=settings["limit"]))
    finally:
        target.unlink(missing_ok=True)
    fitted |= {"iterations": model.n_iter_, "kkt": model.kkt_residual_, "converged": model.converged_}
    print(json.dumps({"fit": fitted, "transform": written}))


def read(path: str) -> None:
    """Read a file once."""
    buffer = bytearray(PIECE)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def watched(path: str, work: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    """Seconds, passes, share that came from the disk, and the peak of memory of some work; and its result."""
    size, over, peak = os.path.getsize(path), threading.Event(), [0]
    drop(path)
    idle = rss()
    before, began = reads(), time.perf_counter()

    def watch() -> None:
        turn = 0
        while not over.wait(0.05):
            peak[0] = max(peak[0], rss())
            turn += 1
            if turn % 20 == 0:
                drop(path)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        found = work()
    finally:
        over.set()
        watcher.join()
    seconds, (called, disk) = (
        time.perf_counter() - began,
        (b - a for a, b in zip(before, reads(), strict=True)),
    )
    return {
        "seconds": seconds,
        "passes": called / size,
        "from_disk": disk / called,
        "idle_MB": idle / 1e6,
        "peak_MB": peak[0] / 1e6,
    }, found


def drop(path: str) -> None:
    """Take a file out of the page cache."""
    descriptor = os.open(path, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def rss() -> int:
    """Anonymous memory that the process holds, in bytes."""
    return 1024 * field("/proc/self/status", "RssAnon")


def reads() -> tuple[int, int]:
    """Bytes that the process has asked for, and those that storage gave."""
    return field("/proc/self/io", "rchar"), field("/proc/self/io", "read_bytes")


def field(file: str, name: str) -> int:
    with open(file) as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


# -- report ---------------------------------------------------------------------------------------------------------


def report(options: argparse.Namespace, n: int, m: int, found: dict[str, dict[str, Any]]) -> None:
    """Write a table and its numbers to the folder of results."""
    from benchmarks.nmf.report import processor, versions

    date = f"{datetime.now(UTC):%Y-%m-%d}"
    bare = [found[name]["read"] for name in ("bare, before", "bare, after")]
    fit, transform = found["fit"]["fit"], found["fit"]["transform"]
    one = sum(row["seconds"] for row in bare) / 2
    used = {name: versions()[name] for name in ("nonneg", "numpy", "numba")}
    lines = [
        f"# NMF of {4e-9 * n * m:.3g} GB on disk",
        "",
        f"{date}; {processor()}; {os.cpu_count()} cores; seed {options.seed}; "
        f"python {sys.version.split()[0]}, {', '.join(f'{k} {v}' for k, v in used.items())}. "
        f"Load average at the end {os.getloadavg()[2]:.1f}.",
        "",
        f"{n} × {m} float32, k = {options.components}, memory_limit={options.memory_limit!r}, "
        f"{options.iterations} iterations at most. `benchmarks/scale/out_of_core.py` says what is measured.",
        "",
        "| work | seconds | passes | seconds a pass | of bare reading | from the disk | memory at most (before) |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    rows = {
        "bare reading, before": bare[0],
        "bare reading, after": bare[1],
        "fit": fit,
        'transform, out=".npy"': transform,
    }
    for name, row in rows.items():
        a_pass = row["seconds"] / row["passes"]
        lines.append(
            f"| {name} | {row['seconds']:.1f} | {row['passes']:.2f} | {a_pass:.1f} | {a_pass / one:.2f} | "
            f"{100 * row['from_disk']:.0f} % | {row['peak_MB']:.0f} MB ({row['idle_MB']:.0f} MB) |"
        )
    lines += [
        "",
        f"{fit['iterations']} iterations to a KKT residual of {fit['kkt']:.1e}. Bare reading: "
        f"{4e-9 * n * m / one:.2f} GB/s. W has {4e-6 * n * options.components:.0f} MB.",
        "",
    ]
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / f"{date}-out-of-core.md").write_text("\n".join(lines))
    content = {"date": date, "shape": [n, m], **found}
    (options.results / f"{date}-out-of-core.json").write_text(json.dumps(content, indent=1) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
