"""What can be proved of the answer, and what cannot."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..blocks import Section, Table
from ..facts import Facts
from ..words import counted, number, percent

__all__ = ["certificate"]

WORST = 5
SPREAD = 0.01
ROUNDING = 1e-9  # of the first loss


def certificate(facts: Facts) -> Section | None:
    """Stationarity, distance to the best of any sign, spread over restarts, and what is left unexplained."""
    sentences: list[str] = []
    cautions: list[str] = []
    rows: list[tuple[str, Any]] = [
        ("Reconstruction error of the fit", float(facts.model.reconstruction_err_))
    ]
    for add in (_explained, _stationarity, _bound, _restarts):
        add(facts, rows, sentences, cautions)
    blocks = [Table("The evidence in numbers", ["Quantity", "Value"], rows)]
    if facts.unexplained is not None and facts.n_rows > WORST:
        blocks.append(_worst(facts))
    return Section("certificate", "How good the answer is", sentences, cautions, blocks)


def _explained(facts: Facts, rows: list, sentences: list[str], cautions: list[str]) -> None:
    if math.isnan(facts.explained) or facts.unexplained is None:
        return
    count = len(facts.unexplained[0])
    of = "the rows" if count == facts.n_rows else f"{count:,} rows of {facts.n_rows:,}, evenly spaced"
    sentences.append(
        f"The model explains {percent(facts.explained)} of the sum of squares of {of}: 1 − Σ(x − x̂)² / Σx²."
    )
    if facts.model.get_params(deep=False).get("loss", "frobenius") not in ("frobenius", 2):
        sentences.append(
            "The fit lowered another loss than squares: a model that explains less of them may be the better one."
        )
    rows.append(("Explained share of the sum of squares", facts.explained))
    if facts.explained < 0:
        cautions.append(
            "The reconstruction is farther from the data than zeros are: are these data like those of the fit?"
        )


def _stationarity(facts: Facts, rows: list, sentences: list[str], cautions: list[str]) -> None:
    fitted = getattr(facts.model, "kkt_residual_", None)
    if fitted is None or math.isnan(fitted):
        return
    rows.append(("KKT residual of the fit", float(fitted)))
    sentences.append(
        f"The KKT residual at the end of the fit is {number(float(fitted))}: 0 at a point that no small change "
        "improves. It does not say that another start would not end better."
    )
    found = facts.certificate
    if found is None:
        return
    rows.append(("KKT residual on the data given", float(found.kkt_residual)))
    tol = float(getattr(facts.model, "tol", 1e-4))
    if found.kkt_residual > 10 * max(fitted, tol):
        cautions.append(
            f"On the data given here the KKT residual is {number(float(found.kkt_residual))}: they are not those "
            "of the fit, or other weights were used. The parts fit other data better than these."
        )


def _bound(facts: Facts, rows: list, sentences: list[str], cautions: list[str]) -> None:
    found = facts.certificate
    if found is not None and not math.isnan(found.svd_gap):
        rows.append(("Gap to the SVD bound, of the size of X", float(found.svd_gap)))
        sentences.append(
            f"The gap to the bound of the SVD is {percent(max(0.0, float(found.svd_gap)))} of the size of X: no "
            f"factorization with {counted(facts.k, 'component')}, of whatever sign, could lower the residual by more."
        )
    least = getattr(facts.model, "svd_error_", None)
    if least is not None and not math.isnan(least):
        rows.append(("Least error of any factorization of this rank", float(least)))


def _restarts(facts: Facts, rows: list, sentences: list[str], cautions: list[str]) -> None:
    losses = np.asarray(getattr(facts.model, "restart_losses_", ()), dtype=np.float64)
    if len(losses) > 1 and losses.max() <= ROUNDING * _first_loss(facts):
        rows.append(("Starts", len(losses)))
        sentences.append(f"Each of {counted(len(losses), 'start')} leaves nothing of the data but rounding.")
    elif len(losses) > 1:
        best = float(losses.min())
        spread = float((losses.max() - best) / best) if best > 0 else 0.0
        rows.append(("Starts", len(losses)))
        rows.append(("Spread over the starts, (worst − best) / best", spread))
        sentences.append(
            f"Of {counted(len(losses), 'start')} the best was kept; the loss of the worst is {percent(spread)} higher."
        )
        if spread > SPREAD:
            cautions.append(
                f"Starts end {percent(spread)} apart in loss: there are several answers. Parts that only one of them "
                "has are not to be relied on; more starts (n_init) make a better one likelier."
            )
    elif len(losses) == 1 and facts.k > 1 and "n_init" in facts.model.get_params():
        rows.append(("Starts", 1))
        cautions.append(
            "The fit began at one start (n_init=1): nothing is known of how far the answer depends on it. Fit with "
            "n_init=10, say, to see."
        )


def _first_loss(facts: Facts) -> float:
    losses = np.asarray(facts.model.history_.get("loss", ()), dtype=np.float64)
    return float(losses[0]) if len(losses) else 0.0


def _worst(facts: Facts) -> Table:
    assert facts.unexplained is not None
    rows, left, all_ = facts.unexplained
    share = np.divide(left, all_, out=np.zeros_like(left), where=all_ > 0)
    order = np.argsort(-share, kind="stable")[:WORST]
    table = [(facts.row(int(rows[i])), float(share[i])) for i in order]
    return Table("Rows that fit worst: share of their sum of squares that is left", ["Row", "Left"], table)
