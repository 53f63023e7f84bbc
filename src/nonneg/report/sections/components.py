"""Every component in a line: how large, how sparse, dead or doubled."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...metrics import hoyer_sparsity
from ..blocks import Section, Table
from ..facts import Facts
from ..words import counted, hundredths, listed, number, percent

__all__ = ["components"]

MOST = 200
RARE = 0.1  # of the mean size


def components(facts: Facts) -> Section | None:
    """Table of the components, with what is wrong with some of them."""
    found = facts.summary_of_parts
    sparse, dead, duplicates = found["hoyer_sparsity"], found["dead"], found["duplicates"]
    chosen = np.sort(facts.largest_first()[:MOST])
    sentences = _sizes(facts, [j for j in range(facts.k) if j not in set(dead)])
    alive = sparse[np.isfinite(sparse)]
    if alive.size:
        sentences.append(
            f"Sparsity is Hoyer's: 0 where all entries are alike, 1 where there is one. That of the parts is "
            f"{number(float(alive.mean()))} on average, from {number(float(alive.min()))} to "
            f"{number(float(alive.max()))}."
        )
    cautions = _useless(facts, dead, duplicates)
    if not cautions:
        sentences.append("No component is dead, and no two are the same.")
    if len(chosen) < facts.k:
        sentences.append(f"The table has the {len(chosen)} largest of {facts.k:,} components.")
    return Section(
        "components", "Component by component", sentences, cautions, [_table(facts, chosen, sparse)]
    )


def _sizes(facts: Facts, alive: list[int]) -> list[str]:
    if not alive:
        return []
    sizes = facts.sizes[alive]
    large, small = alive[int(sizes.argmax())], alive[int(sizes.argmin())]
    whole = "the amounts in the rows" if facts.shares is not None else "the sum of all parts"
    sentences = [
        f"Component {large} is the largest, with {percent(float(facts.sizes[large]))} of {whole}; component {small} is "
        f"the smallest{' that is alive' if len(alive) < facts.k else ''}, with {percent(float(facts.sizes[small]))}."
    ]
    if facts.dominant is not None:
        idle = np.setdiff1d(alive, facts.dominant)
        if idle.size:
            sentences.append(
                f"{_these(list(idle))} {'leads' if idle.size == 1 else 'lead'} no row: always beside a larger one."
            )
    return sentences


def _useless(facts: Facts, dead: list[int], duplicates: list[tuple[int, int]]) -> list[str]:
    cautions = []
    if dead:
        cautions.append(
            f"{len(dead)} of {counted(facts.k, 'component')} {'is' if len(dead) == 1 else 'are'} dead "
            f"({listed(dead)}): next to nothing beside the others. A smaller n_components would do, or a "
            "weaker penalty."
        )
    if duplicates:
        pairs = listed([f"{i} and {j}" for i, j in duplicates], 5)
        cautions.append(
            f"{counted(len(duplicates), 'pair')} of components {'is' if len(duplicates) == 1 else 'are'} the same "
            f"but for scale ({pairs}): read them as one, or take a smaller n_components."
        )
    small = [j for j in range(facts.k) if facts.sizes[j] < RARE / facts.k and j not in dead]
    if small and facts.shares is not None:
        cautions.append(
            f"{_these(small)} {'is' if len(small) == 1 else 'are'} small: below a tenth of an even share. What few "
            "rows have may be real, or may be noise; look at those rows."
        )
    return cautions


def _these(numbers: list[int]) -> str:
    return f"Component{'' if len(numbers) == 1 else 's'} {listed(numbers)}"


def _table(facts: Facts, chosen: np.ndarray, sparse: np.ndarray) -> Table:
    head = ["Component", "Share, %"]
    columns: list[list[Any]] = [[f"Component {j}" for j in chosen], _percents(facts, chosen)]
    if facts.dominant is not None:
        counts = np.bincount(facts.dominant, minlength=facts.k)
        head.append("Rows it leads")
        columns.append([int(counts[j]) for j in chosen])
    head.append("Sparsity of the part")
    columns.append([float(sparse[j]) for j in chosen])
    if facts.W is not None and len(facts.W):
        head.append("Sparsity in the rows")
        over_rows = hoyer_sparsity(facts.W, axis=0)
        columns.append([float(over_rows[j]) for j in chosen])
    state = dict.fromkeys(facts.summary_of_parts["dead"], "dead")
    for i, j in facts.summary_of_parts["duplicates"]:
        state[j] = f"the same as {i}"
    head.append("State")
    columns.append([state.get(int(j), "alive") for j in chosen])
    return Table("The components", head, list(zip(*columns, strict=True)))


def _percents(facts: Facts, chosen: np.ndarray) -> list[float]:
    return [hundredths(facts.sizes[j]) for j in chosen]
