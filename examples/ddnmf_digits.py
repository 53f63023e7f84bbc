"""DDNMF on the small digits in twenty lines: train, cluster, denoise, look at the parts. Needs torch."""

import numpy as np

from nonneg import DDNMF, clustering, datasets, metrics, plots

train, test = datasets.load("digits", "train"), datasets.load("digits", "test")
model = DDNMF(10, hidden=(128, 128, 256), profile="best", batch_size=64, max_epochs=10, random_state=0)
model.fit(train.data)

H = model.transform(test.data)
labels = clustering.cluster(H, 10, "kmeans", random_state=0)
print(
    f"ACC {metrics.clustering_accuracy(test.target, labels):.3f}, NMI {metrics.nmi(test.target, labels):.3f}"
)
print(
    f"‖Z − Ẑ‖ / ‖Z‖ by epoch: {model.history_['nmf_relative_error'][[0, 4, -1]].round(2)}, "
    f"dead units: {model.n_dead_units_}"
)

noisy = np.where(
    np.random.default_rng(0).random(test.data.shape) < 0.3, 0, test.data
)  # 30 % of the pixels masked
before, after = (np.linalg.norm(test.data - images) for images in (noisy.astype(float), model.denoise(noisy)))
print(f"distance to the clean images: {before:.0f} noisy, {after:.0f} denoised")

plots.parts(model.parts(), train.image_shape).savefig("ddnmf_parts.png", dpi=120)
