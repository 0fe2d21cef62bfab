"""Zero-aware against stock Taylor mode: what multiplying zeros costs. It needs records of the stock implementation."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from jetbench.report import labels
from jetbench.report.costs import paired
from jetbench.report.data import Data, NoData
from jetbench.report.figures import style
from jetbench.report.phrases import interval, method_phrase, operator_phrase, where
from jetbench.report.registry import figure, finding

MARKERS = ("o", "s", "D", "^", "v", "P")


def measured(data: Data) -> pd.DataFrame:
    """The exact operators by stock Taylor mode over zero-aware Taylor mode, along curves over the batch."""
    found = paired(data.records, "series", labels.STOCK, labels.AWARE)
    curves = (found.axis == "batch") & (found.estimator == "exact") & ~found.study.isin(labels.SNAPSHOTS)
    return labels.ordered(found[curves])


@figure(
    "stock",
    "stock Taylor mode, which multiplies zeros, over zero-aware Taylor mode: time and counted vectors",
    "The cost of multiplying zeros. Left: time of stock Taylor mode in JAX, which stores derivatives of constants as"
    f" arrays of zeros, over the same scheme without them; dotted: the ratio of vectors. Right: both. {labels.FLOOR}",
)
def draw(data: Data) -> Figure:
    """Left: ratios of time, with those of vectors dotted. Right: distances of both to the floor."""
    found = measured(data)
    if found.empty:
        raise NoData("Stock Taylor mode was not measured here beside zero-aware Taylor mode.")
    drawn = style.new(2.5)
    left, right = drawn.subplots(1, 2)
    for number, (case, own) in enumerate(found.groupby("case", sort=False)):
        colour, marker = labels.look(labels.STOCK).colour, MARKERS[number % len(MARKERS)]
        bars = style.error_bars(own.time, own.low, own.high)
        name = f"{labels.operator_label(own.operator.iloc[0])}, $D$ = {own.dim.iloc[0]}"
        kind = {"color": colour, "marker": marker, "linewidth": 0.8, "elinewidth": 0.8}
        kind |= {"markerfacecolor": "none"} if number % 2 else {}
        left.errorbar(own.x, own.time, yerr=bars, gid=f"measured-{case}", label=name, **kind)
        left.plot(own.x, own.vectors_ratio, color="0.4", linestyle=":", linewidth=1, zorder=1)
        for series in (labels.STOCK, labels.AWARE):
            curve = data.ok[(data.ok.series == series) & (data.ok.case == case) & data.ok.time_over_floor.notna()]
            curve = curve.sort_values("x")
            about = kind | {"color": labels.look(series).colour}
            label = f"{name}: {labels.series_label(series)}"
            right.errorbar(curve.x, curve.time_over_floor, gid=f"floors-{series}", label=label, **about)
    for axes, label in ((left, "Time, stock / zero-aware"), (right, "Time / floor")):
        axes.axhline(1, color="0.6", linewidth=0.8, zorder=1)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(style.apart(sorted(found.x.unique()), *axes.get_xlim())))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel("Batch size (points)")
        axes.set_ylabel(label)
        axes.set_ylim(0, 1.45 * axes.get_ylim()[1])
        axes.legend(loc="upper right", frameon=False, fontsize=6.5)
    style.footnote(drawn, data.place, "JAX. Medians with 95% intervals; dotted: counted vectors.")
    return drawn


@finding("stock", "What do dense zeros cost?")
def sentence(data: Data) -> str | None:
    found = measured(data)
    if found.empty:
        return None
    parts = []
    for _, own in found.groupby("case", sort=False):
        last = own.loc[own.x.idxmax()]
        parts.append(
            f"{interval(last.time, last.low, last.high)} of the time of {method_phrase(labels.AWARE)} for the"
            f" {operator_phrase(last.operator)} at batch {int(last.batch)}, with"
            f" {labels.ratio_text(last.vectors_ratio)} of its vectors"
        )
    return f"Measured {where(data)}, {method_phrase(labels.STOCK)} takes {'; and '.join(parts)}."
