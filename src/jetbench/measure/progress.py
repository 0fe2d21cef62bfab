"""Progress on the standard error: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from jetbench.measure.case import Curve, Point


class Progress:
    """Tells what is being measured. A context manager.

    Args:
        quiet: say nothing but warnings.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self.console = Console(file=sys.stderr, soft_wrap=True, highlight=False)
        self._status = self.console.status("Starting") if self.console.is_terminal and not quiet else None
        self._said: set[str] = set()
        self._curve = ""
        self._count = self._total = 0
        self._start = time.monotonic()

    def __enter__(self) -> Progress:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def say(self, sentence: str) -> None:
        """A sentence that the user should see."""
        self.console.print(sentence, markup=False)

    def say_once(self, sentence: str) -> None:
        """A sentence that the user should see, but not again for every curve."""
        if sentence not in self._said:
            self._said.add(sentence)
            self.say(sentence)

    def start_curve(self, curve: Curve | str, points: int) -> None:
        """A curve begins, with so many points to measure."""
        self._curve, self._count, self._total = str(curve), 0, points

    def stage(self, point: Point, stage: str) -> None:
        """A point enters a stage."""
        if self._status is not None:
            number = f"{self._count + 1}/{self._total} " if self._total else ""
            self._status.update(f"{number}{point.case.label}: {stage}")

    def finish_point(self, point: Point, record: Mapping[str, Any]) -> None:
        """A point is recorded."""
        self._count += 1
        if self.quiet:
            return
        number = f"[{self._count}/{self._total}] " if self._total else ""
        outcome = f"{duration(record['time_s'])}" if record["status"] == "ok" else record["status"]
        if record["status"] == "ok" and record["time_over_floor"]:
            outcome += f", {record['time_over_floor']:.2f} floors"
        if record["status"] != "ok":
            outcome += f" ({record['reason']})"
        self.say(f"{number}{self._place(point)}{point.case.label}: {outcome}")

    def finish_curve(self, curve: Curve, number: int, total: int, result: object) -> None:
        """A curve has all its records."""
        if not self.quiet and total > 1:
            elapsed = (time.monotonic() - self._start) / 60
            self.say(f"{number}/{total} curves done after {elapsed:.1f} min: {curve}")

    @staticmethod
    def _place(point: Point) -> str:
        return f"{point.study} {point.axis}={point.axis_value:g}: " if point.study else ""


def duration(seconds: float | None) -> str:
    """Seconds with a fitting unit and three digits."""
    if seconds is None:
        return "-"
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1 or unit == "µs":
            return f"{seconds * factor:.3g} {unit}"
    raise AssertionError("the loop returns")


def interval(low: float, high: float) -> str:
    """Two times with one unit, that of the larger."""
    unit = duration(high).rpartition(" ")[2]
    factor = {"s": 1.0, "ms": 1e3, "µs": 1e6}[unit]
    return f"{low * factor:.3g}–{high * factor:.3g} {unit}"


def size(count: float | None) -> str:
    """Bytes with a fitting binary unit and three digits."""
    if count is None:
        return "-"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1000:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.4g} TiB"
