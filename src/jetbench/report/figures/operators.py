"""The figure of every operator of the zoo with every method."""

from __future__ import annotations

from matplotlib.figure import Figure

from jetbench.report import labels
from jetbench.report.data import Data, NoData, reference_points
from jetbench.report.figures import style
from jetbench.report.registry import figure

PANELS = {"vectors": "Vectors per datum", "time_over_floor": "Time / floor", "time_over_nested": "Time / nested"}


@figure(
    "operators",
    "every operator and method: vectors, time over the floor and over nested",
    f"One line an operator, one marker a method: vectors, time over the floor, time over nested. {labels.FLOOR}",
)
def draw(data: Data) -> Figure:
    """One line an operator and mode, one marker a method."""
    points = labels.ordered(reference_points(data.records))
    if points.empty:
        raise NoData("No measured operator.")
    named = labels.case_names(points)
    shown = labels.ranked(points.series, labels.SERIES)
    lines = list(dict.fromkeys(zip(points.case, points["mode"], strict=True)))
    points["line"] = [lines.index(line) for line in zip(points.case, points["mode"], strict=True)]
    several = points["mode"].nunique() > 1
    drawn = style.new(0.24 * len(lines) + 1.35)
    panels = drawn.subplots(1, 3, sharey=True)
    for axes, (column, label) in zip(panels, PANELS.items(), strict=True):
        for series in shown:
            own, look = points[(points.series == series) & points[column].notna()], labels.look(series, shown)
            ends = None
            if column != "vectors":
                ends = style.error_bars(own[column], own[f"{column}_low"], own[f"{column}_high"])
            kind = {"color": look.colour, "marker": look.marker, "linestyle": "none", "elinewidth": 0.8}
            axes.errorbar(own[column].astype(float), own.line, xerr=ends, gid=f"measured-{series}", **kind)
        axes.set_xlabel(label)
        if column == "vectors":
            axes.set_xscale("log")
            style.plain_ticks(axes.xaxis, *axes.get_xlim())
        else:
            style.ratio_axis(axes)
        bands = points.groupby("case", sort=False).line.agg(["min", "max"])[::2]
        names = [f"{named[case]}, {mode}" if several else named[case] for case, mode in lines]
        style.rows(axes, names, bands.itertuples(index=False, name=None))
    style.legend(drawn, style.method_handles(shown, lines=False))
    style.footnote(drawn, data.place, "Largest measured size of each case. Medians with 95% intervals.")
    return drawn
