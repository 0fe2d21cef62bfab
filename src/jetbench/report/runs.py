"""Two machines' results point by point: the ratio of a cost with its interval, and what it means. Nothing is mixed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from rich.table import Table

from jetbench.errors import JetbenchError, unknown
from jetbench.measure.fields import of_part
from jetbench.report import collect, labels
from jetbench.report.costs import COSTS, interval_of_ratio

#: What two points must share to be compared; everything that defines a point but the device and the machine.
_SERIES = ("method", "directions", "method_version", "device")
SAME = [*of_part("place"), "series", *(name for name in of_part("identity") if name not in _SERIES)]
MEMORY, GRAPH = COSTS["memory_nondifferentiable"], COSTS["memory_differentiable"]
#: What can be compared → its title, its column, and those of its interval.
QUANTITIES = {
    "time": ("time", "time_s", "time_low_s", "time_high_s"),
    "floor": ("time over floor", "time_over_floor", "time_over_floor_low", "time_over_floor_high"),
    "nested": ("time over nested", "time_over_nested", "time_over_nested_low", "time_over_nested_high"),
    "memory": ("peak memory", MEMORY.column, *MEMORY.ends),
    "memory_differentiable": ("peak memory with the graph for gradients", GRAPH.column, *GRAPH.ends),
}
VERDICTS = ("same", "faster", "slower", "unstable")


@dataclass(frozen=True)
class Comparison:
    """Points of both runs, and how many only one of them has."""

    points: pd.DataFrame
    only_first: int
    only_second: int


def run(name: str | Path, results: Path = Path("results")) -> pd.DataFrame:
    """The records of one folder, given by its path or by its name below `results`.

    Raises:
        JetbenchError: there is no such folder, or it does not contain records.
    """
    path = next((p for p in (Path(name), results / name) if p.is_dir()), None)
    if path is None:
        known = sorted(p.name for p in results.iterdir() if (p / "machine.json").is_file()) if results.is_dir() else []
        raise JetbenchError(f"There is no run {str(name)!r}: neither a folder nor one of {', '.join(known) or 'none'}.")
    frame = collect.machines_in([path.resolve()])
    own = frame[frame.machine == path.resolve().name]
    if own.empty:
        raise JetbenchError(f"The folder {path} contains no records; a run is a folder like results/<machine>.")
    return own.reset_index(drop=True)


def compared(first: pd.DataFrame, second: pd.DataFrame, quantity: str = "time", within: float = 0.02) -> Comparison:
    """The second run over the first wherever both measured the same point.

    Columns of the points: those of `SAME`, ratio, low, high, verdict. A point is `unstable` where either time is;
    `same` where the interval of the ratio holds 1 or the ratio is within `within` of it; else `faster` or `slower` (of
    the second, by the quantity compared).

    Raises:
        JetbenchError: there is no such quantity.
    """
    if quantity not in QUANTITIES:
        raise JetbenchError(unknown("quantity", quantity, QUANTITIES))
    _, value, low, high = QUANTITIES[quantity]
    sides = []
    for frame in (first, second):
        ok = frame[(frame.status == "ok") & (frame[value] > 0)]
        keys = ok[SAME].astype("string").fillna("")
        stable = ok.stable.fillna(True).astype(bool) if low != value else True
        sides.append(keys.assign(value=ok[value], low=ok[low], high=ok[high], stable=stable))
    joined = sides[0].merge(sides[1], on=SAME, suffixes=("_first", "_second"))
    ends = [joined[f"{end}_{whose}"] for whose in ("second", "first") for end in ("value", "low", "high")]
    low_end, high_end = interval_of_ratio(*ends)
    found = joined[SAME].assign(ratio=joined.value_second / joined.value_first, low=low_end, high=high_end)
    same = (found.low <= 1) & (found.high >= 1) | ((found.ratio - 1).abs() <= within)
    stable = joined.stable_first & joined.stable_second
    found["verdict"] = np.select([~stable, same, found.ratio < 1], ["unstable", "same", "faster"], "slower")
    return Comparison(found, len(sides[0]) - len(found), len(sides[1]) - len(found))


def table(found: Comparison, names: tuple[str, str], quantity: str) -> Table:
    """A line a point, in reading order, for a terminal."""
    title = f"{names[1]} over {names[0]}: {QUANTITIES[quantity][0]}"
    made = Table(title=title, title_justify="left")
    for name in ("study", "operator", "method", "mode", "at"):
        made.add_column(name, overflow="fold")
    for name in ("ratio", "95% interval"):
        made.add_column(name, justify="right", no_wrap=True)
    made.add_column("verdict", no_wrap=True)
    colours = dict(zip(VERDICTS, (None, "green", "red", "yellow"), strict=True))
    for row in found.points.itertuples():
        interval = f"{labels.ratio_text(row.low)} to {labels.ratio_text(row.high)}"
        what = f"{labels.operator_label(row.operator)} D = {row.dim}"
        method = labels.series_label(row.series) + ("" if row.backend == "torch" else f" ({row.backend})")
        cells = [row.study, what, method, row.mode, f"{row.axis} {float(row.axis_value):g}"]
        made.add_row(*cells, labels.ratio_text(row.ratio), interval, row.verdict, style=colours[row.verdict])
    return made


def summary(found: Comparison, names: tuple[str, str]) -> str:
    """How many points came out how, the median ratio of each, and what could not be compared."""
    parts = []
    for verdict in VERDICTS:
        own = found.points[found.points.verdict == verdict]
        if len(own):
            parts.append(f"{len(own)} {verdict} (median {labels.ratio_text(own.ratio.median())})")
    told = ", ".join(parts) or "no point was measured by both"
    only = f"Only {names[0]} has {found.only_first} further points, only {names[1]} {found.only_second}."
    return f"{len(found.points)} points of both: {told}. {only}"
