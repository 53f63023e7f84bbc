"""
Single cells: programs of blood
===============================

A cell's counts of RNA molecules are a sum over the programs that it runs. Factorized under the loss of
Kullback and Leibler, which is the likelihood of Poisson counts, they give for every program its genes, and
for every cell its share of each program: not one label, as a clustering does.

The data are 700 mononuclear cells of human blood and 765 variable genes, a part of the 68,000 of Zheng et al.
(2017), which the package ``scanpy`` carries. It has them as logarithms; the counts are recovered from these.
The types of cells that come with them were given by the nearest of ten bulk profiles. They are used to judge,
never to fit, and they are no truth: another method made them, from the same counts.
"""

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
from sklearn.decomposition import PCA
from sklearn.neighbors import kneighbors_graph

from nonneg import NMF, clustering, datasets, metrics, plots

cells = datasets.load("pbmc68k-reduced")
X, genes = cells.data, cells.feature_names
depth = X.sum(axis=1)
print(f"{X.shape[0]} cells, {X.shape[1]} genes, {X.nnz / np.prod(X.shape):.0%} of the table is not zero")
print(f"molecules a cell: {depth.min():.0f} to {depth.max():.0f}, median {np.median(depth):.0f}")

# %%
# How many programs
# -----------------
#
# Counts are taken as they are, and stay sparse: no logarithm, no scaling of genes, and no division by depth,
# for W takes up how many molecules were read of a cell. Of the numbers tried, the largest is kept of which
# other starts find every program again (:doc:`plot_choosing_rank` has this and other ways).

models = {}
for k in (4, 6, 8):
    models[k] = NMF(k, loss="kl", tol=3e-3, random_state=0).fit(X)
    other = NMF(k, loss="kl", init="random", tol=3e-3, random_state=1).fit(X)
    similar = metrics.match_components(models[k].components_, other.components_).similarity
    print(f"{k:2d} programs: {(similar > 0.95).sum():2d} found again, smallest cosine {similar.min():.2f}")
    if similar.min() < 0.95:
        del models[k]
k = max(models)
model = models[k]

# %%
# The genes of a program
# ----------------------
#
# The largest weights of a program are genes that every cell makes much of (``FTL``, ribosomes). What marks it
# are genes that it has more of than any other program: here weighed by p log₂ (p / the largest p of the
# others), p a gene's share of the program's molecules.

p = model.components_ / model.components_.sum(axis=1, keepdims=True)
others = np.array([np.delete(p, program, axis=0).max(axis=0) for program in range(k)])
marks = np.maximum(p * np.log2((p + 1e-6) / (others + 1e-6)), 0)
for program in range(k):
    largest, marking = (np.argsort(-weights[program])[:7] for weights in (p, marks))
    print(f"{program} largest  {' '.join(genes[gene] for gene in largest)}")
    print(f"  marking  {' '.join(genes[gene] for gene in marking)}")

figure = plt.figure(figsize=(11, 5.4), layout="constrained")
plots.top_features(
    1000 * marks, genes, n=8, n_columns=3, titles=[f"program {i}" for i in range(k)], figure=figure
)

# %%
# The cells
# ---------
#
# A bar is a cell, its colours are the shares of its molecules that each program made. Cells are grouped by
# the types that came with them.

shares = model.memberships(X)
short = ["T reg", "naive T", "memory T", "CD8 T", "naive CD8", "mono", "B", "CD34", "NK", "dendritic"]
figure, axes = plt.subplots(figsize=(11, 3.6), layout="constrained")
kinds = np.array([f"{number} {name}" for number, name in enumerate(short)])
plots.memberships(shares, labels=kinds[cells.target], titles=[f"program {i}" for i in range(k)], axes=axes)

labels = shares.argmax(axis=1)
for program in range(k):
    of = np.bincount(cells.target[labels == program], minlength=10)
    most = ", ".join(f"{of[kind]} {short[kind]}" for kind in np.argsort(-of)[:4] if of[kind])
    print(f"largest share from program {program}: {of.sum()} cells ({most})")

# %%
# What one sees: programs 0, 3, 2 and 4 are those of dendritic cells, monocytes, B cells and plasma cells
# (which the types call B), 1 is that of T cells, 5 that of killing, which NK cells run nearly alone and CD8 T
# cells beside the program of T cells, some more and some less. A label cannot say that. 52 cells that were
# called dendritic run the program of monocytes; the last picture shows them among these. The CD34 cells have
# no program among six and borrow that of T cells.
#
# Beside the usual clusterings
# ----------------------------
#
# The usual way is a graph of neighbours in the principal components of logarithms, and Louvain's or Leiden's
# communities in it (here Blondel et al. 2008, by ``networkx``). k-means gets the same components. ``ari`` is
# the agreement on pairs of cells, 0 by chance.

logs = np.log1p(1e4 * X.toarray() / depth[:, None])
components = PCA(30, random_state=0).fit_transform(logs)
graph = nx.from_scipy_sparse_array(kneighbors_graph(components, 15))
communities = np.empty(len(depth), dtype=int)
for number, members in enumerate(nx.community.louvain_communities(graph, seed=0)):
    communities[list(members)] = number
found = {
    "largest share": labels,
    "Louvain": communities,
    f"k-means, {k}": clustering.cluster(components, k, "kmeans", random_state=0),
    "k-means, 10": clustering.cluster(components, 10, "kmeans", random_state=0),
    "shuffled shares": np.random.default_rng(0).permutation(labels),
}
for name, one in found.items():
    ari, nmi = metrics.ari(cells.target, one), metrics.nmi(cells.target, one)
    print(f"{name:16s} {len(np.unique(one)):2d} groups, with the types: ari {ari:.2f}, nmi {nmi:.2f}")
print(f"largest share with Louvain: ari {metrics.ari(communities, labels):.2f}")

points, rows = plots.embed(components, n_points=400)
figure, panels = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
for axes, title, groups, names in zip(
    panels,
    ("types that came with the data", "largest share of a program", "Louvain"),
    (cells.target, labels, communities),
    (short, None, None),
    strict=True,
):
    plots.embedding(points, groups[rows], names=names, title=title, axes=axes)
plt.show()

# %%
# All of these agree with the types about equally well; the shares are not the better clustering, they say
# more about a cell. t-SNE shows a small island of dendritic cells, and the CD34 cells, that Louvain sets
# apart and six programs do not.
#
# What to be careful of
# ---------------------
#
# * A program is not a type of cell: a type may run several, and a program may be shared (here that of T
#   cells, by five types that 765 genes and some 650 molecules a cell hardly tell apart).
# * Rare types need more programs than are found again. Look at the cells that fit worst, or ask for more and
#   keep those that recur.
# * Counts, not logarithms: :doc:`plot_count_data` shows what logarithms lose, on data whose programs are
#   known.
# * Batches and the quality of cells make programs, too (ribosomes, mitochondria). Genes that are left out
#   beforehand decide which.
# * Fit on the genes that vary, and read the others afterwards: with W given, ``NMF(k, loss="kl",
#   frozen=range(k)).fit_transform(X_all.T, H_init=W.T)`` has k weights for each gene.
#
# Read more: with AnnData, ``nonneg.anndata.nmf(adata, 6)`` fits its counts in one line and writes where
# scanpy looks (``obsm["X_nmf"]``, ``varm["NMF"]``). The losses are in :doc:`the page of NMF </docs/nmf>`, the
# same model as probabilities in :doc:`that of PLSA </docs/family/plsa>`.
