"""Fits that are killed at random times, again and again: none leaves an unreadable file, none comes to another end.

``make test`` kills a handful; ``make campaign`` (which sets NONNEG_CAMPAIGN=1) a hundred, over more models.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import kill_server
from kill_cases import CASES, newest_in

LARGE = bool(os.environ.get("NONNEG_CAMPAIGN"))
KILLS = 12 if LARGE else 3  # of a case
NAMES = list(CASES) if LARGE else ["NMF", "NTF"]


@pytest.fixture(scope="module")
def run():
    """``run(name, data, folder, out, seconds)`` fits a case elsewhere, and kills it; its exit code."""
    program = [sys.executable, kill_server.__file__]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:

        def run(name: str, data: Path, folder: Path | None, out: Path, seconds: float | None) -> int:
            paths = [str(data), None if folder is None else str(folder), str(out)]
            server.stdin.write(json.dumps([name, *paths, seconds]) + "\n")
            server.stdin.flush()
            return int(server.stdout.readline())

        yield run
        server.stdin.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_fit_that_is_killed_again_and_again_comes_to_the_same_end(name, run, tmp_path):
    data, whole, out = (tmp_path / file for file in ("X.npy", "whole.npz", "killed.npz"))
    np.save(data, CASES[name].data())
    assert run(name, data, None, whole, None) == 0
    began = time.perf_counter()
    assert run(name, data, tmp_path / "never killed", out, None) == 0
    length = time.perf_counter() - began
    rng = np.random.default_rng(list(name.encode()))
    kills = in_writing = rounds = 0
    while kills < KILLS:
        folder, before = tmp_path / f"round {rounds}", 0
        out.unlink()
        rounds += 1
        while not out.exists():
            code = run(name, data, folder, out, rng.uniform(0, length) if kills < KILLS else None)
            assert code in (0, -signal.SIGKILL)
            kills += code != 0
            in_writing += any(folder.rglob(".checkpoint-*.tmp"))
            reached = newest_in(folder)
            assert reached >= before
            before = reached
        with np.load(whole) as expected, np.load(out) as found:
            for key in expected.files:
                assert np.array_equal(found[key], expected[key]), f"{key} after {kills} kills"
    if LARGE:
        print(
            f"\n{name}: {kills} kills, {in_writing} while writing, {rounds} fits of {length:.1f} s, all bitwise equal"
        )
