"""Slopes: what one more datum, sample or unit of rank costs, as a straight line fitted to the points of a curve.

Ordinary least squares, as behind the paper's tables, with Student-t intervals. Nothing here chooses what to show.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from jetbench.report import labels
from jetbench.report.costs import COSTS, Cost
from jetbench.report.labels import REFERENCE

CONFIDENCE = 0.95

#: Studies along whose axis costs are linear, with what one unit of it is called.
LINEAR_AXES = {"batch": "datum", "samples": "sample", "rank": "rank ratio"}


#: The costs whose slopes are fitted.
METRICS: dict[str, Cost] = {**COSTS, "vectors": Cost("vectors", "batch_vectors", 1.0, "", "Vectors")}


@dataclass(frozen=True)
class Fit:
    """cost = intercept + slope * x: the slope with its standard error and 95% interval (NaN below three points)."""

    slope: float
    intercept: float
    error: float
    low: float
    high: float
    points: int

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the residuals."""
        return self.points - 2


NO_FIT = Fit(math.nan, math.nan, math.nan, math.nan, math.nan, 0)


def fit(x: np.ndarray, y: np.ndarray) -> Fit:
    """Least-squares line through points (x, y), both (P,); pairs with a NaN are left out.

    Fewer than two different x give NaN everywhere; with two points the slope has no interval.
    """
    from scipy.stats import linregress  # half a second to import, for fits alone

    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    kept = np.isfinite(x) & np.isfinite(y)
    x, y = x[kept], y[kept]
    if len(np.unique(x)) < 2:
        return Fit(math.nan, math.nan, math.nan, math.nan, math.nan, len(x))
    line = linregress(x, y)
    slope, intercept, points = float(line.slope), float(line.intercept), len(x)
    if points < 3:
        return Fit(slope, intercept, math.nan, math.nan, math.nan, points)
    half = _quantile(points - 2) * line.stderr
    return Fit(slope, intercept, float(line.stderr), slope - half, slope + half, points)


def _quantile(freedom: float) -> float:
    """How many standard errors half an interval is wide, by Student's t."""
    return float(stdtrit(freedom, 0.5 + CONFIDENCE / 2))


def ratio(numerator: Fit, denominator: Fit) -> tuple[float, float, float]:
    """Ratio of two independent slopes and its interval: first-order error propagation, Welch-Satterthwaite freedom.

    There is none, NaN, where a cost falls with the size: that is the noise of too small sizes.
    """
    if not (math.isfinite(numerator.slope) and denominator.slope > 0) or numerator.slope < 0:
        return math.nan, math.nan, math.nan
    value = numerator.slope / denominator.slope
    if numerator is denominator:
        return 1.0, 1.0, 1.0
    parts = [(numerator.error / denominator.slope) ** 2, (value * denominator.error / denominator.slope) ** 2]
    if not all(math.isfinite(part) for part in parts):
        return value, math.nan, math.nan
    variance = sum(parts)
    if variance == 0:
        return value, value, value
    freedom = variance**2 / sum(p**2 / f.freedom for p, f in zip(parts, (numerator, denominator), strict=True))
    half = _quantile(freedom) * math.sqrt(variance)
    return value, value - half, value + half


CURVE = ["machine", "study", "axis", "case", "series", "mode"]
DESCRIPTION = ["backend", "operator", "dim", "rank_ratio", "estimator", "batch", "dtype", "widths", "activation"]
DESCRIPTION += ["method", "directions", "hardware"]


def fits(records: pd.DataFrame) -> dict[tuple, dict[str, Fit]]:
    """Curve (the values of `CURVE`) → metric name → its fit, for the curves along `LINEAR_AXES` with an ok point.

    Snapshots have none: they vary something else than their axis.
    """
    usable = records[(records.status == "ok") & records.axis.isin(list(LINEAR_AXES))]
    usable = usable[~usable.study.isin(labels.SNAPSHOTS)]
    usable = usable.assign(batch_vectors=usable.batch.astype("float64") * usable.vectors.astype("float64"))
    return {
        key: {
            m.name: fit(curve.x.to_numpy(), curve[m.column].to_numpy(dtype=float) * m.factor) for m in METRICS.values()
        }
        for key, curve in usable.groupby(CURVE, sort=False)
    }


def slopes(records: pd.DataFrame) -> pd.DataFrame:
    """One row a curve and metric: slope per unit of x with interval, and its ratio to nested with interval.

    Columns: those of `CURVE` and `DESCRIPTION`, metric, unit, per, points, slope, slope_low, slope_high, slope_error,
    ratio_to_nested, ratio_low, ratio_high. A single batch size, where batch is the axis, is left empty.
    """
    names = [*CURVE, *DESCRIPTION, "metric", "unit", "per", "points", "slope", "slope_low", "slope_high", "slope_error"]
    names += ["ratio_to_nested", "ratio_low", "ratio_high"]
    fitted = fits(records)
    described = records.drop_duplicates(CURVE).set_index(CURVE)[DESCRIPTION]
    rows = []
    for key, by_metric in fitted.items():
        curve = dict(zip(CURVE, key, strict=True))
        nested = fitted.get(tuple({**curve, "series": REFERENCE}.values()), {})
        about = described.loc[key].to_dict()
        if curve["axis"] == "batch":
            about["batch"] = pd.NA
        if curve["axis"] == "rank":
            about["rank_ratio"] = math.nan
        for metric, line in by_metric.items():
            value, low, high = ratio(line, nested.get(metric, NO_FIT))
            unit, per = METRICS[metric].unit, LINEAR_AXES[curve["axis"]]
            numbers = [unit, per, line.points, line.slope, line.low, line.high, line.error, value, low, high]
            rows.append([*key, *about.values(), metric, *numbers])
    return pd.DataFrame(rows, columns=names)
