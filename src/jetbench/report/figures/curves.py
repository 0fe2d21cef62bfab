"""Figures of curves: cost against the x-axis of a study, relative to the floor and to nested."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from jetbench.measure.case import modes as modes_of
from jetbench.measure.fields import STATUSES
from jetbench.report import labels
from jetbench.report.data import Data, NoData
from jetbench.report.figures import style
from jetbench.report.labels import AXES as AXIS_LABELS
from jetbench.report.labels import LOGARITHMIC
from jetbench.report.registry import figure
from jetbench.report.slopes import LINEAR_AXES

ROW_HEIGHT, LONE_ROW_HEIGHT = 1.45, 1.75
#: Published points at larger multiples of the largest size measured here would leave ours little room.
REACH = 2
FAILED = [status for status in STATUSES if status not in ("ok", "unsupported")]


@dataclass(frozen=True)
class Quantity:
    """What the y-axis shows: a column of the records, its label, and the column of the published points, if any."""

    column: str
    label: str
    published: str | None = None
    #: Whether counting vectors predicts it.
    predicted: bool = False
    #: Whether a line marks 1.
    is_ratio: bool = True
    factor: float = 1.0


OVER_FLOOR = Quantity("time_over_floor", "Time / floor", predicted=True)
OVER_NESTED = Quantity("time_over_nested", "Time / nested", "time_over_nested")
DIFFERENTIABLE = Quantity(
    "memory_differentiable_over_nested", "Diff. memory\n/ nested", "memory_differentiable_over_nested"
)
NONDIFFERENTIABLE = Quantity(
    "memory_nondifferentiable_over_nested", "Non-diff. memory\n/ nested", "memory_nondifferentiable_over_nested"
)
VECTORS = Quantity("vectors", "Vectors per datum", is_ratio=False)
TIME = Quantity("time_s", "Time [ms]", is_ratio=False, factor=1e3)


def study_figure(data: Data, axis: str, quantities: Sequence[Quantity]) -> Figure:
    """One row a case; for each quantity one panel a mode, eager before compiled, with the same y-axis.

    Raises:
        NoData: no point of the study was measured.
    """
    records = data.records[(data.records.axis == axis) & ~data.records.study.isin(labels.SNAPSHOTS)]
    ok = records[records.status == "ok"]
    ok = ok[ok[[q.column for q in quantities]].notna().any(axis=1)]
    if ok.empty:
        raise NoData(f"No measured points along the axis {axis}.")
    records = labels.ordered(records[records.case.isin(list(ok.case))])
    modes = labels.ranked(ok["mode"], labels.MODES)
    cases = list(dict.fromkeys(records.case))
    named = labels.case_labels(records)
    drawn = style.new((ROW_HEIGHT if len(cases) > 1 else LONE_ROW_HEIGHT) * len(cases) + 0.75)
    panels = drawn.subplots(len(cases), len(quantities) * len(modes), squeeze=False)
    shown = labels.ranked(records.series, labels.SERIES)
    published_seen = False
    for row, case in enumerate(cases):
        first: Axes | None = None
        for q, quantity in enumerate(quantities):
            every = panels[row, q * len(modes) : (q + 1) * len(modes)]
            possible = modes_of(records[records.case == case].backend.iloc[0], modes)
            group = [axes for axes, mode in zip(every, modes, strict=True) if mode in possible]
            for axes, mode in zip(every, modes, strict=True):
                if mode not in possible:
                    axes.set_visible(False)
                    continue
                points = records[(records.case == case) & (records["mode"] == mode)]
                published_seen |= _panel(axes, points, quantity, axis, data, shown)
                if row == 0:
                    axes.set_title(mode)
                if row == len(cases) - 1:
                    axes.set_xlabel(AXIS_LABELS[axis])
            _share_axes(group, axis, records[records.case == case])
            group[0].set_ylabel(quantity.label)
            first = first or group[0]
        _row_title(first, named[case], row)
    _legend(drawn, shown, ok, quantities, published_seen)
    style.footnote(drawn, *_small_print(data, records, drawn))
    return drawn


def _row_title(axes: Axes, text: str, row: int) -> None:
    axes.annotate(
        text,
        (0, 1),
        xycoords="axes fraction",
        xytext=(-24, 16 if row == 0 else 5),
        textcoords="offset points",
        fontweight="bold",
        annotation_clip=False,
    )


def _panel(axes: Axes, points: pd.DataFrame, quantity: Quantity, axis: str, data: Data, shown: list[str]) -> bool:
    """Draw one panel; whether it has published points."""
    ok = points[(points.status == "ok") & points[quantity.column].notna()]
    if quantity.is_ratio:
        axes.axhline(1, color="0.6", linewidth=0.8, zorder=1)
    if axis in LOGARITHMIC:
        axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    published = False
    if quantity.published and not points.empty:
        about = points.iloc[0].copy()
        for series, curve in data.published.curves(about).sort_values("x").groupby("series", sort=False):
            if series in shown:
                published = True
                look = labels.look(series, shown)
                kind = {"linestyle": "none", "marker": look.marker, "markersize": 3.4, "markerfacecolor": "none"}
                kind |= {"markeredgecolor": look.colour, "markeredgewidth": 0.7, "alpha": 0.8, "zorder": 2}
                near = curve[curve.x <= REACH * points.x.max()] if axis in LOGARITHMIC else curve
                axes.plot(near.x, near[quantity.published], gid=f"published-{series}", **kind)
                if len(near) < len(curve):
                    at_edge = {"transform": axes.get_yaxis_transform(), "clip_on": False, "gid": f"beyond-{series}"}
                    axes.plot([1], curve[quantity.published].iloc[-1:], **at_edge, **kind)
    for series in labels.ranked(ok.series, labels.SERIES):
        curve = ok[ok.series == series].sort_values("x")
        look = labels.look(series, shown)
        axes.errorbar(
            curve.x,
            quantity.factor * curve[quantity.column].astype("float64"),
            yerr=_intervals(curve, quantity),
            color=look.colour,
            marker=look.marker,
            linestyle=look.line,
            elinewidth=0.8,
            capsize=1.5,
            label=labels.series_label(series),
            gid=f"measured-{series}",
            zorder=4,
        )
        if quantity.predicted and not labels.is_nested(series):
            counted = curve.vectors.astype(float) / curve.floor_vectors.astype(float)
            axes.plot(
                curve.x, counted, color=look.colour, linestyle=":", linewidth=0.8, zorder=3, gid=f"predicted-{series}"
            )
    _mark_failures(axes, points, shown)
    if ok.empty and not published:
        style.say(axes)
        axes.set_gid("not-measured")
    return published


def _intervals(curve: pd.DataFrame, quantity: Quantity) -> np.ndarray | None:
    """Lengths (2, P) of the error bars below and above; None for what has no interval."""
    stem, unit = quantity.column.removesuffix("_s"), "_s" if quantity.column.endswith("_s") else ""
    if f"{stem}_low{unit}" not in curve:
        return None
    ends = [curve[f"{stem}{end}{unit}"] for end in ("", "_low", "_high")]
    return quantity.factor * style.error_bars(*ends)


def _mark_failures(axes: Axes, points: pd.DataFrame, shown: list[str]) -> None:
    """A cross at the upper edge for every point that was tried and failed."""
    for series, failed in points[points.status.isin(FAILED)].groupby("series", sort=False):
        height = 0.97 - 0.07 * shown.index(series)
        axes.plot(
            failed.x,
            [height] * len(failed),
            linestyle="none",
            marker="x",
            markersize=4,
            markeredgewidth=1.2,
            color=labels.look(series, shown).colour,
            transform=axes.get_xaxis_transform(),
            clip_on=False,
            gid=f"failed-{series}",
            zorder=5,
        )


def _share_axes(group: Sequence[Axes], axis: str, points: pd.DataFrame) -> None:
    """The same limits for the panels of one quantity, and a handful of plain numbers as ticks."""
    drawn = [axes for axes in group if axes.get_gid() != "not-measured"] or group
    left, right = _union(axes.get_xlim() for axes in drawn)
    low, high = _union(axes.get_ylim() for axes in drawn)
    for number, axes in enumerate(group):
        axes.set_xlim(left, right)
        _x_ticks(axes, sorted(points.x.dropna().unique()), axis)
        axes.set_ylim(low, high)
        style.plain_ticks(axes.yaxis, low, high)
        if number:
            axes.tick_params(labelleft=False)


def _union(limits: Iterable[tuple[float, float]]) -> tuple[float, float]:
    lows, highs = zip(*limits, strict=True)
    return min(lows), max(highs)


def _x_ticks(axes: Axes, values: list[float], axis: str) -> None:
    """The measured positions where they are few and fill the axis, else round numbers."""
    low, high = axes.get_xlim()
    if axis in LOGARITHMIC:
        legible = style.apart(values, low, high)
        if len(values) > 6 or max(values) < high / 4 or len(legible) < min(3, len(values)):
            exponents = np.arange(np.ceil(np.log2(low)), np.floor(np.log2(high)) + 1)
            legible = list(2.0 ** exponents[:: max(1, int(np.ceil(len(exponents) / 5)))])
        axes.xaxis.set_major_locator(FixedLocator(legible))
        axes.xaxis.set_minor_locator(NullLocator())
    elif axis == "depth" and len(values) <= 8:
        axes.xaxis.set_major_locator(FixedLocator(values))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _legend(
    figure: Figure, shown: list[str], ok: pd.DataFrame, quantities: Sequence[Quantity], published: bool
) -> None:
    handles = style.method_handles([series for series in shown if series in set(ok.series)])
    if any(q.predicted for q in quantities):
        handles.append(Line2D([], [], color=style.GREY, linestyle=":", linewidth=0.8, label="predicted from vectors"))
    if published:
        hollow = {"markerfacecolor": "none", "markeredgewidth": 0.7, "markersize": 3.4}
        handles.append(
            Line2D([], [], color=style.GREY, marker="o", linestyle="none", label="published (RTX 6000)", **hollow)
        )
    style.legend(figure, handles)


def _small_print(data: Data, records: pd.DataFrame, drawn: Figure) -> Iterator[str]:
    """Where it was measured, and which points are missing and why."""
    yield f"{data.place} {', '.join(sorted(set(records.dtype.dropna())))}. Medians with 95% intervals."
    unstable = int((~records.stable.fillna(True)).sum())
    if unstable:
        yield f"{unstable} of {len(records)} points are unstable."
    failed = records[records.status.isin(FAILED)]
    if len(failed):
        groups = failed.groupby(["series", "mode", "status"], sort=False).size()
        parts = [f"{labels.series_label(series)} {mode} ({n} {status})" for (series, mode, status), n in groups.items()]
        yield f"Crosses: failed, {', '.join(parts)}."
    if any(axes.findobj(lambda artist: str(artist.get_gid()).startswith("beyond-")) for axes in drawn.axes):
        yield "Hollow on the right edge: published, at the largest size of the paper."
    unsupported = records[records.status == "unsupported"]
    if len(unsupported):
        names = labels.ranked(unsupported.series, labels.SERIES)
        yield f"Not applicable in some panels: {', '.join(labels.series_label(name) for name in names)}."


CURVE = (
    f"Left panels: time over the floor; dotted lines are what counting vectors predicts. {labels.FLOOR} Right panels:"
    " time over that of nested differentiation at the same place; hollow markers are the published values, those on the"
    " right edge at the largest published size, where that is far beyond ours. Bars: 95% intervals. Crosses at the"
    " upper edge: points that failed. One row a case; eager beside compiled."
)
MEMORY = (
    "Peak memory over that of nested, with the graph for parameter gradients (differentiable) and without it. Hollow:"
    " published values, those on the right edge at the largest published size, where that is far beyond ours."
)
_AGAINST = {axis: label.split(" (")[0].lower().replace(" $d$", "") for axis, label in AXIS_LABELS.items()}
for _axis, _against in _AGAINST.items():
    _draw = partial(study_figure, axis=_axis, quantities=(OVER_FLOOR, OVER_NESTED))
    figure(_axis, f"time over the floor and over nested against {_against}", CURVE)(_draw)
for _axis in LINEAR_AXES:
    _draw = partial(study_figure, axis=_axis, quantities=(DIFFERENTIABLE, NONDIFFERENTIABLE))
    figure(f"{_axis}_memory", f"memory over nested against {_AGAINST[_axis]}", MEMORY)(_draw)
figure(
    "dimension_vectors",
    "vectors and time of every method against dimension",
    "Vectors per datum and time of every method against the dimension D.",
)(partial(study_figure, axis="dimension", quantities=(VECTORS, TIME)))
