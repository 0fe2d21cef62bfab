"""Whether a network mixes the rows of x, found by running it: some rows are changed, and the others are looked at.

Running belongs to the backends; which numbers to try and what to conclude from them belongs here.

Each pair of rows is told apart by a bit of its label or by that bit's complement, so that about 2·log₂(rows) runs see
every influence of one row on another. Bases and what replaces their rows lie orders of magnitude apart and have both
signs, so that whatever is decided by norms, means, maxima, ranks or thresholds is decided differently. Rows are mixed
if others change by more than rounding can explain. How much that is, is measured where it matters: by the change that
follows when x itself moves a little, which is large for a network that amplifies rounding.

NaN finds influences that are small or saturate, and which numbers miss, but also passes through products with zeros and
through the padding of some kernels. It therefore counts only together with a change of numbers beyond the last bits.

What stays unseen: a decision at thresholds outside of 1e-4 … 1e4, or at values that none of the runs meets; an
influence below rounding, or below what a network that amplifies rounding makes of it, or below 1e-3 where loops end by
values; a dependence on the number of rows alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np

SEED = 0
DOMAINS = ((0.0, 1.0), (-1.0, 1.0), (1.0, 1.0), (0.0, 100.0))  # start and width, until the network has values there
SMALL, LARGE, HUGE = 1e-4, 1e3, 1e4
ROUNDING = 32  # in units of the last place: what kernels that choose their way by all of their values may differ by
SENSITIVITY = 8
CONVERGENCE = 1e-3  # relative: how far loops until all rows have converged may differ


class Undecided(Exception):
    """The network cannot be run on such numbers, or would not end."""


class Trial(ABC):
    """A network to be run on numbers.

    Attributes:
        eps: relative distance of neighbouring numbers, of the coarsest type that is known to take part.
        tiny: the smallest normal number of the type of x.
        decides: whether what is computed depends on values, as in a loop until something has converged.
    """

    eps: float
    tiny: float
    decides: bool = False

    @abstractmethod
    def run(self, points: np.ndarray, is_familiar: bool) -> np.ndarray:
        """The outputs (rows, outputs) for points (rows, columns), in 64 bits.

        Args:
            points: numbers, or NaN.
            is_familiar: the points lie where the network has been seen to have values.

        Raises:
            Undecided: the network cannot be run on them.
        """


class _Base:
    """Points and their outputs, with which those of other points are compared row by row."""

    def __init__(self, trial: Trial, points: np.ndarray) -> None:
        self.trial, self.points = trial, points
        self.values = trial.run(points, is_familiar=True)
        self.is_finite = np.isfinite(self.values)
        self.scale = _largest(self.values, self.is_finite)
        self._noise: np.ndarray | None = None

    def changes(self, replaced: np.ndarray, rows: np.ndarray, is_familiar: bool) -> tuple[np.ndarray, bool]:
        """What happens to all other rows when some are replaced: the largest change of each output, and whether
        any of them becomes finite or ceases to be."""
        points = self.points.copy()
        points[replaced] = rows[replaced]
        found, expected = self.trial.run(points, is_familiar)[~replaced], self.values[~replaced]
        is_finite = np.isfinite(found)
        comparable = is_finite & self.is_finite[~replaced]
        with np.errstate(all="ignore"):
            return _largest(found - expected, comparable), bool((is_finite != self.is_finite[~replaced]).any())

    def is_beyond_rounding(self, change: np.ndarray) -> bool:
        least = ROUNDING * self.trial.eps + CONVERGENCE * self.trial.decides
        beyond = change > least * self.scale
        return bool(beyond.any() and (change[beyond] > SENSITIVITY * self.noise()[beyond]).any())

    def noise(self) -> np.ndarray:
        """The largest change of each output when x moves by a small part of itself."""
        if self._noise is None:
            step = min(self.trial.eps ** (2 / 3), 1 / 64)
            signs = np.random.default_rng(SEED).choice([-1.0, 1.0], self.points.shape)
            try:
                found = self.trial.run(self.points * (1 + step * signs), is_familiar=True)
            except Undecided:
                self._noise = np.full(self.scale.shape, np.inf)
                return self._noise
            with np.errstate(all="ignore"):
                self._noise = _largest(found - self.values, np.isfinite(found) & self.is_finite)
        return self._noise


def are_mixed(trial: Trial, rows: int, columns: int) -> bool:
    """Whether some row influences the result at another one."""
    random = np.random.default_rng(SEED)
    shape = (rows, columns)
    familiar, domain = _familiar(trial, shape)
    if familiar is None:
        return False  # no values to compare

    def near() -> np.ndarray:
        return domain[0] + domain[1] * random.random(shape)

    def far(size: float) -> np.ndarray:
        return size * (0.5 + 0.5 * random.random(shape))

    smallest = max(SMALL, trial.tiny**0.375)  # so that half precision holds its square
    small = 10 ** random.uniform(np.log10(smallest), -1, (rows, 1)) * random.random(shape)
    kinds = (
        (_other(trial, smallest * random.random(shape), familiar), near),
        (_other(trial, small, familiar), lambda: far(HUGE)),
        (_other(trial, far(LARGE), familiar), lambda: -far(HUGE)),
        (_other(trial, -far(LARGE), familiar), lambda: far(HUGE)),
        (familiar, lambda: -far(HUGE)),
    )
    differs = spreads = False
    for number, replaced in _subsets(rows, len(kinds), random):
        base, replacement = kinds[number % len(kinds)]
        for fill in (replacement, near):
            try:
                change, spread = base.changes(replaced, fill(), is_familiar=fill is near)
            except Undecided:
                continue
            if base.is_beyond_rounding(change):
                return True
            differs |= bool((change > 4 * trial.eps * base.scale).any())
            spreads |= spread
            break
    return differs and (spreads or _nan_spreads(familiar, random))


def _subsets(rows: int, least: int, random: np.random.Generator) -> Iterator[tuple[int, np.ndarray]]:
    """Numbered sets of rows, (rows,) of bool: for each two rows there is one with the first and without the second."""
    labels = random.permutation(rows)
    bits = (rows - 1).bit_length()
    for number in range(max(bits, least)):
        chosen = (labels >> number % bits) & 1 == 1
        yield number, chosen
        yield number, ~chosen


def _familiar(trial: Trial, shape: tuple[int, int]) -> tuple[_Base | None, tuple[float, float]]:
    """Points where the network has values, and the start and the width of where they lie."""
    uniform = np.random.default_rng(SEED).random(shape)
    for start, width in DOMAINS:
        try:
            base = _Base(trial, start + width * uniform)
        except Undecided:
            continue
        if base.is_finite.any():
            return base, (start, width)
    return None, DOMAINS[0]


def _other(trial: Trial, points: np.ndarray, familiar: _Base) -> _Base:
    """Points at which the network has as many values as at the familiar ones; else those."""
    try:
        base = _Base(trial, points)
    except Undecided:
        return familiar
    return base if base.is_finite.sum() >= familiar.is_finite.sum() else familiar


def _nan_spreads(base: _Base, random: np.random.Generator) -> bool:
    half = random.permutation(len(base.points)) < len(base.points) // 2
    for replaced in (half, ~half):
        try:
            if base.changes(replaced, np.full_like(base.points, np.nan), is_familiar=False)[1]:
                return True
        except Undecided:
            pass
    return False


def _largest(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """(outputs,) the largest absolute value of those that count in each column."""
    return np.abs(values, where=where, out=np.zeros(values.shape)).max(0, initial=0)
