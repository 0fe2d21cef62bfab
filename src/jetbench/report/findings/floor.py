"""The distance to the floor of every method, network and precision."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from jetbench.report import labels, style
from jetbench.report.figures import NoData, figure
from jetbench.report.findings.registry import finding, interval, listed, method_phrase, where
from jetbench.report.tables import Data

#: Of whose distances the sentence tells.
CHAIN = ("nested", "taylor", "collapsed", "apolar")
WHAT = ["backend", "operator", "dim", "rank_ratio", "estimator", "network", "dtype"]
#: Studies that vary the size of the network, whose floor is that of another network, or the operator.
RESIZED = ("width", "depth", "rank")


def largest(data: Data) -> pd.DataFrame:
    """For each of `WHAT`, mode and series the point with most operations, where all series of the group have one."""
    ok = data.ok
    ok = ok[ok.time_over_floor.notna() & (ok.estimator == "exact") & ~ok.axis.isin(RESIZED)]
    # The zoo has a figure of its own.
    ok = ok[ok.study != "operators"] if (ok.study != "operators").any() else ok
    parts = []
    for _, group in ok.groupby([*WHAT, "mode"], dropna=False, sort=False):
        reached = group.groupby(["study", "batch", "widths"]).series.nunique()
        study, batch, widths = reached[reached == reached.max()].index[-1]
        chosen = group[(group.study == study) & (group.batch == batch) & (group.widths == widths)]
        parts.append(chosen.drop_duplicates("series", keep="last"))
    return labels.ordered(pd.concat(parts)) if parts else ok


def subjects(frame: pd.DataFrame) -> pd.Series:
    """What a line of the figure is of: operator, dimension, and network and type where they vary."""
    several = {name: frame[name].nunique() > 1 for name in ("backend", "network", "dtype")}

    def name(row: pd.Series) -> str:
        parts = [f"{labels.operator_label(row.operator)} D = {row.dim}"]
        parts += [f"rank {row.rank_ratio:g} D"] if row.rank_ratio == row.rank_ratio and row.rank_ratio != 1 else []
        parts += [labels.NETWORKS.get(row.network, row.network)] if several["network"] else []
        parts += [row["dtype"]] if several["dtype"] else []
        parts += [labels.backend_label(row.backend)] if several["backend"] else []
        return ", ".join(parts)

    return frame.apply(name, axis=1)


@figure("floor", "time over the floor of every method, network and precision")
def draw(data: Data) -> Figure:
    """One line a case, one marker a method; compiled hollow."""
    points = largest(data)
    if points.empty:
        raise NoData("No point has a floor.")
    points = points.assign(line=subjects(points))
    lines = list(dict.fromkeys(points.line))
    shown = labels.ranked(points.series, labels.SERIES)
    drawn = style.new(0.23 * len(lines) + 1.2)
    axes = drawn.subplots()
    for (series, mode), own in points.groupby(["series", "mode"], sort=False):
        look = style.look(series, shown)
        heights = [lines.index(line) + (0.16 if mode == "compiled" else -0.16) for line in own.line]
        bars = np.nan_to_num(
            [own.time_over_floor - own.time_over_floor_low, own.time_over_floor_high - own.time_over_floor]
        )
        kind = {"color": look.colour, "marker": look.marker, "linestyle": "none", "elinewidth": 0.8}
        kind |= {"markerfacecolor": "none"} if mode == "compiled" else {}
        axes.errorbar(own.time_over_floor, heights, xerr=bars.clip(min=0), gid=f"measured-{series}-{mode}", **kind)
    for place in range(0, len(lines), 2):
        axes.axhspan(place - 0.5, place + 0.5, color="0.96", zorder=0, linewidth=0)
    axes.set_xscale("log")
    axes.axvline(1, color="0.6", linewidth=0.8, zorder=1)
    axes.set_xlim(left=min(0.95, axes.get_xlim()[0]))
    style.plain_ticks(axes.xaxis, *axes.get_xlim())
    axes.set_yticks(range(len(lines)), lines)
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("Time / floor")
    style.legend(drawn, style.method_handles(shown, lines=False))
    style.footnote(drawn, style.wrapped(f"{data.place} Filled: eager, hollow: compiled. Medians with 95% intervals."))
    return drawn


@finding("floor", "How far is each method from the floor?")
def sentence(data: Data) -> str | None:
    points = largest(data)
    if points.empty:
        return None
    points = points.assign(line=subjects(points))
    parts = []
    for mode, own in points.groupby("mode", sort=False):
        best = own.loc[own.time_over_floor.idxmin()]
        value = interval(best.time_over_floor, best.time_over_floor_low, best.time_over_floor_high)
        parts.append(f"{method_phrase(best.series)} with {value} floors among {mode} evaluations ({best.line})")
    ranges = []
    for series in labels.ranked(set(points.series) & set(CHAIN), CHAIN):
        own = points[points.series == series].time_over_floor
        ends = labels.ratio_text(own.min()), labels.ratio_text(own.max())
        span = (
            f"{ends[0]} floors" if ends[0] == ends[1] else f"{ends[0]} to {ends[1]} floors (median {own.median():.1f})"
        )
        ranges.append(f"{method_phrase(series)} takes {span}")
    text = f"Measured {where(data)}, the nearest to the floor are {listed(parts)}."
    return f"{text} Over all cases and modes, {listed(ranges)}." if ranges else text
