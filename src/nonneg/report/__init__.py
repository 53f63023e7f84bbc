"""One page about one fitted model: `write_report` writes it as a single HTML file that asks nothing of anywhere.

`facts` computes what is said, `sections` says it (a file a section), `figures` draws, `page` puts it into the template.
Nothing here fits a model.
"""

from __future__ import annotations

from .write import write_report

__all__ = ["write_report"]
