"""Data sets by name, and planted data whose right answer is known."""

from __future__ import annotations

from nonneg.datasets.fetch import NAMES, load
from nonneg.datasets.synthetic import make_counts, make_low_rank, make_swimmer, make_topics

__all__ = ["NAMES", "load", "make_counts", "make_low_rank", "make_swimmer", "make_topics"]
