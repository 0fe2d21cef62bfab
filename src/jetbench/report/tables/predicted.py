"""Predicted against measured ratios: what counting vectors says a method should cost relative to standard Taylor mode.

Along the x-axis of a study a method's cost is proportional to batch x vectors, so the predicted ratio of two slopes is
that of their slopes of batch x vectors: (1 + (K-1)R + 1) / (1 + K R) per datum for collapsed over standard Taylor mode
with R directions, and (K-1)/K per sample. The vectors are those that the methods themselves report in the records.
"""

from __future__ import annotations

import math

import pandas as pd

from jetbench.report import labels
from jetbench.report.costs import PUBLISHED
from jetbench.report.data import Data
from jetbench.report.registry import table
from jetbench.report.reproduction.published import Published
from jetbench.report.slopes import CURVE, DESCRIPTION, METRICS, NO_FIT, fits, ratio
from jetbench.report.tables.layout import METHOD, MODE, OPERATOR, PER, Field, Table

COMPARED = ("time", "memory_differentiable", "memory_nondifferentiable", "gradient_time")


def reference(series: str, available: list[str]) -> str | None:
    """The standard Taylor curve to compare with: of the same directions where there is one, else any."""
    same = f"{labels.AWARE}_griewank" if series.endswith("_griewank") else labels.AWARE
    return next((name for name in (same, labels.AWARE, f"{labels.AWARE}_griewank") if name in available), None)


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
        if labels.is_nested(curve["series"]):
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


@table("predicted", "ratios to standard Taylor mode predicted by counting vectors, against the measured ones")
def predicted(data: Data) -> Table:
    frame = labels.ordered(predictions(data.records, data.published))
    named = data.named(frame)
    per = data.slopes.drop_duplicates(["study", "case"]).set_index(["study", "case"]).per if len(frame) else {}
    rows = []
    for row in frame.itertuples():
        shown = {"operator": named[row.case], "per": per[(row.study, row.case)], "mode": row.mode}
        shown |= {"method": labels.series_label(row.series), "vectors": row.vectors, "predicted": row.predicted}
        shown |= {m + end: getattr(row, m + end) for m in COMPARED for end in ("", "_low", "_high", "_published")}
        rows.append(shown | {"block": f"{row.study} {row.case} {row.mode}"})
    fields = [OPERATOR, PER, MODE, METHOD, Field("vectors", "per unit", group="Vectors")]
    fields.append(Field("predicted", "predicted ratio", group="Vectors"))
    for metric in COMPARED:
        group = f"{METRICS[metric].label}, ratio"
        fields.append(Field(metric, "measured", group=group, interval=True))
        fields += [Field(f"{metric}_published", "published", group=group)] if metric in PUBLISHED else []
    notes = ["All ratios are to standard Taylor mode with the same directions (any, where the same were not measured)."]
    notes += [f"{data.place} 95% intervals of the fits."]
    return Table.of("Predicted and measured ratios to standard Taylor mode", fields, rows, notes)
