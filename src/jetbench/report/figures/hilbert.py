"""The figure of Hilbert functions: how many vectors of each order a method carries, counted, not measured.

It explains the apolar method: a jet along each of R directions carries R vectors of each order, where the derivatives
of the symbol span only h_k.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jetbench.operators.symbol import Symbol, variables
from jetbench.report import counts, labels
from jetbench.report.data import Data
from jetbench.report.figures import style
from jetbench.report.registry import figure


def examples() -> dict[str, Symbol]:
    """Title → symbol of the operators that are shown."""
    return {
        "Laplacian, $D$ = 5": counts.polyharmonic(2, 5),
        "Biharmonic, $D$ = 5": counts.polyharmonic(4, 5),
        "Triharmonic, $D$ = 3": counts.polyharmonic(6, 3),
        r"$\partial_0\,\partial_1\,\partial_2\,\partial_3$": prod(variables(4)),
    }


@figure(
    "hilbert",
    "vectors of each order that standard, collapsed and apolar Taylor mode carry (counted)",
    "Counted, not measured: how many vectors of each order k a method carries. The numbers are the sums, the vectors"
    " per datum.",
)
def draw(data: Data) -> Figure:
    """One panel an operator; the sums, written into it, are the vectors per datum."""
    del data  # nothing here is measured
    drawn = style.new(2.25)
    panels = drawn.subplots(1, len(examples()), squeeze=False)[0]
    for axes, (title, symbol) in zip(panels, examples().items(), strict=True):
        _panel(axes, counts.by_order(symbol))
        axes.set_title(title, fontweight="bold")
        axes.set_xlabel("Order $k$ of the coefficient")
    panels[0].set_ylabel("Vectors of order $k$")
    style.legend(drawn, style.method_handles(labels.CHAIN[1:]))
    style.footnote(
        drawn, "Numbers in the panels: vectors per datum, the sum over the orders. Directions by polarization."
    )
    return drawn


def _panel(axes: Axes, counted: Mapping[str, Sequence[int]]) -> None:
    highest = max(max(numbers) for numbers in counted.values())
    for row, series in enumerate(labels.ranked(counted, labels.SERIES)):
        numbers, look = counted[series], labels.look(series)
        kind = {"color": look.colour, "marker": look.marker, "linestyle": look.line}
        axes.plot(range(len(numbers)), numbers, gid=f"counted-{series}", zorder=3 + row, **kind)
        axes.text(
            0.97 - 0.2 * (len(counted) - 1 - row),
            0.99,
            f"{sum(numbers)}",
            color=look.colour,
            fontweight="bold",
            ha="right",
            va="top",
            transform=axes.transAxes,
        )
    axes.set_ylim(0, 1.3 * highest)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
