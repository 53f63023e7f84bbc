"""What tests of the command line share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from nonneg.cli import main


def run(capsys, *tokens):
    """Exit code, stdout and stderr of a command line."""
    code = main([str(token) for token in tokens])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def one_line(text):
    return text.count("\n") == 1 and "Traceback" not in text


def interrupted(tmp_path, words, appears):
    """Start a command, press Ctrl-C once a checkpoint is there, return its exit code and stderr."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command_line = [sys.executable, "-m", "nonneg", *map(str, words)]
    process = subprocess.Popen(
        command_line, env=environment, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        # tests that run in the background inherit a SIGINT that is ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        limit = time.monotonic() + 120
        while not list(tmp_path.glob(appears)):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < limit
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    return process.returncode, err
