"""Reports as a whole: of every kind of model, complete in themselves, and true."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp

import nonneg
from family_cases import data_for
from nonneg import NMF, NTF
from nonneg.metrics import clustering_accuracy
from nonneg.registry import MODELS
from nonneg.report import write_report
from nonneg.report.words import number, percent
from page_cases import Page

RNG = np.random.default_rng(0)
PARTS = RNG.gamma(0.4, size=(3, 12))
GROUPS = np.repeat(["red", "green", "blue"], 20)
X = RNG.gamma(1.0, size=(60, 3)) @ PARTS * 0.1 + 5 * np.repeat(PARTS, 20, axis=0)
LONG = "x" * 120
WORDS = [
    "river",
    "<script>",
    "$x_1$",
    "a&b",
    '"quoted"',
    "_under",
    "naïve",
    "細胞",
    LONG,
    "\x00nul",
    "10%",
    "bank",
]


@pytest.fixture(scope="module")
def model():
    return NMF(3, random_state=0, n_init=2).fit(X)


@pytest.fixture
def rendered(tmp_path):
    """A report, read."""

    def write(model, *args, **options):
        return Page(write_report(model, tmp_path / "report.html", *args, **{"embedding": None, **options}))

    return write


@pytest.fixture
def written(rendered, monkeypatch):
    """A report whose figures are drawn and not rendered, which takes most of the time."""
    from matplotlib.figure import Figure

    monkeypatch.setattr(Figure, "savefig", lambda self, file, **_: file.write("<svg viewBox='0 0 1 1'/>"))
    return rendered


def test_a_page_is_whole_and_asks_for_nothing(model, rendered):
    page = rendered(
        model,
        X,
        labels=GROUPS,
        names=WORDS,
        row_names=[f"row <{i}>\udce9" for i in range(60)],
        embedding="t-sne",
    )
    assert page.faults == []
    assert len(page.source.encode()) < 2_000_000
    for key in (
        "glance", "parts", "components", "similarity", "amounts", "memberships", "map", "labels", "fit", "certificate",
        "data", "repeat",
    ):  # fmt: skip
        assert page.section(key), key
    assert "<script>" in page.section("parts") and "&lt;script&gt;" in page.source
    assert "\ufffdnul" in page.section("parts")
    assert "<bdi>naïve</bdi>" in page.source  # what is read from right to left turns nothing else around
    assert all(len(alt) > 20 for alt in page.alts)


def test_numbers_are_those_of_the_model(model, written):
    page = written(model, X, labels=GROUPS)
    shares = model.memberships(X)
    rows = page.tables["The components"][1:]
    assert [row[1] for row in rows] == [number(round(100 * share, 1)) for share in shares.mean(axis=0)]
    leads = np.bincount(shares.argmax(axis=1), minlength=3)
    assert [row[2] for row in rows] == [number(int(count)) for count in leads]
    sparsity = model.parts_summary()["hoyer_sparsity"]
    assert [row[3] for row in rows] == [number(float(value)) for value in sparsity]
    evidence = dict(map(tuple, page.tables["The evidence in numbers"][1:]))
    assert evidence["KKT residual of the fit"] == number(model.kkt_residual_)
    assert evidence["Gap to the SVD bound, of the size of X"] == number(model.certificate(X).svd_gap)
    left = ((X - model.inverse_transform(model.transform(X))) ** 2).sum() / (X**2).sum()
    assert evidence["Explained share of the sum of squares"] == number(1 - left)
    assert " ".join(percent(1 - left).split()) in page.section("glance")
    losses = model.restart_losses_
    spread = (losses.max() - losses.min()) / losses.min()
    assert evidence["Spread over the starts, (worst − best) / best"] == number(spread)
    assert f"after {model.n_iter_} iterations" in page.section("fit")
    agreement = page.tables["Dominant components as clusters, against the labels"]
    found = clustering_accuracy(np.unique(GROUPS, return_inverse=True)[1], shares.argmax(axis=1))
    assert agreement[1] == ["Accuracy", number(found)]
    table = page.tables["Mean share of each component in the rows of each label, in percent"]
    assert table[1] == [
        "blue",
        "20",
        *(number(round(100 * share, 1)) for share in shares[GROUPS == "blue"].mean(axis=0)),
    ]


def test_features_are_the_largest_in_order(model, written):
    names = [f"word{j}" for j in range(12)]
    page = written(model, names=names)
    for j, top in enumerate(model.top_features(10, names=names)):
        found = page.tables[f"Largest features of component {j}"][1:]
        assert found == [[name, number(weight)] for name, weight in top if weight]


def test_dead_and_doubled_components_are_named(model, written):
    ill = NMF(3, random_state=0).fit(X)
    ill.n_components_ = 5
    ill.components_ = np.vstack([model.components_, np.zeros(12), 2 * model.components_[1]])
    page = written(ill)
    assert "1 of 5 components is dead (3)" in page.section("components")
    assert "1 pair of components is the same but for scale (1 and 4)" in page.section("components")
    assert "1 of 5 components is dead (3)" in page.section("glance")
    assert [row[-1] for row in page.tables["The components"][1:]] == ["alive"] * 3 + ["dead", "the same as 1"]
    assert "dead (" not in written(model).text


def test_without_data_nothing_is_said_of_rows(model, written, tmp_path):
    model.save(tmp_path / "model.nmf")
    page = written(tmp_path / "model.nmf")
    assert page.faults == []
    assert {"amounts", "memberships", "map", "labels"}.isdisjoint(page.ids)
    assert page.tables["Versions"][1][:2] == ["nonneg", nonneg.__version__]
    assert "nonneg.NMF(n_components=3, n_init=2, random_state=0)" in page.section("repeat")


def test_the_code_that_repeats_the_fit_runs(written):
    fitted = NMF(2, loss="kl", penalty_H=nonneg.penalties.L1(0.01), random_state=3, max_iter=20, tol=0.5).fit(
        X
    )
    page = written(fitted)
    code = page.section("repeat").partition("import nonneg")[2].partition("W = ")[0]
    lines = code.replace(" from ", "\nfrom ").replace(" model =", "\nmodel =")
    space = {"nonneg": nonneg}
    exec(lines, space)
    assert np.array_equal(space["model"].fit(X).components_, fitted.components_)


def test_data_are_described(written):
    Y = X.copy()
    Y[:3, 0] = np.nan
    Y[5:12, 3] = 0
    Y[7] = 0
    page = written(NMF(2, missing="ignore", random_state=0, max_iter=30, tol=0.1).fit(Y), Y)
    numbers = dict(map(tuple, page.tables["X in numbers"][1:]))
    assert numbers["Missing cells"] == "3"
    assert numbers["Zeros, of the observed cells"] == percent(18 / 717)
    assert numbers["Rows without a value above 0"] == "1"
    assert numbers["Largest value"] == number(float(np.nanmax(Y)))
    assert "3 cells are missing" in page.section("glance")
    sparse = sp.csr_array(np.nan_to_num(Y))
    numbers = dict(map(tuple, written(NMF(2, tol=0.5).fit(sparse), sparse).tables["X in numbers"][1:]))
    assert numbers["Kind"] == "sparse" and numbers["Zeros, of the observed cells"] == percent(21 / 720)


def test_what_calls_for_caution_is_said_first(written):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nonneg.exceptions.ConvergenceWarning)
        early = NMF(3, max_iter=2, tol=1e-12).fit(X)
    page = written(early, 100 * X[::-1] ** 3)
    glance = page.section("glance")
    for words in (
        "has not converged",
        "no fixed seed",
        "one start (n_init=1)",
        "they are not those of the fit",
    ):
        assert words in glance, words


@pytest.mark.parametrize("shape", [(3, 4), (2, 2, 3)])
def test_pixels_become_images(shape, model, written):
    page = written(model, image_shape=shape)
    assert page.source.count('<img src="data:image/png;base64,') == 3
    assert page.faults == [] and not any("Largest features" in caption for caption in page.tables)
    weight = np.abs(model.components_[0].reshape(*shape[:2], -1)).sum(axis=2)
    brightest = np.unravel_index(weight.argmax(), shape[:2])
    assert f"Component 0: strongest at row {brightest[0]}, column {brightest[1]}" in page.alts[0]
    names = [
        f"y{y}x{x}{c}"
        for y in range(shape[0])
        for x in range(shape[1])
        for c in ("rgb" if shape[2:] else [""])
    ]
    assert written(model, names=names).source.count("<img ") == 3


def test_numbers_as_names_become_spectra(rendered):
    lines = np.exp(-((np.linspace(0, 1, 900) - np.array([[0.2], [0.7]])) ** 2) / 0.01)
    spectra = NMF(2, random_state=0, max_iter=20, tol=0.1).fit(RNG.random((30, 2)) @ lines)
    axis = np.linspace(400, 2200, 900)
    page = rendered(spectra, names=[f"{x:.1f}" for x in axis])
    peaks = [number(float(f"{axis[part.argmax()]:.1f}")) for part in spectra.parts()]
    assert f"Component 0 peaks at {peaks[0]} and component 1 peaks at {peaks[1]}" in page.alts[0]
    assert len(page.source) < 200_000


def test_a_tensor_has_its_ways(written):
    tensor = np.einsum("ik,jk,lk->ijl", RNG.random((20, 2)), RNG.random((5, 2)), RNG.random((4, 2)))
    fitted = NTF(2, random_state=0, max_iter=30, tol=0.1).fit(tensor)
    page = written(fitted, tensor)
    assert page.faults == []
    entries = page.tables["Largest entries along way 2, with their weights"][1]
    assert entries[1].startswith(f"{fitted.factors_[-2][:, 0].argmax()} (")
    assert page.source.count("<img ") == 2  # a part is a picture of 5 × 4


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_report(name, written):
    if MODELS[name] == "nonneg.deep":
        pytest.importorskip("torch")
    fitted = getattr(nonneg, name)()
    small = {
        "n_components": 3, "random_state": 0, "max_iter": 5, "max_epochs": 2, "hidden": (6,), "pretrain_epochs": 1,
        "tol": 0.9,
    }  # fmt: skip
    fitted.set_params(**{key: value for key, value in small.items() if key in fitted.get_params()})
    takes = getattr(fitted, "_takes", "matrix")
    data = data_for(fitted)
    if takes == "ways":
        data = RNG.random((40, 4, 3))
    given = {"a": data, "b": data[:, :5]} if takes == "views" else data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fits that end early
        fitted.fit(given)
    page = written(fitted, given, labels=["a", "b"] * 20)
    assert page.faults == []
    assert {"parts", "components", "fit", "amounts", "data", "repeat"} <= set(page.ids)
    rows = page.tables["X in numbers"]
    assert ["Rows", "40"] in rows
    assert written(fitted).faults == []


def test_many_components_and_rows_stay_below_two_megabytes(rendered, monkeypatch):
    from nonneg.report import figures

    large = NMF(2, max_iter=1, tol=1).fit(RNG.random((4, 900)))
    k, n = 150, 5000
    large.n_components_, large.components_ = k, RNG.random((k, 900))
    where = RNG.standard_normal((2000, 2))
    monkeypatch.setattr(figures, "embed", lambda W, n_points, random_state: (where, np.arange(2000)))
    W = RNG.random((n, k))
    monkeypatch.setattr(large, "transform", lambda X: W, raising=False)
    monkeypatch.setattr(large, "certificate", lambda X, weights: None, raising=False)
    labels = RNG.integers(0, 400, n).astype(str)
    page = rendered(
        large, RNG.random((n, 900), np.float32), labels=labels, embedding="t-sne", image_shape=(30, 30)
    )
    assert page.faults == []
    assert len(page.source.encode()) < 2_000_000
    assert "100 largest of 150 components" in page.section("parts")
    assert "2,000 of 5,000 rows" in page.section("map")
    long = rendered(large, names=["n" * 200 + str(j) for j in range(900)])
    assert len(long.source.encode()) < 2_000_000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"labels": ["a"]}, "labels: expected one label"),
        ({"image_shape": (5, 5)}, r"image_shape=\(5, 5\)"),
        ({"image_shape": "3,4"}, r"image_shape='3,4' must hold whole numbers"),
        ({"parts": "images"}, "parts='images' needs image_shape"),
        ({"parts": "pie"}, "parts='pie'"),
        ({"embedding": "pca"}, "embedding='pca'"),
        ({"names": ["a"]}, "names: expected 12 names"),
        ({"row_names": ["a"]}, "row_names: expected 60 names"),
    ],
)
def test_what_does_not_fit_is_refused(options, words, model, tmp_path):
    with pytest.raises(ValueError, match=words):
        write_report(model, tmp_path / "report.html", X, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["labels", "weights", "row_names"])
def test_what_is_of_rows_needs_them(name, model, tmp_path):
    with pytest.raises(ValueError, match=f"{name} are of the rows of X"):
        write_report(model, tmp_path / "report.html", **{name: GROUPS})
