"""Names of the nodes of an affinity: where data have them, and how pairs and messages use them."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..data import Source

__all__ = ["NodeNamesMixin", "aligned", "by_position", "is_graph", "names_of_nodes", "shown_node"]


def is_graph(X: Any) -> bool:
    """Whether X is a networkx graph, known by what it offers: networkx is no dependency."""
    return hasattr(X, "nodes") and hasattr(X, "edges")


def names_of_nodes(X: Any, *, square: bool) -> list[Any] | None:
    """Nodes of a graph, or names in a DataFrame: of its rows, or (``square``: an affinity) of rows and columns.

    None where rows are only numbered.

    Raises
    ------
    ValueError
        For a square DataFrame whose rows and columns have different names.
    """
    if is_graph(X):
        return list(X.nodes)
    if not hasattr(X, "columns") or not hasattr(X, "shape") or isinstance(X, Source):
        return None
    rows = _named(getattr(X, "index", None))  # a polars frame has none
    columns = _named(X.columns) if square else None
    if X.shape[0] != X.shape[1] or not square:
        return rows
    if rows is not None and columns is not None and rows != columns:
        place = next(i for i, pair in enumerate(zip(rows, columns, strict=True)) if pair[0] != pair[1])
        remedy = (
            "take X.loc[X.columns]"
            if set(rows) == set(columns)
            else "an affinity has the same rows and columns"
        )
        raise ValueError(
            f"X has other names of rows than of columns: row {place} is {rows[place]!r}, column {place} is "
            f"{columns[place]!r}; {remedy}, or pass X.to_numpy() if positions are meant"
        )
    return columns if rows is None else rows


def _named(labels: Any) -> list[Any] | None:
    if labels is None:
        return None
    found = list(labels)
    return None if found == list(range(len(found))) else found


def by_position(name: str, value: Any, names: list[Any] | None) -> Any:
    """Pairs of names as pairs of row numbers; other values as they are.

    Whole numbers are row numbers, unless there is a whole number among the names.

    Raises
    ------
    ValueError
        That names the argument and what is no pair, or no name of a node.
    """
    if value is None or names is None:
        return value
    if hasattr(value, "to_numpy"):
        value = value.to_numpy()
    found = [list(pair) if isinstance(pair, (list, tuple, np.ndarray)) else [pair] for pair in value]
    numbered = all(isinstance(node, Integral) for pair in found for node in pair)
    if numbered and not any(isinstance(node, Integral) for node in names):
        return value
    where = {node: i for i, node in enumerate(names)}
    if len(where) < len(names):
        raise ValueError(
            f"{name}: names of rows of X are not unique; give pairs of row numbers, and X as an array"
        )
    for pair in found:
        if len(pair) != 2:
            raise ValueError(f"{name} must hold pairs of nodes, found {pair}")
        for node in pair:
            if node not in where:
                raise ValueError(
                    f"{name} has the node {node!r}, which X has not; its nodes are {_some(names)}"
                )
    return [[where[node] for node in pair] for pair in found]


def _some(names: list[Any]) -> str:
    return ", ".join(map(repr, names[:3])) + (", …" if len(names) > 3 else "")


def shown_node(position: int, names: list[Any] | None) -> str:
    """A row as messages show it."""
    return f"{position}" if names is None else f"{names[position]!r}"


class NodeNamesMixin:
    """Models whose rows may be nodes of a graph: ``node_names_``, only when X has names."""

    def _remember_nodes(self, names: list[Any] | None, *, graph: bool, reset: bool) -> None:
        """Keep the names of a fit (``reset``), or refuse a graph with other nodes than that of the fit."""
        kept = None if names is None else [_kept(name) for name in names]
        if reset:
            self.__dict__.pop("node_names_", None)
            if kept is not None:
                self.node_names_ = kept
        elif graph and kept != getattr(self, "node_names_", kept):
            raise ValueError("X has other nodes than the graph of the fit, or in another order")


def _kept(name: Any) -> str | int:
    """A name of a node as files hold it."""
    return int(name) if isinstance(name, Integral) else str(name)


def aligned(graph: Any, names: list[Any] | None) -> Any:
    """The matrix of a graph whose nodes have names, in the order of the rows of X; other graphs as they are.

    Parameters
    ----------
    graph : ndarray, sparse matrix, square DataFrame or networkx graph
        Over the rows of X.
    names : list or None
        Of the rows of X. Without them nodes that are the integers 0, 1, …, n − 1, in any order, are numbers of rows;
        a matrix, and a DataFrame with other names, is taken by position.

    Raises
    ------
    ValueError
        For a node that X has not, a row that the graph has not, names that are not unique, and for a networkx graph
        whose nodes have names where the rows of X have none: its order is the one in which nodes were added.
    """
    own = names_of_nodes(graph, square=True)
    if own is not None and names is None:
        if set(own) == set(range(len(own))):
            names = list(range(len(own)))
        elif is_graph(graph):
            raise ValueError(
                f"graph has nodes with names ({_some(own)}), and the rows of X have none to match; pass X as a "
                "DataFrame whose index holds them, or networkx.to_scipy_sparse_array(graph, nodelist=[…]) in the "
                "order of the rows"
            )
    if is_graph(graph):
        from ..penalties.graph import adjacency

        graph = adjacency(graph)
    elif hasattr(graph, "to_numpy"):
        graph = graph.to_numpy()
    if own is None or names is None or own == names:
        return graph
    place = {node: i for i, node in enumerate(own)}
    strange = [node for node in own if node not in set(names)]
    lacking = [name for name in names if name not in place]
    if strange or lacking or not len(place) == len(own) == len(names):
        odd = (
            f"the node {strange[0]!r} is no row of X"
            if strange
            else f"the row {lacking[0]!r} of X is no node"
            if lacking
            else "names of rows are not unique"
        )
        raise ValueError(
            f"graph: {odd}; name rows and nodes alike, or pass X as an array with its rows in the order of the nodes"
        )
    order = np.array([place[name] for name in names])
    matrix = sp.csr_array(graph) if sp.issparse(graph) else np.asarray(graph)
    return matrix[order][:, order]
