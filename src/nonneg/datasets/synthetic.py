"""Planted data: matrices whose factors are known, for tests and examples."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from sklearn.utils import Bunch

__all__ = ["make_counts", "make_low_rank", "make_swimmer", "make_topics"]

RandomState = int | np.random.Generator | None


def _sizes(**sizes: int) -> None:
    for name, value in sizes.items():
        if not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value!r}.")


def make_low_rank(
    n_samples: int = 200,
    n_features: int = 50,
    n_components: int = 5,
    *,
    noise: float = 0.01,
    density: float = 0.5,
    random_state: RandomState = None,
) -> Bunch:
    r"""X = max(0, W H + noise · mean(W H) · ε): a non-negative matrix of low rank with Gaussian noise.

    Parameters
    ----------
    n_samples, n_features, n_components : int
        n, m and k.
    noise : float, default=0.01
        Standard deviation of ε relative to the mean of WH; 0 gives an exact factorization.
    density : float, default=0.5
        Share of entries of W and H that are not zero. Every row of W and H has at least one.
    random_state : int, Generator or None
        Seed.

    Returns
    -------
    Bunch
        `data` float64 (n, m), and the planted `W` (n, k) and `H` (k, m).

    Raises
    ------
    ValueError
        A size below 1, `noise` below 0, or `density` outside (0, 1].
    """
    _sizes(n_samples=n_samples, n_features=n_features, n_components=n_components)
    if not noise >= 0:
        raise ValueError(f"noise must be at least 0, got {noise!r}.")
    if not 0 < density <= 1:
        raise ValueError(f"density must lie in (0, 1], got {density!r}.")
    rng = np.random.default_rng(random_state)
    W, H = (
        _sparse_factor(rng, shape, density)
        for shape in ((n_samples, n_components), (n_components, n_features))
    )
    clean = W @ H
    X = clean + noise * clean.mean() * rng.standard_normal(clean.shape) if noise else clean
    return Bunch(data=np.maximum(X, 0.0), W=W, H=H)


def _sparse_factor(rng: np.random.Generator, shape: tuple[int, int], density: float) -> NDArray[np.float64]:
    factor = rng.gamma(2.0, 1.0, shape) * (rng.random(shape) < density)
    empty = ~factor.any(axis=1)
    factor[empty, rng.integers(shape[1], size=empty.sum())] = 1.0
    return factor


def make_counts(
    n_samples: int = 200,
    n_features: int = 50,
    n_components: int = 5,
    *,
    mean: float = 3.0,
    random_state: RandomState = None,
) -> Bunch:
    r"""X ~ Poisson(W H): counts, for the Kullback–Leibler loss, whose likelihood this is.

    Parameters
    ----------
    n_samples, n_features, n_components : int
        n, m and k.
    mean : float, default=3.0
        Mean of WH, and so of the counts.
    random_state : int, Generator or None
        Seed.

    Returns
    -------
    Bunch
        `data` int64 (n, m), and the planted `W` (n, k) and `H` (k, m).

    Raises
    ------
    ValueError
        A size below 1, or `mean` not above 0.
    """
    _sizes(n_samples=n_samples, n_features=n_features, n_components=n_components)
    if not (mean > 0 and np.isfinite(mean)):
        raise ValueError(f"mean must be a positive number, got {mean!r}.")
    rng = np.random.default_rng(random_state)
    W, H = (
        _sparse_factor(rng, shape, 0.5) for shape in ((n_samples, n_components), (n_components, n_features))
    )
    W *= mean / (W @ H).mean()
    return Bunch(data=rng.poisson(W @ H), W=W, H=H)


def make_topics(
    n_samples: int = 300,
    n_features: int = 500,
    n_components: int = 5,
    *,
    words: int = 60,
    topics_per_row: float = 0.3,
    random_state: RandomState = None,
) -> Bunch:
    r"""Word counts of documents: row i draws `words` words from :math:`\sum_k W_{ik} H_k`, as CSR.

    Parameters
    ----------
    n_samples, n_features, n_components : int
        Documents n, vocabulary m and topics k.
    words : int, default=60
        Mean length of a document (Poisson, at least 1).
    topics_per_row : float, default=0.3
        Concentration of the Dirichlet distribution of W: smaller means fewer topics in a document.
    random_state : int, Generator or None
        Seed.

    Returns
    -------
    Bunch
        `data` CSR float64 (n, m) of counts, `W` (n, k) and `H` (k, m) with rows that sum to 1, and `target` (n,), the
        largest topic of each document.

    Raises
    ------
    ValueError
        A size below 1, or `topics_per_row` not above 0.
    """
    _sizes(n_samples=n_samples, n_features=n_features, n_components=n_components, words=words)
    if not topics_per_row > 0:
        raise ValueError(f"topics_per_row must be above 0, got {topics_per_row!r}.")
    rng = np.random.default_rng(random_state)
    W = rng.dirichlet(np.full(n_components, topics_per_row), n_samples)
    H = rng.dirichlet(np.full(n_features, 0.05), n_components)
    lengths = np.maximum(rng.poisson(words, n_samples), 1)
    # one multinomial a row and topic: the words of a document never become a dense row
    rows, columns = [], []
    cumulative = np.cumsum(H, axis=1)
    for i in range(n_samples):
        topics = rng.choice(n_components, size=lengths[i], p=W[i])
        for k in np.unique(topics):
            draws = np.searchsorted(
                cumulative[k], rng.random((topics == k).sum()) * cumulative[k, -1], side="right"
            )
            columns.append(np.minimum(draws, n_features - 1))
            rows.append(np.full(len(draws), i))
    row, column = np.concatenate(rows), np.concatenate(columns)
    counts = coo_array((np.ones(len(row)), (row, column)), shape=(n_samples, n_features))
    data = csr_array(counts)
    data.sum_duplicates()
    return Bunch(data=data, W=W, H=H, target=W.argmax(axis=1))


def make_swimmer() -> Bunch:
    r"""The swimmer: 256 images of a torso with four limbs in four positions each.

    X = W H exactly with 17 non-negative parts: a torso in every image, and 16 limb positions of which each image has
    four, :math:`4^4 = 256`. No two parts share a pixel.

    Returns
    -------
    Bunch
        `data` uint8 (256, 1024) of 0 and 1, `W` (256, 17), `H` (17, 1024), `image_shape` (32, 32), and `positions`
        (256, 4), the position of each limb.

    References
    ----------
    Donoho and Stodden (2003), When does non-negative matrix factorization give a correct decomposition into parts?,
    section 3 (drawn anew here; its limbs may touch other pixels).
    """
    H = np.zeros((17, 32, 32))
    H[0, 11:21, 14:18] = 1.0  # the torso
    joints = [(11, 13, -1), (11, 18, 1), (20, 13, -1), (20, 18, 1)]  # row, column, and which way is outwards
    for limb, (row, column, outwards) in enumerate(joints):
        vertical = -1 if row == 11 else 1
        directions = [(vertical, 0), (vertical, outwards), (0, outwards), (-vertical, 2 * outwards)]
        for position, (down, right) in enumerate(directions):
            for step in range(1, 5):
                H[1 + 4 * limb + position, row + down * step, column + right * step] = 1.0
    positions = np.array(list(itertools.product(range(4), repeat=4)))
    W = np.zeros((256, 17))
    W[:, 0] = 1.0
    for limb in range(4):
        W[np.arange(256), 1 + 4 * limb + positions[:, limb]] = 1.0
    parts = H.reshape(17, -1)
    return Bunch(data=(W @ parts).astype(np.uint8), W=W, H=parts, image_shape=(32, 32), positions=positions)
