"""Apolar against collapsed Taylor mode over D and K: vectors, which are counted, and time, where it was measured."""

from __future__ import annotations

from functools import cache

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jetbench.algebra.apolar.inverse_system import inverse_system
from jetbench.operators.directions import decompose
from jetbench.operators.symbol import variables
from jetbench.report import labels, style
from jetbench.report.figures import figure
from jetbench.report.findings.registry import counted, finding, interval, listed, operator_phrase, where
from jetbench.report.pairs import paired
from jetbench.report.tables import Data

#: Order K → the dimensions that are counted, for the polyharmonic symbol (ξ·ξ)^(K/2).
COUNTED = {2: (1, 2, 3, 4, 5, 8, 12, 20, 50), 4: (1, 2, 3, 4, 5, 8, 12, 20, 50), 6: (1, 2, 3, 4, 5, 6, 8)}
COLOURS = {2: "#0072B2", 4: "#5A0A4A", 6: "#D55E00"}
#: The memory that is shown, and of how many curves the sentence tells.
MEMORY, TOLD = "memory_nondifferentiable", 5
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
    """Left: counted ratios of vectors. Then measured ratios of time, and of memory, against those of vectors."""
    drawn = style.new(2.6)
    left, *measurements = drawn.subplots(1, 3)
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
    left.legend(loc="upper right", bbox_to_anchor=(1, 0.93), frameon=False)
    found = measured(data)
    for axes, column, label in zip(measurements, ("time", MEMORY), ("Time", "Memory"), strict=True):
        _against_vectors(axes, found[found[column].notna()], column)
        axes.set_ylabel(f"{label}, apolar / collapsed")
        axes.set_title(f"Measured: {label.lower()}")
    handles = {
        text: handle for axes in measurements for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if handles:
        measurements[0].legend(handles.values(), handles, loc="upper left", frameon=False, fontsize=7)
    style.footnote(drawn, style.wrapped(f"{data.place} On the line the cost follows the count. 95% intervals."))
    return drawn


def _against_vectors(axes: Axes, found: pd.DataFrame, column: str) -> None:
    """Draw measured ratios of a cost against those of vectors, one colour an order, compiled hollow."""
    for (mode, order), own in found.groupby(["mode", "order"], sort=False):
        filled = {"markerfacecolor": "none"} if mode == "compiled" else {}
        kind = {"color": COLOURS.get(int(order), "0.4"), "marker": MARKERS.get(int(order), "^"), "linestyle": "none"}
        if column == "time":
            kind["yerr"] = [(own.time - own.low).clip(lower=0).fillna(0), (own.high - own.time).clip(lower=0).fillna(0)]
        about = {"elinewidth": 0.8, "gid": f"measured-{mode}", "label": f"$K$ = {order}, {mode}"}
        axes.errorbar(own.vectors_ratio, own[column], **kind, **about, **filled)
    axes.plot([0, 1.05], [0, 1.05], color="0.6", linewidth=0.8, zorder=1)
    axes.axhline(1, color="0.85", linewidth=0.6, zorder=0)
    axes.set_xlim(0, 1.08)
    # Room for the legend above the points.
    axes.set_ylim(0, max(1.08, 1.5 * float(found[column].max()) if len(found) else 0))
    axes.set_xlabel("Vectors, apolar / collapsed")
    if found.empty:
        axes.text(0.5, 0.5, "not measured", color=style.GREY, ha="center", transform=axes.transAxes)


@finding("apolar", "What does apolar Taylor mode save over collapsed Taylor mode?")
def sentence(data: Data) -> str | None:
    found = measured(data)
    found = found[found.vectors_ratio < 1]
    if found.empty:
        return None
    curves = found[~found.study.isin(labels.SNAPSHOTS)]
    parts = []
    for (_, mode), own in (curves if len(curves) else found).groupby(["case", "mode"], sort=False):
        own = own.sort_values("x").drop_duplicates("x", keep="last")
        ends = own.iloc[[0, -1]] if len(own) > 1 else own
        axis = "D =" if own.axis.iloc[0] == "dimension" else own.axis.iloc[0]
        fixed = "" if axis == "D =" else f" in {int(own.dim.iloc[0])} dimensions"
        values = listed(f"{interval(r.time, r.low, r.high)} at {axis} {r.axis_value:g}" for r in ends.itertuples())
        place = f"{labels.backend_label(own.backend.iloc[0])} {mode}"
        parts.append(f"{values} ({operator_phrase(own.operator.iloc[0])}{fixed}, {place})")
    told, others = parts[:TOLD], len(parts) - TOLD
    told += [f"what the figure shows of {counted(others, 'other curve')}"] if others > 0 else []
    best = found.loc[found.vectors_ratio.idxmin()]
    vectors_told = f"{int(best.vectors)} vectors instead of {int(best.vectors_partner)}"
    subject = f"{operator_phrase(best.operator)}, D = {int(best.dim)}"
    text = f"Apolar Taylor mode needs as few as {vectors_told} ({subject})."
    text = f"{text} In units of collapsed Taylor mode, its time {where(data)} is {listed(told)}"
    memory = found[MEMORY].dropna()
    if memory.empty:
        return f"{text}."
    span = " to ".join(dict.fromkeys([labels.ratio_text(memory.min()), labels.ratio_text(memory.max())]))
    return f"{text}; its peak memory (without the graph for gradients) is {span}."
