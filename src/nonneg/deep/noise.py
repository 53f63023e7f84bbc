"""Noise x̃ = x + ε, a function of seed, epoch, the sample's number and the feature.

Nothing is stored and no generator has a state: the noise of a cell is a hash of its four coordinates. So it does not
depend on the batch a sample is in, on the machine that holds it, or on whether the training was interrupted.
"""

from __future__ import annotations

import math
import numbers
from typing import Literal, get_args

import torch
from torch import Tensor

__all__ = ["Noise", "NoiseKind", "check_level"]

NoiseKind = Literal["none", "masking", "dropout", "gaussian", "salt-and-pepper", "uniform"]

_SHARES = ("masking", "dropout", "salt-and-pepper")  # level is a share of cells


def _signed(value: int, bits: int) -> int:
    """Two's complement of an unsigned constant, as torch's signed integers want it."""
    return value - (1 << bits) if value >= 1 << (bits - 1) else value


def _mix64(x: Tensor) -> Tensor:
    """SplitMix64's finaliser, element by element on int64."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        x = (x ^ ((x >> shift) & ((1 << (64 - shift)) - 1))) * _signed(factor, 64)
    return x


def _mix32_(x: Tensor) -> Tensor:
    """A 32-bit finaliser with two multiplications (Wellons' lowbias32), in place on int32."""
    scratch = torch.empty_like(x)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
        torch.bitwise_right_shift(x, shift, out=scratch)
        scratch &= (1 << (32 - shift)) - 1  # the shift of a signed integer drags the sign along
        x ^= scratch
        if factor != 1:
            x *= _signed(factor, 32)
    return x


class Noise:
    """x̃ = x + ε with ε ~ P(ε), drawn anew each epoch or once.

    Parameters
    ----------
    kind : {"none", "masking", "dropout", "gaussian", "salt-and-pepper", "uniform"}
        ``masking`` sets cells to 0; ``dropout`` does so and divides the others by 1 − level; ``gaussian`` adds
        N(0, level²); ``salt-and-pepper`` sets cells to 0 or 1, half each; ``uniform`` adds U(−level, level).
    level : float
        Share of cells for masking, dropout (< 1) and salt-and-pepper; standard deviation; half-width. On the
        scale where the largest training value is 1. Not negative.
    seed : int
        Another seed, another noise.
    redraw : bool, default=True
        Anew in every epoch, or the same in all.

    Raises
    ------
    ValueError
        Unknown kind, or a level outside its range.

    Notes
    -----
    Source: Chen et al. (2021), eq. 2, with P(ε) left open there. Shares are met to 2⁻¹⁶.
    """

    def __init__(self, kind: NoiseKind, level: float, seed: int, redraw: bool = True) -> None:
        if kind not in get_args(NoiseKind):
            raise ValueError(f"noise={kind!r}: expected one of {', '.join(get_args(NoiseKind))}")
        self.level = check_level(kind, level)
        self.kind = kind if level else "none"
        self.seed = seed
        self.redraw = redraw
        self._columns: dict[tuple[int, torch.device], Tensor] = {}

    def __call__(self, x: Tensor, rows: Tensor, epoch: int) -> Tensor:
        """Return x̃ for a batch.

        Parameters
        ----------
        x : tensor (batch, m)
            Clean samples; not changed.
        rows : int64 tensor (batch,)
            Their numbers in the whole data set.
        epoch : int
            Ignored unless the noise is redrawn.
        """
        if self.kind == "none":
            return x
        if self.kind in _SHARES:
            return self._replace(x, self._halves(x, rows, epoch))
        return x + self._additive(x, rows, epoch)

    def _hash(self, rows: Tensor, width: int, epoch: int) -> Tensor:
        """Hash (row, column) to int32, uniform: two well mixed keys, and a mix of both."""
        columns = self._columns.get((width, rows.device))
        if columns is None:
            columns = _mix64(torch.arange(1, width + 1, device=rows.device) + (self.seed << 20)).int()
            self._columns[width, rows.device] = columns
        stream = (epoch + 1 if self.redraw else 0) + (self.seed << 24)
        salt = _mix64(torch.tensor(stream, device=rows.device))
        keys = _mix64(rows + salt).int()
        return _mix32_(keys[:, None] ^ columns[None, :])

    def _halves(self, x: Tensor, rows: Tensor, epoch: int) -> Tensor:
        """16 random bits a cell, as int16: half the hashing, enough for a yes or no."""
        width = x.shape[1]
        bits = self._hash(rows, (width + 1) // 2, epoch).view(torch.int16)
        return bits[:, :width]

    def _replace(self, x: Tensor, bits: Tensor) -> Tensor:
        """Change a share of the cells; bits are uniform on −2¹⁵ … 2¹⁵ − 1."""
        count = round(self.level * 65536)
        keep = bits >= count - 32768 if count < 65536 else torch.zeros_like(bits, dtype=torch.bool)
        if self.kind == "salt-and-pepper":
            salt = bits >= count // 2 - 32768
            return torch.where(keep, x, salt.to(x.dtype))
        x = x * keep  # five times faster than masked_fill
        return x.mul_(1.0 / (1.0 - self.level)) if self.kind == "dropout" else x

    def _additive(self, x: Tensor, rows: Tensor, epoch: int) -> Tensor:
        """Level times a uniform number on (−1, 1), or times its normal quantile."""
        bits = self._hash(rows, x.shape[1], epoch)
        # 24 bits and a half: symmetric about 0, and never −1 or 1, where the quantile is infinite
        u = (bits >> 8).to(x.dtype).add_(0.5).mul_(2.0**-23)
        return u.mul_(self.level) if self.kind == "uniform" else u.erfinv_().mul_(self.level * 2**0.5)


def check_level(kind: str, level: float) -> float:
    """Return a noise level as a float, or raise: it is out of the range of its kind of noise."""
    if isinstance(level, bool) or not isinstance(level, numbers.Real):
        raise TypeError(f"noise_level={level!r} must be a number")
    number = float(level)
    top = 1.0 if kind in _SHARES else math.inf
    if not 0 <= number <= top or number == math.inf or (kind == "dropout" and number == 1):
        span = {"dropout": "in [0, 1)"}.get(
            kind, "in [0, 1]" if kind in _SHARES else "finite and not negative"
        )
        raise ValueError(f"noise_level={level!r}: with noise={kind!r} it must be {span}")
    return number
