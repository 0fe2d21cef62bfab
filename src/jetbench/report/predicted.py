"""Predicted against measured ratios: what counting vectors says a method should cost relative to standard Taylor mode.

Along the x-axis of a study a method's cost is proportional to batch x vectors, so the predicted ratio of two slopes is
that of their slopes of batch x vectors: (1 + (K-1)R + 1) / (1 + K R) per datum for collapsed over standard Taylor mode
with R directions, and (K-1)/K per sample. The vectors are those that the methods themselves report in the records.
"""

from __future__ import annotations

import math

import pandas as pd

from jetbench.report.published import Published
from jetbench.report.slopes import CURVE, DESCRIPTION, METRICS, NO_FIT, fits, ratio

STANDARD = "taylor"
COMPARED = ("time", "memory_differentiable", "memory_nondifferentiable", "gradient_time")


def reference(series: str, available: list[str]) -> str | None:
    """The standard Taylor curve to compare with: of the same directions where there is one, else any."""
    same = f"{STANDARD}_griewank" if series.endswith("_griewank") else STANDARD
    return next((name for name in (same, STANDARD, f"{STANDARD}_griewank") if name in available), None)


def predictions(records: pd.DataFrame, published: Published) -> pd.DataFrame:
    """One row a forward curve: vectors per unit of x, predicted and measured ratios to standard Taylor mode.

    Columns: those of `slopes.CURVE` and `slopes.DESCRIPTION`, reference, vectors, predicted, and for every compared
    metric its ratio, _low, _high and (where the paper has both slopes) _published.
    """
    fitted = fits(records)
    names = [*CURVE, *DESCRIPTION, "reference", "vectors", "predicted"]
    names += [f"{metric}{end}" for metric in COMPARED for end in ("", "_low", "_high", "_published")]
    described = records.drop_duplicates(CURVE).set_index(CURVE)[DESCRIPTION]
    rows = []
    for key, own in fitted.items():
        curve = dict(zip(CURVE, key, strict=True))
        if curve["series"].startswith("nested"):
            continue
        siblings = [other[CURVE.index("series")] for other in fitted if _without_series(other) == _without_series(key)]
        standard = reference(curve["series"], siblings)
        if standard is None or standard == curve["series"]:
            continue
        base = fitted[tuple({**curve, "series": standard}.values())]
        about = described.loc[key].to_dict()
        row = {**curve, **about, "reference": standard, "vectors": own["vectors"].slope}
        row["predicted"] = ratio(own["vectors"], base["vectors"])[0]
        for metric in COMPARED:
            value = ratio(own.get(metric, NO_FIT), base.get(metric, NO_FIT))
            row[metric], row[f"{metric}_low"], row[f"{metric}_high"] = value
            row[f"{metric}_published"] = _published_ratio(published, pd.Series(row), metric)
        rows.append(row)
    return pd.DataFrame(rows, columns=names)


def _without_series(key: tuple) -> tuple:
    index = CURVE.index("series")
    return key[:index] + key[index + 1 :]


def _published_ratio(published: Published, about: pd.Series, metric: str) -> float:
    if metric not in METRICS or published.slopes.empty:
        return math.nan
    own = published.slope(about, about["series"], metric)
    base = published.slope(about, about["reference"], metric)
    return math.nan if own is None or base is None else float(own["slope"] / base["slope"])
