"""The reproduction figure: every ratio to nested that the paper reports against the one measured here."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jetbench.report import labels, style
from jetbench.report.figures import NoData, figure
from jetbench.report.slopes import METRICS
from jetbench.report.tables import MAIN_METRICS, Data


def reproduction(data: Data) -> pd.DataFrame:
    """One row a slope that was published and measured, nested left out: both ratios, the measured one with interval."""
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
            points = frame[frame.metric == metric]
            _panel(axes, points[points["mode"] == mode], letters, shown, _limits(points))
            axes.set_title(f"{METRICS[metric].label}, {mode}")
            axes.set_xlabel("Published ratio to nested" if row == len(modes) - 1 else "")
            axes.set_ylabel("Measured ratio to nested" if column == 0 else "")
    handles = style.method_handles(shown, lines=False)
    style.legend(drawn, [*handles, Line2D([], [], color="0.6", linewidth=0.8, label="equal")])
    told = "; ".join(f"{letter} {name}" for name, letter in letters.items())
    style.footnote(drawn, style.wrapped(f"{told}. {data.place} 95% intervals of the fits; published: RTX 6000."))
    return drawn


def _clusters(points: pd.DataFrame) -> Iterator[tuple[str, float, float]]:
    """Letters of points that lie too close to be labelled one by one, and the place of the lower right corner."""
    left = points[points.ratio_to_nested > 0].sort_values("ratio_to_nested")
    while len(left):
        first = left.iloc[0]
        apart = np.hypot(
            np.log10(left.published_ratio / first.published_ratio),
            np.log10(left.ratio_to_nested / first.ratio_to_nested),
        )
        near = left[apart < 0.13]
        yield "".join(sorted(near.letter)), near.published_ratio.max(), near.ratio_to_nested.min()
        left = left.drop(near.index)


def _limits(frame: pd.DataFrame) -> tuple[float, float]:
    spans = pd.concat([frame.published_ratio, frame.ratio_to_nested])
    return min([0.4, *(0.75 * spans[spans > 0])]), max([1.5, *(1.3 * spans)])


def _panel(
    axes: Axes, points: pd.DataFrame, letters: dict[str, str], shown: list[str], limits: tuple[float, float]
) -> None:
    low, high = limits
    finite = points.assign(letter=[letters[name] for name in _labelled(points)])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.plot([low, high], [low, high], color="0.6", linewidth=0.8, zorder=1)
    axes.axhline(1, color="0.85", linewidth=0.6, zorder=0)
    axes.axvline(1, color="0.85", linewidth=0.6, zorder=0)
    for series in labels.ranked(finite.series, labels.SERIES):
        # A slope lost in noise may come out negative; logarithmic axes have no place for it.
        own = finite[(finite.series == series) & (finite.ratio_to_nested > 0)]
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
        for letters_here, x, y in _clusters(own):
            axes.annotate(
                letters_here,
                (x, y),
                xytext=(4, -6),
                textcoords="offset points",
                fontsize=6.5,
                color=look.colour,
            )
    for axis, limit in ((axes.xaxis, axes.set_xlim), (axes.yaxis, axes.set_ylim)):
        limit(low, high)
        style.plain_ticks(axis, low, high)
    axes.set_aspect("equal")
    if points.empty:
        axes.text(0.5, 0.5, "not measured", color=style.GREY, ha="center", va="center", transform=axes.transAxes)


def _labelled(frame: pd.DataFrame) -> list[str]:
    per = {"batch": "per datum", "samples": "per sample", "rank": "per rank"}
    names = []
    for row in frame.itertuples():
        rank = f" (rank {row.rank_ratio:g} D)" if row.axis == "batch" and row.rank_ratio == row.rank_ratio else ""
        backend = "" if row.backend == "torch" else f", {labels.backend_label(row.backend)}"
        names.append(f"{labels.operator_label(row.operator)}{rank} {per[row.axis]}{backend}")
    return names


def _letters(data: Data, frame: pd.DataFrame) -> dict[str, str]:
    """What a slope is of → a letter, in reading order."""
    return {name: chr(ord("a") + i) for i, name in enumerate(dict.fromkeys(_labelled(frame)))}
