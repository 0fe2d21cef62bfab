"""What dense zeros cost Taylor mode in JAX, and what part of the paper's JAX result that explains.

The paper finds Taylor mode in JAX slower than nesting. It measured jax.experimental.jet, which stores the derivatives
of constants as arrays of zeros and multiplies by them; here the same mode is measured with and without them.
"""

from __future__ import annotations

import math

import pandas as pd

from jetbench.report import labels
from jetbench.report.reproduction.published import Published


def sentence(records: pd.DataFrame, published: Published) -> str | None:
    """The share of the published gap between jet and nested that dense zeros explain, for the exact Laplacian.

    Both modes are taken in floors, which were timed in turn with them, at the largest batch that both reached. The gap
    is a factor g, the quotient of the modes a factor z; the share is log z / log g, so that factors multiply up to the
    whole. None where one of the numbers is missing.
    """
    found = records[(records.backend == "jax") & (records.axis == "batch") & (records.study != "operators")]
    found = found[(found.operator == "laplacian") & (found.estimator == "exact") & found.time_over_floor.notna()]
    for _, case in found.groupby("case", sort=False):
        floors = case.pivot_table(index="x", columns="series", values="time_over_floor")
        if not {labels.STOCK, labels.AWARE} <= set(floors):
            continue
        both = floors[[labels.STOCK, labels.AWARE]].dropna()
        if both.empty:
            continue
        stock, aware = both.loc[both.index.max()]
        told = (
            f"Exact Laplacian, D = {case.dim.iloc[0]}, batch {both.index.max():g}: stock jet takes {stock:.2f} floors, "
            f"Taylor mode without dense zeros {aware:.2f}, a factor of {stock / aware:.2f}"
        )
        paper = published.slope(case.iloc[0], labels.STOCK, "time")
        if paper is None or not paper.ratio_to_nested > 1:
            return f"{told}."
        share = math.log(stock / aware) / math.log(paper.ratio_to_nested)
        part = "the whole" if share >= 1 else f"{100 * max(share, 0):.0f}%"
        return (
            f"{told}; the paper has stock jet at {paper.ratio_to_nested:.2f} of nested, so that the zeros explain "
            f"{part} of the published gap ({share:.2f} of it on a logarithmic scale)."
        )
    return None
