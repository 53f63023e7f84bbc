"""Local search for X = W H with r components: many starts at once, in float64, to the last digit.

Every start goes through two descents. Hierarchical alternating least squares finds a basin; projected
Levenberg-Marquardt steps on W and H together (Kanzow, Yamashita and Fukushima 2004) find its bottom, quadratically
where the bottom is zero, which alternating updates reach only slowly. After the first round, half of the starts are
fresh and half are the best ones so far with a component or two thrown away. The plan (random and sparse starts, a
short descent for all, a change of the worst part of what is kept) is that of Vandaele, Gillis, Glineur and
Tuyttens (2016), *Heuristics for exact nonnegative matrix factorization*, Journal of Global Optimization 65.

Here is nothing but the search: what it cannot find may still exist.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

__all__ = ["Found", "polished", "search"]

HALS_PASSES = 60
LM_STEPS = 80
FLAT = 1e-5  # a relative fall of the loss in ten steps below it is the end of a descent
MOST_STARTS = 32  # at once
WORK = 3e8  # multiplications of one Levenberg-Marquardt step, over all starts
LARGEST = 1500  # unknowns, (n + m) r; beyond, alternating least squares is alone
PLENTY = 2000  # its passes there


@dataclass(frozen=True)
class Found:
    """The best factors of a search, the relative residual ‖X − W H‖ / ‖X‖ and how many starts were made."""

    W: np.ndarray
    H: np.ndarray
    residual: float
    n_starts: int


def search(
    X: np.ndarray, r: int, tol: float, n_starts: int, max_time: float | None, rng: np.random.Generator
) -> Found:
    """Factors with the smallest residual of ``n_starts`` starts, or the first with a residual of at most ``tol``.

    Parameters
    ----------
    X : ndarray of shape (n, m)
        Non-negative, not all zero, with a largest cell near 1.
    r, tol, n_starts, max_time, rng
        As for `exact_nmf`.
    """
    began, size = time.perf_counter(), float(np.linalg.norm(X))
    unknowns = sum(X.shape) * r
    at_once = int(np.clip(WORK / unknowns**3, 1, MOST_STARTS))
    kept: list[tuple[float, np.ndarray, np.ndarray]] = []
    done = 0
    while done < n_starts:
        count = min(at_once, n_starts - done)
        W, H = _starts(X, r, count, rng)
        if kept:
            _disturbed(kept, W, H, rng)
        W, H = _hals(X, W, H, HALS_PASSES if unknowns <= LARGEST else PLENTY)
        if unknowns <= LARGEST:
            W, H = _levenberg_marquardt(X, W, H, tol * size)
        losses = np.linalg.norm(X - W @ H, axis=(1, 2)) / size
        kept += [(float(losses[b]), W[b], H[b]) for b in np.argsort(losses)[:4]]
        kept = sorted(kept, key=lambda one: one[0])[:4]
        done += count
        if kept[0][0] <= tol or (max_time is not None and time.perf_counter() - began >= max_time):
            break
    residual, W, H = kept[0]
    return Found(W, H, residual, done)


def polished(X: np.ndarray, W: np.ndarray, H: np.ndarray, tol: float) -> tuple[np.ndarray, np.ndarray]:
    """Factors that are nearly exact, made as exact as float64 allows, where X is small enough for that."""
    if sum(X.shape) * W.shape[1] > LARGEST:
        return W, H
    W, H = _levenberg_marquardt(X, W[None], H[None], min(tol, 1e-10) * float(np.linalg.norm(X)))
    return W[0], H[0]


def _starts(X: np.ndarray, r: int, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Uniform factors, every start with a share of zeros of its own (0 to 0.7), at the scale of X."""
    n, m = X.shape
    zeros = rng.choice([0.0, 0.0, 0.3, 0.5, 0.7], size=(count, 1, 1))
    W = rng.random((count, n, r)) * (rng.random((count, n, r)) >= zeros)
    H = rng.random((count, r, m)) * (rng.random((count, r, m)) >= zeros)
    W[:, :, 0] += 1e-3  # no product is zero
    H[:, 0] += 1e-3
    product = W @ H
    scale = np.einsum("ij,bij->b", X, product) / np.einsum("bij,bij->b", product, product)
    return W * np.sqrt(scale)[:, None, None], H * np.sqrt(scale)[:, None, None]


