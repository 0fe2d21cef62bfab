"""How figures look: sizes for print, axes, legends, notes, and files that are the same every time.

The colours, markers and line styles of the methods are in `labels`.
"""

from __future__ import annotations

import logging
import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from jetbench.report import labels
from jetbench.report.data import Data, NoData
from jetbench.report.registry import FIGURES

log = logging.getLogger(__name__)

#: Width in inches: a full page of a two-column article, and the text width of most conference styles.
WIDTH = 7.0
GREY = "0.45"
SUFFIXES = (".pdf", ".png")

SETTINGS = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "pdf.fonttype": 42,
    "savefig.dpi": 150,
    "figure.dpi": 100,
}


@contextmanager
def settings() -> Iterator[None]:
    """The settings of this module, for figures made and saved inside; the caller's stay as they are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)
        yield


def new(height: float, width: float = WIDTH) -> Figure:
    """An empty figure of that size in inches, with room for every label."""
    return Figure(figsize=(width, height), layout="constrained")


def legend(figure: Figure, handles: list[Line2D]) -> None:
    """One legend for all panels above them, in as few and as even rows as fit the width."""
    inches = [0.6 + 0.062 * len(str(handle.get_label())) for handle in handles]
    for rows in range(1, len(handles) + 1):
        columns = [inches[start : start + rows] for start in range(0, len(inches), rows)]
        if sum(map(max, columns)) < figure.get_figwidth():
            break
    figure.legend(handles=handles, loc="outside upper center", ncols=len(columns), columnspacing=1.3)


def method_handles(shown: Sequence[str], *, lines: bool = True) -> list[Line2D]:
    """Legend entries of methods in the order given, with their line or only their marker."""
    looks = [labels.look(series, shown) for series in shown]
    return [
        Line2D(
            [], [], color=look.colour, marker=look.marker, linestyle=look.line if lines else "none", label=look.label
        )
        for look in looks
    ]


def footnote(figure: Figure, *sentences: str | None) -> None:
    """Small print below the figure, in lines that fit its width: where it was measured, and what is missing."""
    text = textwrap.fill(" ".join(filter(None, sentences)), int(25 * figure.get_figwidth()))
    figure.supxlabel(text, fontsize=6, color=GREY, x=0.01, ha="left", wrap=False)


def plain_ticks(axis: Axis, low: float, high: float) -> None:
    """About five round numbers as the only ticks of an axis from `low` to `high`, logarithmic or not."""
    decades = math.log10(high / low) if low > 0 else 0.0
    steps = next((steps for most, steps in _STEPS if decades <= most), (1,))
    locator = LogLocator(subs=steps, numticks=7) if decades > 0.75 else MaxNLocator(5, steps=[1, 2, 2.5, 5, 10])
    axis.set_major_locator(locator)
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


#: Decades up to which the ticks of a logarithmic axis are these within each.
_STEPS = [(1.0, (1, 2, 3, 5, 7)), (1.4, (1, 2, 5)), (2.5, (1, 3))]


def apart(positions: Sequence[float], low: float, high: float, share: float = 0.14) -> list[float]:
    """Those of some positions on a logarithmic axis whose labels have room: the last, the first, then others."""
    kept: list[float] = []
    for position in [*positions[-1:], *positions[:-1]]:
        if all(abs(math.log(position / other)) >= share * math.log(high / low) for other in kept):
            kept.append(position)
    return sorted(kept)


def equal_axes(axes: Axes, low: float, high: float) -> None:
    """The same logarithmic axes from `low` to `high`, with the diagonal on which both are equal."""
    axes.loglog([low, high], [low, high], color="0.6", linewidth=0.8, zorder=1, marker="")
    for axis, limit in ((axes.xaxis, axes.set_xlim), (axes.yaxis, axes.set_ylim)):
        limit(low, high)
        plain_ticks(axis, low, high)


def error_bars(values: pd.Series, low: pd.Series, high: pd.Series) -> np.ndarray:
    """Lengths (2, P) of error bars below and above some values; 0 where there is no interval.

    A bar does not reach zero, which a logarithmic axis does not have.
    """
    values, low, high = (np.asarray(each, dtype=float) for each in (values, low, high))
    below = np.minimum(np.nan_to_num(values - low), 0.98 * np.abs(values))
    return np.vstack([below, np.nan_to_num(high - values)]).clip(min=0)


def bars(
    axes: Axes, shown: Sequence[str], values: pd.Series, texts: Sequence[str], ends: np.ndarray | None = None
) -> None:
    """A horizontal bar a method with its value beside it; `ends` (2, P) are the lengths of the error bars."""
    numbers = np.asarray(values, dtype=float)
    positions, known = np.arange(len(shown)), np.isfinite(numbers)
    lengths, colours = np.where(known, numbers, 0), [labels.look(series, shown).colour for series in shown]
    axes.barh(positions, lengths, color=colours, height=0.62, xerr=ends, error_kw={"elinewidth": 0.8})
    axes.set_yticks(positions, [labels.series_label(series) for series in shown])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    longest = lengths.max() or 1.0
    axes.set_xlim(0, 1.32 * longest)
    places = lengths + (0 if ends is None else ends[1]) + 0.03 * longest
    for position, (place, text) in enumerate(zip(places, texts, strict=True)):
        told, colour = (text, "0.15") if known[position] else ("not measured", GREY)
        axes.text(place, position, told, va="center", fontsize=7.5, color=colour)


def rows(axes: Axes, names: Sequence[str], bands: Iterable[tuple[int, int]]) -> None:
    """A line of the y-axis for each name, from above, with grey bands behind the lines from `first` to `last`."""
    for first, last in bands:
        axes.axhspan(first - 0.5, last + 0.5, color="0.96", zorder=0, linewidth=0)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")


def ratio_axis(axes: Axes) -> None:
    """A logarithmic x-axis of ratios, with a line at 1 and plain ticks."""
    axes.set_xscale("log")
    axes.axvline(1, color="0.6", linewidth=0.8, zorder=1)
    axes.set_xlim(left=min(0.95, axes.get_xlim()[0]))
    plain_ticks(axes.xaxis, *axes.get_xlim())


def say(axes: Axes, text: str = "not measured") -> None:
    """A few grey words in the middle of an empty panel."""
    box = {"facecolor": "white", "edgecolor": "none", "pad": 2}
    axes.text(0.5, 0.5, text, color=GREY, ha="center", va="center", transform=axes.transAxes, bbox=box)


def readable_on(colour: str, alpha: float = 1.0) -> str:
    """White or nearly black, whichever is easier to read on a colour over white."""
    red, green, blue = (1 - alpha * (1 - channel) for channel in mpl.colors.to_rgb(colour))
    return "white" if 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 < 0.3 else "0.1"


def placeholder(title: str, why: str) -> Figure:
    """A figure that says that there is nothing to show, and why."""
    figure = new(1.2, WIDTH * 0.7)
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.text(0.5, 0.65, title, ha="center", va="center", fontsize=9, transform=axes.transAxes)
    axes.text(0.5, 0.3, why, ha="center", va="center", color=GREY, transform=axes.transAxes, gid="no-data")
    return figure


def draw(name: str, data: Data) -> Figure:
    """The figure of that name; a placeholder where the records do not have what it needs. Use within `settings`.

    Raises:
        JetbenchError: there is no such figure; the message lists those that exist.
    """
    try:
        return FIGURES.make(name, data)
    except NoData as missing:
        log.warning("Figure %s: %s A placeholder is written instead.", name, missing)
        return placeholder(f"{name}: {FIGURES[name].shows}", str(missing))


def write(name: str, data: Data, path: Path) -> list[Path]:
    """Draw a figure and write it as PDF and PNG, or as the one that the suffix of `path` names; the paths."""
    with settings():
        return save(draw(name, data), path)


def save(figure: Figure, path: Path) -> list[Path]:
    """Write path.pdf and path.png, or only the one its suffix names, without dates; the paths written."""
    path = Path(path)
    chosen = [path.suffix] if path.suffix in SUFFIXES else list(SUFFIXES)
    stem = path.with_suffix("") if path.suffix in SUFFIXES else path
    path.parent.mkdir(parents=True, exist_ok=True)
    written = [stem.with_name(stem.name + suffix) for suffix in chosen]
    metadata = {
        ".pdf": {"CreationDate": None, "ModDate": None, "Producer": None, "Creator": None},
        ".png": {"Software": None},
    }
    for target in written:
        figure.savefig(target, metadata=metadata[target.suffix])
    return written
