"""Zero-aware against stock Taylor mode: what multiplying zeros costs. It needs records of the stock implementations."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from jetbench.report import labels, style
from jetbench.report.figures import NoData, figure
from jetbench.report.findings.registry import finding, interval, method_phrase, operator_phrase, where
from jetbench.report.pairs import paired
from jetbench.report.tables import Data

#: Stock implementation → the zero-aware one of this suite that does the same.
STOCK = {"jax_jet": "taylor", "stock_rewrite": "collapsed_rewrite", "folx": "forward_laplacian"}


def measured(data: Data) -> pd.DataFrame:
    """Each stock implementation over its zero-aware counterpart at the same place, with the column `ours`."""
    parts = [paired(data.records, "series", stock, ours).assign(ours=ours) for stock, ours in STOCK.items()]
    parts = [part for part in parts if len(part)]
    return pd.concat(parts) if parts else pd.DataFrame()


@figure("stock", "stock implementations over the zero-aware ones of this suite: time against operations")
def draw(data: Data) -> Figure:
    """Left: time ratios; right: distances to the floor of the stock implementations."""
    found = measured(data)
    if found.empty:
        raise NoData("No stock implementation was measured here beside its zero-aware counterpart.")
    shown = labels.ranked(found.series, labels.SERIES)
    drawn = style.new(2.6)
    left, right = drawn.subplots(1, 2)
    for series in shown:
        own, look = found[found.series == series], style.look(series, shown)
        kind = {"color": look.colour, "marker": look.marker, "linestyle": "none", "elinewidth": 0.8}
        bars = np.nan_to_num([own.time - own.low, own.high - own.time]).clip(min=0)
        left.errorbar(own.batch.astype(float), own.time, yerr=bars, gid=f"measured-{series}", **kind)
        right.errorbar(own.batch.astype(float), own.time_over_floor, gid=f"floors-{series}", **kind)
    for axes, label in ((left, "Time, stock / zero-aware"), (right, "Time / floor")):
        axes.axhline(1, color="0.6", linewidth=0.8, zorder=1)
        axes.set_xlabel("Batch size (points)")
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
    style.legend(drawn, style.method_handles(shown, lines=False))
    style.footnote(drawn, style.wrapped(f"{data.place} Medians with 95% intervals."))
    return drawn


@finding("stock", "What do dense zeros cost?")
def sentence(data: Data) -> str | None:
    found = measured(data)
    if found.empty:
        return None
    parts = []
    for series in labels.ranked(found.series, labels.SERIES):
        own = found[found.series == series].sort_values("batch")
        last = own.iloc[-1]
        parts.append(
            f"{labels.series_label(series)} takes {interval(last.time, last.low, last.high)} of the time of"
            f" {method_phrase(last.ours)} ({operator_phrase(last.operator)}, batch {int(last.batch)})"
        )
    return f"Measured {where(data)}, {'; '.join(parts)}."
