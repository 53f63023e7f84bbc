"""Studies that anybody can run again: one module a study, and what they share.

``record`` keeps one small JSON file a run, ``evaluate`` turns codes into scores, ``methods`` trains, ``tables`` and
``figures`` are functions of the run files, ``ddnmf`` is the study of the DDNMF paper. A study is resumable run by run:
what is on disk is not computed again, and tables can be drawn from whatever is there.
"""

from __future__ import annotations
