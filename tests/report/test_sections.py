"""What single sections say: of rows without labels or amounts, of one component, of one start and of many."""

import numpy as np
import pytest

from nonneg import NMF
from nonneg.metrics import ari, clustering_accuracy, nmi
from nonneg.report.facts import Facts
from nonneg.report.sections.amounts import amounts
from nonneg.report.sections.certificate import certificate
from nonneg.report.sections.components import components
from nonneg.report.sections.data import data
from nonneg.report.sections.groups import groups
from nonneg.report.sections.memberships import memberships

RNG = np.random.default_rng(0)
X = np.kron(np.eye(3), np.ones((20, 4))) + 0.1 * RNG.random((60, 12))
GROUPS = np.repeat(["red", "green", "blue"], 20).astype(object)


@pytest.fixture(scope="module")
def model():
    return NMF(3, random_state=0).fit(X)


def cells(section, caption):
    table = next(block for block in section.blocks if getattr(block, "caption", "").startswith(caption))
    return {row[0]: list(row[1:]) for row in table.rows}


@pytest.mark.parametrize("absent", [None, np.nan, ""])
def test_rows_without_a_label_are_not_scored(model, absent):
    labels = GROUPS.copy()
    labels[::3] = absent
    facts = Facts(model, X, labels=labels)
    known = np.arange(60) % 3 > 0
    truth, found = GROUPS[known].astype(str), model.memberships(X)[known].argmax(axis=1)
    section = groups(facts)
    assert cells(section, "Dominant") == {
        "Accuracy": [clustering_accuracy(truth, found)],
        "Normalised mutual information": [nmi(truth, found)],
        "Adjusted Rand index": [ari(truth, found)],
    }
    assert section.sentences[0].startswith("40 rows with 3 labels")
    assert "20 rows without a label are left out" in section.sentences[1]
    assert cells(section, "Mean share")["not known"][0] == 20


def test_one_class_and_gaps_are_no_classes(model):
    labels = np.array(["a", None] * 30, dtype=object)
    assert groups(Facts(model, X, labels=labels)).blocks == ()


def test_rows_of_zeros_belong_to_no_component(model):
    Y = np.vstack([X, np.zeros((40, 12))])
    facts, whole = Facts(model, Y), Facts(model, X)
    np.testing.assert_allclose(facts.sizes, whole.sizes)
    assert facts.led.sum() == 60 and facts.led.tolist() == whole.led.tolist()
    assert [row[2] for row in components(facts).blocks[0].rows] == whole.led.tolist()
    assert memberships(facts).sentences == memberships(whole).sentences
    assert "40 rows of X are zero everywhere" in data(facts).cautions[0]
    nothing = Facts(model, np.zeros((4, 12)))
    assert memberships(nothing) is None and nothing.led.tolist() == [0, 0, 0]
    assert "the sum of all parts" in components(nothing).sentences[0]


def test_accuracy_cannot_be_whole_only_where_that_is_so(model):
    wide = NMF(4, random_state=0).fit(X)
    wide.components_ = np.vstack(
        [model.components_, 1e-3 * RNG.random((1, 12))]
    )  # beside a larger one everywhere
    facts = Facts(wide, X, labels=GROUPS)
    assert np.count_nonzero(facts.led) == 3
    assert groups(facts).cautions == []
    two = groups(Facts(model, X, labels=np.where(GROUPS == "red", "red", "other"))).cautions
    assert two[0].startswith("3 components lead rows of 2 labels: one-to-one accuracy cannot reach 100 %")


def test_one_component_is_not_compared_with_itself():
    facts = Facts(NMF(1, random_state=0).fit(X[:, :3]), X[:, :3], labels=GROUPS)
    assert components(facts).sentences[0].startswith("Sparsity is Hoyer's")
    assert len(components(facts).sentences) == 1 and "average" not in components(facts).sentences[0]
    assert groups(facts).cautions[0].startswith("1 component leads rows of 3 labels")


def test_starts_that_all_end_in_rounding_are_not_told_apart():
    whole = (RNG.integers(0, 3, (60, 3)) @ RNG.integers(0, 3, (3, 20))).astype(float)
    fitted = NMF(3, n_init=3, random_state=0, max_iter=2000, tol=1e-8).fit(whole)
    assert max(fitted.restart_losses_) > 1.05 * min(fitted.restart_losses_)
    section = certificate(Facts(fitted, whole))
    assert section.cautions == []
    assert section.sentences[-1] == "Each of 3 starts leaves nothing of the data but rounding."
    assert section.sentences[-2].startswith(
        "The gap to the bound of the SVD is less than 0.01\u00a0% of the size of X"
    )


def test_one_component_needs_no_other_start():
    assert certificate(Facts(NMF(1, random_state=0).fit(X), X)).cautions == []
    assert "one start (n_init=1)" in certificate(Facts(NMF(3, random_state=0).fit(X), X)).cautions[0]


def test_a_share_of_squares_is_no_measure_of_another_loss(model):
    facts = Facts(NMF(2, loss="kl", random_state=0, max_iter=20, tol=0.1).fit(X), X)
    words = "another loss than squares"
    assert any(words in text for text in certificate(facts).sentences)
    assert not any(words in text for text in certificate(Facts(model, X)).sentences)


def test_amounts_of_parts_of_unequal_size_are_not_compared(model):
    unequal = NMF(3, random_state=0).fit(X)
    unequal.components_ = model.components_ * np.array([[1], [10], [1]])
    words = "compare colours within a column"
    assert words in amounts(Facts(unequal, X)).blocks[0].caption
    assert words not in amounts(Facts(model, X)).blocks[0].caption
