"""Every error and warning of the library that is not a plain ValueError or TypeError."""

from __future__ import annotations

import sys
import warnings
from typing import Any

from sklearn.exceptions import ConvergenceWarning

__all__ = [
    "CheckpointError",
    "ConvergenceWarning",
    "DatasetUnavailable",
    "ForeignCheckpointError",
    "IncompatibleError",
    "MissingExtraError",
    "NoRankFactorization",
    "warn_user",
]


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line of the user's code: that of the first caller outside this library and scikit-learn."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in ("nonneg", "sklearn"):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


class IncompatibleError(ValueError):
    """Two choices that are each fine cannot be combined (a solver with a loss, a penalty with a solver)."""


class MissingExtraError(ImportError):
    """An optional dependency is not installed; the message says which extra brings it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f'{purpose} needs {package}: pip install "nonneg[{extra}]"')
        self.package = package
        self.extra = extra
        self.purpose = purpose

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str]]:  # it crosses processes
        return type(self), (self.package, self.extra, self.purpose)


class DatasetUnavailable(RuntimeError):
    """A data set could not be found or fetched; the message names file, hash, folder and an alternative."""


class CheckpointError(RuntimeError):
    """A checkpoint is damaged, cannot be written, or belongs to other data or parameters."""


class ForeignCheckpointError(CheckpointError):
    """A checkpoint is whole, and belongs to other data or parameters."""


class NoRankFactorization(ValueError):
    """No non-negative factors with as many components as the rank: there are none, or none were found.

    Attributes
    ----------
    rank : int
    interval : RankInterval
        What is known of the non-negative rank; its certificates are the proof where there is one.
    """

    def __init__(self, message: str, rank: int, interval: Any) -> None:
        super().__init__(message)
        self.rank = rank
        self.interval = interval

    def __reduce__(self) -> tuple[type[NoRankFactorization], tuple[str, int, Any]]:
        return type(self), (str(self), self.rank, self.interval)

    @property
    def proven(self) -> bool:
        """Whether a lower bound excludes such factors; else they were only not found."""
        return self.interval.lower > self.rank
