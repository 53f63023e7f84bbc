"""Matrices whose non-negative rank is known."""

import numpy as np

FOUR = np.array([[1.0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 1]])  # rank 3, non-negative rank 4


def slack_of_polygon(n):
    """Distances of the corners of the regular n-gon from its sides."""
    i = np.arange(n)
    c = np.cos(np.pi / n) - np.cos(np.pi / n + 2 * np.pi * i / n)
    return np.maximum(c[(i[None, :] - i[:, None]) % n], 0)


def nested_hexagons(a):
    """Gillis and Glineur 2012: non-negative rank 3 for 1 < a ≤ 2, 4 for 2 < a ≤ 3, 5 for a > 3."""
    i = np.arange(6)
    return np.array([1, a, 2 * a - 1, 2 * a - 1, a, 1])[(i[None, :] - i[:, None]) % 6]


def without_diagonal(n):
    """J − I."""
    return 1.0 - np.eye(n)


def planted(n, m, r, seed, zeros=0.0):
    """A product of r components, and factors."""
    rng = np.random.default_rng(seed)
    W = rng.random((n, r)) * (rng.random((n, r)) >= zeros)
    H = rng.random((r, m)) * (rng.random((r, m)) >= zeros)
    return W @ H, W, H


def relative(X, W, H):
    """‖X − W H‖ / ‖X‖."""
    return np.linalg.norm(X - W @ H) / np.linalg.norm(X)
