"""What the probes share: arguments, and children that print one JSON line."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.nmf.harness import write_json

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def child(file: str, *arguments: Any, threads: int = 1, **environment: str) -> dict[str, Any]:
    """Run ``file --child arguments`` in a process of its own; return the JSON object of its last line."""
    command = [sys.executable, file, "--child", *map(str, arguments)]
    variables = {**os.environ, **dict.fromkeys(VARIABLES, str(threads)), **environment}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main(measure: Callable[[bool], Any], in_child: Callable[[list[str]], Any] | None = None) -> None:
    """Write ``measure(quick)`` to ``--out``, or print what a child found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--child", nargs="*")
    arguments = parser.parse_args()
    if arguments.child is not None and in_child is not None:
        print(json.dumps(in_child(arguments.child)))
        return
    found = measure(arguments.quick)
    if arguments.out is None:
        print(json.dumps(found, indent=1))
    else:
        write_json(arguments.out, found)


def tall() -> Any:
    """Fashion-MNIST as stored (uint8); where it is not to be had, random cells with as many zeros."""
    import numpy as np

    from nonneg.datasets import load
    from nonneg.exceptions import DatasetUnavailable

    try:
        return load("fashion-mnist", split="all").data
    except DatasetUnavailable:
        rng = np.random.default_rng(0)
        parts = rng.integers(0, 30, (40, 784)) * (rng.random((40, 784)) < 0.3)
        W = rng.random((70_000, 40)) < 0.15
        return np.minimum(W.astype(np.float32) @ parts.astype(np.float32), 255).astype(np.uint8)
