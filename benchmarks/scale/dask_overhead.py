"""What passes on the workers of a Dask client cost, and whether lost workers change a result.

    OMP_NUM_THREADS=1 python benchmarks/scale/dask_overhead.py [--rows 400000] [--blocks 8] [--kills 20]

A LocalCluster of one and of two processes, one thread each, fits a planted matrix of bytes (rows × 400, k = 20) that
the workers make themselves; the same `DaskSource` without a client, in one thread of this process, is what they are
compared with. Seconds of an iteration are the median of the differences in ``history_["seconds"]``; processor seconds
are of all processes of a whole fit, which other work on the machine does not change much. Then every fit of a smaller
matrix loses a worker to SIGKILL at a random time; its factors must equal, bit for bit, those of one process.
A last table has the seconds of a pass of tasks that do nothing, by their number: what Dask itself takes.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

from nonneg import NMF
from nonneg.data import as_source
from nonneg.data.passes import Passes

RESULT = Path(__file__).parent / "results" / "dask_overhead.md"
FEATURES, COMPONENTS, PASSES = 400, 20, 12


def block(info: dict, rows: int) -> np.ndarray:
    """Rows of the planted matrix, a function of the block's place alone."""
    place = info[None]["chunk-location"][0]
    H = np.random.default_rng(0).gamma(0.3, 1, (COMPONENTS, FEATURES)).astype(np.float32)
    rng = np.random.default_rng(place + 1)
    W = rng.gamma(0.5, 1, (rows, COMPONENTS)).astype(np.float32)
    return np.minimum(W @ H * 6 + rng.random((rows, FEATURES), np.float32), 255).astype(np.uint8)


def planted(rows: int, blocks: int) -> da.Array:
    """Rows × features, uint8, in equal chunks."""
    size = rows // blocks
    return da.map_blocks(
        lambda block_info: block(block_info, size), chunks=((size,) * blocks, (FEATURES,)), dtype=np.uint8,
        meta=np.empty((0, 0), np.uint8),
    )  # fmt: skip


def processor(client: Client | None) -> float:
    """Seconds that this process (with the scheduler) and the workers have computed."""
    return time.process_time() + sum(client.run(time.process_time).values() if client else [])


def fitted(X: da.Array, client: Client | None, passes: int = PASSES) -> tuple[NMF, float, float]:
    """A fit of so many iterations, the median seconds of one, and the processor seconds of all."""
    before = processor(client)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = np.random.default_rng(1).random((COMPONENTS, FEATURES)) * 10
        model = NMF(COMPONENTS, max_iter=passes, tol=0, random_state=0).fit(X, H_init=start, client=client)
    return model, float(np.median(np.diff(model.history_["seconds"]))), processor(client) - before


def same(one: NMF, two: NMF) -> bool:
    """Whether two fits have the same bits."""
    return all(
        np.array_equal(a, b)
        for a, b in (
            (one.components_, two.components_),
            (one.labels_, two.labels_),
            (one.history_["loss"], two.history_["loss"]),
        )
    )


def cluster(workers: int) -> LocalCluster:
    """Processes of one thread each."""
    return LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    )


def killed(X: da.Array, one: NMF, seconds: float, times: int) -> tuple[int, int]:
    """Fits that lost a worker while they ran, and how many of them were right; each on a cluster of its own."""
    hit = right = 0
    clock = random.Random(0)
    while hit < times:
        with cluster(2) as local, Client(local, set_as_default=False) as client:
            fitted(X, client, 3)
            process = clock.choice(sorted(client.run(os.getpid).values()))
            timer = threading.Timer(clock.uniform(0.05, seconds), os.kill, (process, signal.SIGKILL))
            timer.start()
            model = fitted(X, client, one.n_iter_)[0]
            during = not timer.is_alive()  # else the fit was over before
            timer.cancel()
            timer.join()
            hit, right = hit + during, right + (during and same(one, model))
        print(f"killed {hit}, right {right}", file=sys.stderr, flush=True)
    return hit, right


def bare(client: Client, counts: list[int]) -> list[float]:
    """Median seconds of a pass whose tasks do nothing, by the number of its tasks."""
    found = []
    for count in counts:
        source = as_source(da.zeros((count * 2**16, 128), chunks=(2**16, -1), dtype=np.uint8), client=client)
        pool, seconds = Passes(client), []
        W = pool.zeros(source, COMPONENTS, np.float32)
        for _ in range(5):
            began = time.perf_counter()
            for _ in pool.along(source, lambda mine, before: 0.0, W, out=(W,)):
                pass
            seconds.append(time.perf_counter() - began)
        assert len(source.bounds()) == count
        found.append(float(np.median(seconds)))
    return found


