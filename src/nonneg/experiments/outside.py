"""Methods of ClustPy, which is no dependency: an autoencoder with k-means, DEC, and N2D.

They get the layers, batches, epochs, learning rate and optimizer of the other networks; activation (leaky ReLU), losses
and the learning rate of DEC's second stage are ClustPy's own. DEC's epochs are 2 of pretraining to 3 of clustering, as
in its defaults. N2D is fitted to the test images with the trained encoder: it has no function for new rows.
"""

from __future__ import annotations

import contextlib
import io
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nonneg.experiments.evaluate import Codes
from nonneg.experiments.measures import measure, parts_of
from nonneg.experiments.record import Run

__all__ = ["fit_outside"]


def fit_outside(
    run: Run,
    training: dict[str, Any],
    images: tuple[NDArray, NDArray, NDArray],
    report: Callable[[Codes], None],
) -> tuple[dict[str, Any], NDArray]:
    """Train a method of ClustPy and report its codes, with its own labels of the test images.

    Parameters
    ----------
    run : Run
        Which: ``clustpy-ae`` or ``clustpy-dec``.
    training : dict
        Batch size, learning rate and so on, as for the other networks.
    images : tuple of ndarray
        Training images, test images, and those of the linear classifier.
    report : callable
        Gets `Codes`.

    Returns
    -------
    measures : dict
        As `measure` returns them, and `seconds` of processor time.
    parts : ndarray (k, m)
        What a unit adds to the data.
    """
    train, test, _ = images
    top = float(train.max())
    scaled = [(part / top).astype(np.float32) for part in images]
    layers = [train.shape[1], *(run.hidden or ()), run.n_components]
    with _quiet(run.seed):
        import clustpy.deep  # noqa: F401  takes seconds, which are not of the training

        started = time.process_time()
        fit = _dec if run.method == "clustpy-dec" else _autoencoder
        network, own = fit(run, training, layers, scaled[0])
        seconds = time.process_time() - started
        code_test, code_probe = network.transform(scaled[1]), network.transform(scaled[2])
    labels = {name: _silent(run.seed, function, scaled[1]) for name, function in own.items()}
    report(Codes(run.method, run.epochs, code_test, code_probe, own=labels))

    def decode(codes: NDArray) -> NDArray:
        return _decoded(network, codes) * top

    parts = parts_of(decode, code_test)
    weight = network.decoder.block[0].weight.detach().numpy().T
    found = measure(
        test, lambda block: network.transform((block / top).astype(np.float32)), decode, parts, weight
    )
    return found | {"seconds": seconds}, parts


Own = dict[str, Callable[[NDArray, int], NDArray]]


def _autoencoder(run: Run, training: dict[str, Any], layers: list[int], X: NDArray) -> tuple[Any, Own]:
    from clustpy.deep.neural_networks import FeedforwardAutoencoder

    network = FeedforwardAutoencoder(layers, random_state=run.seed)
    network.fit(run.epochs, {"lr": training["learning_rate"]}, training["batch_size"], data=X)
    if find_spec("umap") is None:  # an extra, which only N2D needs
        return network, {}
    return network, {"n2d": lambda test, seed: _n2d(network, run.n_components, test, seed)}


def _n2d(network: Any, n_clusters: int, test: NDArray, seed: int) -> NDArray:
    """N2D of the test images with UMAP, as its paper has it (McConville et al. 2020), from a trained autoencoder."""
    from clustpy.deep import N2D
    from umap import UMAP

    manifold = {"n_components": n_clusters, "n_neighbors": min(20, len(test) - 1), "min_dist": 0.0, "n_jobs": 1,
                "random_state": seed}  # fmt: skip
    model = N2D(
        n_clusters, neural_network=network, manifold_class=UMAP, manifold_params=manifold, random_state=seed
    )
    return model.fit(test).labels_


def _dec(run: Run, training: dict[str, Any], layers: list[int], X: NDArray) -> tuple[Any, Own]:
    from clustpy.deep import DEC
    from clustpy.deep.neural_networks import FeedforwardAutoencoder

    epochs = run.epochs or 1
    first = max(1, round(0.4 * epochs))
    model = DEC(
        run.n_components,
        batch_size=training["batch_size"],
        pretrain_optimizer_params={"lr": training["learning_rate"]},
        pretrain_epochs=first,
        clustering_epochs=epochs - first,
        neural_network=(FeedforwardAutoencoder, {"layers": layers}),
        random_state=run.seed,
    ).fit(X)
    return model.neural_network_trained_, {
        "dec": lambda test, _: model.predict(test, model.dec_cluster_centers_)
    }


def _silent(
    seed: int, function: Callable[[NDArray, int], NDArray], test: NDArray
) -> Callable[[int], NDArray]:
    def labels(number: int) -> NDArray:
        with _quiet(seed):
            return np.asarray(function(test, number))

    return labels


def _decoded(network: Any, codes: NDArray) -> NDArray:
    import torch

    with torch.inference_mode():
        return network.decode(torch.from_numpy(np.ascontiguousarray(codes, dtype=np.float32))).numpy()


@contextlib.contextmanager
def _quiet(seed: int) -> Iterator[None]:
    """No bars, no words, no warnings of others, and torch's own random numbers left as they were."""
    import torch

    with (
        torch.random.fork_rng(devices=[]),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        yield
