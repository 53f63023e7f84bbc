"""Tests in a real browser: ``make browser``, which sets NONNEG_BROWSER=1. Not collected else."""

import os

collect_ignore_glob = [] if os.environ.get("NONNEG_BROWSER") else ["test_*.py"]