def at_once(rows: int, blocks: int) -> float:
    """Median seconds of an iteration of two processes that each fit all of X at the same time: what two cores give."""
    command = [sys.executable, __file__, "--rows", str(rows), "--blocks", str(blocks), "--alone"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    return float(np.mean([float(one.communicate()[0].split()[-1]) for one in both]))


def in_memory(X: da.Array) -> da.Array:
    """The same blocks, of an array in this process."""
    return da.from_array(X.compute(scheduler="synchronous"), chunks=X.chunks)


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--alone", action="store_true", help="print the seconds of one process, and nothing else"
    )
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--kills", type=int, default=20)
    given = parser.parse_args()
    X = planted(given.rows, given.blocks)
    held = in_memory(X)
    fitted(held, None, 3)  # kernels are compiled
    if given.alone:
        print(np.mean([fitted(held, None)[1] for _ in range(3)]))
        return
    one, alone, work = fitted(held, None)
    _, plain, plain_work = fitted(X.compute(scheduler="synchronous"), None)
    lines, checks = [f"| this process, one thread, the same blocks | {alone:.3f} | | | {work:.1f} | |"], []
    lines.append(
        "| this process, one thread, an array in memory | "
        f"{plain:.3f} | | {alone / plain:.2f} | {plain_work:.1f} | {plain_work / work - 1:+.0%} |"
    )
    two = at_once(given.rows, given.blocks)
    lines.append(
        f"| two such processes at once, each all of it | {two:.3f} | | {2 * alone / two:.2f} together | | |"
    )
    for workers in (1, 2):
        with cluster(workers) as local, Client(local, set_as_default=False) as client:
            fitted(X, client, 3)
            model, seconds, cost = fitted(X, client)
            checks.append(same(one, model))
            print(
                f"{workers} workers: {seconds:.3f} s, {cost:.1f} s of processors", file=sys.stderr, flush=True
            )
            ideal = (alone, two / 2)[workers - 1]
            lines.append(
                f"| {workers} worker{'s' if workers > 1 else ''} | {seconds:.3f} | {seconds / ideal - 1:+.0%} | "
                f"{alone / seconds:.2f} | {cost:.1f} | {cost / work - 1:+.0%} |"
            )
            if workers == 2:
                counts = [8, 32, 128]
                empty = bare(client, counts)
    small = planted(64_000, 8)
    right_one = fitted(small, None, 40)[0]
    with cluster(2) as local, Client(local, set_as_default=False) as client:
        fitted(small, client, 3)
        began = time.perf_counter()
        fitted(small, client, 40)
        whole = time.perf_counter() - began
    hit, right = killed(small, right_one, 0.9 * whole, given.kills)
    text = [
        "# Passes on the workers of a Dask client",
        "",
        f"{datetime.date.today()}; {platform.machine()}, {os.cpu_count()} cores; Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in ("numpy", "dask", "distributed", "nonneg"))
        + ".",
        "",
        f"NMF({COMPONENTS}), Frobenius, of {given.rows:,} × {FEATURES} bytes in {given.blocks} blocks; seconds of an "
        f"iteration (median of {PASSES - 1}); what is beyond the first row, for two workers beyond half of the third: "
        "what two cores of this machine give; the speed-up over the first row.",
        "",
        "| | seconds | beyond it | speed-up | processor seconds of the fit | beyond one process |",
        "|---|---|---|---|---|---|",
        *lines,
        "",
        f"The factors, labels and losses equal those of one process bit for bit: {', '.join(map(str, checks))}.",
        "",
        f"Workers killed at a random time of a fit (2 workers, 40 iterations, {whole:.1f} s undisturbed): {hit}; "
        f"fits with the right bits: {right}.",
        "",
        "| tasks of a pass that does nothing | " + " | ".join(map(str, counts)) + " |",
        "|---|" + "---|" * len(counts),
        "| seconds | " + " | ".join(f"{s:.3f}" for s in empty) + " |",
        "| milliseconds a task | "
        + " | ".join(f"{1000 * s / c:.1f}" for s, c in zip(empty, counts, strict=True))
        + " |",
        "",
    ]
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text("\n".join(text), encoding="utf-8")
    print("\n".join(text))


if __name__ == "__main__":
    main()
