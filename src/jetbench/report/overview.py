"""Figures across operators: the overview for the README, and every operator of the zoo with every method."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from jetbench.report import labels, style
from jetbench.report.figures import NoData, figure
from jetbench.report.tables import Data, reference_points

CHAIN = ("nested", "taylor", "collapsed", "apolar")
SUBJECTS = ("laplacian", "biharmonic")


@figure("overview", "vectors and time of nested, standard, collapsed and apolar, for the Laplacian and the biharmonic")
def overview(data: Data) -> Figure:
    """Bars: vectors per datum (a count) and time over nested (a measurement), the better mode of each method."""
    points = reference_points(data.records, ("study", "case"))
    points = points[points.operator.isin(SUBJECTS) & (points.estimator == "exact") & points.series.isin(CHAIN)]
    points = points[points.study == ("operators" if (points.study == "operators").any() else "batch")]
    if points.empty:
        raise NoData("No measured Laplacian or biharmonic.")
    subjects = labels.ranked(points.operator, SUBJECTS)
    drawn = style.new(2.35)
    panels = drawn.subplots(1, 2 * len(subjects), squeeze=False, width_ratios=[1, 1] * len(subjects))[0]
    for number, operator in enumerate(subjects):
        own = points[points.operator == operator]
        own = own[own.case == own.groupby("case").series.nunique().idxmax()]
        best = own.sort_values("time_s").drop_duplicates("series").set_index("series")
        shown = [series for series in CHAIN if series in best.index]
        left, right = panels[2 * number], panels[2 * number + 1]
        counted = [np.nan if pd.isna(best.vectors[s]) else float(best.vectors[s]) for s in shown]
        _bars(left, shown, counted, "{:.0f}")
        timed = best.reindex(shown)
        relative = "nested" in best.index
        base = best.time_s["nested"] if relative else best.floor_s.min()
        errors = np.vstack([(timed.time_s - timed.time_low_s) / base, (timed.time_high_s - timed.time_s) / base])
        _bars(right, shown, list(timed.time_s / base), "{:.2f}", np.nan_to_num(errors).clip(min=0))
        left.set_xlabel("Vectors per datum")
        right.set_xlabel("Time / nested" if relative else "Time / floor")
        row = own.iloc[0]
        left.set_title(
            f"{labels.operator_label(operator)}, $D$ = {row.dim}, batch {row.batch}", loc="left", fontweight="bold"
        )
        right.set_yticklabels([])
        if number:
            left.set_yticklabels([])
    style.footnote(
        drawn,
        style.wrapped(
            f"{data.place} {points.dtype.iloc[0]}, network {points.widths.iloc[0]}; better of eager and compiled."
        ),
    )
    return drawn


def _bars(axes: Axes, shown: list[str], values: list[float], form: str, errors: np.ndarray | None = None) -> None:
    positions = np.arange(len(shown))
    colours = [style.look(s).colour for s in shown]
    axes.barh(positions, np.nan_to_num(values), color=colours, height=0.62, xerr=errors, error_kw={"elinewidth": 0.8})
    axes.set_yticks(positions, [labels.series_label(s) for s in shown])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    highest = np.nanmax(values) if np.isfinite(values).any() else 1
    axes.set_xlim(0, 1.28 * highest)
    for place, value in enumerate(values):
        known = np.isfinite(value)
        over = errors[1][place] if errors is not None else 0
        text = form.format(value) if known else "not counted"
        axes.text(
            (value + over if known else 0) + 0.03 * highest,
            place,
            text,
            va="center",
            fontsize=7.5,
            color="0.15" if known else style.GREY,
        )


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
    drawn = style.new(0.24 * len(cases) * len(modes) + 1.35)
    panels = drawn.subplots(1, 3, sharey=True)
    lines = [(case, mode) for case in cases for mode in modes]
    place = {line: i for i, line in enumerate(lines)}
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
        for number in range(0, len(cases), 2):
            axes.axhspan(
                number * len(modes) - 0.5, (number + 1) * len(modes) - 0.5, color="0.96", zorder=0, linewidth=0
            )
        axes.set_xscale("log")
        axes.set_xlabel(label)
        axes.grid(visible=False, axis="y")
        if column != "vectors":
            axes.axvline(1, color="0.6", linewidth=0.8, zorder=1)
        style.plain_ticks(axes.xaxis, *axes.get_xlim())
    names = [f"{named[case]}, {mode}" if len(modes) > 1 else named[case] for case, mode in lines]
    panels[0].set_yticks(range(len(lines)), names)
    panels[0].set_ylim(len(lines) - 0.4, -0.6)
    handles = [
        Line2D(
            [], [], color=style.look(s, shown).colour, marker=style.look(s, shown).marker, linestyle="none", label=name
        )
        for s, name in ((s, labels.series_label(s)) for s in shown)
    ]
    drawn.legend(handles=handles, loc="outside upper center", ncols=min(4, len(handles)))
    style.footnote(
        drawn, style.wrapped(f"{data.place} Largest measured size of each case. Medians with 95% intervals.")
    )
    return drawn
