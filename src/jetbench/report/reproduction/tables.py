"""The tables of the reproduction: every published slope beside ours."""

from __future__ import annotations

import pandas as pd

from jetbench.report import labels
from jetbench.report.data import Data
from jetbench.report.registry import table
from jetbench.report.reproduction.comparison import CLOSE, VAGUE, reproduction, subject, tally
from jetbench.report.slopes import METRICS
from jetbench.report.tables.layout import METHOD, MODE, Field, Table


@table("reproduction", "every published slope beside ours: published, predicted and measured ratio to nested, verdict")
def listing(data: Data) -> Table:
    frame = reproduction(data)
    shown = pd.DataFrame(
        {
            "backend": frame.backend.map(labels.BACKENDS),
            "mode": frame["mode"],
            "operator": [subject(row) for row in frame.itertuples()],
            "metric": [SHORT[name] for name in frame.metric],
            "method": frame.series.map(labels.series_label),
            "published": frame.published,
            "predicted": frame.predicted,
            "measured": frame.measured,
            "measured_low": frame.low,
            "measured_high": frame.high,
            "verdict": frame.verdict,
            "reason": frame.reason,
            "block": [" ".join(v) for v in zip(frame.backend, frame["mode"], frame.study, frame.operator, strict=True)],
        }
    )
    group = "Ratio to nested"
    fields = [Field("backend", "Framework", "text"), MODE, Field("operator", "Slope", "text")]
    fields += [Field("metric", "Cost", "text"), METHOD]
    fields += [Field("published", "published", group=group), Field("predicted", "predicted", group=group)]
    fields.append(Field("measured", "measured", group=group, interval=True))
    fields += [Field("verdict", "Verdict", "text"), Field("reason", "Why", "text")]
    told = ", ".join(f"{count} {name}" for name, count in tally(frame).items()) if len(frame) else "none"
    notes = [
        f"{data.place} {len(frame)} published slopes (Nvidia RTX 6000): {told}.",
        f"Agrees: within {CLOSE:.0%} of the published ratio, or inside the 95% interval; intervals that reach further"
        f" than {VAGUE:.0%} of the ratio decide nothing. Predicted: by counting vectors of layer width.",
    ]
    return Table("Every published slope and ours", fields, shown, notes, "block", long=True)


SHORT = {
    "time": "time",
    "memory_differentiable": "memory, diff.",
    "memory_nondifferentiable": "memory, non-diff.",
}


LETTERS = {"agrees": "a", "differs": "d", "undecided": "u", "not measured": "", "reference": ""}


@table("reproduction_compact", "the same with one line for the three costs of a method, short enough for a page")
def compact(data: Data) -> Table:
    frame = reproduction(data)
    place = ["backend", "mode", "study", "operator", "rank_ratio", "series"]
    rows = []
    for key, group in frame.groupby(place, sort=False, dropna=False):
        first = group.iloc[0]
        row = {"framework": "JAX" if first.backend == "jax" else first["mode"], "operator": subject(first)}
        row |= {"method": labels.series_label(first.series), "predicted": first.predicted, "block": str(key[:5])}
        for cost in group.itertuples():
            row |= {f"{cost.metric}_published": cost.published, cost.metric: cost.measured}
            row |= {f"{cost.metric}_low": cost.low, f"{cost.metric}_high": cost.high}
            row[f"{cost.metric}_verdict"] = LETTERS[cost.verdict]
        rows.append(row)
    fields = [Field("framework", "Mode", "text"), Field("operator", "Slope", "text"), METHOD]
    fields.append(Field("predicted", "counted"))
    for metric in SHORT:
        group = METRICS[metric].label
        fields += [Field(f"{metric}_published", "publ.", group=group)]
        fields += [
            Field(metric, "ours", group=group, interval=True),
            Field(f"{metric}_verdict", "", "text", group=group),
        ]
    return Table.of("Every published slope and ours", fields, rows, [])
