"""Lets fits run in processes of their own, and kills them: a program that has loaded the library and forks.

Each line of its input is JSON, ``[name, data, folder, out, seconds]``: fit that case, and kill it after so many seconds
(never where they are null). It answers each with the exit code: 0 when the fit came to its end, -9 when it was killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path

import kill_cases
from nonneg.exceptions import ConvergenceWarning


def warm_up() -> None:
    """Load kernels, and in the campaign torch, before anything is killed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for case in (kill_cases.CASES["NMF"], kill_cases.CASES["NTF"]):
            X = case.data()[:200]
            kill_cases.model_of(case).set_params(max_iter=2).fit(X).transform(X)
    if os.environ.get("NONNEG_CAMPAIGN"):
        import nonneg.deep  # noqa: F401


def run(name: str, data: str, folder: str | None, out: str, seconds: float | None) -> int:
    """Fit a case in a process of its own; return its exit code."""
    child = os.fork()
    if child == 0:
        try:
            kill_cases.fit(name, Path(data), None if folder is None else Path(folder), Path(out))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    end = time.monotonic() + (1e9 if seconds is None else seconds)
    done, status = os.waitpid(child, os.WNOHANG)
    while not done and time.monotonic() < end:
        time.sleep(0.001)
        done, status = os.waitpid(child, os.WNOHANG)
    if not done:
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    warm_up()
    for line in sys.stdin:
        print(run(*json.loads(line)), flush=True)
