"""Studies that anybody can run again: what they share, and the study of the DDNMF paper.

``record`` keeps one small JSON file a run, ``kept`` the codes beside it, ``methods`` trains, ``evaluate`` turns codes
into scores, ``complete`` brings a run to what is asked for, ``pool`` does so for several at a time; ``rows``,
``tables``, ``figures`` and ``report`` are functions of the run files; ``study`` and ``ddnmf`` say what is run. A study
is resumable run by run: what is on disk is not computed again, and tables can be drawn from whatever is there.
"""

from __future__ import annotations