def _disturbed(kept: list, W: np.ndarray, H: np.ndarray, rng: np.random.Generator) -> None:
    """Make every second start one of the best so far in which one or two components are new; in place."""
    r = W.shape[2]
    for b in range(0, len(W), 2):
        _, W_kept, H_kept = kept[(b // 2) % len(kept)]
        old = rng.permutation(r)[min(r - 1, int(rng.integers(1, 3))) :]
        W[b][:, old], H[b][old] = W_kept[:, old], H_kept[old]


def _hals(X: np.ndarray, W: np.ndarray, H: np.ndarray, passes: int) -> tuple[np.ndarray, np.ndarray]:
    """Alternating sweeps over the components, two a factor and pass, of all starts at once."""
    V, Y = np.ascontiguousarray(H.transpose(0, 2, 1)), X.T
    for _ in range(passes):
        for old, other, data in ((W, V, X), (V, W, Y)):
            G, P = other.transpose(0, 2, 1) @ other, data @ other
            for _ in range(2):
                for k in range(old.shape[2]):
                    slope = P[:, :, k] - (old @ G[:, :, k : k + 1])[:, :, 0]
                    moved = old[:, :, k] + slope / np.maximum(G[:, k, k], 1e-100)[:, None]
                    old[:, :, k] = np.maximum(moved, 1e-16)  # a component that is zero would stay so
    return W, np.ascontiguousarray(V.transpose(0, 2, 1))


def _balanced(W: np.ndarray, H: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same products with columns of W and rows of H of equal norm."""
    a, b = np.linalg.norm(W, axis=1), np.linalg.norm(H, axis=2)
    d = np.sqrt(np.maximum(b, 1e-150) / np.maximum(a, 1e-150))
    return W * d[:, None, :], H / d[:, :, None]


def _levenberg_marquardt(
    X: np.ndarray, W: np.ndarray, H: np.ndarray, aim: float
) -> tuple[np.ndarray, np.ndarray]:
    """Z ← max(0, z − (JᵀJ + μI)⁻¹ g) over the unknowns z = (W, H) that no bound holds, for all starts at once."""
    W, H = _balanced(W, H)
    count, n, r = W.shape
    z = np.concatenate([W.reshape(count, -1), H.reshape(count, -1)], axis=1)
    gap, loss = _gap(X, z, r)
    damping, looked = loss.copy(), loss
    for step in range(1, LM_STEPS + 1):
        gradient, curvature = _slopes(z, gap, n, r)
        held = (z <= 0) & (gradient >= 0)
        gradient[held] = 0
        curvature *= ~(held[:, :, None] | held[:, None, :])
        curvature[:, range(z.shape[1]), range(z.shape[1])] += held + np.maximum(damping, 1e-15)[:, None]
        moved = np.maximum(z - np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0], 0)
        new_gap, new_loss = _gap(X, moved, r)
        better = new_loss < loss
        z = np.where(better[:, None], moved, z)
        gap = np.where(better[:, None, None], new_gap, gap)
        loss = np.where(better, new_loss, loss)
        damping = np.where(better, damping / 4, damping * 4)
        if np.sqrt(loss.min()) <= 0.01 * aim:
            break
        if step % 10 == 0:
            if np.all(loss >= looked * (1 - FLAT)):
                break
            looked = loss
    return z[:, : n * r].reshape(count, n, r), z[:, n * r :].reshape(count, r, -1)


def _gap(X: np.ndarray, z: np.ndarray, r: int) -> tuple[np.ndarray, np.ndarray]:
    """W H − X of every start, and its squared norm."""
    n = X.shape[0]
    gap = z[:, : n * r].reshape(-1, n, r) @ z[:, n * r :].reshape(len(z), r, -1) - X
    return gap, np.einsum("bij,bij->b", gap, gap)


def _slopes(z: np.ndarray, gap: np.ndarray, n: int, r: int) -> tuple[np.ndarray, np.ndarray]:
    """Jᵀ (W H − X) and JᵀJ of every start."""
    count, m = len(z), gap.shape[2]
    W, H = z[:, : n * r].reshape(count, n, r), z[:, n * r :].reshape(count, r, m)
    V = H.transpose(0, 2, 1)
    gradient = np.concatenate(
        [(gap @ V).reshape(count, -1), (W.transpose(0, 2, 1) @ gap).reshape(count, -1)], 1
    )
    cut, size = n * r, (n + m) * r
    square = np.zeros((count, size, size))
    rows = square[:, :cut, :cut].reshape(count, n, r, n, r)
    rows[:, range(n), :, range(n), :] = (H @ V)[None]
    columns = square[:, cut:, cut:].reshape(count, r, m, r, m)
    columns[:, :, range(m), :, range(m)] = (W.transpose(0, 2, 1) @ W)[None]
    cross = np.einsum("bkj,bil->biklj", H, W).reshape(count, cut, m * r)
    square[:, :cut, cut:] = cross
    square[:, cut:, :cut] = cross.transpose(0, 2, 1)
    return gradient, square
