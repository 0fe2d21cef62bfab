"""Eager against compiled: what a compiler saves of each method."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from jetbench.report import labels
from jetbench.report.costs import paired
from jetbench.report.data import Data, NoData
from jetbench.report.figures import style
from jetbench.report.phrases import counted, listed, method_phrase, where
from jetbench.report.registry import figure, finding


def measured(data: Data) -> pd.DataFrame:
    """Compiled over eager at the same place, in reading order."""
    return labels.ordered(paired(data.records, "mode", "compiled", "eager"))


@figure(
    "compiling",
    "time compiled over eager, against the work of an evaluation",
    "Left: time compiled over eager against the size of the evaluation. Right: the distance to the floor before and"
    " after compilation; below the line compilation helps.",
)
def draw(data: Data) -> Figure:
    """Left: the ratio against the floating-point operations of the evaluation. Right: the distances to the floor."""
    found = measured(data)
    if found.empty:
        raise NoData("No point was measured both eager and compiled.")
    shown = labels.ranked(found.series, labels.SERIES)
    drawn = style.new(2.7)
    left, right = drawn.subplots(1, 2)
    for series in shown:
        own, look = found[found.series == series], labels.look(series, shown)
        kind = {"color": look.colour, "marker": look.marker, "linestyle": "none"}
        left.errorbar(
            own.flops,
            own.time,
            yerr=style.error_bars(own.time, own.low, own.high),
            elinewidth=0.8,
            gid=f"measured-{series}",
            **kind,
        )
        eager = data.ok[(data.ok["mode"] == "eager") & (data.ok.series == series)]
        joined = own.merge(eager, on=["study", "case", "axis_value"], suffixes=("", "_eager"))
        right.plot(joined.time_over_floor_eager, joined.time_over_floor, gid=f"floors-{series}", **kind)
    left.set_xscale("log")
    left.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    left.xaxis.set_minor_formatter(NullFormatter())  # within a decade, its labels would overlap
    left.axhline(1, color="0.6", linewidth=0.8, zorder=1)
    left.set_ylim(bottom=0)
    left.set_xlabel("Floating-point operations of one evaluation")
    left.set_ylabel("Time, compiled / eager")
    style.equal_axes(right, 0.95, 1.15 * max(right.get_xlim()[1], right.get_ylim()[1]))
    right.set_xlabel("Eager time / floor")
    right.set_ylabel("Compiled time / floor")
    style.legend(drawn, style.method_handles(shown, lines=False))
    style.footnote(drawn, data.place, "Medians with 95% intervals; compilation itself is not counted.")
    return drawn


@finding("compiling", "What does a compiler save?")
def sentence(data: Data) -> str | None:
    found = measured(data)
    if found.empty:
        return None
    parts = []
    for series in labels.ranked(found.series, labels.SERIES):
        own = found[found.series == series].time
        ends = labels.ratio_text(own.min()), labels.ratio_text(own.max())
        parts.append(f"{ends[0] if len(own) == 1 else ' to '.join(ends)} for {method_phrase(series)}")
    faster = int((found.high < 1).sum())
    first = found.merge(
        data.ok[data.ok["mode"] == "compiled"][["study", "case", "series", "axis_value", "first_call_s"]],
        on=["study", "case", "series", "axis_value"],
        suffixes=("", "_compiled"),
    ).first_call_s_compiled
    return (
        f"Compiled, {faster} of {counted(len(found), 'pair')} of points {where(data)} are faster; the time over that of"
        f" eager execution is {listed(parts)}. The first call, which compiles, takes {first.median():.0f} s (median)."
    )
