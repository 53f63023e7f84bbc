"""Joint NMF: shared structure where single views fail, missing rows and views, and agreement with NMF."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.sparse as sp

from nonneg import NMF, JointNMF, load
from nonneg.metrics import clustering_accuracy
from nonneg.solvers.joint import Joint
from nonneg.solvers.kkt import Residual

pytestmark = pytest.mark.filterwarnings("ignore::nonneg.exceptions.ConvergenceWarning")


def planted(n=60, widths=(20, 8, 5), k=3, seed=0):
    rng = np.random.default_rng(seed)
    W = rng.gamma(0.5, size=(n, k))
    return [W @ rng.gamma(0.5, size=(k, m)) for m in widths], W


def halves(seed, n=240, m=30, noise=0.3):
    """Four groups of rows; one view tells {0, 1} from {2, 3}, the other {0, 2} from {1, 3}."""
    rng = np.random.default_rng(seed)
    groups = np.arange(n) % 4
    parts = 2.0 * (rng.random((2, 2, m)) < 0.3)
    views = [parts[0][groups // 2], parts[1][groups % 2]]
    return [view * rng.uniform(0.5, 1.5, (n, 1)) + noise * rng.random((n, m)) for view in views], groups


def accuracy(W, groups):
    """Of nearest centres of the codes: both halves have to be in them."""
    W = W / np.maximum(np.linalg.norm(W, axis=1, keepdims=True), 1e-12)
    from sklearn.cluster import KMeans

    return clustering_accuracy(groups, KMeans(4, n_init=10, random_state=0).fit_predict(W))


@pytest.mark.parametrize("seed", range(3))
def test_shared_structure_is_found_where_single_views_fail(seed):
    X, groups = halves(seed)
    joint = accuracy(JointNMF(4, random_state=0, n_init=3).fit_transform(X), groups)
    single = [accuracy(JointNMF(4, random_state=0, n_init=3).fit_transform(view), groups) for view in X]
    assert joint > 0.95 and max(single) < 0.7


def test_one_view_is_nmf():
    rng = np.random.default_rng(1)
    X, H = rng.gamma(1.0, size=(40, 12)), rng.random((4, 12))
    joint = JointNMF(4, tol=1e-6, max_iter=5000).fit(X, H_init=H)
    nmf = NMF(4, tol=1e-6, max_iter=5000).fit(X, H_init=H)
    assert joint.reconstruction_err_ == pytest.approx(nmf.reconstruction_err_, rel=1e-6)
    assert np.sqrt((joint.components_**2).mean(axis=1)) == pytest.approx([X.mean()] * 4)
    again = NMF(4, tol=1e-6).fit(X, W_init=joint.transform(X), H_init=joint.components_)
    assert again.reconstruction_err_ == pytest.approx(joint.reconstruction_err_, rel=1e-6)


def test_views_of_one_weight_are_one_wide_matrix():
    X, _ = planted()
    X = [view + 0.1 * np.random.default_rng(2).random(view.shape) for view in X]
    H = np.random.default_rng(3).random((3, 33))
    joint = JointNMF(3, view_weights=None, tol=1e-6, max_iter=5000).fit(X, H_init=H)
    wide = NMF(3, tol=1e-6, max_iter=5000).fit(np.hstack(X), H_init=H)
    assert joint.reconstruction_err_ == pytest.approx(wide.reconstruction_err_, rel=1e-6)
    weighted = JointNMF(3, view_weights=[4, 1, 9], tol=1e-6, max_iter=5000).fit(X, H_init=H)
    scaled = np.hstack([2 * X[0], X[1], 3 * X[2]])
    stretched = NMF(3, tol=1e-6, max_iter=5000).fit(scaled, H_init=H * np.repeat([2, 1, 3], [20, 8, 5]))
    assert weighted.reconstruction_err_ == pytest.approx(stretched.reconstruction_err_, rel=1e-6)


def test_the_end_is_stationary_with_missing_rows():
    rng = np.random.default_rng(4)
    X = [view + 0.3 * rng.random(view.shape) for view in planted()[0]]
    seen = rng.random((60, 3)) < 0.7
    seen[:, 0] |= ~seen.any(axis=1)
    given = [np.where(seen[:, [v]], view, np.nan) for v, view in enumerate(X)]
    model = JointNMF(3, view_weights=[1, 2, 0.5], tol=1e-7, max_iter=5000, random_state=0).fit(given)
    W = model.transform(given)
    assert model.converged_
    slope_W, loss = np.zeros_like(W), 0.0
    for v, (alpha, H) in enumerate(zip([1, 2, 0.5], model.view_components_, strict=True)):
        gap = alpha * seen[:, [v]] * (W @ H - X[v])
        loss += 0.5 * (gap * (W @ H - X[v])).sum()
        slope_W += gap @ H.T
        assert np.abs(np.minimum(H, W.T @ gap)).max() < 1e-4
    assert np.abs(np.minimum(W, slope_W)).max() < 1e-4
    assert loss == pytest.approx(0.5 * model.reconstruction_err_**2, rel=1e-6)


def test_rows_that_lack_views_are_filled_from_the_others():
    X, _ = planted()
    rows = np.arange(10, 50)
    given = [X[0].copy(), X[1].copy(), (X[2][rows], rows)]
    given[0][:10], given[1][50:] = np.nan, np.nan
    model = JointNMF(3, tol=1e-7, max_iter=5000, random_state=0).fit(given)
    for found, view in zip(model.inverse_transform(model.transform(given)), X, strict=True):
        assert np.abs(found - view).max() < 1e-3 * view.max()
    mask = np.isin(np.arange(60), rows)
    assert np.array_equal(model.transform([given[0], given[1], (X[2][rows], mask)]), model.transform(given))


def test_new_rows_with_any_of_the_views():
    X, _ = planted()
    named = {"words": sp.csr_array(X[0]), "pixels": X[1], "sounds": X[2].astype(np.float32)}
    model = JointNMF(3, tol=1e-7, max_iter=5000, random_state=0).fit(named)
    assert list(model.view_components_) == list(named) and model.view_components_["pixels"].shape == (3, 8)
    W = model.transform(named)
    for part in ({"words": X[0]}, {"sounds": X[2], "pixels": X[1]}, [None, X[1], X[2]]):
        assert model.transform(part) == pytest.approx(W, abs=1e-3 * W.max())
    nothing = model.transform({"words": (X[0][:2], [0, 3])})
    assert nothing.shape == (4, 3) and nothing[1:3] == pytest.approx(1 / 3)


def test_units_of_a_view_do_not_matter():
    X, _ = planted()
    X = [view + 0.2 * np.random.default_rng(5).random(view.shape) for view in X]
    fit = {"random_state": 0, "tol": 0, "max_iter": 20}
    plain, scaled = (
        JointNMF(3, **fit).fit(X),
        JointNMF(3, **fit).fit([X[0], 2.0**-600 * X[1], 2.0**300 * X[2]]),
    )
    assert scaled.transform([X[0], None, None]) == pytest.approx(
        plain.transform([X[0], None, None]), rel=1e-6
    )
    for c, H, scaled_H in zip(
        [1, 2.0**-600, 2.0**300], plain.view_components_, scaled.view_components_, strict=True
    ):
        assert scaled_H == pytest.approx(c * H, rel=1e-5)


def test_a_row_of_weight_two_is_the_row_twice():
    X, _ = planted(n=20)
    counts = np.random.default_rng(6).integers(0, 3, 20)
    X[1][4:7] = np.nan
    fit = {"random_state": 0, "max_iter": 20, "tol": 0}
    weighted = JointNMF(2, **fit).fit(X, sample_weight=counts)
    twice = JointNMF(2, **fit).fit([np.repeat(view, counts, axis=0) for view in X])
    assert weighted.components_ == pytest.approx(twice.components_, rel=1e-6)


def test_files(tmp_path):
    X, _ = planted()
    model = JointNMF(3, random_state=0).fit({"a": X[0], "b": X[1]})
    model.save(tmp_path / "model.nmf")
    again = load(tmp_path / "model.nmf")
    assert np.array_equal(again.transform({"b": X[1]}), model.transform({"b": X[1]}))


def test_refusals_name_the_view():
    X, _ = planted()
    model = JointNMF(3, random_state=0).fit({"a": X[0], "b": X[1]})
    with pytest.raises(ValueError, match="different numbers of rows"):
        JointNMF(3).fit([X[0], X[1][:5]])
    with pytest.raises(ValueError, match=r"views \['c'\]"):
        model.transform({"c": X[1]})
    with pytest.raises(ValueError, match=r"X\['b'\] has 20 features, the fit had 8"):
        model.transform({"b": X[0]})
    with pytest.raises(ValueError, match="fit had 2; put None"):
        model.transform([X[0]])
    with pytest.raises(ValueError, match="a fit needs every view"):
        JointNMF(3).fit([X[0], None])
    with pytest.raises(ValueError, match="different indices"):
        JointNMF(3).fit([X[0], (X[1][:2], [3, 3])])
    with pytest.raises(ValueError, match="view_weights"):
        JointNMF(3, view_weights=[1]).fit(X)
    with pytest.raises(ValueError, match="one for each view"):
        JointNMF(3, view_weights={"a": 1}).fit({"a": X[0], "b": X[1]})
    with pytest.raises(ValueError, match=r"X\['b'\] contains NaN: 1 cell.* missing='ignore'"):
        JointNMF(3).fit({"a": X[0], "b": np.where(np.arange(X[1].size).reshape(X[1].shape), X[1], np.nan)})
    holed = X[1].copy()
    holed[2, 3] = np.nan
    with pytest.raises(ValueError, match=r"X\['b'\] contains NaN"):
        JointNMF(3).fit({"a": X[0], "b": holed})
    with pytest.raises(ValueError, match="Negative values"):
        JointNMF(3).fit([X[0], -X[1]])


def test_refusals_of_weights_name_the_view():
    X, _ = planted()
    named, ones = {"a": X[0], "b": X[1]}, np.ones(X[0].shape)
    with pytest.raises(ValueError, match="each view, as X holds views: in a list"):
        JointNMF(3).fit(X, weights={"a": ones})
    with pytest.raises(ValueError, match="each view, as X holds views: in a dict"):
        JointNMF(3).fit(named, weights=ones)
    with pytest.raises(ValueError, match="weights has 1 views, X has 3"):
        JointNMF(3).fit(X, weights=[ones])
    with pytest.raises(ValueError, match=r"weights has views \['c'\]"):
        JointNMF(3).fit(named, weights={"c": ones})
    with pytest.raises(ValueError, match=r"weights has shape \(60, 20\), X\['b'\] has \(60, 8\)"):
        JointNMF(3).fit(named, weights={"b": ones})
    with pytest.raises(ValueError, match=r"X\['a'\] has no observed cell: leave this view out"):
        JointNMF(3).fit(named, weights={"a": 0 * ones})


def holed(seed=7, share=0.8):
    """Views without noise, which of their cells are seen, and the views with NaN where they are not."""
    X, _ = planted(seed=seed)
    rng = np.random.default_rng(seed)
    seen = [rng.random(view.shape) < share for view in X]
    seen[2][:6] = False  # rows that the view lacks
    return X, seen, [np.where(there, view, np.nan) for view, there in zip(X, seen, strict=True)]


def test_missing_cells_are_found_again():
    X, seen, given = holed()
    model = JointNMF(3, missing="ignore", tol=1e-7, max_iter=3000, random_state=0).fit(given)
    found = model.inverse_transform(model.transform(given))
    for back, view, there in zip(found, X, seen, strict=True):
        assert np.abs(back - view)[~there].max() < 1e-3 * view.max()
    one_view = model.transform([given[0], None, None])
    assert one_view == pytest.approx(model.transform(given), abs=2e-3 * one_view.max())


def test_what_stands_in_a_missing_cell_changes_no_bit():
    X, seen, given = holed()
    weights = [there.astype(float) for there in seen]
    fit = {"max_iter": 20, "tol": 0, "random_state": 0}
    expected = JointNMF(3, missing="ignore", **fit).fit(given)
    codes = expected.transform(given)
    for odd in (np.inf, -1.0, 1e300):
        changed = [np.where(there, view, odd) for view, there in zip(X, seen, strict=True)]
        model = JointNMF(3, **fit).fit(changed, weights=weights)
        plain = JointNMF(3, **fit).fit(X, weights=weights)
        assert np.array_equal(model.components_, plain.components_)
        assert np.array_equal(model.transform(changed, weights=weights), plain.transform(X, weights=weights))
        assert model.score(changed, weights=weights) == plain.score(X, weights=weights)
        assert model.components_ == pytest.approx(expected.components_, rel=1e-6)
    assert plain.transform(X, weights=weights) == pytest.approx(codes, rel=1e-6, abs=1e-9)


def test_weights_of_cells_are_those_of_one_wide_matrix():
    X = [view + 0.2 * np.random.default_rng(2).random(view.shape) for view in planted()[0]]
    rng = np.random.default_rng(3)
    H = rng.random((3, 33))
    weights = [2 * rng.random(view.shape) * (rng.random(view.shape) < 0.8) for view in X]
    wide = np.hstack([alpha * cells for alpha, cells in zip([1, 4, 0.5], weights, strict=True)])
    for none in (False, True):  # a view without weights beside those with
        given = [weights[0], None if none else weights[1], weights[2]]
        wide[:, 20:28] = 4 if none else wide[:, 20:28]
        fit = {"tol": 1e-7, "max_iter": 5000}
        joint = JointNMF(3, view_weights=[1, 4, 0.5], **fit).fit(X, weights=given, H_init=H)
        nmf = NMF(3, **fit).fit(np.hstack(X), weights=wide, H_init=H)
        assert joint.reconstruction_err_ == pytest.approx(nmf.reconstruction_err_, rel=1e-6)
        assert (
            joint.converged_ and (np.diff(joint.history_["loss"]) <= 1e-9 * joint.history_["loss"][:-1]).all()
        )


def test_weights_of_one_are_none():
    X = [view + 0.2 * np.random.default_rng(5).random(view.shape) for view in planted()[0]]
    ones = [np.ones(view.shape) for view in X]
    fit = {"random_state": 0, "tol": 1e-9, "max_iter": 5000}
    plain, weighted = JointNMF(3, **fit).fit(X), JointNMF(3, **fit).fit(X, weights=ones)
    assert weighted.components_ == pytest.approx(plain.components_, rel=1e-6, abs=1e-9)
    assert weighted.transform(X, weights=ones) == pytest.approx(plain.transform(X), rel=1e-6, abs=1e-9)
    assert weighted.score(X, weights=ones) == pytest.approx(plain.score(X), rel=1e-9)


def test_a_row_of_weight_two_is_the_row_twice_with_missing_cells():
    _, _, given = holed()
    counts = np.random.default_rng(6).integers(0, 3, 60)
    fit = {"random_state": 0, "max_iter": 20, "tol": 0, "missing": "ignore"}
    weighted = JointNMF(2, **fit).fit(given, sample_weight=counts)
    twice = JointNMF(2, **fit).fit([np.repeat(view, counts, axis=0) for view in given])
    assert weighted.components_ == pytest.approx(twice.components_, rel=1e-6)


def test_sparse_views_with_missing_cells():
    X, seen, _ = holed()
    X = [np.where(view > np.quantile(view, 0.1), view, 0) for view in X]
    fit = {"random_state": 0, "max_iter": 20, "tol": 0}
    sparse, weights = [sp.csr_array(view) for view in X], [there.astype(float) for there in seen]
    expected = JointNMF(3, **fit).fit(X, weights=weights)
    assert JointNMF(3, **fit).fit(sparse, weights=weights).components_ == pytest.approx(
        expected.components_, rel=1e-6
    )
    stored = [there * (view > 0) for view, there in zip(X, weights, strict=True)]  # the others are missing
    found = JointNMF(3, **fit).fit(sparse, weights=[sp.csr_array(cells) for cells in stored])
    assert found.components_ == pytest.approx(JointNMF(3, **fit).fit(X, weights=stored).components_, rel=1e-6)


def test_rows_and_columns_without_an_observed_cell():
    X, _, _ = holed()
    weights = [np.ones(view.shape) for view in X]
    weights[0][:, 4] = 0
    for cells in weights:
        cells[9] = 0
    with pytest.warns(UserWarning, match="no observed cell in column 4.* row 9"):
        model = JointNMF(3, random_state=0).fit(X, weights=weights)
    first = model.view_components_[0]
    assert first[:, 4] == pytest.approx(np.delete(first, 4, axis=1).mean(axis=1), rel=1e-6)
    assert model.transform([2.0**80 * view for view in X], weights=weights)[9] == pytest.approx(1 / 3)


def test_the_unit_of_one_view_s_weights_is_balanced_away():
    X, _, _ = holed()
    M = np.random.default_rng(2).uniform(0.2, 2, X[0].shape) * (
        np.random.default_rng(3).random(X[0].shape) < 0.8
    )
    given = [None] * (len(X) - 1)
    X = [view + np.random.default_rng(4).random(view.shape) for view in X]
    fit = {"n_components": 3, "random_state": 0, "tol": 1e-6, "max_iter": 3000}
    one = JointNMF(**fit).fit(X, weights=[M, *given])
    for c in (1e-6, 2.0**50, 1e-100):
        other = JointNMF(**fit).fit(X, weights=[c * M, *given])
        assert other.converged_ and abs(other.n_iter_ - one.n_iter_) <= 0.1 * one.n_iter_
        assert other.components_ == pytest.approx(one.components_, abs=1e-4 * one.components_.max())
        alphas = other.view_weights_ * np.append(c, np.ones(len(given)))
        assert alphas / alphas[1] == pytest.approx(one.view_weights_ / one.view_weights_[1], rel=1e-9)


def test_weights_of_a_view_s_cells_are_weights_of_the_view():
    X, _, _ = holed()
    X = [view + np.random.default_rng(4).random(view.shape) for view in X]
    ones = [None] * (len(X) - 1)
    fit = {"n_components": 3, "random_state": 0, "tol": 1e-7, "max_iter": 5000}
    for c in (2.0**-8, 3.0, 2.0**9):
        by_cells = JointNMF(view_weights=None, **fit).fit(X, weights=[np.full(X[0].shape, c), *ones])
        by_view = JointNMF(view_weights=[c, *np.ones(len(ones))], **fit).fit(X)
        assert by_cells.reconstruction_err_ == pytest.approx(by_view.reconstruction_err_, rel=1e-6)
        weights = [np.full(X[0].shape, c), *ones]
        cells = c * X[0].size + sum(view.size for view in X[1:])
        score = -0.5 * by_cells.reconstruction_err_**2 / cells
        assert by_cells.score(X, weights=weights) == pytest.approx(score, rel=1e-5)


@pytest.mark.parametrize("what", ["W", "H", "loss"])
def test_factors_that_are_no_numbers_are_refused(what, monkeypatch):
    """Also where the residual says that the fit is over."""

    def lost(self, W, Hs):
        found = {"W": W, "H": Hs[0], "loss": np.float64(1.0)}
        found[what] = found[what] * np.nan
        return found["W"], [found["H"], *Hs[1:]], float(found["loss"]), Residual()

    monkeypatch.setattr(Joint, "move", lost)
    monkeypatch.setattr(Joint, "residual", lambda self, W, Hs: Residual())
    X = np.random.default_rng(0).random((30, 7))
    with pytest.raises(ValueError, match="JointNMF found no finite factors, its terms left float64"):
        JointNMF(2, n_init=2).fit(X)


def test_rows_of_which_nothing_is_observed_have_even_codes():
    rng = np.random.default_rng(0)
    A, B = rng.random((30, 7)), rng.random((30, 4))
    even = np.full((2, 2), 0.5)
    one = JointNMF(2, missing="ignore", random_state=0).fit(A)
    assert np.array_equal(one.transform(np.full((2, 7), np.nan)), even)
    assert one.memberships(np.full((2, 7), np.nan)).sum(axis=1) == pytest.approx(1)
    for missing in ("error", "ignore"):
        two = JointNMF(2, missing=missing, random_state=0).fit({"a": A, "b": B})
        assert np.array_equal(two.transform({"a": A[:2]}, weights={"a": 0 * A[:2]}), even)
        assert np.array_equal(two.transform({"a": np.full((2, 7), np.nan)}), even)
        assert np.array_equal(two.transform({"a": np.full((2, 7), np.nan), "b": None}), even)
        beside = two.transform({"a": np.vstack([A[:1], np.full((1, 7), np.nan)])})
        assert beside == pytest.approx(np.vstack([two.transform({"a": A[:1]}), even[:1]]))
    with pytest.raises(ValueError, match=r"weights\['b'\] is given for a view that X does not have"):
        two.transform({"a": A, "b": None}, weights={"b": np.ones(B.shape)})
    listed = JointNMF(2, random_state=0).fit([A, B])
    with pytest.raises(ValueError, match=r"weights\[1\] is given for a view that X does not have"):
        listed.transform([A, None], weights=[None, np.ones(B.shape)])
    with pytest.raises(ValueError, match="no row that is not NaN; leave it out"):
        JointNMF(2).fit({"a": A, "b": 0 * B + np.nan})


@pytest.mark.parametrize("masked", [False, True])
def test_frozen_components_stay_bit_for_bit_in_every_view(masked):
    X = [view + 0.2 * np.random.default_rng(5).random(view.shape) for view in planted()[0]]
    X[1] *= 2.0**100
    weights = [(np.random.default_rng(1).random(view.shape) < 0.8) * 1.0 for view in X] if masked else None
    H = np.random.default_rng(3).random((3, 33)) * np.repeat([1, 2.0**100, 1], [20, 8, 5])
    model = JointNMF(3, frozen=[2, 0], tol=1e-6, max_iter=2000).fit(X, H_init=H, weights=weights)
    assert np.array_equal(model.components_[[0, 2]], H[[0, 2]]) and model.converged_
    assert not np.isclose(model.components_[1], H[1]).any()
    loss = model.history_["loss"]
    assert loss[-1] < 0.99 * loss[0] and (np.diff(loss) <= 1e-9 * loss[:-1]).all()
    free = JointNMF(3, tol=1e-6, max_iter=2000).fit(X, H_init=H, weights=weights)
    assert free.reconstruction_err_ < model.reconstruction_err_
    whole = JointNMF(3, frozen=range(3)).fit(X, H_init=H, weights=weights)
    assert np.array_equal(whole.components_, H)
    for dtype, c, h in ((np.float32, 1e30, 1e-20), (np.float64, 1e300, 1e-10)):
        near, far = [planted()[0][v].astype(dtype) for v in (0, 2)], (h * H[:, [*range(20), *range(28, 33)]])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are dead beside X
            kept = JointNMF(3, frozen=[1], max_iter=5).fit([c * view for view in near], H_init=far)
        assert np.array_equal(kept.components_[1], far[1].astype(dtype))
    with pytest.raises(ValueError, match=r"H_init reaches .* too far above X"):
        JointNMF(3, frozen=[1]).fit(near, H_init=1e300 * far / h)
    with pytest.raises(ValueError, match="frozen= needs H_init"):
        JointNMF(3, frozen=[1]).fit(X)
    with pytest.raises(ValueError, match=r"frozen=\[3\] must hold component indices"):
        JointNMF(3, frozen=[3]).fit(X, H_init=H)


def frames(n=30):
    """Two views as DataFrames with one index."""
    pd = pytest.importorskip("pandas")
    X, _ = planted(n=n, widths=(6, 4))
    index = [f"doc {i}" for i in range(n)]
    return {
        "words": pd.DataFrame(X[0], index, [f"w{j}" for j in range(6)]),
        "pixels": pd.DataFrame(X[1], index, [f"p{j}" for j in range(4)]),
    }


def test_names_of_columns_are_those_of_the_fit(tmp_path):
    X = frames()
    model = JointNMF(3, random_state=0).fit(X)
    assert model.view_feature_names_ == {name: list(view.columns) for name, view in X.items()}
    model.save(tmp_path / "model.nmf")
    for fitted in (model, load(tmp_path / "model.nmf")):
        with pytest.raises(
            ValueError, match=r"X\['pixels'\] has other feature names than the fit: column 0 is 'p3'"
        ):
            fitted.transform({"pixels": X["pixels"].iloc[:, ::-1]})
        with pytest.raises(
            ValueError, match=r"reorder .* X\['words'\]\[model.view_feature_names_\['words'\]\]"
        ):
            fitted.transform([X["words"].iloc[:, ::-1], None])
        with pytest.raises(ValueError, match="column 2 is 'other' in"):
            fitted.transform({"words": X["words"].rename(columns={"w2": "other"})})
    ordered = X["words"].iloc[:, ::-1][model.view_feature_names_["words"]]
    by_position = model.transform({"words": X["words"].to_numpy()})
    assert np.array_equal(model.transform({"words": ordered}), by_position)
    assert JointNMF(2, random_state=0).fit([X["words"], X["pixels"].to_numpy()]).view_feature_names_ == [
        list(X["words"].columns),
        None,
    ]


def test_frames_are_of_the_same_rows_or_refused():
    X = frames()
    model = JointNMF(3, random_state=0).fit(X)
    shuffled = {**X, "pixels": X["pixels"].sample(frac=1, random_state=0)}
    for method in (JointNMF(3).fit, model.transform):
        with pytest.raises(
            ValueError, match=r"X\['pixels'\] has the same index in another order than X\['words'\]"
        ):
            method(shuffled)
        with pytest.raises(ValueError, match=r"another index .* X\['pixels'\].reindex\(X\['words'\].index\)"):
            method({**X, "pixels": X["pixels"].iloc[3:]})
    remedied = {**X, "pixels": shuffled["pixels"].reindex(X["words"].index)}
    assert np.array_equal(model.transform(remedied), model.transform(X))
    lacking = {**X, "pixels": X["pixels"].iloc[3:].reindex(X["words"].index)}
    assert np.array_equal(model.transform(lacking)[:3], model.transform({"words": X["words"].iloc[:3]}))
    rows = np.arange(3, 30)
    placed = model.transform({**X, "pixels": (X["pixels"].iloc[3:], rows)})
    assert np.array_equal(placed, model.transform(lacking))


def test_codes_as_frames_keep_the_index():
    X = frames()
    model = JointNMF(2, random_state=0).set_output(transform="pandas")
    W = model.fit_transform(X)
    assert list(W.index) == list(X["words"].index) and list(W.columns) == ["jointnmf0", "jointnmf1"]
    assert list(model.transform({"pixels": X["pixels"].iloc[4:6]}).index) == ["doc 4", "doc 5"]
    assert list(model.transform([None, X["pixels"].to_numpy()[:2]]).index) == [0, 1]


def test_a_file_of_several_arrays_is_views(tmp_path):
    X, _ = planted(widths=(6, 4))
    np.savez(tmp_path / "views.npz", words=X[0], pixels=X[1])
    model = JointNMF(3, random_state=0).fit(tmp_path / "views.npz")
    assert model.view_names_ == ["words", "pixels"]
    assert np.array_equal(
        model.transform(tmp_path / "views.npz"), model.transform({"words": X[0], "pixels": X[1]})
    )
    with pytest.raises(ValueError, match="found words, pixels; only JointNMF takes several"):
        NMF(3).fit(tmp_path / "views.npz")


def test_views_too_far_apart_are_refused():
    X, _ = planted()
    with pytest.raises(ValueError, match="views differ in size"):
        JointNMF(3, random_state=0).fit([X[0] * 1e155, X[1] * 1e-155])
