"""Where X lives: sources that hand out blocks of rows, whoever holds the data."""

from __future__ import annotations

from .as_source import as_source
from .block import Block
from .source import Source, Summary

__all__ = ["Block", "Source", "Summary", "as_source"]
