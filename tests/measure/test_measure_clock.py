"""Intervals of medians, the stopping rule and paired sampling, against distributions that are known."""

from __future__ import annotations

import time
from math import comb

import numpy as np
import pytest

from jetbench.measure import clock


def coverage(count: int, k: int) -> float:
    """Probability that the k-th smallest and the k-th largest of `count` samples enclose the median."""
    return 1 - 2 * sum(comb(count, i) for i in range(k)) / 2**count


@pytest.mark.parametrize("count", [6, 7, 10, 25, 60, 200])
def test_the_interval_is_the_narrowest_of_order_statistics_with_95_percent(count):
    low, high = clock.interval_of_median(list(range(1, count + 1)))
    assert low + high == count + 1
    assert coverage(count, low) >= 0.95 > coverage(count, low + 1)


def test_published_ranks():
    # As in any table of the sign test: n = 10 takes the 2nd and 9th value, n = 25 the 8th and 18th.
    assert clock.interval_of_median(list(range(1, 11))) == (2, 9)
    assert clock.interval_of_median(list(range(1, 26))) == (8, 18)


@pytest.mark.parametrize("draw", ["exponential", "lognormal", "standard_cauchy"])
def test_the_interval_holds_the_median_of_skewed_distributions(draw):
    truth = {"exponential": np.log(2), "lognormal": 1.0, "standard_cauchy": 0.0}[draw]
    generator = np.random.default_rng(1)
    samples = getattr(generator, draw)(size=(2000, 31))
    inside = [low <= truth <= high for low, high in map(clock.interval_of_median, samples.tolist())]
    assert np.mean(inside) == pytest.approx(coverage(31, 10), abs=0.015)


def test_few_samples_give_their_range_and_never_settle():
    assert clock.interval_of_median([3.0, 1.0, 2.0]) == (1.0, 3.0)
    assert not clock.is_settled([1.0] * 5, 0.02)
    assert clock.is_settled([1.0] * 6, 0.02)
    with pytest.raises(ValueError, match="no samples"):
        clock.interval_of_median([])


def test_settled_means_both_sides_are_near():
    assert clock.is_settled([1.0, 1.01, 1.0, 0.99, 1.0, 1.0, 1.01], 0.02)
    assert not clock.is_settled([1.0, 1.0, 1.0, 1.0, 1.0, 1.3], 0.02)


class Scripted:
    """A clock whose calls say themselves how long they take."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.taken = 0.0

    def call(self, name: str, durations):
        durations = iter(durations)

        def run() -> None:
            self.order.append(name)
            self.taken = next(durations)

        return run

    def time(self, call, repetitions=1):
        total = 0.0
        for _ in range(repetitions):
            call()
            total += self.taken
        return total


def forever(value: float):
    while True:
        yield value


def test_sampling_alternates_and_stops_once_settled():
    script = Scripted()
    calls = {"method": script.call("m", forever(0.2)), "floor": script.call("f", forever(0.1))}
    samples = clock.sample(calls, script, 10.0, warm={"method": 0.2, "floor": 0.1})
    assert samples.settled and len(samples.seconds["method"]) == len(samples.seconds["floor"]) == 6
    assert "".join(script.order) == "mffm" * 3
    assert clock.ratios(samples.seconds["method"], samples.seconds["floor"]) == [2.0] * 6


def test_ratios_are_paired_so_that_a_slow_phase_cancels():
    slow = [0.2, 0.2, 0.6, 0.6, 0.6, 0.2] * 20
    script = Scripted()
    calls = {"method": script.call("m", slow), "floor": script.call("f", [t / 2 for t in slow])}
    samples = clock.sample(calls, script, 10.0, samples_max=30, warm={"method": 0.2, "floor": 0.1})
    assert len(samples.seconds["method"]) == 30 and not samples.settled
    assert set(clock.ratios(samples.seconds["method"], samples.seconds["floor"])) == {2.0}


def test_short_calls_are_repeated_within_a_sample():
    script = Scripted()
    samples = clock.sample({"m": script.call("m", forever(1e-5))}, script, 10.0, samples_max=6)
    assert samples.seconds["m"] == pytest.approx([1e-5] * 6)
    assert len(script.order) >= 6 * 100


def test_no_budget_still_gives_one_round():
    script = Scripted()
    samples = clock.sample({"m": script.call("m", forever(0.2))}, script, 0.0, warm={"m": 0.2})
    assert samples.seconds["m"] == [0.2] and not samples.settled


def test_calls_that_warm_up_and_may_compile_are_beside_the_budget():
    compiled = []

    def slow_at_first():
        if not compiled:
            compiled.append(True)
            time.sleep(0.1)
        time.sleep(2e-3)

    samples = clock.sample({"method": lambda: None, "floor": slow_at_first}, clock.WallClock(), 0.05, 5, 10, 1e-9)
    assert len(samples.seconds["method"]) >= 5 and max(samples.seconds["floor"]) < 0.1


def test_device_events_bracket_the_calls():
    log = []

    class Event:
        def record(self):
            log.append("record")

        def synchronize(self):
            log.append("wait")

        def elapsed_time(self, later):
            assert later is not self
            return 250.0

    events = clock.EventClock(Event, lambda: log.append("idle"))
    assert events.time(lambda: log.append("call"), 2) == 0.25
    assert log == ["idle", "record", "call", "call", "record", "wait"]
