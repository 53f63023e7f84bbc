"""How W and H move."""

from __future__ import annotations
