"""The costs of a point, and their ratios to those of another point: nested, or another method or mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from jetbench.report.labels import REFERENCE


@dataclass(frozen=True)
class Cost:
    """A cost: the column that holds it, the factor to its unit in tables, and its label."""

    name: str
    column: str
    factor: float
    unit: str
    label: str

    @property
    def ends(self) -> tuple[str, str]:
        """The columns of its 95% interval; a cost that is counted is its own interval."""
        return ("time_low_s", "time_high_s") if self.name == "time" else (self.column, self.column)


COSTS: dict[str, Cost] = {
    cost.name: cost
    for cost in [
        Cost("time", "time_s", 1e3, "ms", "Time"),
        Cost("memory_differentiable", "memory_differentiable_bytes", 2.0**-20, "MiB", "Memory (differentiable)"),
        Cost("memory_nondifferentiable", "memory_nondifferentiable_bytes", 2.0**-20, "MiB", "Memory (non-diff.)"),
        Cost("gradient_time", "gradient_time_s", 1e3, "ms", "Time with gradient"),
    ]
}
#: The costs that the paper publishes.
PUBLISHED = ("time", "memory_differentiable", "memory_nondifferentiable")
#: What two points at the same place share, besides method and mode.
PLACE = ["machine", "study", "case", "axis", "axis_value"]
_MEASURED = [*(cost.column for cost in COSTS.values()), "time_low_s", "time_high_s", "vectors"]


def paired(records: pd.DataFrame, by: str, numerator: str, denominator: str) -> pd.DataFrame:
    """The ok points whose `by` ("series" or "mode") is `numerator`, each with its partner at the same place.

    Columns: those of the records (of the numerator), those of the partner's costs with `_partner` appended, and the
    ratios to the partner, as `against` names them.
    """
    place = [*PLACE, "mode" if by == "series" else "series"]
    ok = records[records.status == "ok"].drop_duplicates([*place, by], keep="last")
    return against(ok[ok[by] == numerator], ok[ok[by] == denominator], place, "inner")


def against(own: pd.DataFrame, other: pd.DataFrame, place: Sequence[str], how: str) -> pd.DataFrame:
    """The points of `own`, joined with those of `other` at the same place, with the ratios of their costs.

    The ratios are columns named after the costs, `vectors_ratio`, and `low` and `high`, the interval of that of times.
    """
    joined = own.merge(other[[*place, *_MEASURED]], on=list(place), how=how, suffixes=("", "_partner"))
    columns = {**{cost.name: cost.column for cost in COSTS.values()}, "vectors_ratio": "vectors"}
    ratios = {
        name: joined[column].astype("float64") / joined[f"{column}_partner"].astype("float64").replace(0.0, np.nan)
        for name, column in columns.items()
    }
    ends = [joined[f"time{end}_s{whose}"] for whose in ("", "_partner") for end in ("", "_low", "_high")]
    return joined.assign(**ratios, **dict(zip(("low", "high"), interval_of_ratio(*ends), strict=True)))


def interval_of_ratio(
    value: pd.Series, low: pd.Series, high: pd.Series, other: pd.Series, other_low: pd.Series, other_high: pd.Series
) -> tuple[pd.Series, pd.Series]:
    """The interval of value / other: the logarithmic distances of both intervals added in quadrature, so above zero.

    The ratio is lowest where the denominator is highest.
    """
    ratio = value / other
    below = np.hypot(np.log(value / low), np.log(other_high / other))
    above = np.hypot(np.log(value / high), np.log(other_low / other))
    return ratio * np.exp(-below), ratio * np.exp(above)


def over_nested(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its `*_over_nested` columns filled from the nested point at the same place, where that is ok."""
    place = [*PLACE, "mode"]
    nested = frame[(frame.series == REFERENCE) & (frame.status == "ok")].drop_duplicates(place, keep="last")
    joined = against(frame[[*place, *_MEASURED]], nested, place, "left").set_axis(frame.index)
    ok, is_nested = frame.status == "ok", frame.series == REFERENCE
    found = {f"{name}_over_nested": joined[name].where(ok) for name in COSTS}
    found |= {f"time_over_nested_{end}": joined[end].mask(is_nested, joined.time).where(ok) for end in ("low", "high")}
    return frame.assign(**found)
