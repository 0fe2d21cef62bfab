"""The reproduction figure: every ratio to nested that the paper reports against the one measured here."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from jetbench.report import labels, style
from jetbench.report.figures import NoData, figure
from jetbench.report.slopes import METRICS
from jetbench.report.tables import MAIN_METRICS, Data

TICKS = [0.05, 0.1, 0.2, 0.5, 1, 2, 5]


def reproduction(data: Data) -> pd.DataFrame:
    """One row a slope that both the paper and we have, nested left out: measured ratio with interval, published ratio."""
    rows = []
    for row in labels.ordered(data.slopes).to_dict("records") if len(data.slopes) else []:
        paper = data.published.slope(pd.Series(row), row["series"], row["metric"])
        if paper is not None and row["series"] != "nested" and np.isfinite(row["ratio_to_nested"]):
            rows.append({**row, "published_ratio": float(paper.ratio_to_nested)})
    return pd.DataFrame(rows, columns=[*data.slopes.columns, "published_ratio"])


@figure("reproduction", "ratios to nested: published against measured here")
def draw(data: Data) -> Figure:
    """One panel a metric and mode; on the diagonal the ratio is the published one."""
    frame = reproduction(data)
    if frame.empty:
        raise NoData("No slope was both published and measured (the same network, dtype and directions are needed).")
    modes = labels.ranked(frame["mode"], labels.MODES)
    drawn = style.new(2.3 * len(modes) + 0.8)
    panels = drawn.subplots(len(modes), len(MAIN_METRICS), squeeze=False)
    letters = _letters(data, frame)
    shown = labels.ranked(frame.series, labels.SERIES)
    for row, mode in enumerate(modes):
        for column, metric in enumerate(MAIN_METRICS):
            axes = panels[row, column]
            _panel(axes, frame[(frame["mode"] == mode) & (frame.metric == metric)], letters, shown)
            axes.set_title(f"{METRICS[metric].label}, {mode}")
            axes.set_xlabel("Published ratio to nested" if row == len(modes) - 1 else "")
            axes.set_ylabel("Measured ratio to nested" if column == 0 else "")
    handles = [
        Line2D([], [], color=style.look(s, shown).colour, marker=style.look(s, shown).marker, linestyle="none", label=name)
        for s, name in ((s, labels.series_label(s)) for s in shown)
    ]
    handles.append(Line2D([], [], color="0.6", linewidth=0.8, label="equal"))
    drawn.legend(handles=handles, loc="outside upper center", ncols=min(5, len(handles)))
    told = "; ".join(f"{letter} {name}" for name, letter in letters.items())
    style.footnote(drawn, style.wrapped(f"{told}. {data.place} 95% intervals of the fits; published: RTX 6000."))
    return drawn


def _panel(axes: Axes, points: pd.DataFrame, letters: dict[str, str], shown: list[str]) -> None:
    named = _labelled(points)
    finite = points.assign(letter=[letters[name] for name in named])
    spans = [*finite.published_ratio, *finite.ratio_to_nested]
    low = min([0.4, *(0.8 * v for v in spans if v > 0)])
    high = max([1.5, *(1.25 * v for v in spans)])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.plot([low, high], [low, high], color="0.6", linewidth=0.8, zorder=1)
    axes.axhline(1, color="0.85", linewidth=0.6, zorder=0)
    axes.axvline(1, color="0.85", linewidth=0.6, zorder=0)
    for series in labels.ranked(finite.series, labels.SERIES):
        own = finite[finite.series == series]
        look = style.look(series, shown)
        below = (own.ratio_to_nested - own.ratio_low).clip(lower=0, upper=0.98 * own.ratio_to_nested).fillna(0)
        above = (own.ratio_high - own.ratio_to_nested).clip(lower=0).fillna(0)
        axes.errorbar(
            own.published_ratio,
            own.ratio_to_nested,
            yerr=np.vstack([below, above]),
            linestyle="none",
            color=look.colour,
            marker=look.marker,
            elinewidth=0.6,
            gid=f"measured-{series}",
        )
        for point in own.itertuples():
            axes.annotate(
                point.letter,
                (point.published_ratio, point.ratio_to_nested),
                xytext=(3.5, -5),
                textcoords="offset points",
                fontsize=6,
                color=look.colour,
            )
    for axis, limit in ((axes.xaxis, axes.set_xlim), (axes.yaxis, axes.set_ylim)):
        limit(low, high)
        axis.set_major_locator(FixedLocator([t for t in TICKS if low <= t <= high]))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_aspect("equal")
    if points.empty:
        axes.text(0.5, 0.5, "not measured", color=style.GREY, ha="center", va="center", transform=axes.transAxes)


def _labelled(frame: pd.DataFrame) -> list[str]:
    per = {"batch": "per datum", "samples": "per sample", "rank": "per rank"}
    names = []
    for row in frame.itertuples():
        rank = f" (rank {row.rank_ratio:g} D)" if row.axis == "batch" and row.rank_ratio == row.rank_ratio else ""
        names.append(f"{labels.operator_label(row.operator)}{rank} {per[row.axis]}")
    return names


def _letters(data: Data, frame: pd.DataFrame) -> dict[str, str]:
    """What a slope is of → a letter, in reading order."""
    return {name: chr(ord("a") + i) for i, name in enumerate(dict.fromkeys(_labelled(frame)))}
