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
    rows = counted(int(labels.known.sum()), "row")
    if not labels.are_classes:
        text = (
            f"The labels take {counted(labels.classes, 'value')} in {rows}: they are no classes, and are not compared "
            "with the components."
        )
        return Section("labels", "Components and labels", [text])
    truth, clusters = labels.codes[labels.known], facts.dominant[labels.known]
    found = {
        "Accuracy": clustering_accuracy(truth, clusters),
        "Normalised mutual information": nmi(truth, clusters),
        "Adjusted Rand index": ari(truth, clusters),
    }
    scores = Table(
        "Dominant components as clusters, against the labels",
        ["Measure", "Value"],
        [[name, float(value)] for name, value in found.items()],
    )
    sentences = [
        f"{rows} with {counted(labels.classes, 'label')}. The dominant component, taken as a cluster, agrees with the "
        f"label for {percent(float(found['Accuracy']))} of the rows under the best matching of the two, one to one."
    ]
    if not labels.known.all():
        count = int((~labels.known).sum())
        sentences.append(
            f"{counted(count, 'row')} without a label {'is' if count == 1 else 'are'} left out of that."
        )
    cautions = []
    leading = len(np.unique(clusters))
    if leading != labels.classes:
        cautions.append(
            f"{counted(leading, 'component')} {'leads' if leading == 1 else 'lead'} rows of "
            f"{counted(labels.classes, 'label')}: one-to-one accuracy cannot reach 100 % however well the components "
            "follow the labels; the mutual information can be high."
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
        some = facts.shares[(labels.codes == code) & ~facts.blank]
        mean = some.mean(axis=0)[chosen] if len(some) else np.full(len(chosen), np.nan)
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
