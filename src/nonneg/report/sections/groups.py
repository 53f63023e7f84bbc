"""Components against what is known of the rows."""

from __future__ import annotations

import numpy as np

from ...metrics import ari, clustering_accuracy, nmi
from ..blocks import Section, Table
from ..facts import Facts
from ..labels import Labels
from ..words import counted, hundredths, number, percent, shown

__all__ = ["groups"]

MOST = 12  # components and labels in the table


def groups(facts: Facts) -> Section | None:
    """How labels and components go together; None without labels or without shares."""
    labels = facts.labels
    if labels is None or facts.shares is None or facts.dominant is None:
        return None
    if not labels.are_classes:
        text = (
            f"The labels take {counted(len(labels.names), 'value')} in {counted(len(labels.codes), 'row')}: they "
            "are no classes, and are not compared with the components."
        )
        return Section("labels", "Components and labels", [text])
    found = {
        "Accuracy": clustering_accuracy(labels.codes, facts.dominant),
        "Normalised mutual information": nmi(labels.codes, facts.dominant),
        "Adjusted Rand index": ari(labels.codes, facts.dominant),
    }
    scores = Table(
        "Dominant components as clusters, against the labels",
        ["Measure", "Value"],
        [[name, float(value)] for name, value in found.items()],
    )
    sentences = [
        f"{counted(len(labels.codes), 'row')} with {counted(len(labels.names), 'label')}. The dominant component, "
        f"taken as a cluster, agrees with the label for {percent(float(found['Accuracy']))} of the rows under the best "
        "matching of the two, one to one."
    ]
    cautions = []
    if len(labels.names) != facts.k:
        cautions.append(
            f"There are {counted(facts.k, 'component')} and {counted(len(labels.names), 'label')}: one-to-one accuracy "
            "cannot reach 100 % however well the components follow the labels; the mutual information can be high."
        )
    return Section(
        "labels", "Components and labels", sentences, cautions, [scores, _mean_shares(facts, labels)]
    )


def _mean_shares(facts: Facts, labels: Labels) -> Table:
    """Mean share of the largest components in the rows of the most frequent labels."""
    assert facts.shares is not None
    chosen = np.sort(facts.largest_first()[:MOST])
    rows = []
    for code in labels.most_frequent(MOST):
        mean = facts.shares[labels.codes == code].mean(axis=0)[chosen]
        rows.append(
            [
                shown(labels.names[code]),
                int(labels.counts[code]),
                *(hundredths(share) for share in mean),
            ]
        )
    limits = []
    if len(labels.names) > MOST:
        limits.append(f"the {MOST} most frequent labels")
    if facts.k > MOST:
        limits.append(f"the {MOST} largest of {number(facts.k)} components")
    caption = "Mean share of each component in the rows of each label, in percent"
    return Table(
        caption + (f" ({', '.join(limits)})" if limits else ""),
        ["Label", "Rows", *(f"C{j}" for j in chosen)],
        rows,
    )
