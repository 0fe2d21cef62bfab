"""Time: clocks, samples and what can be said about their median.

Samples of all candidates are taken in one loop, so that a slow moment of the machine meets each of them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import Any, Protocol

from jetbench.errors import JetbenchError

SHORTEST_SAMPLE_S = 1e-3
LONG_CALL_S = 0.05
CONFIDENCE = 0.95
SAMPLES_FOR_INTERVAL = 6


class Clock(Protocol):
    """Measures how long calls take, all work that they started included."""

    def time(self, call: Callable[[], Any], repetitions: int = 1) -> float:
        """Seconds for `repetitions` calls together."""


class WallClock:
    """The host's clock, for devices that work synchronously or can be waited for.

    Args:
        synchronize: waits until the device has finished; None where calls return when their work is done.
    """

    def __init__(self, synchronize: Callable[[], None] | None = None) -> None:
        self._synchronize = synchronize or (lambda: None)

    def time(self, call: Callable[[], Any], repetitions: int = 1) -> float:
        self._synchronize()
        start = time.perf_counter()
        for _ in range(repetitions):
            call()
        self._synchronize()
        return time.perf_counter() - start


class EventClock:
    """The device's own clock: an event before and after, on the stream of the calls.

    Args:
        event: makes an event with `record()`, `synchronize()` and `elapsed_time(later)` in milliseconds.
        synchronize: waits until the device has nothing left to do.
    """

    def __init__(self, event: Callable[[], Any], synchronize: Callable[[], None]) -> None:
        self._event, self._synchronize = event, synchronize

    def time(self, call: Callable[[], Any], repetitions: int = 1) -> float:
        before, after = self._event(), self._event()
        self._synchronize()
        before.record()
        for _ in range(repetitions):
            call()
        after.record()
        after.synchronize()
        return before.elapsed_time(after) / 1e3


@cache
def _rank(count: int) -> int:
    """The largest k with P(Binomial(count, 1/2) < k) ≤ (1 − confidence)/2; 0 where even k = 1 is too much."""
    tail, k = 0.0, 0
    while k < count // 2:
        tail += math.comb(count, k) / 2**count
        if tail > (1 - CONFIDENCE) / 2:
            break
        k += 1
    return k


def interval_of_median(samples: Sequence[float]) -> tuple[float, float]:
    """The 95% confidence interval of the median from order statistics, whatever the distribution.

    It needs 6 samples; of fewer, minimum and maximum are returned, which hold the median with less confidence.
    """
    if not samples:
        raise ValueError("The median of no samples has no interval.")
    ordered = sorted(samples)
    k = max(1, _rank(len(ordered)))
    return ordered[k - 1], ordered[len(ordered) - k]


def is_settled(samples: Sequence[float], relative_width: float) -> bool:
    """Whether the 95% confidence interval of the median lies within ± `relative_width` of the median."""
    if _rank(len(samples)) == 0:
        return False
    low, high = interval_of_median(samples)
    middle = median(samples)
    return middle > 0 and max(high - middle, middle - low) <= relative_width * middle


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """The ratios of samples that were taken one after the other."""
    return [a / b for a, b in zip(numerators, denominators, strict=True) if b > 0]


@dataclass(frozen=True)
class Samples:
    """Seconds for one call of each candidate, paired by round; and whether the leading one's median is settled."""

    seconds: Mapping[str, list[float]]
    settled: bool
    spent_s: float


def sample(
    candidates: Mapping[str, Callable[[], Any]],
    clock: Clock,
    budget_s: float,
    samples_min: int = 5,
    samples_max: int = 200,
    interval: float = 0.02,
    warm: Mapping[str, float] | None = None,
    between: Callable[[], None] | None = None,
) -> Samples:
    """Time all candidates alternately until the first one's median is settled or the budget is spent.

    Each round takes one sample of each, in an order that alternates from round to round. Calls much shorter than a
    millisecond are repeated within a sample. The budget is for samples: calls that warm up, and may compile, are beside
    it. For the first `samples_min` rounds twice the budget may be spent; one round is always taken.

    Args:
        warm: seconds that a call of a candidate took before, perhaps with some overhead. If it was a long call, there
            is no further one to warm up and to find out how often to repeat it.
        between: called after each round, to look at the device's state.
    """
    names = list(candidates)
    known = {name: taken for name, taken in (warm or {}).items() if taken >= LONG_CALL_S}
    repetitions = {name: 1 if name in known else _repetitions(candidates[name], clock) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    leading = seconds[names[0]]
    longest_round = 0.0
    start = time.perf_counter()
    while True:
        round_start = time.perf_counter()
        for name in names if len(leading) % 2 == 0 else names[::-1]:
            count = repetitions[name]
            seconds[name].append(_forward(clock.time(candidates[name], count)) / count)
        if between is not None:
            between()
        now = time.perf_counter()
        longest_round = max(longest_round, now - round_start)
        settled = is_settled(leading, interval)
        if len(leading) >= samples_max or (settled and len(leading) >= samples_min):
            break
        allowed = budget_s if len(leading) >= samples_min else 2 * budget_s
        if now - start + longest_round > allowed:
            break
    return Samples(seconds, settled, time.perf_counter() - start)


def _forward(taken: float) -> float:
    """The seconds of a sample.

    Raises:
        JetbenchError: they are below zero, as where a clock is set back. Medians and ratios with it would look right.
    """
    if taken < 0:
        raise JetbenchError(f"The clock went back by {-taken:.3g} s in a sample. Measure again with --again failed.")
    return taken


def _repetitions(call: Callable[[], Any], clock: Clock) -> int:
    """How many calls make a sample long enough for the clock; the calls needed to find out warm the caches too."""
    count = 1
    while True:
        taken = clock.time(call, count)
        if taken >= SHORTEST_SAMPLE_S or count >= 4096:
            return count
        count = min(4096, max(count + 1, math.ceil(1.2 * count * SHORTEST_SAMPLE_S / max(taken, 1e-7))))
