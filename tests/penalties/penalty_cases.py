"""The penalties that the tests of this folder run over; a new class is tested by being listed here."""

import math

import numpy as np
import scipy.sparse as sp

import nonneg.penalties as pen

N, M, K = 7, 6, 3


def shape(factor):
    return (N, K) if factor == "W" else (K, M)


def ring(d):
    """Adjacency of a weighted ring with a chord: uneven degrees."""
    A = np.zeros((d, d))
    for i in range(d):
        A[i, (i + 1) % d] = A[(i + 1) % d, i] = 1.0 + 0.25 * i
    A[0, 3] = A[3, 0] = 2.0
    return A


def size(factor):
    return N if factor == "W" else M


COORDINATE = {
    "l1": lambda f: pen.L1(0.3),
    "l2": lambda f: pen.L2(0.7),
    "elastic net": lambda f: pen.ElasticNet(0.8, 0.25),
    "box": lambda f: pen.Box(0.1, 0.6),
    "half box": lambda f: pen.Box(0.05, math.inf),
}
QUADRATIC = {
    "orthogonality": lambda f: pen.Orthogonality(0.4),
    "volume": lambda f: pen.MinimumVolume(0.3, 0.2),
}
PROX = {
    "group components": lambda f: pen.Group(0.3),
    "group items": lambda f: pen.Group(0.3, over="items"),
    "simplex": lambda f: pen.Simplex(),
    "simplex 2.5": lambda f: pen.Simplex(2.5),
    "unit l2": lambda f: pen.UnitNorm(),
    "unit l1": lambda f: pen.UnitNorm("l1", 1.5),
    "hoyer": lambda f: pen.HoyerSparsity(0.6),
}
SMOOTH = {
    "smoothness": lambda f: pen.Smoothness(0.5),
    "graph": lambda f: pen.GraphLaplacian(0.3, ring(size(f))),
    "sparse graph": lambda f: pen.GraphLaplacian(0.3, sp.csr_matrix(ring(size(f)))),
    "normalized graph": lambda f: pen.GraphLaplacian(0.3, ring(size(f)), normalized=True),
}
ALL = {**COORDINATE, **QUADRATIC, **PROX, **SMOOTH}
HAS_PROX = {**COORDINATE, **PROX}
HAS_GRADIENT = {**COORDINATE, **QUADRATIC, **SMOOTH}


def feasible(penalty, factor, seed=0, shape_=None):
    """A point with a finite value."""
    V = np.random.default_rng(seed).random(shape_ or shape(factor))
    return penalty.prox(V, 0.0, factor) if penalty.is_constraint else V
