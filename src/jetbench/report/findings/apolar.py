"""Apolar against collapsed Taylor mode over D and K: vectors, which are counted, and time, where it was measured."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jetbench.report import counts, labels
from jetbench.report.costs import paired
from jetbench.report.data import Data
from jetbench.report.figures import style
from jetbench.report.phrases import counted, interval, listed, operator_phrase, where
from jetbench.report.registry import figure, finding

#: Order K → the dimensions that are counted, for the polyharmonic symbol (ξ·ξ)^(K/2).
COUNTED = {2: (1, 2, 3, 4, 5, 8, 12, 20, 50), 4: (1, 2, 3, 4, 5, 8, 12, 20, 50), 6: (1, 2, 3, 4, 5, 6, 8)}
COLOURS = {2: "#0072B2", 4: "#5A0A4A", 6: "#D55E00"}
#: The memory that is shown, and the number of curves that the sentence names.
MEMORY, TOLD = "memory_nondifferentiable", 5
MARKERS = {2: "o", 4: "D", 6: "s"}


def measured(data: Data) -> pd.DataFrame:
    """Apolar over collapsed wherever both were measured for an operator whose vectors differ."""
    found = paired(labels.ordered(data.records), "series", "apolar", "collapsed")
    return found[found.estimator == "exact"]


@figure(
    "apolar",
    "apolar over collapsed Taylor mode: vectors over D and K (counted), time and memory (measured)",
    "Left, counted: vectors of apolar over those of collapsed Taylor mode for powers of the Laplacian. Then, measured:"
    " the ratios of time and of memory against the ratio of vectors. On the line the cost follows the count; below one"
    " apolar is cheaper.",
)
def draw(data: Data) -> Figure:
    """Left: counted ratios of vectors. Then measured ratios of time, and of memory, against those of vectors."""
    drawn = style.new(2.6)
    left, *measurements = drawn.subplots(1, 3)
    for order, dims in COUNTED.items():
        found = [counts.per_datum(counts.polyharmonic(order, dim)) for dim in dims]
        ratios = [vectors["apolar"] / vectors["collapsed"] for vectors in found]
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
    style.footnote(drawn, data.place, "On the line the cost follows the count. 95% intervals.")
    return drawn


def _against_vectors(axes: Axes, found: pd.DataFrame, column: str) -> None:
    """Draw measured ratios of a cost against those of vectors, one colour an order, compiled hollow."""
    for (mode, order), own in found.groupby(["mode", "order"], sort=False):
        filled = {"markerfacecolor": "none"} if mode == "compiled" else {}
        kind = {"color": COLOURS.get(int(order), "0.4"), "marker": MARKERS.get(int(order), "^"), "linestyle": "none"}
        if column == "time":
            kind["yerr"] = style.error_bars(own.time, own.low, own.high)
        about = {"elinewidth": 0.8, "gid": f"measured-{mode}", "label": f"$K$ = {order}, {mode}"}
        axes.errorbar(own.vectors_ratio, own[column], **kind, **about, **filled)
    axes.plot([0, 1.05], [0, 1.05], color="0.6", linewidth=0.8, zorder=1)
    axes.axhline(1, color="0.85", linewidth=0.6, zorder=0)
    axes.set_xlim(0, 1.08)
    # Room for the legend above the points.
    axes.set_ylim(0, max(1.08, 1.5 * float(found[column].max()) if len(found) else 0))
    axes.set_xlabel("Vectors, apolar / collapsed")
    if found.empty:
        style.say(axes)


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
