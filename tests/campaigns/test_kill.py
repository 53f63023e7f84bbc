"""Fits that are killed at random times, again and again: none leaves an unreadable file, none comes to another end.

``make test`` kills a handful; ``make campaign`` (which sets NONNEG_CAMPAIGN=1) a hundred, over more models.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest

import kill_cases
from kill_cases import CASES, fit, newest_in

LARGE = bool(os.environ.get("NONNEG_CAMPAIGN"))
KILLS = 12 if LARGE else 3  # of a case
NAMES = list(CASES) if LARGE else ["NMF", "NTF"]


@pytest.fixture(scope="module")
def processes():
    """Processes forked from one that has loaded the library, so that a kill hits the fit."""
    context = multiprocessing.get_context("forkserver")
    with pytest.MonkeyPatch.context() as patch:
        paths = [os.path.dirname(kill_cases.__file__), *filter(None, [os.environ.get("PYTHONPATH")])]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        context.set_forkserver_preload(["kill_server"])
        yield context


def unfinished_in(folder: Path) -> list[Path]:
    return list(folder.rglob(".checkpoint-*.tmp"))


@pytest.mark.parametrize("name", NAMES)
def test_a_fit_that_is_killed_again_and_again_comes_to_the_same_end(name, processes, tmp_path):
    data, whole, out = (tmp_path / file for file in ("X.npy", "whole.npz", "killed.npz"))
    np.save(data, CASES[name].data())
    for folder in (None, tmp_path / "never killed"):
        began = time.perf_counter()
        child = processes.Process(target=fit, args=(name, data, folder, out))
        child.start()
        child.join()
        assert child.exitcode == 0
        length = time.perf_counter() - began
        if folder is None:
            out.rename(whole)
    rng = np.random.default_rng(list(name.encode()))
    kills = in_writing = rounds = 0
    while kills < KILLS:
        folder, before = tmp_path / f"round {rounds}", 0
        out.unlink(missing_ok=True)
        rounds += 1
        while not out.exists():
            child = processes.Process(target=fit, args=(name, data, folder, out))
            child.start()
            child.join(rng.uniform(0, length) if kills < KILLS else None)
            if child.exitcode is None:
                child.kill()
                child.join()
                kills += not out.exists()
                in_writing += bool(unfinished_in(folder))
            else:
                assert child.exitcode == 0
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
