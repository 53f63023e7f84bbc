"""What a fitted NMF offers: certificates, filled cells, shares, streams, callbacks."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone

import nonneg
from matrix_cases import planted, quietly
from nonneg import NMF
from nonneg.data import as_source
from nonneg.data.block import Block
from nonneg.exceptions import ConvergenceWarning, IncompatibleError
from nonneg.models.certificate import duplicate_components, svd_bound
from nonneg.penalties import L1, L2

X = planted(n=60, m=12)


def fitted(data=X, k=3, **parameters):
    with quietly():
        return NMF(k, random_state=0, max_iter=2000, **parameters).fit(data)


@pytest.mark.parametrize("given", [{}, {"penalty_W": L1(1e-3)}, {"penalty_H": L2(1e-2)}, {"loss": "kl"}])
def test_certificate_judges_the_problem_that_was_fitted(given):
    model = fitted(**given)
    assert model.certificate(X).kkt_residual == pytest.approx(model.kkt_residual_, rel=1e-6, abs=1e-12)


def test_certificate_with_frozen_parts_and_sample_weight():
    H = np.random.default_rng(0).random((3, 12))
    with quietly():
        model = NMF(3, frozen=[0], random_state=0, max_iter=2000).fit(X, H_init=H)
    assert model.certificate(X).kkt_residual == pytest.approx(model.kkt_residual_, rel=1e-6)
    weights = np.random.default_rng(1).random(60)
    with quietly():
        model = NMF(3, random_state=0, max_iter=2000).fit(X, sample_weight=weights)
    found = model.certificate(X, sample_weight=weights)
    assert found.kkt_residual == pytest.approx(model.kkt_residual_, rel=1e-6) and np.isnan(found.svd_gap)


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_small_weights_do_not_pass_for_convergence(loss, kind):
    """Weights of 2^-30 give the fit of weights 1, bit for bit, and its loss times 2^-30."""
    with quietly():
        one = NMF(3, loss=loss, random_state=0, max_iter=60).fit(kind(X), sample_weight=np.full(60, 0.5))
        two = NMF(3, loss=loss, random_state=0, max_iter=60).fit(kind(X), sample_weight=np.full(60, 2.0**-30))
    assert np.array_equal(one.components_, two.components_) and one.n_iter_ == two.n_iter_
    assert two.kkt_residual_ == one.kkt_residual_
    assert two.certificate(kind(X), sample_weight=np.full(60, 2.0**-30)).kkt_residual == pytest.approx(
        one.kkt_residual_, rel=1e-6
    )
    np.testing.assert_allclose(two.history_["loss"], one.history_["loss"] * 2.0**-29, rtol=1e-12)
    assert two.reconstruction_err_ == pytest.approx(one.reconstruction_err_ * 2.0**-14.5, rel=1e-12)
    with quietly():
        batch = np.full(60, 2.0**-30)
        one.partial_fit(kind(X), sample_weight=np.full(60, 0.5))
        two.partial_fit(kind(X), sample_weight=batch)
    np.testing.assert_allclose(two.components_, one.components_, rtol=1e-6, atol=1e-9)


def test_weights_beyond_the_precision_are_refused():
    for size in (1e30, 1e-30):
        with pytest.raises(ValueError, match="sample_weight has a maximum"):
            NMF(3).fit(X.astype(np.float32), sample_weight=np.full(60, size))


@pytest.mark.parametrize("data", [X, X.T.copy(), sp.csr_array(X)], ids=["tall", "wide", "csr"])
def test_svd_bound_is_numpys(data):
    dense = data.toarray() if sp.issparse(data) else data
    values = np.linalg.svd(dense, compute_uv=False)
    bound, size = svd_bound(as_source(data), 3)
    assert bound == pytest.approx(np.sqrt((values[3:] ** 2).sum()), rel=1e-6)
    assert size == pytest.approx(np.linalg.norm(dense))


def test_rank_one_attains_the_svd_bound():
    found = fitted(k=1, tol=1e-8).certificate(X)
    assert (
        abs(found.svd_gap) < 1e-8 and found.dead == [] and found.duplicates == [] and np.isnan(found.spread)
    )
    assert fitted(n_init=3).certificate(X).spread >= 0


def test_duplicates_are_named():
    H = np.random.default_rng(0).random((3, 8))
    H[2] = 2 * H[0]
    assert duplicate_components(H) == [(0, 2)]


def test_impute_fills_missing_cells_and_keeps_the_others():
    low_rank = planted(n=60, m=12, noise=0.0) if "noise" in planted.__code__.co_varnames else X
    holes = low_rank.copy()
    hidden = np.random.default_rng(0).random(holes.shape) < 0.1
    holes[hidden] = np.nan
    model = fitted(holes, missing="ignore", tol=1e-7)
    filled = model.impute(holes)
    assert np.array_equal(filled[~hidden], low_rank[~hidden])
    assert np.linalg.norm(filled[hidden] - low_rank[hidden]) < 0.1 * np.linalg.norm(low_rank[hidden])
    rows, cols = np.nonzero(hidden)
    assert np.allclose(model.predict_cells(holes, rows, cols), filled[hidden], rtol=1e-12)
    with pytest.raises(ValueError, match="cols must lie between"):
        model.predict_cells(holes, [0], [12])


def test_memberships_sum_to_one_whatever_the_units_of_the_parts():
    model = fitted()
    shares = model.memberships(np.vstack([X, np.zeros(12)]))
    assert np.allclose(shares.sum(axis=1), 1) and np.allclose(shares[-1], 1 / 3)
    assert np.array_equal(model.labels_, shares[:-1].argmax(axis=1))
    assert np.allclose(fitted(X * 8).memberships(X * 8), shares[:-1])
    assert [len(part) for part in model.top_features(2)] == [2, 2, 2]


def test_top_features_take_a_number_and_names():
    model = fitted()
    order = np.argsort(-model.components_[0])
    names = [f"band {j}" for j in range(12)]
    wanted = [(names[j], model.components_[0, j]) for j in order[:2]]
    for given in (names, tuple(names), np.array(names), np.array(names, object)):
        assert model.top_features(2, names=given)[0] == wanted
    assert model.top_features(1)[0][0][0] == order[0] and len(model.top_features(99)[0]) == 12
    for n, error in (
        ("3", TypeError),
        (2.0, TypeError),
        (True, TypeError),
        (0, ValueError),
        (-1, ValueError),
    ):
        with pytest.raises(error, match=f"n={n!r} must be"):
            model.top_features(n)
    with pytest.raises(ValueError, match="names has 11 entries, but the model has 12 features"):
        model.top_features(2, names=names[1:])
    for odd in (range(12), "twelve names"):
        with pytest.raises(TypeError, match="names"):
            model.top_features(2, names=odd)


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_score_of_weighted_rows_is_that_of_repeated_ones(loss, kind):
    model = fitted(loss=loss)
    times = np.random.default_rng(0).integers(0, 4, 60)
    assert model.score(kind(X), sample_weight=times) == pytest.approx(
        model.score(kind(np.repeat(X, times, axis=0))), rel=1e-9
    )
    assert model.score(X, sample_weight=0.1 * times) == pytest.approx(
        model.score(X, sample_weight=times), rel=1e-9
    )
    holes = np.random.default_rng(1).random(X.shape)
    both = model.score(X, weights=holes, sample_weight=times)
    assert both == pytest.approx(model.score(X, weights=holes * times[:, None]), rel=1e-4)
    assert both != pytest.approx(model.score(X, weights=holes), rel=1e-3)
    with pytest.raises(ValueError, match="sample_weight"):
        model.score(X, sample_weight=np.ones(12))


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
def test_partial_fit_learns_a_stream(loss):
    data = planted(n=400, m=12) + 0.01
    with quietly():
        whole = NMF(3, loss=loss, random_state=0, max_iter=500).fit(data)
        stream = NMF(3, loss=loss, random_state=0, max_iter=500)
        for _ in range(3):
            for batch in np.array_split(data, 8):
                stream.partial_fit(batch)
    assert stream.n_batches_ == 24
    assert stream.score(data) > 1.3 * whole.score(data)  # scores are negative losses
    assert not hasattr(stream, "kkt_residual_")


@pytest.mark.parametrize("loss", ["frobenius", "kl", 1.5])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_unit_of_the_weights_has_no_influence(loss, dtype):
    A, M = X.astype(dtype), np.random.default_rng(0).random(X.shape) + 0.5
    with quietly():
        one = NMF(3, loss=loss, random_state=0, max_iter=60).fit(A, weights=M)
        for c in (2.0**60, 2.0**-60, 1e200, 1e-200):
            other = NMF(3, loss=loss, random_state=0, max_iter=60).fit(A, weights=c * M)
            exact = np.frexp(c)[0] == 0.5
            near = 0 if exact else 1e-6 if dtype == np.float64 else 1e-3
            assert np.abs(other.components_ - one.components_).max() <= near * one.components_.max()
            assert other.converged_ == one.converged_ and abs(other.n_iter_ - one.n_iter_) <= 2
            root = np.sqrt(c) * one.reconstruction_err_
            assert other.reconstruction_err_ == pytest.approx(root, rel=1e-6)
            assert other.history_["loss"][0] == pytest.approx(c * one.history_["loss"][0], rel=1e-5)
            assert other.score(A, weights=c * M) == pytest.approx(one.score(A, weights=M), rel=1e-5)


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
def test_batches_count_as_their_weights_say_in_any_unit(loss):
    M = np.random.default_rng(0).random(X.shape) + 0.5
    found = []
    for c in (1.0, 2.0**60, 2.0**-60):
        model = NMF(3, loss=loss, random_state=0).partial_fit(X[:30], weights=c * M[:30])
        model.partial_fit(X[30:], weights=16 * c * M[30:])  # another unit than that of the first batch
        found.append(model.components_)
    assert np.array_equal(found[0], found[1]) and np.array_equal(found[0], found[2])
    alike = NMF(3, loss=loss, random_state=0).partial_fit(X[:30], weights=M[:30])
    alike.partial_fit(X[30:], weights=M[30:])
    assert not np.allclose(alike.components_, found[0], rtol=1e-4)


def test_penalties_stand_beside_weights_of_the_fit():
    M = np.random.default_rng(0).random(X.shape) + 0.5
    model = NMF(3, penalty_W=L1(0.003), random_state=0).fit(X, weights=2.0**40 * M)
    W = model.transform(X, weights=2.0**40 * M)
    plain = NMF(3, penalty_W=L1(0.003), random_state=0).fit(X, weights=M)
    assert np.array_equal(plain.transform(X, weights=M), W)
    # data that count more than those of the fit leave penalties less to say
    free = NMF(3, frozen=range(3), random_state=0).fit(X, H_init=model.components_, weights=M)
    heavy = plain.transform(X, weights=2.0**30 * M)
    assert heavy == pytest.approx(free.transform(X, weights=M), abs=1e-6)
    assert np.linalg.norm(heavy) > 1.01 * np.linalg.norm(W)


def test_partial_fit_goes_on_from_a_fit_and_keeps_frozen_rows():
    model = fitted()
    before = model.score(X)
    assert model.partial_fit(X[:2]).score(X) > before * 1.01
    H = np.random.default_rng(0).random((3, 12))
    with quietly():
        frozen = NMF(3, frozen=[1], random_state=0).fit(X, H_init=H).partial_fit(X[:9])
    assert np.array_equal(frozen.components_[1], H[1]) and not np.array_equal(frozen.components_[0], H[0])
    with pytest.raises(IncompatibleError, match="partial_fit takes no penalties"):
        NMF(3, penalty_H=L1(1e-3)).partial_fit(X)
    with pytest.raises(ValueError, match="forgetting"):
        model.partial_fit(X, forgetting=0.0)


LEFT_BY_A_BATCH = {"components_", "n_batches_", "n_components_", "n_features_in_", "n_iter_"}


def test_every_batch_leaves_the_same_attributes():
    model = NMF(3, random_state=0)
    for count in (1, 2, 3):
        with quietly():
            model.partial_fit(X)
        assert {name for name in vars(model) if name.endswith("_")} == LEFT_BY_A_BATCH
        assert model.n_batches_ == count and np.isnan(model.certificate(X).spread)
    model.fit(X)
    assert {"labels_", "converged_", "restart_losses_"} <= set(vars(model)) and not hasattr(
        model, "n_batches_"
    )
    model.partial_fit(X)
    assert {name for name in vars(model) if name.endswith("_")} == LEFT_BY_A_BATCH and model.n_batches_ == 1


def test_what_a_stream_began_with_stays():
    model = fitted()
    before = model.components_.copy()
    with pytest.raises(
        ValueError, match=r"n_components=4 differs from the 3 components .*set it back to 3, or start"
    ):
        model.set_params(n_components=4).partial_fit(X)
    with pytest.raises(ValueError, match="loss='kl' is not the loss of the batches before: set it back"):
        model.set_params(n_components=3, loss="kl").partial_fit(X)
    for forgetting, error in (("a", TypeError), (None, TypeError), (True, TypeError), (np.nan, ValueError)):
        with pytest.raises(error, match=f"forgetting={forgetting!r} must"):
            model.set_params(loss="frobenius").partial_fit(X, forgetting=forgetting)
    assert np.array_equal(model.components_, before) and hasattr(model, "labels_")
    assert model.partial_fit(X[::-1], forgetting=np.float32(0.5)).n_batches_ == 1


@pytest.mark.parametrize("loss", ["frobenius", "kl", 0.5])
def test_a_stream_with_weights(loss):
    """Cells of weight 0 may hold anything, 2 everywhere is 1 everywhere, and batches with and without mix."""
    data = planted(n=240, m=12) + 0.01
    rng = np.random.default_rng(0)
    weights = rng.random(data.shape) * (rng.random(data.shape) < 0.8)
    wild = np.where(weights > 0, data, np.nan)
    some = [None if i % 2 else w for i, w in enumerate(np.array_split(weights, 6))]

    def stream(data, each, times=1.0, epochs=1):
        model = NMF(3, loss=loss, random_state=0, max_iter=50)
        with quietly():
            for _ in range(epochs):
                for batch, given in zip(np.array_split(data, 6), each, strict=True):
                    model.partial_fit(batch, weights=None if given is None else times * given)
        return model

    one = stream(data, np.array_split(weights, 6))
    assert np.array_equal(one.components_, stream(wild, np.array_split(weights, 6)).components_)
    two = stream(data, np.array_split(weights, 6), 2.0)
    np.testing.assert_allclose(two.components_, one.components_, rtol=1e-9)
    with quietly():
        first = NMF(3, loss=loss, random_state=0, max_iter=50).fit(data[:40], weights=weights[:40])
    for each in (np.array_split(weights, 6), some, some[1:] + some[:1]):
        learnt = stream(data, each, epochs=3)
        assert learnt.score(data, weights=weights) > 0.97 * first.score(data, weights=weights)


def test_batches_with_and_without_missing_cells_mix():
    holes = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
    for batches in ((X, holes, X), (holes, X, holes)):
        model = NMF(3, missing="ignore", random_state=0)
        with quietly():
            for batch in batches:
                model.partial_fit(batch)
        assert model.score(X) > 1.1 * fitted().score(X)


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
def test_the_first_weighted_batch_takes_over_what_came_before(loss):
    """At the H of that moment both ways of keeping statistics have one gradient: the same X again moves nothing."""
    model = fitted(loss=loss, tol=1e-9)
    before = model.components_.copy()
    model.partial_fit(X, weights=np.ones_like(X))
    np.testing.assert_allclose(model.components_, before, rtol=0, atol=1e-6 * before.max())


@pytest.mark.parametrize("loss", ["frobenius", "kl", 0.5, 3])
@pytest.mark.parametrize("power", [-300, -30, 30, 300])
def test_a_stream_has_no_unit(loss, power):
    data = planted(n=160, m=12) + 0.01
    with quietly():
        plain, scaled = (NMF(3, loss=loss, random_state=0, max_iter=50) for _ in range(2))
        for batch in np.array_split(data, 4):
            plain.partial_fit(batch, forgetting=0.9)
            scaled.partial_fit(np.ldexp(batch, power), forgetting=0.9)
    np.testing.assert_allclose(np.ldexp(scaled.components_, -power), plain.components_, rtol=1e-6)


@pytest.mark.parametrize("loss", ["frobenius", "kl", 3])
def test_batches_of_a_stream_may_differ_in_size_by_any_factor(loss):
    """Beside rows that are 2^60 times larger, small ones count as much as zeros do."""
    large, small = np.ldexp(planted(n=80, m=12) + 0.01, 60), planted(seed=1, n=80, m=12)
    found = []
    for last in (small, np.zeros_like(small)):
        stream = NMF(3, loss=loss, random_state=0, max_iter=50)
        for batch in (large, large, last):
            stream.partial_fit(batch, forgetting=0.9)
        found.append(stream.components_)
    np.testing.assert_allclose(*found, rtol=1e-9)
    stream = NMF(3, loss=loss, random_state=0, max_iter=50)
    for batch in (small, large, small, large):
        assert np.isfinite(stream.partial_fit(batch).score(large))


def test_a_stream_survives_a_file(tmp_path):
    model = fitted(X * 1e20)
    model.save(tmp_path / "stream.nmf")
    again = nonneg.load(tmp_path / "stream.nmf")
    assert np.array_equal(model.partial_fit(X * 1e20).components_, again.partial_fit(X * 1e20).components_)


def test_a_stream_cannot_go_on_from_a_penalised_fit():
    model = fitted(penalty_H=L1(1e-3)).set_params(penalty_H=None)
    with pytest.raises(ValueError, match="cannot go on from this fit: it had penalties"):
        model.partial_fit(X)


def test_a_stall_is_said_once_with_what_to_do():
    for data, tol, advice in (
        (X.astype(np.float32), 1e-9, "raise tol, or pass X as float64"),
        (X, 1e-15, "raise tol$"),
    ):
        with pytest.warns(ConvergenceWarning, match=f"no longer changes in float.*{advice}") as seen:
            model = NMF(3, random_state=0, tol=tol, max_iter=5000).fit(data)
        assert len(seen) == 1 and not model.converged_ and model.n_iter_ < 5000
    NMF(3, random_state=0, tol=0, max_iter=5000).fit(X)  # as far as it goes is what was asked for


def test_a_generator_seeds_a_fit():
    def fit(generator):
        with quietly():
            return NMF(3, init="random", n_init=2, max_iter=30, random_state=generator).fit(X)

    one, two = fit(np.random.default_rng(5)), fit(np.random.default_rng(5))
    assert np.array_equal(one.components_, two.components_)
    generator = np.random.default_rng(5)
    assert np.array_equal(fit(generator).components_, one.components_)
    assert not np.array_equal(fit(generator).components_, one.components_)  # it has moved on
    copy = clone(NMF(3, random_state=np.random.default_rng(7)))
    assert isinstance(copy.random_state, np.random.Generator) and isinstance(
        copy.get_params()["random_state"], np.random.Generator
    )


def test_the_svd_bound_of_wide_sparse_data_needs_no_dense_copy(monkeypatch):
    data = sp.random_array((300, 40_000), density=1e-3, rng=np.random.default_rng(0), format="csr")
    monkeypatch.setattr(Block, "dense", lambda block: pytest.fail("a dense copy"))
    tracemalloc.start()
    bound, size = svd_bound(as_source(data), 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == pytest.approx(sp.linalg.norm(data)) and 0 < bound < size
    assert peak < 300 * 40_000 * 8 / 4


def test_the_svd_bound_of_wide_data_in_blocks(small_blocks):
    data = np.random.default_rng(0).random((200, 300)).astype(np.float32)
    values = np.linalg.svd(data.astype(float), compute_uv=False)
    for kind in (np.asarray, sp.csr_array):
        assert svd_bound(as_source(kind(data)), 3)[0] == pytest.approx(
            np.sqrt((values[3:] ** 2).sum()), rel=1e-6
        )


def test_a_failed_fit_leaves_the_model_as_it_was():
    model = fitted()
    bad = np.full((5, 4), np.nan)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(bad)
    assert model.n_features_in_ == 12 and model.transform(X).shape == (60, 3)


def test_overlapping_fits_give_the_threads_back():
    from nonneg.data.threads import _controller, workers

    before = [library.get_num_threads() for library in _controller().lib_controllers]
    first, second = workers(4), workers(4)
    first.__enter__()
    pool = second.__enter__()
    assert pool.threads == min(4, max(before, default=1))
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert [library.get_num_threads() for library in _controller().lib_controllers] == before


def test_callbacks_see_every_iteration_and_may_stop():
    callback = pytest.importorskip("sklearn.callback")
    del callback

    class Stop:
        seen = []

        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context, **kwargs):
            pass

        def on_fit_task_end(self, estimator, context, *, metadata=None, fitted_estimator=None, **kwargs):
            if metadata is None:
                return False
            self.seen.append((metadata["iteration"], fitted_estimator.transform(X[:2]).shape))
            return metadata["iteration"] >= 3

    model = NMF(3, random_state=0, tol=0).set_callbacks(Stop())
    with quietly():
        model.fit(X)
    assert Stop.seen == [(1, (2, 3)), (2, (2, 3)), (3, (2, 3))] and model.n_iter_ == 3
