"""Which solver takes which problem, and what "auto" chooses.

========  =====================  ==================  ====================  ==================================
solver    losses                 cells               penalties             guarantee
========  =====================  ==================  ====================  ==================================
"hals"    Frobenius              all, or masked¹     all²                  accepted iterates never rise
"anls"    Frobenius              all                 cells, quadratic      every sub-problem solved; never rises
"als"     Frobenius              all                 cells, quadratic      none (MATLAB's ``nnmf``)
"scd"     KL                     all, or masked¹     cells                 every step lowers the loss
"mu"      every β                all, masked         cells                 never rises
========  =====================  ==================  ====================  ==================================

¹ in memory: H moves on Xᵀ.  ² masked: those that are sums over cells.

"auto" takes "hals" for Frobenius and "scd" for KL; it takes "mu" for every other β, and for masked or KL problems whose
data are not in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..data import Source
from ..exceptions import IncompatibleError
from ..losses import BetaLoss
from .alternating import SCD, MaskedHALS
from .hals import ALS, ANLS, HALS
from .mu import MU
from .pull import Penalties
from .step import Solver

__all__ = ["SOLVERS", "choose"]

SOLVERS = ("hals", "scd", "mu", "anls", "als")
SPARSE_SWEEPS, DENSE_SWEEPS, KL_SWEEPS = 4, 8, 2


def choose(name: str, loss: Any, source: Source, penalties: Penalties | None = None) -> Solver:
    """Return the solver for a problem.

    Raises
    ------
    ValueError
        For an unknown name.
    IncompatibleError
        For a solver that cannot take this loss, these data or penalties, with what can.
    """
    if name != "auto" and name not in SOLVERS:
        raise ValueError(
            f"solver={name!r} is unknown; choose 'auto' or one of {', '.join(map(repr, SOLVERS))}"
        )
    beta = getattr(loss, "beta", None)
    auto = name == "auto"
    if auto:
        name = "hals" if beta == 2 else "scd" if beta == 1 else "mu"
        if (source.is_masked or name == "scd") and not source.in_memory:
            name = "mu"
    try:
        _check(name, loss, beta, source, penalties)
    except IncompatibleError as error:
        if not (auto and str(error).startswith("solver=")):
            raise
        where = "" if source.in_memory else " and X not in memory"
        raise IncompatibleError(
            f"solver='auto' goes by loss and data, here loss={loss.name!r}{where}, and chose one that cannot do it: "
            f"{error}"
        ) from None
    if name == "hals":
        if source.is_masked:
            return MaskedHALS(DENSE_SWEEPS)
        return HALS(SPARSE_SWEEPS if source.is_sparse else DENSE_SWEEPS)
    if name == "scd":
        return SCD(KL_SWEEPS)
    others: dict[str, Callable[[], Solver]] = {"mu": MU, "anls": ANLS, "als": ALS}
    return others[name]()


def _check(name: str, loss: Any, beta: float | None, source: Source, penalties: Penalties | None) -> None:
    if source.device is not None:
        _check_on_device(name, loss, source.device, penalties)
    wanted = {"hals": 2, "anls": 2, "als": 2, "scd": 1}.get(name, beta)
    if beta != wanted:
        minimises = "the Frobenius loss" if wanted == 2 else "KL"
        raise IncompatibleError(
            f"solver={name!r} minimises {minimises}, not loss={loss.name!r}; take solver='auto' or 'mu'"
        )
    if source.is_masked and name in ("anls", "als"):
        raise IncompatibleError(
            f"solver={name!r} takes no missing cells or weights; take solver='auto' or 'mu'"
        )
    if not source.in_memory and (name == "scd" or (name == "hals" and source.is_masked)):
        raise IncompatibleError(
            f"solver={name!r} moves H on columns of X, which must be in memory; take solver='mu', or load X"
        )
    if not penalties:
        return
    if penalties.whole_W and not source.in_memory:
        how = "couples" if penalties.whole_by_choice else "holds the columns of W at one size, which couples"
        raise IncompatibleError(
            f"{_shown(penalties, set())} {how} rows of W: X must be in memory; load it, or drop the penalty"
        )
    whole = [p for p in penalties.W.penalties if not (p.is_constraint or p.kind == "coordinate")]
    if source.client is not None and whole:
        raise IncompatibleError(
            f"{', '.join(map(repr, whole))} needs all of W at once, which stays with the workers of the client; take a "
            "penalty that is a sum over cells, or leave the client out"
        )
    kinds = penalties.W.kinds | penalties.H.kinds
    takes = {"coordinate"}
    if name in ("anls", "als"):
        takes = {"coordinate", "quadratic"}
    elif name == "hals" and not source.is_masked:
        takes = {"coordinate", "quadratic", "prox", "smooth"}
    if not kinds <= takes:
        masked = " with missing cells or weights" if source.is_masked else ""
        raise IncompatibleError(
            f"solver={name!r}{masked} takes penalties that are sums over cells (L1, L2, ElasticNet, Box), "
            f"not {_shown(penalties, takes)}; "
            "take loss='frobenius' with solver='hals' on complete data, or another penalty"
        )


def _check_on_device(name: str, loss: Any, device: str, penalties: Penalties | None) -> None:
    if name not in ("hals", "mu"):
        refused = f"solver={name!r} computes with the processor alone; take solver='hals' or 'mu'"
    elif not isinstance(loss, BetaLoss):
        refused = f"loss={loss!r} computes with the processor alone; take a β-divergence"
    elif penalties:
        refused = f"{_shown(penalties, set())} is for the processor alone; drop it"
    else:
        return
    raise IncompatibleError(f"device={device!r}: {refused}, or leave device out")


def _shown(penalties: Penalties, takes: set[str]) -> str:
    """The user's penalties that are not of the kinds a solver takes; all, where what was added to them is not."""
    named = [
        (f"penalty_{own.factor}={penalty!r}", penalty.kind)
        for own in penalties.given
        for penalty in own.penalties
    ]
    return ", ".join([text for text, kind in named if kind not in takes] or [text for text, _ in named])
