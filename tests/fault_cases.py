"""Simulated plants and their faults, and charts of PCA to compare with. As a script: the table of docs/deep.md."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.decomposition import PCA

from nonneg.deep import NonnegativeAutoencoder
from nonneg.deep.monitoring import control_limits

RATE = 0.01
HOW = {"hidden": (128, 128), "batch_size": 64, "learning_rate": 5e-3, "schedule": "cosine", "device": "cpu"}
NOISE = {"noise": "salt-and-pepper", "noise_level": 0.1}


def three(n, seed, noise=0.02):
    """x = (t, t² − 3t, −t³ + 3t²) + noise, t ~ U(0.01, 2): the process of Dong and McAvoy (1996)."""
    rng = np.random.default_rng(seed)
    t = rng.uniform(0.01, 2, n)
    clean = np.column_stack([t, t**2 - 3 * t, -(t**3) + 3 * t**2])
    return clean + noise * rng.standard_normal((n, 3)), t


def twelve(n, seed, noise=0.03):
    """Twelve sensors, each in its own unit, of three drivers that act on them nonlinearly."""
    rng = np.random.default_rng(seed)
    a, b, c = rng.uniform(-1, 1, (3, n))
    clean = np.column_stack(
        [a, b, c, a**2, a * b, np.sin(2 * b), np.tanh(2 * c), a + b * c, b - a**2, np.exp(c) - 1, c**2, a - c]
    )
    units = np.geomspace(0.01, 1000, 12)
    return (clean + noise * rng.standard_normal((n, 12))) * units + 3 * units[::-1], units


def faults_of_three(seed) -> dict[str, np.ndarray]:
    """Rows of a plant whose second sensor is off by .4, drifts from 0 to 1, or follows t² − 2.5 t."""
    bias, drift = (three(1000, seed + number)[0] for number in (2, 4))
    bias[:, 1] += 0.4
    drift[:, 1] += np.linspace(0, 1, 1000)
    relation, t = three(1000, seed + 3)
    relation[:, 1] += 0.5 * t
    return {"bias": bias, "drift": drift, "relation": relation}


def faults_of_twelve(seed) -> dict[str, np.ndarray]:
    """A sensor of a · b is off by .7, one of c² drifts from 0 to 2, or a · b comes from another row."""
    X, units = twelve(1000, seed + 2)
    bias, drift, relation = X.copy(), X.copy(), X.copy()
    bias[:, 4] += 0.7 * units[4]
    drift[:, 8] += np.linspace(0, 2, 1000) * units[8]
    # its values are normal, and no linear relation is broken
    relation[:, 4] = np.random.default_rng(seed + 5).permutation(relation[:, 4])
    return {"bias": bias, "drift": drift, "relation": relation}


def linear_charts(X) -> Callable[[np.ndarray], np.ndarray]:
    """Alarms by T² and SPE of PCA with 90 % of the variance; limits from the last fifth of the rows, by our rule."""
    cut = len(X) * 4 // 5
    mean, sd = X[:cut].mean(axis=0), X[:cut].std(axis=0)
    pca = PCA(0.9).fit((X[:cut] - mean) / sd)

    def statistics(Y):
        Z = (Y - mean) / sd
        scores = pca.transform(Z)
        spe = ((Z - pca.inverse_transform(scores)) ** 2).sum(axis=1)
        return np.column_stack([(scores**2 / pca.explained_variance_).sum(axis=1), spe])

    sizes = np.quantile(statistics(X[:cut]), 0.99, axis=0)
    limits, _ = control_limits(statistics(X[cut:]), sizes, RATE)
    return lambda Y: (statistics(Y) > limits).any(axis=1)


def fit(X, n_components, seed, **how) -> NonnegativeAutoencoder:
    return NonnegativeAutoencoder(n_components, **HOW | how, random_state=seed).fit(X)


def main(seeds=range(5), epochs=80) -> None:
    """Print shares of rows with an alarm, mean ± sd and least over plants, each with a seed of its own."""
    for make, faults, rows, k, level in (
        (three, faults_of_three, 1500, 2, 0.1),
        (twelve, faults_of_twelve, 2000, 4, 0.025),
    ):
        found: dict[tuple[str, str], list[float]] = {}
        for seed in seeds:
            X = make(rows, 100 * seed)[0]
            networks = {
                "plain": fit(X, k, seed, max_epochs=epochs),
                "noise": fit(X, k, seed, max_epochs=epochs, noise="salt-and-pepper", noise_level=level),
            }
            charts = {
                name: lambda Y, model=model: model.monitor(Y).alarms for name, model in networks.items()
            }
            cases = {"normal": make(4000, 100 * seed + 1)[0]} | faults(100 * seed)
            for name, alarms in ({"PCA": linear_charts(X)} | charts).items():
                for case, Y in cases.items():
                    found.setdefault((case, name), []).append(float(alarms(Y).mean()))
        for (case, name), shares in found.items():
            mean, sd, least = np.mean(shares), np.std(shares, ddof=1), min(shares)
            print(f"{make.__name__} {case} {name}: {mean:.3f} ± {sd:.3f}, least {least:.3f}", flush=True)


if __name__ == "__main__":
    main()
