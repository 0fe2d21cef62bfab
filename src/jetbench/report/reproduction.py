"""The reproduction: every slope that the paper publishes beside ours, each with a verdict. Nothing is drawn here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pandas as pd

from jetbench.report import labels
from jetbench.report.collect import REFERENCE
from jetbench.report.layout import Field, Table
from jetbench.report.published import ACTIVATION, DTYPE, MATCHED, WIDTHS
from jetbench.report.slopes import LINEAR_AXES, METRICS

if TYPE_CHECKING:
    from jetbench.report.tables import Data

#: A ratio this close to the published one agrees, whatever its interval.
CLOSE = 0.10
#: An interval that reaches further than this share of the ratio excludes too little to agree or to differ.
VAGUE = 0.50
VERDICTS = ("agrees", "differs", "undecided", "not measured", "reference")
#: Published (backend, series) → our series of the same or, after those, of an equivalent implementation.
COUNTERPARTS = {("jax", "jax_jet"): ("jax_jet", "taylor"), ("jax", "folx"): ("folx", "forward_laplacian")}
#: Directions of the biharmonic in five dimensions that the paper's scheme finds.
GRIEWANK = {5: 35}
STOCK = ("jax", "jax_jet")


def reproduction(data: Data) -> pd.DataFrame:
    """One row a published slope, in reading order.

    Columns: those of `published.MATCHED`, rank_ratio, series (as published), metric; published, predicted, measured,
    low, high (all ratios to nested), counterpart (our series), points, verdict, reason.
    """
    published = data.published.slopes
    if published.empty:
        return pd.DataFrame(columns=[*MATCHED, "rank_ratio", "series", "metric", *RESULT])
    ours = data.slopes
    ours = ours[(ours.widths == WIDTHS) & (ours.activation == ACTIVATION) & (ours.dtype == DTYPE)]
    rows = [{**row, **_beside(row, ours)} for row in published.to_dict("records")]
    frame = pd.DataFrame(rows)[[*MATCHED, "rank_ratio", "series", "metric", *RESULT]]
    keys = frame.assign(
        backend=frame.backend.map({"torch": 0, "jax": 1}),
        study=frame.study.map({name: i for i, name in enumerate(labels.STUDIES)}),
        operator=frame.operator.map({name: i for i, name in enumerate(labels.OPERATORS)}),
        rank_ratio=-frame.rank_ratio.fillna(1),
        mode=frame["mode"].map({name: i for i, name in enumerate(labels.MODES)}),
        metric=frame.metric.map({name: i for i, name in enumerate(METRICS)}),
        series=frame.series.map({name: i for i, name in enumerate(labels.SERIES)}),
    )
    order = keys.sort_values(["backend", "mode", "study", "operator", "rank_ratio", "metric", "series"]).index
    return frame.loc[order].reset_index(drop=True)


RESULT = ["published", "predicted", "measured", "low", "high", "counterpart", "points", "verdict", "reason"]


def _beside(row: dict, ours: pd.DataFrame) -> dict:
    """What is measured and predicted for one published slope."""
    same = ours
    same = same[~same.study.isin(labels.SNAPSHOTS)]
    for name in MATCHED:
        same = same[same["axis" if name == "study" else name] == row[name]]
    if not math.isnan(row["rank_ratio"]) and row["study"] == "batch":
        same = same[(same.rank_ratio - row["rank_ratio"]).abs() < 1e-9]
    known = same[same.points > 1]
    names = COUNTERPARTS.get((row["backend"], row["series"]), (row["series"],))
    series = next((name for name in names if (known.series == name).any()), None)
    mine = known[known.series == series]
    found = mine[mine.metric == row["metric"]].sort_values("points").tail(1)
    counted = mine[mine.metric == "vectors"].sort_values("points").tail(1)
    result = {"published": float(row["ratio_to_nested"]), "counterpart": series, "points": 0}
    result["predicted"] = predicted(row)
    if math.isnan(result["predicted"]) and len(counted):
        result["predicted"] = float(counted.ratio_to_nested.iloc[0])
    result |= {"measured": math.nan, "low": math.nan, "high": math.nan}
    if len(found):
        measured = found.iloc[0]
        result |= {"measured": measured.ratio_to_nested, "low": measured.ratio_low, "high": measured.ratio_high}
        result["points"] = int(measured.points)
    result["verdict"], result["reason"] = verdict(row, result)
    return result


def predicted(row: dict) -> float:
    """The ratio that counting vectors of layer width predicts for a published PyTorch slope; NaN for JAX.

    Nested differentiation in PyTorch pushes 4 + 2R vectors through a layer for R directions of order 2, and the product
    of such counts for nested operators; how JAX's compiler arranges nested derivatives is not ours to count.
    """
    if row["backend"] != "torch":
        return math.nan
    slopes = {REFERENCE: math.nan, "taylor": math.nan, "collapsed": math.nan}
    dim, fourth = int(row["dim"]), row["operator"] == "biharmonic"
    series = str(row["series"]).removesuffix("_griewank")
    if row["study"] == "batch":
        rank = dim if math.isnan(row["rank_ratio"]) else round(row["rank_ratio"] * dim)
        order, directions = (4, GRIEWANK[dim]) if fourth else (2, rank)
        nested = (4 + 2 * dim) ** 2 if fourth else 4 + 2 * rank
        slopes = {
            REFERENCE: nested,
            "taylor": 1 + order * directions,
            "collapsed": 1 + (order - 1) * directions + 1,
        }
    else:
        slopes = {REFERENCE: 28, "taylor": 4, "collapsed": 3} if fourth else {REFERENCE: 2, "taylor": 2, "collapsed": 1}
    return slopes[series] / slopes[REFERENCE]


def verdict(row: dict, result: dict) -> tuple[str, str]:
    """One of `VERDICTS`, and a sentence that says why where there is something to say."""
    if row["series"] == REFERENCE:
        return "reference", "" if result["points"] else "Not measured on this machine."
    value, published = result["measured"], result["published"]
    if math.isnan(value):
        return "not measured", "Not measured on this machine."
    low, high = result["low"], result["high"]
    known = math.isfinite(low) and math.isfinite(high)
    spread = "" if known else " Two points have no interval."
    if abs(value / published - 1) <= CLOSE:
        return "agrees", f"Within {CLOSE:.0%}.{spread}"
    if known and max(value - low, high - value) > VAGUE * abs(value):
        return "undecided", f"The interval reaches further than {VAGUE:.0%} of the ratio: too few or too noisy points."
    if known and low <= published <= high:
        return "agrees", "Within its interval."
    return "differs", " ".join([*_reasons(row, result), *([spread.strip()] if spread else [])])


def _reasons(row: dict, result: dict) -> Iterator[str]:
    """What is known to make this slope differ; a comparison with the count of vectors where nothing is."""
    stock = (row["backend"], row["series"]) == STOCK
    memory = row["metric"].startswith("memory")
    if stock and result["counterpart"] != "jax_jet":
        yield "The paper's jax.experimental.jet instantiates zeros and multiplies them; ours never does."
        return
    if memory and row["mode"] == "compiled":
        yield "Published peaks are those of a first call, compilation included; ours are taken after warm-up."
        return
    if memory and row["backend"] == "jax":
        yield "Ours is what XLA plans for the program on this machine."
    elif memory:
        yield "Published: allocator of a GPU in a first call; ours: allocation events after warm-up."
    if not math.isnan(result["predicted"]):
        distance = {
            name: abs(math.log(max(result[name], 1e-9) / result["predicted"])) for name in ("measured", "published")
        }
        nearer = distance["measured"] < distance["published"]
        yield f"Ours is {'nearer to' if nearer else 'farther from'} the count of vectors than the published ratio."
    elif not memory:
        yield "No reason known."


def counts(frame: pd.DataFrame) -> dict[str, int]:
    """Verdict → number of slopes, all of `VERDICTS` in order."""
    found = frame.verdict.value_counts()
    return {name: int(found.get(name, 0)) for name in VERDICTS}


def subject(row: object) -> str:
    """What a slope is of, in words: operator, rank, per what."""
    rank = getattr(row, "rank_ratio", math.nan)
    shown = f" (rank {rank:g} D)" if row.study == "batch" and rank == rank and rank != 1 else ""
    return f"{labels.operator_label(row.operator)}{shown} per {LINEAR_AXES[row.study].replace(' ratio', '')}"


def listing(data: Data) -> Table:
    """All published slopes as a table."""
    frame = reproduction(data)
    shown = pd.DataFrame(
        {
            "backend": frame.backend.map({"torch": "PyTorch", "jax": "JAX"}),
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
    names = {"backend": "Framework", "mode": "Mode", "operator": "Slope", "metric": "Cost", "method": "Method"}
    fields = [Field(key, header, "text") for key, header in names.items()]
    fields += [Field("published", "published", group="Ratio to nested")]
    fields += [Field("predicted", "predicted", group="Ratio to nested")]
    fields += [Field("measured", "measured", group="Ratio to nested", interval=True)]
    fields += [Field("verdict", "Verdict", "text"), Field("reason", "Why", "text")]
    told = ", ".join(f"{count} {name}" for name, count in counts(frame).items()) if len(frame) else "none"
    notes = [
        f"{data.place} {len(frame)} published slopes (Nvidia RTX 6000): {told}.",
        f"Agrees: within {CLOSE:.0%} of the published ratio, or the 95% interval holds it; intervals that reach further"
        f" than {VAGUE:.0%} of the ratio decide nothing. Predicted: by counting vectors of layer width.",
    ]
    return Table("Every published slope and ours", fields, shown, notes, "block", long=True)


SHORT = {
    "time": "time",
    "memory_differentiable": "memory, diff.",
    "memory_nondifferentiable": "memory, non-diff.",
}


LETTERS = {"agrees": "a", "differs": "d", "undecided": "u", "not measured": "", "reference": ""}


def compact(data: Data) -> Table:
    """All published slopes, the three costs of a method in one line; verdicts by their first letter."""
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
    fields = [Field("framework", "Mode", "text"), Field("operator", "Slope", "text"), Field("method", "Method", "text")]
    fields.append(Field("predicted", "counted"))
    for metric in SHORT:
        group = METRICS[metric].label
        fields += [Field(f"{metric}_published", "publ.", group=group)]
        fields += [
            Field(metric, "ours", group=group, interval=True),
            Field(f"{metric}_verdict", "", "text", group=group),
        ]
    names = [n for f in fields for n in ([f.key, f"{f.key}_low", f"{f.key}_high"] if f.interval else [f.key])]
    return Table("Every published slope and ours", fields, pd.DataFrame(rows, columns=[*names, "block"]), [], "block")
