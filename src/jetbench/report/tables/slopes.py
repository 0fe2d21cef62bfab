"""Tables of slopes: what one more datum, sample or unit of rank costs, with its ratio to nested."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from jetbench.report import labels
from jetbench.report.costs import PUBLISHED
from jetbench.report.data import Data
from jetbench.report.registry import table
from jetbench.report.reproduction import dense_zeros
from jetbench.report.slopes import METRICS
from jetbench.report.tables.layout import METHOD, MODE, OPERATOR, PER, Field, Table

PUBLISHED_NOTE = (
    "published: ratio in the paper (Nvidia RTX 6000, best of 50), only for the same network, dtype and directions."
)


@table("main", "slopes of time and memory per datum and per sample, eager, each with its ratio to nested")
def main(data: Data) -> Table:
    return _table(data, data.slopes, "Cost per datum and per sample, eager", ["batch", "samples"], ["eager"])


@table("compiled", "the main table under torch.compile")
def compiled(data: Data) -> Table:
    chosen = data.slopes[data.slopes.backend != "jax"]
    return _table(data, chosen, "Cost per datum and per sample, compiled", ["batch", "samples"], ["compiled"])


@table("jax", "the paper's JAX comparison: cost per datum and per sample, stock and zero-aware Taylor mode apart")
def jax(data: Data) -> Table:
    chosen = data.slopes[data.slopes.backend == "jax"]
    found = _table(data, chosen, "Cost per datum and per sample in JAX", ["batch", "samples"], ["compiled"])
    explained = dense_zeros.sentence(data.records, data.published)
    return replace(found, notes=[*found.notes, *filter(None, [explained])])


@table("rank", "weighted Laplacian: cost per unit of rank over dimension, and per datum at each rank")
def rank(data: Data) -> Table:
    chosen = data.slopes[(data.slopes.axis == "rank") | data.slopes.rank_ratio.notna() & (data.slopes.axis == "batch")]
    return _table(data, chosen, "Low-rank weighted Laplacian", ["rank", "batch"], labels.MODES)


@table("gradient", "slopes of the time of an evaluation together with its gradient in the parameters")
def gradient(data: Data) -> Table:
    title = "Cost with the gradient in the parameters"
    return _table(data, data.slopes, title, labels.STUDIES, labels.MODES, ("time", "gradient_time"))


def _table(
    data: Data,
    slopes: pd.DataFrame,
    title: str,
    axes: Sequence[str],
    modes: Sequence[str],
    metrics: Sequence[str] = PUBLISHED,
) -> Table:
    """The slopes along some axes, one row a curve, with three columns or fewer a metric."""
    frame = slopes[slopes.axis.isin(axes) & slopes["mode"].isin(modes) & slopes.metric.isin(metrics)]
    frame = frame[frame.groupby(["study", "case"]).points.transform("max") > 1]  # one point has no slope
    described = labels.ordered(frame[frame.metric == metrics[0]])
    named = data.named(described)
    by_curve = frame.set_index(["study", "case", "series", "mode", "metric"])
    rows, published_seen = [], False
    for row in described.itertuples():
        cells = {"operator": named[row.case], "per": row.per, "mode": row.mode, "points": row.points}
        cells |= {"method": labels.series_label(row.series), "block": f"{row.study} {row.case} {row.mode}"}
        for metric in metrics:
            found = by_curve.loc[(row.study, row.case, row.series, row.mode, metric)]
            cells |= {f"{metric}{end}": found[f"slope{end}"] for end in ("", "_low", "_high")}
            cells |= {f"{metric}_ratio": found.ratio_to_nested}
            cells |= {f"{metric}_ratio_low": found.ratio_low, f"{metric}_ratio_high": found.ratio_high}
            paper = data.published.slope(pd.Series(row._asdict()), row.series, metric)
            cells[f"{metric}_published"] = math.nan if paper is None else paper.ratio_to_nested
            published_seen |= paper is not None
        if row.points > 1 or not all(math.isnan(cells[f"{metric}_published"]) for metric in metrics):
            rows.append(cells)  # else there is nothing to show
    notes = [f"{data.place} Slopes of least-squares lines; 95% intervals of the fit, none for two points."]
    notes += [PUBLISHED_NOTE] if published_seen else []
    return Table.of(title, _fields(modes, metrics), rows, notes)


def _fields(modes: Sequence[str], metrics: Sequence[str]) -> list[Field]:
    fields = [OPERATOR, PER, *([MODE] if len(modes) > 1 else []), METHOD, Field("points", "Points", "integer")]
    for metric in metrics:
        about = METRICS[metric]
        fields.append(Field(metric, f"[{about.unit}]", group=about.label, interval=True))
        fields.append(Field(f"{metric}_ratio", "to nested", group=about.label, interval=True))
        fields += [Field(f"{metric}_published", "published", group=about.label)] if metric in PUBLISHED else []
    return fields
