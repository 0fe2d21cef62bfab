"""Figures across operators: the overview for the README, and every operator of the zoo with every method."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jetbench.report import labels, style
from jetbench.report.figures import NoData, figure
from jetbench.report.tables import Data, as_published, reference_points

CHAIN = ("nested", "taylor", "collapsed", "apolar")
SUBJECTS = ("laplacian", "biharmonic")


@figure("overview", "vectors and time of nested, standard, collapsed and apolar, for the Laplacian and the biharmonic")
def overview(data: Data) -> Figure:
    """Bars: vectors per datum (a count) and time over nested (a measurement), the better mode of each method."""
    points = reference_points(as_published(data.records), ("study", "case"))
    points = points[points.operator.isin(SUBJECTS) & (points.estimator == "exact") & points.series.isin(CHAIN)]
    points = points[points.backend == next(iter(labels.ranked(points.backend, labels.BACKENDS)), None)]
    points = points[points.study == ("operators" if (points.study == "operators").any() else "batch")]
    if points.empty:
        raise NoData("No measured Laplacian or biharmonic.")
    subjects = labels.ranked(points.operator, SUBJECTS)
    shown = labels.ranked(points.series, labels.SERIES)
    mixed = []
    drawn = style.new(0.36 * len(shown) + 0.95)
    panels = drawn.subplots(1, 2 * len(subjects), squeeze=False)[0]
    for operator, left, right in zip(subjects, panels[::2], panels[1::2], strict=True):
        own = points[points.operator == operator]
        own = own[own.case == own.groupby("case").series.nunique().idxmax()]
        best = own.sort_values("time_s").drop_duplicates("series").set_index("series").reindex(shown)
        relative = pd.notna(best.time_s.get("nested", np.nan))
        base = best.time_s["nested"] if relative else best.floor_s.min()
        eager_only = relative and set(own[own.series == "nested"]["mode"]) == {"eager"}
        mixed += [labels.operator_label(operator)] if eager_only and (best["mode"] == "compiled").any() else []
        modes = {"compiled": " c"} if set(own["mode"]) > {"compiled"} else {}
        ratios = best.time_s / base
        timed = [f"{labels.ratio_text(r)}{modes.get(m, '')}" for r, m in zip(ratios, best["mode"], strict=True)]
        counted = [f"{count:g}" for count in best.vectors.astype("float64")]
        bars(left, shown, best.vectors.astype("float64").to_numpy(), counted)
        intervals = np.vstack([best.time_s - best.time_low_s, best.time_high_s - best.time_s]) / base
        bars(right, shown, ratios.to_numpy(), timed, np.nan_to_num(intervals).clip(min=0))
        left.set_xlabel("Vectors per datum")
        right.set_xlabel("Time / nested" if relative else "Time / floor")
        title = f"{labels.operator_label(operator)}, $D$ = {own.dim.iloc[0]}, batch {own.batch.iloc[0]}"
        left.set_title(title, loc="left", fontweight="bold")
    for axes in panels[1:]:
        axes.set_yticklabels([])
    about = (
        f"{labels.backend_label(points.backend.iloc[0])}, {points.dtype.iloc[0]}, network {points.widths.iloc[0]}; "
        "the better of eager and compiled (c)."
    )
    about += f" {' and '.join(mixed)}: nested was measured only eagerly." if mixed else ""
    style.footnote(drawn, style.wrapped(f"{data.place} {about}"))
    return drawn


def bars(
    axes: Axes, shown: list[str], values: np.ndarray, texts: list[str], intervals: np.ndarray | None = None
) -> None:
    """A bar a method with its value written beside it."""
    positions, known = np.arange(len(shown)), np.isfinite(values)
    lengths, colours = np.where(known, values, 0), [style.look(series, shown).colour for series in shown]
    axes.barh(positions, lengths, color=colours, height=0.62, xerr=intervals, error_kw={"elinewidth": 0.8})
    axes.set_yticks(positions, [labels.series_label(series) for series in shown])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    longest = lengths.max() or 1.0
    axes.set_xlim(0, 1.32 * longest)
    ends = lengths + (0 if intervals is None else intervals[1])
    for place, (end, text) in enumerate(zip(ends, texts, strict=True)):
        told = text if known[place] else "not measured"
        colour = "0.15" if known[place] else style.GREY
        axes.text(end + 0.03 * longest, place, told, va="center", fontsize=7.5, color=colour)


@figure("operators", "every operator and method: vectors, time over the floor and over nested")
def operators(data: Data) -> Figure:
    """One line an operator, one marker a method; eager filled, compiled hollow beside it."""
    points = labels.ordered(reference_points(data.records))
    if points.empty:
        raise NoData("No measured operator.")
    named = {c: n for _, s in points.groupby("study") for c, n in labels.case_labels(s).items()}
    cases = list(dict.fromkeys(points.case))
    shown = labels.ranked(points.series, labels.SERIES)
    modes = labels.ranked(points["mode"], labels.MODES)
    lines = list(dict.fromkeys(zip(points.case, points["mode"], strict=True)))
    place = {line: i for i, line in enumerate(lines)}
    drawn = style.new(0.24 * len(lines) + 1.35)
    panels = drawn.subplots(1, 3, sharey=True)
    about = [
        ("vectors", "Vectors per datum"),
        ("time_over_floor", "Time / floor"),
        ("time_over_nested", "Time / nested"),
    ]
    for axes, (column, label) in zip(panels, about, strict=True):
        for series in shown:
            own = points[(points.series == series) & points[column].notna()]
            heights = [place[line] for line in zip(own.case, own["mode"], strict=True)]
            values, look = own[column].astype(float), style.look(series, shown)
            bars = None
            if column != "vectors":
                bars = np.nan_to_num(np.vstack([values - own[f"{column}_low"], own[f"{column}_high"] - values])).clip(
                    min=0
                )
            kind = {"color": look.colour, "marker": look.marker, "linestyle": "none", "elinewidth": 0.8}
            axes.errorbar(values, heights, xerr=bars, gid=f"measured-{series}", **kind)
        for case in cases[::2]:
            own = [place[line] for line in lines if line[0] == case]
            axes.axhspan(min(own) - 0.5, max(own) + 0.5, color="0.96", zorder=0, linewidth=0)
        axes.set_xscale("log")
        axes.set_xlabel(label)
        axes.grid(visible=False, axis="y")
        if column != "vectors":
            axes.axvline(1, color="0.6", linewidth=0.8, zorder=1)
        style.plain_ticks(axes.xaxis, *axes.get_xlim())
    names = [f"{named[case]}, {mode}" if len(modes) > 1 else named[case] for case, mode in lines]
    panels[0].set_yticks(range(len(lines)), names)
    panels[0].set_ylim(len(lines) - 0.4, -0.6)
    style.legend(drawn, style.method_handles(shown, lines=False))
    style.footnote(
        drawn, style.wrapped(f"{data.place} Largest measured size of each case. Medians with 95% intervals.")
    )
    return drawn
