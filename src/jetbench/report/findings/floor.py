"""The distance to the floor of every method, network and precision."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from jetbench.report import labels
from jetbench.report.data import Data, NoData
from jetbench.report.figures import style
from jetbench.report.phrases import interval, listed, method_phrase, where
from jetbench.report.registry import figure, finding

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


@figure(
    "floor",
    "time over the floor of every method, network and precision",
    f"Every method, network and precision on one axis. {labels.FLOOR} Filled: eager, hollow: compiled.",
)
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
        look = labels.look(series, shown)
        heights = [lines.index(line) + (0.16 if mode == "compiled" else -0.16) for line in own.line]
        ends = style.error_bars(own.time_over_floor, own.time_over_floor_low, own.time_over_floor_high)
        kind = {"color": look.colour, "marker": look.marker, "linestyle": "none", "elinewidth": 0.8}
        kind |= {"markerfacecolor": "none"} if mode == "compiled" else {}
        axes.errorbar(own.time_over_floor, heights, xerr=ends, gid=f"measured-{series}-{mode}", **kind)
    style.ratio_axis(axes)
    style.rows(axes, lines, ((place, place) for place in range(0, len(lines), 2)))
    axes.set_xlabel("Time / floor")
    style.legend(drawn, style.method_handles(shown, lines=False))
    style.footnote(drawn, data.place, "Filled: eager, hollow: compiled. Medians with 95% intervals.")
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
    for series in labels.ranked(set(points.series) & set(labels.CHAIN), labels.CHAIN):
        own = points[points.series == series].time_over_floor
        ends = labels.ratio_text(own.min()), labels.ratio_text(own.max())
        span = (
            f"{ends[0]} floors" if ends[0] == ends[1] else f"{ends[0]} to {ends[1]} floors (median {own.median():.1f})"
        )
        ranges.append(f"{method_phrase(series)} takes {span}")
    text = f"Measured {where(data)}, the nearest to the floor are {listed(parts)}."
    return f"{text} Over all cases and modes, {listed(ranges)}." if ranges else text
