"""How figures look: one colour, marker and line style a method, sizes for print, and the same files every time.

The paper's colours are kept (nested blue, standard orange, collapsed green) in the tones of Okabe and Ito, which
readers with any colour vision tell apart; the other methods have colours from the same palette. Marker and line style
repeat the distinction for print in grey.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from jetbench.report import labels

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
    "savefig.dpi": 300,
    "figure.dpi": 100,
}


@dataclass(frozen=True)
class Look:
    """How one curve is drawn."""

    colour: str
    marker: str
    line: Any


LOOKS: dict[str, Look] = {
    "nested": Look("#0072B2", "o", "-"),
    "nested_reverse": Look("#56B4E9", "h", (0, (1, 1))),
    "jax_jet": Look("#8C1400", "X", (0, (3, 1))),
    "jet_for_pytorch_standard": Look("#DCC878", "p", (0, (1, 1))),
    "taylor_griewank": Look("#B07500", "<", (0, (2, 1.2))),
    "taylor": Look("#E69F00", "s", (0, (5, 1.5))),
    "folx": Look("#141414", "P", (0, (3, 1, 1, 1))),
    "stock_rewrite": Look("#101074", "8", (0, (1, 2))),
    "collapsed_rewrite": Look("#74D8B0", "*", (0, (3, 1, 1, 1))),
    "forward_laplacian": Look("#CC79A7", "v", (0, (4, 1, 1, 1))),
    "jet_for_pytorch": Look("#3C50DC", "d", (0, (1, 1))),
    "collapsed_griewank": Look("#00543D", ">", (0, (2, 1.2))),
    "collapsed": Look("#009E73", "^", "-"),
    "apolar": Look("#5A0A4A", "D", (0, (6, 1, 1, 1, 1, 1))),
}
#: For methods that this file does not know, in alphabetical order of their names.
SPARE = [Look("#000000", "H", ":"), Look("#777777", "X", ":"), Look("#5B5BD6", "p", ":"), Look("#8C6D31", "*", ":")]


def look(series: str, shown: Sequence[str] = ()) -> Look:
    """The look of a series; unknown ones take a spare look by their place among the unknown ones `shown`."""
    if series in LOOKS:
        return LOOKS[series]
    unknown = [name for name in labels.ranked([*shown, series], LOOKS) if name not in LOOKS]
    return SPARE[unknown.index(series) % len(SPARE)]


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
    inches = sum(0.6 + 0.062 * len(str(handle.get_label())) for handle in handles)
    width = figure.get_figwidth()
    rows = 1 if inches < width else math.ceil(len(handles) / (4 if width > 6 else 3))
    figure.legend(handles=handles, loc="outside upper center", ncols=math.ceil(len(handles) / rows), columnspacing=1.3)


def method_handles(shown: Sequence[str], *, lines: bool = True) -> list[Line2D]:
    """Legend entries of methods in the order given, with their line or only their marker."""
    looks = [(look(series, shown), labels.series_label(series)) for series in shown]
    return [
        Line2D([], [], color=each.colour, marker=each.marker, linestyle=each.line if lines else "none", label=name)
        for each, name in looks
    ]


def footnote(figure: Figure, text: str) -> None:
    """Small print below the figure: where it was measured, and what is missing."""
    if text:
        figure.supxlabel(text, fontsize=6, color=GREY, x=0.01, ha="left", wrap=False)


MANTISSAS = (
    [1, 10],
    [1, 2, 5],
    [1, 1.5, 2, 3, 5, 7],
    [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8],
    [1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2, 2.2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6, 7, 8, 9],
)


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At least three (if possible) and at most `most` round numbers for a logarithmic axis; 1 first of all."""
    found: list[float] = []
    for mantissas in MANTISSAS:
        exponents = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
        candidates = sorted({round(m * 10.0**e, 12) for e in exponents for m in mantissas})
        found = [tick for tick in candidates if low <= tick <= high]
        if len(found) >= 3:
            break
    apart, kept = math.log(high / low) / most, []
    for tick in sorted(found, key=lambda t: (t != 1, t)):
        if all(abs(math.log(tick / other)) > apart for other in kept):
            kept.append(tick)
    return sorted(kept)


def plain_ticks(axis: Axis, low: float, high: float) -> None:
    """Plain numbers as the only ticks of a logarithmic axis."""
    axis.set_major_locator(FixedLocator(log_ticks(low, high)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def readable_on(colour: str, alpha: float = 1.0) -> str:
    """White or nearly black, whichever is easier to read on a colour over white."""
    red, green, blue = (1 - alpha * (1 - channel) for channel in mpl.colors.to_rgb(colour))
    return "white" if 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 < 0.3 else "0.1"


def wrapped(text: str, width: int = 175) -> str:
    """Small print broken into lines that fit the full width."""
    return "\n".join(textwrap.wrap(text, width))


def placeholder(title: str, why: str) -> Figure:
    """A figure that says that there is nothing to show, and why."""
    figure = new(1.2, WIDTH * 0.7)
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.text(0.5, 0.65, title, ha="center", va="center", fontsize=9, transform=axes.transAxes)
    axes.text(0.5, 0.3, why, ha="center", va="center", color=GREY, transform=axes.transAxes, gid="no-data")
    return figure


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
