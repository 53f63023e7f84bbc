"""Files that are whole or absent: atomic writes, checksums, bundles and checkpoints.

This room knows nothing of estimators: solvers, ``deep`` and ``io`` decide what goes into a bundle.
"""

from .atomic import atomic_write, fingerprint, sha256
from .bundle import read_bundle, write_bundle
from .checkpoint import Checkpoint

__all__ = ["Checkpoint", "atomic_write", "fingerprint", "read_bundle", "sha256", "write_bundle"]
