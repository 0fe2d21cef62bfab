"""Apolar against collapsed Taylor mode over D and K: vectors, which are counted, and time, where it was measured."""

from __future__ import annotations

from functools import cache

import pandas as pd
from matplotlib.figure import Figure

from jetbench.algebra.inverse_system import inverse_system
from jetbench.directions import decompose
from jetbench.report import labels, style
from jetbench.report.figures import figure
from jetbench.report.findings.registry import finding, interval, listed, operator_phrase, where
from jetbench.report.pairs import paired
from jetbench.report.tables import Data
from jetbench.symbol import variables

#: Order K → the dimensions that are counted, for the polyharmonic symbol (ξ·ξ)^(K/2).
COUNTED = {2: (1, 2, 3, 4, 5, 8, 12, 20, 50), 4: (1, 2, 3, 4, 5, 8, 12, 20, 50), 6: (1, 2, 3, 4, 5, 6, 8)}
COLOURS = {2: "#0072B2", 4: "#5A0A4A", 6: "#D55E00"}
MARKERS = {2: "o", 4: "D", 6: "s"}


@cache
def vectors(order: int, dim: int) -> tuple[int, int]:
    """Vectors of apolar and of collapsed Taylor mode (directions by polarization) for (ξ·ξ)^(order/2)."""
    xi = variables(dim)
    symbol = sum(coordinate**2 for coordinate in xi) ** (order // 2)
    directions = len(decompose(symbol, "polarization").weights)
    return sum(inverse_system((symbol,)).hilbert), 2 + (order - 1) * directions


def measured(data: Data) -> pd.DataFrame:
    """Apolar over collapsed wherever both were measured for an operator whose vectors differ."""
    frame = labels.ordered(data.records) if len(data.records) else data.records
    found = paired(frame, "series", "apolar", "collapsed")
    return found[found.estimator == "exact"]


@figure("apolar", "apolar over collapsed Taylor mode: vectors over D and K (counted), time and memory (measured)")
def draw(data: Data) -> Figure:
    """Left: counted ratios of vectors. Right: measured ratios of time and memory against those of vectors."""
    drawn = style.new(2.7)
    left, right = drawn.subplots(1, 2)
    for order, dims in COUNTED.items():
        ratios = [vectors(order, dim)[0] / vectors(order, dim)[1] for dim in dims]
        look = {"color": COLOURS[order], "marker": MARKERS[order]}
        left.plot(dims, ratios, label=f"$K$ = {order}", gid=f"counted-{order}", **look)
    left.set_xscale("log", base=2)
    style.plain_ticks(left.xaxis, *left.get_xlim())
    left.set_ylim(0, 1.05)
    left.set_xlabel("Dimension $D$")
    left.set_ylabel("Vectors, apolar / collapsed")
    left.set_title(r"Counted: $(\xi\cdot\xi)^{K/2}$")
    left.legend(loc="lower left", frameon=False)
    found = measured(data)
    for (mode, order), own in found.groupby(["mode", "order"], sort=False):
        filled = {"markerfacecolor": "none"} if mode == "compiled" else {}
        kind = {"color": COLOURS.get(int(order), "0.4"), "marker": MARKERS.get(int(order), "^"), "linestyle": "none"}
        bars = [(own.time - own.low).clip(lower=0).fillna(0), (own.high - own.time).clip(lower=0).fillna(0)]
        label = f"$K$ = {order}, {mode}"
        right.errorbar(
            own.vectors_ratio,
            own.time,
            yerr=bars,
            elinewidth=0.8,
            gid=f"measured-{mode}",
            label=label,
            **kind,
            **filled,
        )
    right.plot([0, 1.05], [0, 1.05], color="0.6", linewidth=0.8, zorder=1)
    right.axhline(1, color="0.85", linewidth=0.6, zorder=0)
    right.set_xlim(0, 1.08)
    right.set_ylim(bottom=0)
    right.set_xlabel("Vectors, apolar / collapsed")
    right.set_ylabel("Time, apolar / collapsed")
    right.set_title("Measured")
    if found.empty:
        right.text(0.5, 0.5, "not measured", color=style.GREY, ha="center", transform=right.transAxes)
    else:
        right.legend(loc="best", frameon=False)
    style.footnote(drawn, style.wrapped(f"{data.place} On the line time follows the count. 95% intervals."))
    return drawn


@finding("apolar", "What does apolar Taylor mode save over collapsed Taylor mode?")
def sentence(data: Data) -> str | None:
    found = measured(data)
    found = found[found.vectors_ratio < 1]
    if found.empty:
        return None
    parts = []
    for (_, mode), own in found.groupby(["case", "mode"], sort=False):
        own = own.sort_values("x")
        named = operator_phrase(own.operator.iloc[0])
        axis = "D" if own.axis.iloc[0] == "dimension" else own.axis.iloc[0]
        fixed = "" if axis == "D" else f" in {int(own.dim.iloc[0])} dimensions"
        values = listed(f"{interval(r.time, r.low, r.high)} at {axis} = {r.axis_value:g}" for r in own.itertuples())
        parts.append(f"{named}{fixed}, {mode}: {values}")
    best = found.loc[found.vectors_ratio.idxmin()]
    vectors_told = f"{int(best.vectors)} vectors instead of {int(best.vectors_partner)}"
    subject = f"{operator_phrase(best.operator)}, D = {int(best.dim)}"
    text = f"Apolar Taylor mode needs as few as {vectors_told} ({subject})."
    return f"{text} Its time over that of collapsed Taylor mode {where(data)} is, {'; '.join(parts)}."
