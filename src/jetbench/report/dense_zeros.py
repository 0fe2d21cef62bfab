"""What dense zeros cost Taylor mode in JAX, and what part of the paper's JAX result that explains.

The paper finds Taylor mode in JAX slower than nesting. It measured jax.experimental.jet, which takes the derivatives of
constants for arrays of zeros and multiplies by them; here the same mode is measured with and without them.
"""

from __future__ import annotations

import math

import pandas as pd

from jetbench.report.published import Published

STOCK, AWARE = "jax_jet", "taylor"


def sentence(slopes: pd.DataFrame, published: Published) -> str | None:
    """The share of the published gap between jet and nested that dense zeros explain, for the exact Laplacian.

    The gap is a factor g of time per datum (or, of two modes measured here, z = stock over zero-aware Taylor mode); the
    share is log z / log g, so that factors multiply up to the whole. None where one of the numbers is missing.
    """
    of_time = slopes[(slopes.metric == "time") & (slopes.operator == "laplacian") & (slopes.estimator == "exact")]
    of_time = of_time[(of_time.backend == "jax") & (of_time.axis == "batch")]
    for _, case in of_time.groupby("case", sort=False):
        found = case.drop_duplicates("series").set_index("series")
        if not {STOCK, AWARE} <= set(found.index):
            continue
        factor = found.slope[STOCK] / found.slope[AWARE]
        paper = published.slope(found.assign(series=STOCK).loc[STOCK], STOCK, "time")
        if not (math.isfinite(factor) and factor > 0):
            continue
        told = (
            f"Exact Laplacian, D = {found.dim.iloc[0]}: per datum, stock jet costs {factor:.2f} of Taylor mode without "
            "dense zeros"
        )
        if paper is None or not paper.ratio_to_nested > 1:
            return f"{told}."
        share = math.log(factor) / math.log(paper.ratio_to_nested)
        part = "the whole" if share >= 1 else f"{100 * max(share, 0):.0f}%"
        return (
            f"{told}; the paper has stock jet at {paper.ratio_to_nested:.2f} of nested, so that the zeros explain "
            f"{part} of the published gap ({share:.2f} of it on a logarithmic scale)."
        )
    return None
