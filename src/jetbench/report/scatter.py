"""The reproduction figure: every ratio to nested that the paper reports against the one measured here."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jetbench.report import labels, style
from jetbench.report.collect import REFERENCE
from jetbench.report.figures import NoData, figure
from jetbench.report.reproduction import reproduction, subject
from jetbench.report.slopes import METRICS
from jetbench.report.tables import MAIN_METRICS, Data


def compared(data: Data) -> pd.DataFrame:
    """The rows of `reproduction` that were published and measured, nested left out."""
    frame = reproduction(data)
    return frame[frame.measured.notna() & (frame.series != REFERENCE)]


@figure("reproduction", "ratios to nested: published against measured here")
def draw(data: Data) -> Figure:
    """One panel a metric and mode; on the diagonal the ratio is the published one."""
    frame = compared(data)
    if frame.empty:
        raise NoData("No slope was both published and measured (the same network, dtype and directions are needed).")
    groups = list(dict.fromkeys(zip(frame.backend, frame["mode"], strict=True)))
    drawn = style.new(1.62 * len(groups) + 0.85, width=5.8)
    panels = drawn.subplots(len(groups), len(MAIN_METRICS), squeeze=False)
    letters = _letters(frame)
    shown = labels.ranked(frame.series, labels.SERIES)
    for row, (backend, mode) in enumerate(groups):
        for column, metric in enumerate(MAIN_METRICS):
            axes = panels[row, column]
            points = frame[frame.metric == metric]
            _panel(
                axes, points[(points.backend == backend) & (points["mode"] == mode)], letters, shown, _limits(points)
            )
            axes.set_title(f"{METRICS[metric].label}, {mode if backend == 'torch' else 'JAX'}")
            axes.set_xlabel("Published ratio to nested" if row == len(groups) - 1 else "")
            axes.set_ylabel("Measured ratio to nested" if column == 0 else "")
    handles = style.method_handles(shown, lines=False)
    style.legend(drawn, [*handles, Line2D([], [], color="0.6", linewidth=0.8, label="equal")])
    told = "; ".join(f"{letter} {name}" for name, letter in letters.items())
    style.footnote(drawn, style.wrapped(f"{told}. {data.place} 95% intervals of the fits; published: RTX 6000.", 140))
    return drawn


def _clusters(points: pd.DataFrame) -> Iterator[tuple[str, float, float]]:
    """Letters of points that lie too close to be labelled one by one, and the place of the lower right corner."""
    left = points[points.measured > 0].sort_values("measured")
    while len(left):
        first = left.iloc[0]
        apart = np.hypot(
            np.log10(left.published / first.published),
            np.log10(left.measured / first.measured),
        )
        near = left[apart < 0.13]
        yield "".join(sorted(near.letter)), near.published.max(), near.measured.min()
        left = left.drop(near.index)


def _limits(frame: pd.DataFrame) -> tuple[float, float]:
    spans = pd.concat([frame.published, frame.measured])
    return min([0.4, *(0.75 * spans[spans > 0])]), max([1.5, *(1.3 * spans)])


def _panel(
    axes: Axes, points: pd.DataFrame, letters: dict[str, str], shown: list[str], limits: tuple[float, float]
) -> None:
    low, high = limits
    finite = points.assign(letter=[letters[subject(row)] for row in points.itertuples()])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.plot([low, high], [low, high], color="0.6", linewidth=0.8, zorder=1)
    axes.axhline(1, color="0.85", linewidth=0.6, zorder=0)
    axes.axvline(1, color="0.85", linewidth=0.6, zorder=0)
    for series in labels.ranked(finite.series, labels.SERIES):
        # A slope lost in noise may come out negative; logarithmic axes have no place for it.
        own = finite[(finite.series == series) & (finite.measured > 0)]
        look = style.look(series, shown)
        below = (own.measured - own.low).clip(lower=0, upper=0.98 * own.measured).fillna(0)
        above = (own.high - own.measured).clip(lower=0).fillna(0)
        axes.errorbar(
            own.published,
            own.measured,
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


def _letters(frame: pd.DataFrame) -> dict[str, str]:
    """What a slope is of → a letter, in reading order."""
    return {name: chr(ord("a") + i) for i, name in enumerate(dict.fromkeys(map(subject, frame.itertuples())))}
