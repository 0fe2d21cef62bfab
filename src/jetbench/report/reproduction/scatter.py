"""The reproduction figure: every ratio to nested that the paper reports against the one measured here."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jetbench.report import labels
from jetbench.report.costs import PUBLISHED
from jetbench.report.data import Data, NoData
from jetbench.report.figures import style
from jetbench.report.labels import REFERENCE
from jetbench.report.registry import figure
from jetbench.report.reproduction.comparison import reproduction, subject
from jetbench.report.slopes import METRICS


def compared(data: Data) -> pd.DataFrame:
    """The rows of `reproduction` that were published and measured, nested left out."""
    frame = reproduction(data)
    return frame[frame.measured.notna() & (frame.series != REFERENCE)]


@figure(
    "reproduction",
    "ratios to nested: published against measured here",
    "One point a slope: the published ratio to nested (horizontal) against ours (vertical). On the diagonal they are"
    " equal. Letters name the slopes below the figure.",
)
def draw(data: Data) -> Figure:
    """One panel a metric and mode; on the diagonal the ratio is the published one."""
    frame = compared(data)
    if frame.empty:
        raise NoData("No slope was both published and measured (the same network, dtype and directions are needed).")
    groups = list(dict.fromkeys(zip(frame.backend, frame["mode"], strict=True)))
    drawn = style.new(1.62 * len(groups) + 0.85, width=5.8)
    panels = drawn.subplots(len(groups), len(PUBLISHED), squeeze=False)
    letters = _letters(frame)
    shown = labels.ranked(frame.series, labels.SERIES)
    for row, (backend, mode) in enumerate(groups):
        for column, metric in enumerate(PUBLISHED):
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
    named = "; ".join(f"{letter} {name}" for name, letter in letters.items())
    style.footnote(drawn, f"{named}.", data.place, "95% intervals of the fits; published: RTX 6000.")
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
    style.equal_axes(axes, low, high)
    axes.axhline(1, color="0.85", linewidth=0.6, zorder=0)
    axes.axvline(1, color="0.85", linewidth=0.6, zorder=0)
    for series in labels.ranked(finite.series, labels.SERIES):
        # A slope lost in noise may come out negative; logarithmic axes have no place for it.
        own = finite[(finite.series == series) & (finite.measured > 0)]
        look = labels.look(series, shown)
        axes.errorbar(
            own.published,
            own.measured,
            yerr=style.error_bars(own.measured, own.low, own.high),
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
    axes.set_aspect("equal")
    if points.empty:
        style.say(axes)


def _letters(frame: pd.DataFrame) -> dict[str, str]:
    """What a slope is of → a letter, in reading order."""
    return {name: chr(ord("a") + i) for i, name in enumerate(dict.fromkeys(map(subject, frame.itertuples())))}
