"""Every penalty on either factor: feasible, monotone where promised, safe against scaling and units."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp

import nonneg.penalties as pen
import reference as ref
from matrix_cases import case, fitted, planted, quietly, relative
from nonneg import NMF
from nonneg.datasets import make_low_rank

X = planted(n=24, m=9)
N, M, K = 24, 9, 3


def ring(d):
    A = np.zeros((d, d))
    for i in range(d):
        A[i, (i + 1) % d] = A[(i + 1) % d, i] = 1.0
    return A


def size(factor):
    return N if factor == "W" else M


PENALTIES = {
    "none": lambda f: None,
    "number": lambda f: 0.05,
    "L1": lambda f: pen.L1(0.05),
    "L2": lambda f: pen.L2(0.05),
    "elastic net": lambda f: pen.ElasticNet(0.1, 0.3),
    "box": lambda f: pen.Box(0.05, 0.8),
    "half box": lambda f: pen.Box(0.05, math.inf),
    "orthogonality": lambda f: pen.Orthogonality(0.05),
    "volume": lambda f: pen.MinimumVolume(0.02, 0.2),
    "group components": lambda f: pen.Group(0.02),
    "group items": lambda f: pen.Group(0.02, over="items"),
    "simplex": lambda f: pen.Simplex(),
    "unit l2": lambda f: pen.UnitNorm(),
    "unit l1": lambda f: pen.UnitNorm("l1", 1.5),
    "hoyer": lambda f: pen.HoyerSparsity(0.6),
    "smoothness": lambda f: pen.Smoothness(0.02),
    "graph": lambda f: pen.GraphLaplacian(0.02, ring(size(f))),
    "sparse graph": lambda f: pen.GraphLaplacian(0.02, sp.csr_matrix(ring(size(f)))),
    "normalized graph": lambda f: pen.GraphLaplacian(0.02, ring(size(f)), normalized=True),
    "two": lambda f: [pen.L1(0.02), pen.Orthogonality(0.02)],
    "three": lambda f: [pen.L2(0.02), pen.Smoothness(0.01), pen.Group(0.01)],
}
CELLS = ("number", "L1", "L2", "elastic net", "box", "half box")


def one_sided(name, factor):
    return {f"penalty_{factor}": PENALTIES[name](factor)}


def start():
    W0, H0 = ref.start(X, K)
    return {"W_init": W0, "H_init": H0}


def solved(X=X, **parameters):
    """Model and W; without the warning that transform leaves out what couples rows."""
    import warnings

    with quietly(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "transform leaves out", UserWarning)
        model = NMF(K, random_state=0, **{"max_iter": 60, "tol": 1e-5, **parameters})
        return model, model.fit_transform(X)


def is_feasible(V, penalty, factor):
    penalties = pen.combine(penalty, factor, "penalty")
    return np.isfinite(penalties.value(V))


@pytest.mark.parametrize("factor", ["W", "H"])
@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_runs_is_finite_feasible_and_monotone(name, factor, kind):
    given = one_sided(name, factor)
    model, W = solved(kind(X), **given)
    H = model.components_
    assert W.shape == (N, K) and H.shape == (K, M)
    assert np.isfinite(W).all() and np.isfinite(H).all() and (W >= 0).all() and (H >= 0).all()
    losses = model.history_["loss"]
    assert np.isfinite(losses).all() and (losses[1:] <= losses[:-1] * (1 + 1e-9)).all()
    assert is_feasible(W if factor == "W" else H, *given.values(), factor)
    # it still explains the data
    assert ref.relative_residual(X, W, H) < 0.9


@pytest.mark.parametrize("pair", [("L1", "L1"), ("L1", "L2"), ("simplex", "L1"), ("L1", "unit l2"),
                                  ("L2", "smoothness"),
                                  ("group items", "L2"), ("hoyer", "smoothness"), ("box", "simplex"),
                                  ("simplex", "volume"), ("graph", "graph")])  # fmt: skip
def test_penalties_on_both_factors(pair):
    given = {"penalty_W": PENALTIES[pair[0]]("W"), "penalty_H": PENALTIES[pair[1]]("H")}
    model, W = solved(**given)
    losses = model.history_["loss"]
    assert (losses[1:] <= losses[:-1] * (1 + 1e-9)).all()
    # where the penalty on H fixes its scale, W has the unit of X
    unit = X.mean() if pen.combine(given["penalty_H"], "H", "penalty_H").fixes_scale else 1.0
    assert is_feasible(W / unit, given["penalty_W"], "W") and is_feasible(
        model.components_, given["penalty_H"], "H"
    )


@pytest.mark.parametrize("factor", ["W", "H"])
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("loss", ["kl", 1.5])
@pytest.mark.parametrize("kind", ["dense", "CSR", "NaN"])
def test_cell_wise_penalties_with_other_losses_and_missing_cells(name, factor, loss, kind):
    problem = case(kind, loss)
    given = one_sided(name, factor)
    with quietly():
        model = NMF(K, loss=loss, max_iter=40, random_state=0, **given, **problem.init)
        W = model.fit_transform(problem.X)
    assert np.isfinite(W).all() and np.isfinite(model.components_).all()
    losses = model.history_["loss"]
    assert (losses[1:] <= losses[:-1] * (1 + 1e-9)).all()
    assert is_feasible(W if factor == "W" else model.components_, *given.values(), factor)
    plain = fitted(problem.X, loss=loss, max_iter=40, **problem.init)
    assert relative(model.components_, plain.components_) > 1e-4  # it does something


@pytest.mark.parametrize("factor", ["W", "H"])
def test_strength_zero_is_no_penalty_and_more_strength_does_more(factor):
    plain, _ = solved()
    none, _ = solved(**{f"penalty_{factor}": pen.L1(0.0)})
    assert np.array_equal(none.components_, plain.components_)
    errors = [plain.reconstruction_err_]
    for strength in (0.002, 0.005, 0.01):
        errors.append(
            solved(**{f"penalty_{factor}": pen.L1(strength)}, tol=1e-6, max_iter=2000)[0].reconstruction_err_
        )
    assert errors == sorted(errors) and errors[-1] > 1.02 * errors[0]


@pytest.mark.parametrize("factor", ["W", "H"])
def test_l1_makes_its_factor_sparse(factor):
    zeros = []
    for penalty in (None, pen.L1(0.01)):
        model, W = solved(**{f"penalty_{factor}": penalty}, tol=1e-6, max_iter=2000)
        zeros.append(np.mean((W if factor == "W" else model.components_) == 0))
    assert zeros[1] > zeros[0]


@pytest.mark.parametrize("factor", ["W", "H"])
@pytest.mark.parametrize(
    "name", ["L1", "L2", "elastic net", "group components", "smoothness", "orthogonality"]
)
def test_the_scale_of_the_start_cannot_undo_a_penalty(name, factor):
    given = one_sided(name, factor)
    W0, H0 = ref.start(X, K)
    found = []
    for c in (1.0, 10.0):
        with quietly():
            model = NMF(K, tol=1e-7, max_iter=3000, **given).fit(X, W_init=W0 / c, H_init=H0 * c)
        found.append((model.reconstruction_err_, model.history_["loss"][-1]))
    assert found[1] == pytest.approx(found[0], rel=1e-3)


@pytest.mark.parametrize("factor", ["W", "H"])
@pytest.mark.parametrize("name", PENALTIES)
def test_unit_of_the_data(name, factor):
    given = one_sided(name, factor)
    one, W1 = solved(**given, init="random", max_iter=15)
    for c in (3.7, 2.0**40):
        two, W2 = solved(X * c, **given, init="random", max_iter=15)
        Y1, Y2 = W1 @ one.components_, W2 @ two.components_
        assert relative(Y2 / c, Y1) < 1e-5
        if name not in ("box", "half box", "simplex", "unit l2", "unit l1") or factor == "W":
            assert relative(two.components_ / c, one.components_) < 1e-5
            assert relative(W2, W1) < 1e-5
        else:  # the constraint pins H: W has the unit of X
            assert relative(two.components_, one.components_) < 1e-5
            assert relative(W2 / c, W1) < 1e-5


@pytest.mark.parametrize(
    "name", ["L1", "L2", "elastic net", "box", "simplex", "group items", "orthogonality"]
)
@pytest.mark.parametrize("unit", [1.0, 1e-9, 1e9])
def test_transform_is_fit_transform_where_rows_are_separable(name, unit):
    given = one_sided(name, "W")
    with quietly():
        model = NMF(K, random_state=0, max_iter=60, tol=1e-5, **given)
        W = model.fit_transform(X * unit)
    assert relative(model.transform(X * unit), W) < 1e-6
    assert relative(model.transform(X[5:8] * unit), W[5:8]) < 1e-5


@pytest.mark.parametrize("name", ["L1", "simplex", "unit l2", "box"])
@pytest.mark.parametrize("unit", [1.0, 1e-9, 1e9])
def test_transform_is_fit_transform_with_a_penalty_on_H(name, unit):
    with quietly():
        model = NMF(K, random_state=0, max_iter=60, tol=1e-5, **one_sided(name, "H"))
        W = model.fit_transform(X * unit)
    assert relative(model.transform(X * unit), W) < 1e-6


def test_transform_says_what_it_leaves_out():
    model, _ = solved(penalty_W=pen.Smoothness(0.1))
    with pytest.warns(UserWarning, match=r"transform leaves out .*Smoothness"):
        model.transform(X)


@pytest.mark.parametrize("solver", ["hals", "anls"])
def test_l1_on_W_has_the_subgradient_it_should(solver):
    """At a stationary point ∇_W of loss/N is −λ mean(H_k)/mean(X)-scaled where W > 0, as `pull.py` states."""
    strength = 0.05
    with quietly():
        model = NMF(K, solver=solver, random_state=0, tol=1e-8, max_iter=5000, penalty_W=pen.L1(strength))
        W = model.fit_transform(X)
    H = model.components_
    slope = (W @ H - X) @ H.T / X.size
    wanted = -strength * X.mean() * H.mean(axis=1)  # normalised components: W_:k mean(H_k) / mean(X)
    active = 1e-6 * W.max() < W
    np.testing.assert_allclose(slope[active], np.broadcast_to(wanted, W.shape)[active], rtol=1e-3)


@pytest.mark.parametrize("factor", ["W", "H"])
def test_frozen_rows_stay_with_penalties(factor):
    for name in ("L1", "smoothness", "group components"):
        H0 = ref.start(X, K)[1]
        model = fitted(X, frozen=[1], max_iter=20, fit={"H_init": H0}, **one_sided(name, factor))
        assert np.array_equal(model.components_[1], H0[1])


@pytest.mark.parametrize("name", ["L1", "simplex", "smoothness"])
def test_two_threads_give_the_bits_of_one(name, small_blocks, threads):
    A = planted(n=200)
    found = []
    for count in (1, 2):
        with threads(count), quietly():
            model = NMF(
                K, random_state=0, max_iter=10, penalty_H=PENALTIES[name]("H"), penalty_W=pen.L1(0.01)
            )
            found.append((model.fit_transform(A), model.components_))
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize(
    "penalty", [pen.Smoothness(1e-3), pen.Orthogonality(1e-3), pen.MinimumVolume(1e-3), pen.Group(1e-3)]
)
def test_penalties_that_hold_the_sizes_of_W_converge(penalty):
    X = make_low_rank(120, 20, 4, noise=0.1, random_state=0).data
    model = NMF(4, penalty_H=penalty, random_state=0, max_iter=3000).fit(X)
    assert model.converged_ and model.kkt_residual_ <= 1e-4
