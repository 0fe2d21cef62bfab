"""The figure of Hilbert functions: how many vectors of each order a method carries, counted, not measured.

It explains the apolar method: whoever carries a jet along every direction carries R vectors of each order, where the
derivatives of the symbol span only h_k.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jetbench.algebra.apolar.inverse_system import inverse_system
from jetbench.operators.directions import decompose
from jetbench.operators.symbol import Symbol, variables
from jetbench.report import labels, style
from jetbench.report.figures import figure
from jetbench.report.layout import Field, Table
from jetbench.report.tables import Data

SHOWN = ("taylor", "collapsed", "apolar")


def examples() -> dict[str, Symbol]:
    """Title → symbol of the operators that are shown."""
    laplacian, four = {dim: sum(xi**2 for xi in variables(dim)) for dim in (3, 5)}, variables(4)
    return {
        "Laplacian, $D$ = 5": laplacian[5],
        "Biharmonic, $D$ = 5": laplacian[5] ** 2,
        "Triharmonic, $D$ = 3": laplacian[3] ** 3,
        r"$\partial_0\,\partial_1\,\partial_2\,\partial_3$": four[0] * four[1] * four[2] * four[3],
    }


def counts(symbol: Symbol) -> dict[str, np.ndarray]:
    """Method → how many vectors of order 0 … K it carries for a homogeneous symbol of degree K."""
    order = symbol.degree
    directions = len(decompose(symbol, "polarization").weights)
    standard = np.array([1] + [directions] * order)
    collapsed = standard.copy()
    collapsed[order] = 1
    return {"taylor": standard, "collapsed": collapsed, "apolar": np.array(inverse_system((symbol,)).hilbert)}


@figure("hilbert", "vectors of each order that standard, collapsed and apolar Taylor mode carry (counted)")
def draw(data: Data) -> Figure:
    """One panel an operator; the sums, written into it, are the vectors per datum."""
    del data  # nothing here is measured
    drawn = style.new(2.25)
    panels = drawn.subplots(1, len(examples()), squeeze=False)[0]
    for axes, (title, symbol) in zip(panels, examples().items(), strict=True):
        _panel(axes, counts(symbol))
        axes.set_title(title, fontweight="bold")
        axes.set_xlabel("Order $k$ of the coefficient")
    panels[0].set_ylabel("Vectors of order $k$")
    style.legend(drawn, style.method_handles(SHOWN))
    style.footnote(
        drawn, "Numbers in the panels: vectors per datum, the sum over the orders. Directions by polarization."
    )
    return drawn


def listing() -> Table:
    """Vectors per datum of the methods for operators of several kinds, with the Hilbert function of each."""
    rows = []
    for name, symbol in _zoo().items():
        hilbert = inverse_system((symbol,)).hilbert
        row = {"operator": name, "hilbert": ", ".join(map(str, hilbert)), "apolar": sum(hilbert)}
        for scheme in ("polarization", "griewank"):
            directions = len(decompose(symbol, scheme).weights)
            row[f"collapsed_{scheme}"] = 2 + (symbol.degree - 1) * directions
            row[f"taylor_{scheme}"] = 1 + symbol.degree * directions
        rows.append(row)
    fields = [
        Field("operator", "Operator", "text"),
        Field("hilbert", "h", "text"),
        Field("apolar", "Apolar", "integer"),
    ]
    for scheme, title in (("polarization", "Polarization"), ("griewank", "Griewank (as in the paper)")):
        fields += [Field(f"collapsed_{scheme}", "collapsed", "integer", group=title)]
        fields += [Field(f"taylor_{scheme}", "standard", "integer", group=title)]
    notes = ["Counted, not measured: 1 + (K - 1) R + 1 collapsed and 1 + K R standard for R directions of order K."]
    return Table("Vectors of layer width per datum", fields, pd.DataFrame(rows), notes)


def _zoo() -> dict[str, Symbol]:
    def laplacian(dim: int) -> Symbol:
        return sum(xi**2 for xi in variables(dim))

    two, four = variables(2), variables(4)
    return {
        "Laplacian, D = 50": laplacian(50),
        "Biharmonic, D = 2": laplacian(2) ** 2,
        "Biharmonic, D = 3": laplacian(3) ** 2,
        "Biharmonic, D = 5": laplacian(5) ** 2,
        "Biharmonic, D = 20": laplacian(20) ** 2,
        "Triharmonic, D = 3": laplacian(3) ** 3,
        "∂³ in one direction": two[0] ** 3,
        "∂₀²∂₁": two[0] ** 2 * two[1],
        "∂₀²∂₁²": two[0] ** 2 * two[1] ** 2,
        "∂₀∂₁∂₂∂₃": four[0] * four[1] * four[2] * four[3],
    }


def _panel(axes: Axes, counted: dict[str, np.ndarray]) -> None:
    highest = max(int(numbers.max()) for numbers in counted.values())
    for row, series in enumerate(labels.ranked(counted, labels.SERIES)):
        numbers, look = counted[series], style.look(series)
        kind = {"color": look.colour, "marker": look.marker, "linestyle": look.line}
        axes.plot(range(len(numbers)), numbers, gid=f"counted-{series}", zorder=3 + row, **kind)
        axes.text(
            0.97 - 0.2 * (len(counted) - 1 - row),
            0.99,
            f"{numbers.sum()}",
            color=look.colour,
            fontweight="bold",
            ha="right",
            va="top",
            transform=axes.transAxes,
        )
    axes.set_ylim(0, 1.3 * highest)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
