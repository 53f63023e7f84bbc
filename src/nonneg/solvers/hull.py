"""W and Z move for ½ Σ_i s_i ‖x_i − w_i Z‖², rows of W on the simplex, rows of Z in the convex hull of the rows of X.

An archetype is a mixture of a few rows, Z = C V with V a *pool* of rows of X: C has as many columns as the pool has
rows, and nothing has the size n × n. One step, on centred rows:

1. W solves its least squares on the simplex exactly, for Z moved on by a momentum (Nesterov's, set to 0 whenever the
   loss would rise);
2. C solves, one archetype at a time, min ½ tr(M C K Cᵀ) − ⟨B Vᵀ, C⟩ with M = Wᵀ S W, B = Wᵀ S X, K = V Vᵀ, for the pool
   and the rows that the last look at all rows asked for;
3. one product of X with [Z, ∇_Z] gives what the next W needs, the residual, and the row that would lower the loss
   most for each archetype: it joins the pool (as in Wolfe 1976), and rows without a share leave it.
"""

from __future__ import annotations

import numpy as np

from ..data.centred import Centred
from .iterate import Arrays
from .least_squares import simplex_rows
from .step import Record, relative_change

__all__ = ["begin", "step"]

CYCLES = 4


def begin(X: Centred, rows: list[int]) -> Arrays:
    """The state with the archetypes at these rows of X."""
    pool, place = np.unique(np.asarray(rows), return_inverse=True)
    V, C = X.take(pool), np.eye(len(pool))[place]
    Z = C @ V
    P = X.right(Z.T)
    return Arrays(
        W=np.zeros_like(P), P=P, P_before=P, Z=Z, Z_before=Z, C=C, V=V, rows=pool,
        join=np.zeros(0, np.int64), scalars=np.array([1.0, np.inf, np.inf, 0.0]),
    )  # fmt: skip


def step(X: Centred, state: Arrays) -> Record:
    """Move the state once; a step after which the loss would be higher is not made, and ends the momentum."""
    from ..kernels import simplex

    momentum, loss, kkt, change = map(float, state["scalars"])
    following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
    ahead = (momentum - 1) / following
    Z, P = state["Z"], state["P"]
    Y = Z + ahead * (Z - state["Z_before"])
    Q = P + ahead * (P - state["P_before"])
    W = simplex_rows(Y @ Y.T, Q, state["W"])
    SW = W if X.source.row_weights is None else W * X.source.row_weights[:, None]
    M, B = SW.T @ W, X.left(SW)
    rows, V, C = state["rows"], state["V"], state["C"].copy()
    if len(state["join"]):
        rows, V = np.concatenate([rows, state["join"]]), np.concatenate([V, X.take(state["join"])])
        C = np.hstack([C, np.zeros((len(C), len(state["join"])))])
    simplex.coupled(M, V @ V.T, B @ V.T, C, CYCLES)
    new = C @ V
    found = max(0.5 * (X.total - 2 * np.vdot(B, new) + np.vdot(M, new @ new.T)), 0.0)
    if found > loss:
        state |= {"Z_before": Z, "P_before": P, "scalars": np.array([1.0, loss, kkt, change])}
        return Record(loss, kkt, change)
    change = relative_change(float(np.linalg.norm(new - Z)), float(np.linalg.norm(Z)))
    kept = C.any(axis=0)
    state |= {"W": W, "Z": new, "Z_before": Z, "C": C[:, kept], "V": V[kept], "rows": rows[kept]}
    kkt = _look(X, state, M @ new - B, P)
    state["scalars"] = np.array([following, found, kkt, change])
    return Record(found, kkt, change)


def _look(X: Centred, state: Arrays, D: np.ndarray, P_before: np.ndarray) -> float:
    """Set P and who joins, from one product with all rows; return the residual. ``D`` is ∇_Z.

    With θ the multiplier of a row's sum, a stationary row v has min(v, ∇ − θ) = 0. Gradients are in units of the loss
    of the mean: Σ_i s_i ‖x_i − μ‖² for C, and its share of one row for W.
    """
    W, Z, C = state["W"], state["Z"], state["C"]
    k, unit = len(Z), X.total or 1.0
    both = X.right(np.concatenate([Z, D]).T)
    P, slopes = np.ascontiguousarray(both[:, :k]), both[:, k:]
    slopes -= np.einsum("ij,ij->i", D, Z)
    seen = slice(None) if X.source.row_weights is None else X.weights > 0
    slopes[X.weights == 0] = np.inf
    rows, steepest = state["rows"], slopes.argmin(axis=0)
    wanted = dict.fromkeys(i for j, i in enumerate(steepest.tolist()) if slopes[i, j] < 0)
    join = np.array([i for i in wanted if i not in rows], dtype=np.int64)
    state |= {"P": P, "P_before": P_before, "join": join}
    slack = np.abs(np.minimum(C, slopes[rows].T / unit)).max()
    Y = W @ (Z @ Z.T) - P
    Y -= np.einsum("ij,ij->i", W, Y)[:, None]
    gap = np.abs(np.minimum(W[seen], Y[seen] * (X.weights.sum() / unit))).max()
    return float(max(slack, -slopes.min() / unit, gap, 0.0)) if X.total else 0.0
