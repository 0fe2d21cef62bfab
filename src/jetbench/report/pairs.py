"""Pairs of points at the same place: two methods, or eager and compiled, and the ratio of their costs."""

from __future__ import annotations

import numpy as np
import pandas as pd

#: What two points share besides what is compared; see `collect.over_nested`.
PLACE = ["machine", "study", "case", "axis", "axis_value"]
COSTS = ("time_s", "gradient_time_s", "memory_differentiable_bytes", "memory_nondifferentiable_bytes", "vectors")


def paired(records: pd.DataFrame, by: str, numerator: str, denominator: str) -> pd.DataFrame:
    """The ok points whose `by` ("series" or "mode") is `numerator`, each with its partner at the same place.

    Columns: those of the records (of the numerator), and `time`, `low`, `high`, `gradient_time`,
    `memory_differentiable`, `memory_nondifferentiable`, `vectors_ratio`: ratios to the partner. The 95% interval adds
    the logarithmic distances of both times in quadrature.
    """
    place = [*PLACE, "mode" if by == "series" else "series"]
    ok = records[records.status == "ok"].drop_duplicates([*place, by], keep="last")
    own, other = ok[ok[by] == numerator], ok[ok[by] == denominator]
    joined = own.merge(other[[*place, *COSTS, "time_low_s", "time_high_s"]], on=place, suffixes=("", "_partner"))
    ratios = {
        name: joined[cost].astype("float64") / joined[f"{cost}_partner"].astype("float64")
        for name, cost in zip(
            ("time", "gradient_time", "memory_differentiable", "memory_nondifferentiable", "vectors_ratio"),
            COSTS,
            strict=True,
        )
    }
    below = quadrature(joined.time_s, joined.time_low_s, joined.time_s_partner, joined.time_high_s_partner)
    above = quadrature(joined.time_s, joined.time_high_s, joined.time_s_partner, joined.time_low_s_partner)
    return joined.assign(**ratios, low=ratios["time"] * np.exp(-below), high=ratios["time"] * np.exp(above))


def quadrature(value: pd.Series, end: pd.Series, other: pd.Series, opposite: pd.Series) -> pd.Series:
    """Logarithmic distance of an end of the interval of value / other: both distances added in quadrature."""
    return np.hypot(np.log(value / end), np.log(opposite / other))
