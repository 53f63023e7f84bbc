"""Kernel NMF: convex NMF in a feature space."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import nnls
from scipy.spatial.distance import squareform
from sklearn.datasets import make_circles
from sklearn.metrics.pairwise import polynomial_kernel, rbf_kernel

import nonneg
from nonneg import NMF, ConvexNMF, KernelNMF
from nonneg.metrics import ari

pytestmark = [
    pytest.mark.filterwarnings("ignore::nonneg.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:components .* are:UserWarning"),  # of NMF with more parts than columns
]


def rings(n=300, seed=0):
    return make_circles(n, factor=0.4, noise=0.05, random_state=seed)


def two_groups(kernel):
    """Parts in two groups by single linkage of how much they overlap."""
    size = np.sqrt(np.diag(kernel))
    apart = 1 - kernel / np.outer(size, size)
    np.fill_diagonal(apart, 0)
    return np.eye(2)[fcluster(linkage(squareform(apart, checks=False), "single"), 2, "maxclust") - 1]


def mixed(n=50, m=5, seed=0):
    return np.random.default_rng(seed).standard_normal((n, m))


@pytest.mark.parametrize("seed", range(3))
def test_rings_are_separated_where_nmf_fails(seed):
    X, labels = rings(seed=seed)
    new, new_labels = rings(200, seed=100 + seed)
    model = KernelNMF(10, gamma=10, random_state=0).fit(X)
    groups = two_groups(model.component_kernel_)
    assert ari(labels, (model.transform(X) @ groups).argmax(axis=1)) == 1
    assert ari(new_labels, (model.transform(new) @ groups).argmax(axis=1)) == 1

    plain = NMF(10, random_state=0).fit(X - X.min(axis=0))
    H = plain.components_[plain.components_.any(axis=1)]
    W = plain.transform(X - X.min(axis=0))[:, plain.components_.any(axis=1)]
    assert abs(ari(labels, (W @ two_groups(H @ H.T)).argmax(axis=1))) < 0.1
    assert abs(ari(labels, NMF(2, random_state=0).fit_transform(X - X.min(axis=0)).argmax(axis=1))) < 0.1


def test_rings_with_two_components_and_a_kernel_of_walks():
    X, labels = rings()
    near = rbf_kernel(X, gamma=30)
    degree = near.sum(axis=1)
    K = np.linalg.matrix_power(near / np.sqrt(np.outer(degree, degree)), 64)
    model = KernelNMF(2, kernel="precomputed", random_state=0)
    W = model.fit_transform((K + K.T) / 2)
    assert ari(labels, W.argmax(axis=1)) == 1
    assert model.components_.shape == (2, 300)
    assert model.transform(K[:7]) == pytest.approx(W[:7], abs=1e-8)


def test_linear_kernel_is_convex_nmf():
    X = mixed()
    settings = {"random_state": 0, "max_iter": 50, "tol": 0}
    convex = ConvexNMF(3, **settings).fit(X)
    for model, data in (
        (KernelNMF(3, kernel="polynomial", degree=1, gamma=1, coef0=0, **settings), X),
        (KernelNMF(3, kernel="precomputed", **settings), X @ X.T),
        (KernelNMF(3, kernel=lambda A, B: A @ B.T, **settings), X),
    ):
        model.fit(data)
        # the bound of the step's length is another, and so is the path, but not by much
        assert model.reconstruction_err_ == pytest.approx(convex.reconstruction_err_, rel=5e-3)
        assert model.coefficients_.sum(axis=1) == pytest.approx(np.ones(3))


@pytest.mark.parametrize(
    ("name", "settings", "kernel"),
    [
        ("rbf", {"gamma": 0.3}, lambda A, B: rbf_kernel(A, B, gamma=0.3)),
        ("rbf", {}, lambda A, B: rbf_kernel(A, B, gamma=0.2)),
        ("polynomial", {"degree": 2, "gamma": 0.5}, lambda A, B: polynomial_kernel(A, B, 2, 0.5, 1)),
    ],
)
def test_kernels_are_those_of_scikit_learn_and_new_rows_exact(name, settings, kernel):
    X, new = mixed(), mixed(6, seed=1)
    model = KernelNMF(4, kernel=name, random_state=0, **settings).fit(X)
    C = model.coefficients_
    G = C @ kernel(X, X) @ C.T
    assert model.component_kernel_ == pytest.approx(G)
    assert model.components_ == pytest.approx(C @ X)
    # min ‖φ(x) − w L‖ with G = L Lᵀ is the least-squares problem of L and L⁻¹ p
    L = np.linalg.cholesky(G)
    P = kernel(new, X) @ C.T
    for w, p in zip(model.transform(new), P, strict=True):
        assert w == pytest.approx(nnls(L.T, np.linalg.solve(L, p))[0], abs=1e-6)
    callable_ = KernelNMF(4, kernel=kernel, random_state=0).fit(X)
    assert callable_.transform(new) == pytest.approx(model.transform(new), abs=1e-6)
    W = model.transform(new)
    gap = np.diag(kernel(new, new)) - 2 * (W * P).sum(axis=1) + ((W @ G) * W).sum(axis=1)
    assert model.score(new) == pytest.approx(-0.5 * gap.mean())


def test_loss_is_that_of_the_feature_space():
    X = mixed()
    model = KernelNMF(4, kernel="polynomial", degree=2, random_state=0, tol=1e-6, max_iter=3000).fit(X)
    W, C, K = model.transform(X), model.coefficients_, polynomial_kernel(X, X, 2)
    M = np.eye(len(X)) - W @ C
    assert model.reconstruction_err_**2 == pytest.approx(np.trace(M @ K @ M.T), rel=1e-3)


def test_multiplicative_updates():
    X = mixed()
    slow = KernelNMF(3, gamma=0.2, solver="mu", random_state=0, max_iter=2000).fit(X)
    fast = KernelNMF(3, gamma=0.2, random_state=0, max_iter=2000).fit(X)
    assert (np.diff(slow.history_["loss"]) <= 1e-12 * slow.history_["loss"][0]).all()
    assert fast.reconstruction_err_ <= slow.reconstruction_err_ < 1.02 * fast.reconstruction_err_


def test_precomputed_in_any_unit():
    K = rbf_kernel(mixed(), gamma=0.2)
    settings = {"kernel": "precomputed", "random_state": 0, "tol": 1e-5}
    one, tiny = KernelNMF(3, **settings).fit(K), KernelNMF(3, **settings).fit(K * 2.0**-600)
    assert tiny.coefficients_ == pytest.approx(one.coefficients_, abs=1e-9)
    assert tiny.transform(K * 2.0**-600) == pytest.approx(one.transform(K), abs=1e-8)
    assert tiny.reconstruction_err_ == pytest.approx(one.reconstruction_err_ * 2.0**-300)


def test_radii_that_differ_by_a_huge_unit():
    X = mixed()
    near = KernelNMF(3, gamma=0.2, random_state=0).fit(X)
    far = KernelNMF(3, gamma=0.2 * 2.0**-1000, random_state=0).fit(X * 2.0**500)
    assert far.coefficients_ == pytest.approx(near.coefficients_, abs=1e-9)
    assert far.components_ == pytest.approx(near.components_ * 2.0**500)
    with pytest.raises(ValueError, match="kernel='polynomial' is not finite"):
        KernelNMF(3, kernel="polynomial").fit(X * 1e200)


def test_sparse_rows_and_files(tmp_path):
    X = sp.random_array((60, 30), density=0.2, rng=np.random.default_rng(0), format="csr")
    model = KernelNMF(3, gamma=0.5, random_state=0).fit(X)
    dense = KernelNMF(3, gamma=0.5, random_state=0).fit(X.toarray())
    assert model.transform(X) == pytest.approx(dense.transform(X.toarray()), abs=1e-8)
    model.save(tmp_path / "model.nmf")
    assert np.array_equal(nonneg.load(tmp_path / "model.nmf").transform(X), model.transform(X))
    assert np.array_equal(model.support_, np.flatnonzero(model.coefficients_.any(axis=0)))


def test_refusals():
    X, K = mixed(), rbf_kernel(mixed())
    with pytest.raises(ValueError, match="square kernel for kernel='precomputed', got shape \\(50, 5\\)"):
        KernelNMF(2, kernel="precomputed").fit(X)
    with pytest.raises(ValueError, match="not symmetric"):
        KernelNMF(2, kernel="precomputed").fit(K + np.triu(K))
    with pytest.raises(ValueError, match="some \\|K_ij\\| exceed"):
        KernelNMF(2, kernel="precomputed").fit(1 - K)
    with pytest.raises(ValueError, match="kernel returned an array of shape \\(50, 5\\)"):
        KernelNMF(2, kernel=lambda A, B: A).fit(X)
    with pytest.raises(ValueError, match="H_init: the parts of KernelNMF"):
        KernelNMF(2).fit(X, H_init=np.ones((2, 5)))
    with pytest.raises(ValueError, match="score needs the kernel of each new row with itself"):
        KernelNMF(2, kernel="precomputed").fit(K).score(K)
    with pytest.raises(AttributeError, match="no inverse_transform"):
        KernelNMF(2).fit(X).inverse_transform(np.ones((1, 2)))
    with pytest.raises(TypeError):
        KernelNMF(2).fit(X, sample_weight=np.ones(50))


@pytest.mark.parametrize("given", [True, False])
def test_an_indefinite_kernel_is_refused(given):
    X = np.random.default_rng(3).standard_normal((50, 6))

    def kernel(A, B):
        return np.where(np.square(A[:, None] - B).sum(axis=-1) == 0, 1.0, np.tanh(A @ B.T / 2 - 1))

    model = KernelNMF(4, kernel="precomputed" if given else kernel, random_state=0)
    with pytest.raises(ValueError, match="positive semidefinite one"):
        model.fit(kernel(X, X) if given else X)
