"""A slow, readable oracle: the formulas of non-negative matrix factorization in plain NumPy, dense, float64.

Nothing here is clever or fast, and nothing is imported from the library, so that an agreement means
something. X is (n, m), W (n, k), H (k, m). Everywhere `weights` is None or (n, m), non-negative; a cell of
weight 0, and a NaN in X, is missing, whatever it holds. `test_reference.py` checks the oracle itself.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls


def observed(X, weights=None):
    """(X, weights) in float64 with missing cells at weight 0 and value 1, which no formula trips over."""
    X = np.array(X, dtype=np.float64)
    weights = np.ones_like(X) if weights is None else np.array(weights, dtype=np.float64)
    weights = np.where(np.isnan(X), 0.0, weights)
    return np.where(weights > 0, X, 1.0), weights


# --- the loss ------------------------------------------------------------------------------------------


def beta_divergence(x, y, beta):
    """d_β(x | y) of two non-negative numbers, with the limits at zero (Févotte & Idier 2011)."""
    x, y = float(x), float(y)
    if beta == 2:
        return 0.5 * (x - y) ** 2
    if x == 0:
        # x^β and x log x vanish for β > 0; for β <= 0 the divergence is infinite
        return y**beta / beta if beta > 0 else np.inf
    if y == 0:
        return x**beta / (beta * (beta - 1)) if beta > 1 else np.inf
    if beta == 1:
        return x * np.log(x / y) - x + y
    if beta == 0:
        return x / y - np.log(x / y) - 1
    return (x**beta + (beta - 1) * y**beta - beta * x * y ** (beta - 1)) / (beta * (beta - 1))


def loss(X, W, H, beta=2.0, weights=None):
    """Σ weights · d_β(X | W H) over the observed cells, one cell after the other."""
    X, weights = observed(X, weights)
    Y = np.asarray(W, float) @ np.asarray(H, float)
    cells = (weights[c] * beta_divergence(X[c], Y[c], beta) for c in np.ndindex(X.shape) if weights[c] > 0)
    return float(sum(cells))


def fast_loss(X, W, H, beta=2.0, weights=None):
    """`loss` for X > 0 and W H > 0 on whole arrays, for long runs; `test_reference.py` shows that they agree."""
    X, weights = observed(X, weights)
    Y = W @ H
    if beta == 1:
        cells = X * np.log(X / Y) - X + Y
    elif beta == 0:
        cells = X / Y - np.log(X / Y) - 1
    else:
        cells = (X**beta + (beta - 1) * Y**beta - beta * X * Y ** (beta - 1)) / (beta * (beta - 1))
    return float((weights * cells).sum())


def relative_residual(X, W, H):
    """‖X − W H‖_F / ‖X‖_F."""
    return float(np.linalg.norm(X - W @ H) / np.linalg.norm(X))


def svd_bound(X, k):
    """Least ‖X − Y‖_F / ‖X‖_F over all Y of rank k, of any sign (Eckart & Young 1936): a lower bound."""
    s = np.linalg.svd(np.asarray(X, float), compute_uv=False)
    return float(np.sqrt((s[k:] ** 2).sum() / (s**2).sum()))


# --- gradients -----------------------------------------------------------------------------------------


def gradient_halves(X, W, H, beta=2.0, weights=None):
    """((∇_W⁺, ∇_W⁻), (∇_H⁺, ∇_H⁻)), all >= 0, ∇ = ∇⁺ − ∇⁻ (Févotte & Idier 2011).

    dd_β/dy = y^(β−1) − x y^(β−2).
    """
    X, weights = observed(X, weights)
    Y = W @ H
    if beta == 2:
        up, down = weights * Y, weights * X
    else:
        # a cell with y = 0 has an infinite slope for β < 2 (β < 1 if x = 0); a step away from zero never meets it
        positive = np.where(Y > 0, Y, 1.0)
        up = weights * np.where(Y > 0, positive ** (beta - 1), 1.0 if beta == 1 else 0.0)
        down = weights * np.where(Y > 0, X * positive ** (beta - 2), 0.0)
    return (up @ H.T, down @ H.T), (W.T @ up, W.T @ down)


def gradients(X, W, H, beta=2.0, weights=None):
    """(∇_W, ∇_H)."""
    (up_W, down_W), (up_H, down_H) = gradient_halves(X, W, H, beta, weights)
    return up_W - down_W, up_H - down_H


def balance(W, H):
    """W D and D⁻¹ H with ‖(W D)_:j‖ = ‖(D⁻¹ H)_j:‖: the same product, whatever scale the components came in.

    A component with a zero side stays as it is: scaling its other side away would hide that it could grow
    again.
    """
    W, H = np.array(W, float), np.array(H, float)
    for j in range(W.shape[1]):
        w, h = np.linalg.norm(W[:, j]), np.linalg.norm(H[j])
        d = np.sqrt(h / w) if w > 0 and h > 0 else 1.0
        W[:, j] *= d
        H[j] /= d
    return W, H


def kkt_residual(X, W, H, beta=2.0, weights=None, unit=None):
    """max |min(V, ∇V)| over W and H, balanced, divided by max |∇⁻|: 0 exactly at a stationary point of V >= 0.

    V has the size √X and ∇V / |∇⁻| none, so a unit of X has to be chosen before they are compared: its
    weighted mean over the observed cells unless `unit` is given. Then X → cX and W → W D, H → D⁻¹ H change
    nothing. Weights → c weights does, because it scales ∇V against V.
    """
    X, weights = observed(X, weights)
    if unit is None:
        unit = (weights * X).sum() / weights.sum() or 1.0
    W, H = balance(W, np.asarray(H, float) / unit)
    halves = gradient_halves(X / unit, W, H, beta, weights)
    worst = max(np.abs(np.minimum(V, up - down)).max() for V, (up, down) in zip((W, H), halves, strict=True))
    size = max(down.max() for _, down in halves)
    return float(worst / size) if size > 0 else float(worst)


# --- steps ---------------------------------------------------------------------------------------------


def mu_exponent(beta):
    """γ(β), with which multiplicative updates never increase the loss (Févotte & Idier 2011)."""
    if beta < 1:
        return 1 / (2 - beta)
    return 1.0 if beta <= 2 else 1 / (beta - 1)


def mu_W(X, W, H, beta=2.0, weights=None):
    """W (∇_W⁻ / ∇_W⁺)^γ."""
    (up, down), _ = gradient_halves(X, W, H, beta, weights)
    return W * _ratio(down, up) ** mu_exponent(beta)


def mu_H(X, W, H, beta=2.0, weights=None):
    """H (∇_H⁻ / ∇_H⁺)^γ."""
    _, (up, down) = gradient_halves(X, W, H, beta, weights)
    return H * _ratio(down, up) ** mu_exponent(beta)


def _ratio(down, up):
    """down / up; 1 where both are zero: a cell that nothing observed depends on stays as it is."""
    return np.where(up > 0, down / np.where(up > 0, up, 1.0), 1.0)


def mu_step(X, W, H, beta=2.0, weights=None):
    """W, then H given the new W (Lee & Seung 2001)."""
    W = mu_W(X, W, H, beta, weights)
    return W, mu_H(X, W, H, beta, weights)


def mu_step_simultaneous(X, W, H, beta=2.0, weights=None):
    """Both from the old W and H: what one EM step does."""
    return mu_W(X, W, H, beta, weights), mu_H(X, W, H, beta, weights)


def hals_step(X, W, H, weights=None, l1=(0.0, 0.0), l2=(0.0, 0.0)):
    """One sweep over the columns of W, then over the rows of H, each cell at its exact minimum given the rest.

    The objective is ½ Σ weights (X − W H)² + l1 Σ + ½ l2 Σ² of W (first entry) and H (second). Without
    weights the cells of a column share their curvature, and this is HALS (Cichocki & Phan 2009).
    A cell that nothing observed depends on, without penalty, stays as it is.
    """
    X, weights = observed(X, weights)
    W, H = np.array(W, float), np.array(H, float)
    for j in range(W.shape[1]):
        rest = X - W @ H + np.outer(W[:, j], H[j])
        curvature = weights @ H[j] ** 2 + l2[0]
        best = ((weights * rest) @ H[j] - l1[0]) / np.where(curvature > 0, curvature, 1.0)
        W[:, j] = np.where(curvature > 0, np.maximum(best, 0), W[:, j])
    for j in range(W.shape[1]):
        rest = X - W @ H + np.outer(W[:, j], H[j])
        curvature = W[:, j] ** 2 @ weights + l2[1]
        best = (W[:, j] @ (weights * rest) - l1[1]) / np.where(curvature > 0, curvature, 1.0)
        H[j] = np.where(curvature > 0, np.maximum(best, 0), H[j])
    return W, H


def nnls_transform(X, H, weights=None):
    """W >= 0 that minimises ½ Σ weights (X − W H)², row by row with SciPy; a row without observed cells is 0."""
    X, weights = observed(X, weights)
    H = np.asarray(H, float)
    W = np.zeros((len(X), len(H)))
    for i, (x, w) in enumerate(zip(X, weights, strict=True)):
        root = np.sqrt(w)
        if root.any():
            W[i] = nnls((H * root).T, root * x)[0]
    return W


def beta_transform(X, H, beta, weights=None, n_iter=20000):
    """W by multiplicative updates from a flat start: slow, and for β in [1, 2], where the problem is convex, right."""
    X, weights = observed(X, weights)
    W = np.full((len(X), len(H)), np.mean(X) / max(np.mean(H), 1e-300) / len(H))
    for _ in range(n_iter):
        W = mu_W(X, W, H, beta, weights)
    return W


# --- whole fits and closed forms -----------------------------------------------------------------------


def start(X, k, seed=0):
    """Uniform random W and H of the size of X."""
    rng = np.random.default_rng(seed)
    size = np.sqrt(np.nanmean(X) / k)
    return size * (0.1 + rng.random((X.shape[0], k))), size * (0.1 + rng.random((k, X.shape[1])))


def fit_hals(X, k, seed=0, n_iter=500, tol=0.0):
    """Frobenius: Gram-form HALS from a random start, until the KKT residual is below `tol`."""
    W, H = start(X, k, seed)
    for iteration in range(n_iter):
        for V, G, B in ((W.T, H @ H.T, H @ X.T), (H, None, None)):
            if G is None:
                G, B = W.T @ W, W.T @ X
            for j in range(k):
                if G[j, j] > 0:
                    V[j] = np.maximum(V[j] + (B[j] - G[j] @ V) / G[j, j], 0)
        if tol and iteration % 50 == 49 and kkt_residual(X, W, H) < tol:
            break
    return W, H


def fit_mu(X, k, beta, seed=0, n_iter=2000, weights=None):
    """Any β: alternating multiplicative updates from a random start."""
    W, H = start(X, k, seed)
    for _ in range(n_iter):
        W, H = mu_step(X, W, H, beta, weights)
    return W, H


def rank_one_kl(X):
    """The global minimum of KL at k = 1: W = row sums, H = column sums / total."""
    X = np.asarray(X, float)
    return X.sum(axis=1, keepdims=True), X.sum(axis=0, keepdims=True) / X.sum()


def plsi_step(X, p_z, p_w_given_z, p_d_given_z):
    """One EM step of PLSI on X / ΣX, with the posterior of every cell written out (Hofmann 1999).

    p_z (k,), p_w_given_z (k, m), p_d_given_z (k, n).
    """
    P = np.asarray(X, float) / np.sum(X)
    joint = p_z[:, None, None] * p_d_given_z[:, :, None] * p_w_given_z[:, None, :]
    posterior = joint / joint.sum(axis=0)
    expected = P * posterior
    p_z = expected.sum(axis=(1, 2))
    return p_z, expected.sum(axis=1) / p_z[:, None], expected.sum(axis=2) / p_z[:, None]
