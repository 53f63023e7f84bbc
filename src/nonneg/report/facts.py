"""What a report says, as numbers: computed once, when a section first asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..data import Source, Summary
from ..data.images import image_shape as shape_of_names
from ..models.certificate import Certificate
from ..models.inputs import shares
from .labels import Labels, column_names

__all__ = ["Facts"]

POINTS = 2000  # rows of the map
CELLS = 4_000_000  # reconstructed at once


class Facts:
    """A fitted model, data if there are any, and what follows from both.

    Parameters are those of `nonneg.report.write_report`.
    """

    def __init__(
        self,
        model: Any,
        X: Any = None,
        *,
        labels: Any = None,
        weights: Any = None,
        image_shape: Sequence[int] | None = None,
        names: Sequence[str] | None = None,
        row_names: Sequence[str] | None = None,
        parts: str = "auto",
        embedding: str | None = "t-sne",
        layer: str | None = None,
        memory_limit: int | str | None = None,
        versions: Mapping[str, str] | None = None,
        data_name: str | None = None,
    ) -> None:
        self.model, self.X, self.weights = model, X, weights
        self.name = type(model).__name__
        self.embedding, self.versions, self.data_name = embedding, versions, data_name
        self.how = {"layer": layer, "memory_limit": memory_limit}
        self.k = int(model.n_components_)
        self.names = column_names(model, names)
        self.image_shape = self._images(image_shape)
        self.parts_as = self._view(parts)
        self.labels = None if labels is None or self.source is None else Labels(labels, self.n_rows)
        self._row_names = row_names
        if row_names is not None and len(row_names) != self.n_rows:
            raise ValueError(f"row_names: expected {self.n_rows} names, one a row of X, got {len(row_names)}")

    # -- the parts ------------------------------------------------------------------------------------------

    @cached_property
    def parts(self) -> np.ndarray:
        """(k, m), float64."""
        return np.asarray(self.model.parts(), dtype=np.float64)

    @cached_property
    def summary_of_parts(self) -> dict[str, Any]:
        """Sparsity, dead and duplicate components."""
        return self.model.parts_summary()

    def feature(self, j: int) -> str:
        """Name of a column of the parts."""
        return f"column {j}" if self.names is None else str(self.names[j])

    def component(self, j: int) -> str:
        """What a component is called in sentences."""
        return f"component {j}"

    @property
    def axis(self) -> np.ndarray | None:
        """The names of the columns as numbers that rise or fall (wavelengths, times); None if they are none."""
        if self.names is None or len(self.names) < 20:
            return None
        try:
            values = np.array([float(name) for name in self.names])
        except ValueError:
            return None
        steps = np.diff(values)
        return values if (steps > 0).all() or (steps < 0).all() else None

    def _images(self, given: Sequence[int] | None) -> tuple[int, ...] | None:
        m = self.parts.shape[1]
        if given is not None:
            shape = tuple(given)
            if not all(isinstance(side, (int, np.integer)) for side in shape):
                raise ValueError(f"image_shape={given!r} must hold whole numbers: (rows, columns)")
            shape = tuple(map(int, shape))
            colour = len(shape) == 3 and shape[2] == 3
            if (len(shape) != 2 and not colour) or min(shape) < 1 or int(np.prod(shape)) != m:
                raise ValueError(
                    f"image_shape={shape} must be (rows, columns), or (rows, columns, 3) for colour, with {m} entries "
                    f"in all, as many as the parts of {self.name} have"
                )
            return shape
        ways = tuple(getattr(self.model, "tensor_shape_", ()))
        if len(ways) == 2 and min(ways) > 1:
            return ways
        return shape_of_names(self.names)

    def _view(self, asked: str) -> str:
        if asked not in ("auto", "images", "features", "spectra"):
            raise ValueError(f"parts={asked!r} must be 'auto', 'images', 'features' or 'spectra'")
        if asked == "images" and self.image_shape is None:
            raise ValueError(
                "parts='images' needs image_shape=(rows, columns): the columns of X do not say it"
            )
        if asked != "auto":
            return asked
        if self.image_shape is not None:
            return "images"
        return "features" if self.axis is None else "spectra"

    # -- the data -------------------------------------------------------------------------------------------

    @cached_property
    def source(self) -> Source | None:
        """The data as the model reads them."""
        if self.X is None:
            return None
        opened = self.model._opened(self.X, **self.how)
        return self.model._source(opened, weights=self.weights, whom="write_report")

    @cached_property
    def summary(self) -> Summary | None:
        """Minimum, maximum and sums of the observed cells."""
        return None if self.source is None else self.model._check_data(self.source, "write_report")

    @property
    def n_rows(self) -> int:
        """Rows of X, or of what the model remembers of them."""
        if self.source is not None:
            return int(self.source.shape[0])
        return 0 if self.W is None else len(self.W)

    @cached_property
    def cells(self) -> tuple[int, int]:
        """How many cells are observed, and how many of these are zero, in one pass."""
        observed = zeros = 0
        assert self.source is not None
        for block in self.source.blocks():
            values = block.X.data if sp.issparse(block.X) else block.X
            if block.weights is not None:
                seen = block.weights > 0
                observed += int(np.count_nonzero(seen))
                zeros += int(np.count_nonzero(seen & (values == 0)))
            else:
                size = block.X.shape[0] * block.X.shape[1]
                observed += size
                zeros += size - int(np.count_nonzero(values))
        return observed, zeros

    def row(self, i: int) -> str:
        """Name of a row of X."""
        return f"row {i}" if self._row_names is None else str(self._row_names[i])

    # -- the codes ------------------------------------------------------------------------------------------

    @cached_property
    def W(self) -> np.ndarray | None:
        """(n, k): codes of X, or those that the model remembers of its fit."""
        if self.X is None:
            kept = getattr(self.model, "embedding_", None)
            return None if kept is None else np.asarray(kept)
        how = {name: value for name, value in self.how.items() if value is not None}
        if self.weights is not None:
            how["weights"] = self.weights
        return np.asarray(self.model.transform(self.X, **how))

    @cached_property
    def shares(self) -> np.ndarray | None:
        """(n, k): share of each component in each row; None where codes are no amounts."""
        if self.W is None or self.model._any_sign_codes:
            return None
        return shares(self.W, self.model._extents())

    @cached_property
    def blank(self) -> np.ndarray:
        """(n,): rows without any amount, whose shares are even by convention alone."""
        return np.zeros(0, bool) if self.W is None else (self.W == 0).all(axis=1)

    @cached_property
    def mixtures(self) -> np.ndarray | None:
        """Shares of the rows that have any amount; None where there are none."""
        return None if self.shares is None or self.blank.all() else self.shares[~self.blank]

    @cached_property
    def dominant(self) -> np.ndarray | None:
        """(n,): the component with the largest share."""
        return None if self.shares is None else self.shares.argmax(axis=1)

    @cached_property
    def led(self) -> np.ndarray | None:
        """(k,): rows in which the component has the largest share, rows without any amount left out."""
        if self.dominant is None:
            return None
        return np.bincount(self.dominant[~self.blank], minlength=self.k)

    @cached_property
    def sizes(self) -> np.ndarray:
        """(k,): mean share of each component in the rows; without rows, share in the sum of all parts."""
        if self.mixtures is not None:
            return self.mixtures.mean(axis=0)
        largest = np.abs(self.parts).max(initial=0.0) or 1.0
        extent = np.abs(self.parts / largest).sum(axis=1)
        return extent / (extent.sum() or 1.0)

    def largest_first(self) -> np.ndarray:
        """Components by `sizes`."""
        return np.argsort(-self.sizes, kind="stable")

    @cached_property
    def map(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Points (p, 2) and the rows that they are; None without enough rows."""
        from .figures import flat_map

        if self.embedding is None or self.W is None or len(self.W) < 10 or self.k < 2:
            return None
        return flat_map(self.W, self.embedding, POINTS)

    # -- how good it is -------------------------------------------------------------------------------------

    @cached_property
    def certificate(self) -> Certificate | None:
        """What can be proved of a matrix model on X."""
        if self.X is None or not hasattr(self.model, "certificate"):
            return None
        X = self.model._opened(self.X, **self.how)
        return self.model.certificate(X, weights=self.weights)

    @cached_property
    def unexplained(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Some rows, their Σ w (x − x̂)² and their Σ w x²; None where nothing is reconstructed."""
        if self.source is None or self.W is None or not hasattr(self.model, "inverse_transform"):
            return None
        n, m = self.source.shape
        in_time = hasattr(self.model, "patterns_")  # a row of X is no function of a row of W
        if getattr(self.model, "_takes", "") == "views" or (in_time and n * m > CELLS):
            return None
        rows = np.unique(np.linspace(0, n - 1, min(n, max(1, CELLS // m))).astype(int))
        block = self.source.some(rows).dense()
        X = np.asarray(block.X, dtype=np.float64)
        found = np.asarray(self.model.inverse_transform(self.W[rows]), dtype=np.float64).reshape(
            len(rows), -1
        )
        weights = 1.0 if block.weights is None else block.weights
        with np.errstate(over="ignore", invalid="ignore"):
            left, all_ = (weights * (X - found) ** 2).sum(axis=1), (weights * X**2).sum(axis=1)
        return (rows, left, all_) if np.isfinite(left).all() and np.isfinite(all_).all() else None

    @cached_property
    def explained(self) -> float:
        """1 − Σ w (x − x̂)² / Σ w x² over the rows of `unexplained`; NaN where it is not known."""
        if self.unexplained is None:
            return float("nan")
        _, left, all_ = self.unexplained
        return float(1 - left.sum() / all_.sum()) if all_.sum() > 0 else float("nan")
