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
        mean, least, most = (number(float(value)) for value in (alive.mean(), alive.min(), alive.max()))
        sentences.append(
            "Sparsity is Hoyer's: 0 where all entries are alike, 1 where there is one. That of the parts is "
            f"{f'{mean} on average, from {least} to {most}' if len(alive) > 1 else mean}."
        )
    cautions = _useless(facts, dead, duplicates)
    if not (dead or duplicates) and facts.k > 1:
        sentences.append("No component is dead, and no two are the same.")
    if len(chosen) < facts.k:
        sentences.append(f"The table has the {len(chosen)} largest of {facts.k:,} components.")
    return Section(
        "components", "Component by component", sentences, cautions, [_table(facts, chosen, sparse)]
    )


def _sizes(facts: Facts, alive: list[int]) -> list[str]:
    if not alive or facts.k == 1:
        return []
    sizes = facts.sizes[alive]
    large, small = alive[int(sizes.argmax())], alive[int(sizes.argmin())]
    whole = "the amounts in the rows" if facts.mixtures is not None else "the sum of all parts"
    sentences = [
        f"Component {large} is the largest, with {percent(float(facts.sizes[large]))} of {whole}; component {small} is "
        f"the smallest{' that is alive' if len(alive) < facts.k else ''}, with {percent(float(facts.sizes[small]))}."
    ]
    idle = [] if facts.led is None else [j for j in alive if not facts.led[j]]
    if idle:
        sentences.append(
            f"{_these(idle)} {'leads' if len(idle) == 1 else 'lead'} no row: always beside a larger one."
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
    if small and facts.mixtures is not None:
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
    if facts.led is not None:
        head.append("Rows it leads")
        columns.append([int(facts.led[j]) for j in chosen])
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
