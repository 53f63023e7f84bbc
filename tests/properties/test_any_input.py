"""One strategy over all that `fit` may be given: the answer of the canonical array, or a refusal with its cause.

A problem is drawn as a small native C-contiguous array; then the same cells come in another guise (layout, byte order,
view, CSR or CSC in any state). The guise must not change a bit, among dense guises and among sparse ones; explicit
zeros alone lengthen sums.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from matrix_cases import LOSSES, quietly, relative
from nonneg import NMF
from nonneg.data import as_source
from nonneg.exceptions import IncompatibleError
from nonneg.losses import as_loss
from nonneg.solvers.select import SOLVERS, choose

# --- the same cells in another guise ------------------------------------------------------------------------


def read_only(A: np.ndarray) -> np.ndarray:
    B = A.copy()
    B.setflags(write=False)
    return B


def strided(A: np.ndarray) -> np.ndarray:
    """Every third column of every second row of an array full of other numbers."""
    wide = np.full((2 * A.shape[0], 3 * A.shape[1]), 7).astype(A.dtype)
    wide[::2, 1::3] = A
    return wide[::2, 1::3]


def reversed_view(A: np.ndarray) -> np.ndarray:
    return A[::-1, ::-1].copy()[::-1, ::-1]


DENSE = {
    "C": lambda A: A,
    "F": np.asfortranarray,
    "big endian": lambda A: A.astype(A.dtype.newbyteorder(">")),
    "read-only": read_only,
    "strided": strided,
    "reversed": reversed_view,
    "reversed big endian F": lambda A: np.asfortranarray(A[::-1]).astype(A.dtype.newbyteorder(">"))[::-1],
}


def csr(A: np.ndarray, stored: np.ndarray | None = None, index: type = np.int32) -> sp.csr_array:
    """CSR with sorted indices that stores what is not 0, or the cells of ``stored``."""
    stored = A != 0 if stored is None else stored
    rows, columns = np.nonzero(stored)
    indptr = np.searchsorted(rows, np.arange(len(A) + 1)).astype(index)
    found = sp.csr_array(A.shape, dtype=A.dtype if A.dtype != np.float16 else np.float32)
    found.data = A[rows, columns].astype(found.dtype)
    found.indices, found.indptr = columns.astype(index), indptr
    return found


def unsorted(A: np.ndarray) -> sp.csr_array:
    S = csr(A)
    for start, stop in zip(S.indptr[:-1], S.indptr[1:], strict=True):
        S.indices[start:stop] = S.indices[start:stop][::-1].copy()
        S.data[start:stop] = S.data[start:stop][::-1].copy()
    S.has_sorted_indices = False
    return S


def read_only_parts(A: np.ndarray) -> sp.csr_array:
    S = csr(A)
    for part in (S.data, S.indices, S.indptr):
        part.setflags(write=False)
    return S


def big_endian_data(A: np.ndarray) -> sp.csr_array:
    S = csr(A)
    S.data = S.data.astype(S.data.dtype.newbyteorder(">"))
    return S


SPARSE = {
    "CSR": csr,
    "int64 indices": lambda A: csr(A, index=np.int64),
    "unsorted": unsorted,
    "read-only parts": read_only_parts,
    "big-endian data": big_endian_data,
    "CSC": lambda A: sp.csc_array(csr(A)),
    "CSC, int64 indices": lambda A: sp.csc_array(csr(A, index=np.int64)),
    "COO": lambda A: sp.coo_array(csr(A)),
    "explicit zeros": lambda A: csr(A, np.ones(A.shape, bool)),
}

# --- problems -----------------------------------------------------------------------------------------------

DTYPES = [np.float16, np.float32, np.float64, np.uint8, np.int16, np.int32, np.int64, np.bool_]
SIZES = {
    np.float16: [1.0, 6e-8, 6e4],
    np.float32: [1.0, 1e-45, 1e-38, 1e30, 3e38],
    np.float64: [1.0, 5e-324, 1e-310, 1e-300, 1e-30, 1e300, 1.7e308],
}


@dataclass
class Drawn:
    """A problem in its canonical array, how it is disguised, and what the fit is given beside it."""

    X: np.ndarray
    k: int
    guise: str
    init: dict = field(default_factory=dict)
    fit: dict = field(default_factory=dict)
    mask: np.ndarray | None = None  # which cells are observed

    def canonical(self) -> Any:
        return csr(self.X) if self.guise in SPARSE else self.X

    def disguised(self) -> Any:
        return (SPARSE if self.guise in SPARSE else DENSE)[self.guise](self.X)


@st.composite
def problems(draw: Any) -> Drawn:
    """Shapes from (0, 0) to (6, 6), every dtype and size of cells, zero rows and columns, weights, missing cells."""
    n, m = draw(st.sampled_from([(1, 1), (1, 5), (5, 1), (6, 4), (3, 6), (0, 3), (3, 0)]) | st.tuples(
        st.integers(1, 6), st.integers(1, 6)
    ))  # fmt: skip
    dtype = draw(st.sampled_from(DTYPES))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    pattern = draw(st.sampled_from(["random", "random", "zeros", "lines of zeros", "constant", "nothing"]))
    X = np.ones((n, m)) if pattern == "constant" else rng.integers(1, 100, (n, m)) / 100
    if pattern == "zeros":
        X *= rng.random((n, m)) < 0.6
    if pattern == "lines of zeros":
        X[rng.random(n) < 0.5] = 0
        X[:, rng.random(m) < 0.5] = 0
    X *= pattern != "nothing"
    size = draw(st.sampled_from(SIZES.get(dtype, [100.0])))
    low = float(np.finfo(dtype).smallest_subnormal) if dtype in SIZES else 1.0
    X = np.where(X > 0, np.maximum(X * size, low), 0).astype(dtype)
    problem = Drawn(X, draw(st.integers(1, 8)), draw(st.sampled_from([*DENSE, *SPARSE])))
    if draw(st.integers(0, 2)) == 0:
        problem.fit["sample_weight"] = rng.integers(0, 3, n) * 0.5
    elif draw(st.booleans()) and X.size and dtype in SIZES:
        X[rng.integers(n), rng.integers(m)] = 1  # a cell of the usual size among the others
    cells = draw(st.sampled_from(["all", "all", "weights", "missing"]))
    observed = rng.random((n, m)) < draw(st.sampled_from([0.8, 0.8, 0.2]))
    if cells == "weights":
        problem.mask = observed
        problem.fit["weights"] = observed * rng.integers(1, 5, (n, m)) * 0.25
    elif cells == "missing" and dtype in SIZES:
        problem.mask, problem.init = observed, {"missing": "ignore"}
        problem.X = np.where(observed, X, np.nan).astype(dtype)
    return problem


def causes(drawn: Drawn, loss: Any, solver: str) -> list[str]:
    """What a refusal may name; nothing where the problem has an answer."""
    if 0 in drawn.X.shape:
        return ["0 sample" if drawn.X.shape[0] == 0 else "0 feature"]
    rows = drawn.fit.get("sample_weight", np.ones(len(drawn.X)))
    if not rows.any():
        return ["sample_weight"]
    observed = np.ones(drawn.X.shape, bool) if drawn.mask is None else drawn.mask
    found = []
    if not observed[rows > 0].any():
        found.append("no observed cell")
    weights = drawn.fit.get("weights", np.ones((1, 1)))
    even = (weights == weights.flat[0]).all() and np.frexp(weights.flat[0])[0] == 0.5  # in their unit 1
    if solver in ("anls", "als") and not (even and observed.all()):
        found.append(f"solver={solver!r} takes no missing cells")
    if as_loss(loss).beta <= 0 and (drawn.X[observed] <= 0).any():
        found.append("needs X > 0")
    return found


def outcome(X: Any, drawn: Drawn, loss: Any, solver: str) -> dict[str, np.ndarray]:
    """What a fit of X and `transform` find."""
    with quietly():
        model = NMF(drawn.k, loss=loss, solver=solver, max_iter=4, random_state=0, **drawn.init)
        W = model.fit_transform(X, **drawn.fit)
        given = {name: value for name, value in drawn.fit.items() if name == "weights"}
        again = model.transform(X, **given)
    numbers = np.array([model.n_iter_, model.kkt_residual_, model.reconstruction_err_])
    return {"H": model.components_, "W": W, "transform": again, "numbers": numbers}


def _takes(loss: Any, solver: str) -> bool:
    try:
        choose(solver, as_loss(loss), as_source(np.ones((2, 2))))
    except IncompatibleError:
        return False
    return True


PAIRS = [(loss, solver) for loss in LOSSES for solver in SOLVERS if _takes(loss, solver)]


@pytest.mark.parametrize(("loss", "solver"), PAIRS)
@settings(max_examples=40)
@given(drawn=problems())
def test_any_guise_gives_the_numbers_of_the_canonical_array_or_says_why_not(loss, solver, drawn):
    why = causes(drawn, loss, solver)
    if why:
        for X in (drawn.canonical(), drawn.disguised()):
            with pytest.raises((ValueError, TypeError), match="|".join(map(re.escape, why))):
                outcome(X, drawn, loss, solver)
        return
    canonical = outcome(drawn.canonical(), drawn, loss, solver)
    for name, values in canonical.items():
        assert np.isfinite(values).all() and (values >= 0).all(), name
    disguised = outcome(drawn.disguised(), drawn, loss, solver)
    for name, values in canonical.items():
        assert disguised[name].dtype == values.dtype
        if drawn.guise == "explicit zeros":  # more terms in the same sums
            assert relative(disguised[name], values) < 100 * np.finfo(values.dtype).eps, name
        else:
            assert np.array_equal(disguised[name], values), name
