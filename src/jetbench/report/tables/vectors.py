"""The table of vectors per datum, which are counted."""

from __future__ import annotations

from math import prod

import pandas as pd

from jetbench.operators.symbol import Symbol, variables
from jetbench.report import counts
from jetbench.report.data import Data
from jetbench.report.registry import table
from jetbench.report.tables.layout import OPERATOR, Field, Table

SCHEMES = {"polarization": "Polarization", "griewank": "Griewank (as in the paper)"}


@table("vectors", "vectors per datum of each method, counted: dimension of the apolar algebra against directions")
def vectors(data: Data) -> Table:
    del data  # nothing here is measured
    rows = []
    for name, symbol in _zoo().items():
        row = {"operator": name, "hilbert": ", ".join(map(str, counts.by_order(symbol)["apolar"]))}
        for scheme in SCHEMES:
            found = counts.per_datum(symbol, scheme)
            row |= {f"{method}_{scheme}": number for method, number in found.items()}
        rows.append(row | {"apolar": found["apolar"]})
    fields = [OPERATOR, Field("hilbert", "h", "text"), Field("apolar", "Apolar", "integer")]
    for scheme, title in SCHEMES.items():
        fields += [Field(f"collapsed_{scheme}", "collapsed", "integer", group=title)]
        fields += [Field(f"taylor_{scheme}", "standard", "integer", group=title)]
    notes = ["Counted, not measured: 1 + (K - 1) R + 1 collapsed and 1 + K R standard for R directions of order K."]
    return Table("Vectors of layer width per datum", fields, pd.DataFrame(rows), notes)


def _zoo() -> dict[str, Symbol]:
    orders = {"Laplacian": (2, (50,)), "Biharmonic": (4, (2, 3, 5, 20)), "Triharmonic": (6, (3,))}
    two = variables(2)
    return {
        **{f"{name}, D = {dim}": counts.polyharmonic(k, dim) for name, (k, dims) in orders.items() for dim in dims},
        "∂³ in one direction": two[0] ** 3,
        "∂₀²∂₁": two[0] ** 2 * two[1],
        "∂₀²∂₁²": two[0] ** 2 * two[1] ** 2,
        "∂₀∂₁∂₂∂₃": prod(variables(4)),
    }
