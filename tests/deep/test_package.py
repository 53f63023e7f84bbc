"""The package without torch, and its lazy names."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest

import nonneg.deep


def test_a_missing_torch_is_one_clear_line():
    script = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ImportError("no torch here")
sys.meta_path.insert(0, NoTorch())
from nonneg.exceptions import MissingExtraError
try:
    import nonneg.deep
except MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'nonneg.deep needs torch: pip install "nonneg[deep]"'


def test_names_are_there():
    for name in nonneg.deep.__all__:
        assert not isinstance(getattr(nonneg.deep, name), types.ModuleType)  # no submodule in a name's place
        assert name in dir(nonneg.deep)
    with pytest.raises(AttributeError, match="nothing"):
        _ = nonneg.deep.nothing
