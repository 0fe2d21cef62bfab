"""The reproduction: every slope that the paper publishes beside ours, each with a verdict. Nothing is drawn here."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

from jetbench.report import counts, labels
from jetbench.report.costs import COSTS
from jetbench.report.data import Data
from jetbench.report.labels import REFERENCE
from jetbench.report.reproduction.published import ACTIVATION, DTYPE, MATCHED, WIDTHS
from jetbench.report.slopes import LINEAR_AXES

#: A ratio this close to the published one agrees, whatever its interval.
CLOSE = 0.10
#: An interval that reaches further than this share of the ratio excludes too little to agree or to differ.
VAGUE = 0.50
VERDICTS = ("agrees", "differs", "undecided", "not measured", "reference")
#: Published (backend, series) → our series of the same or, after those, of an equivalent implementation.
COUNTERPARTS = {("jax", "jax_jet"): ("jax_jet", "taylor"), ("jax", "folx"): ("folx", "forward_laplacian")}


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
    frame.metric = pd.Categorical(frame.metric, list(COSTS))
    frame = labels.ordered(frame, ["backend", "mode", "study", "operator", "rank_ratio", "metric", "series"])
    return frame.astype({"metric": "str"}).reset_index(drop=True)


RESULT = ["published", "predicted", "measured", "low", "high", "counterpart", "points", "verdict", "reason"]


def _beside(row: dict, ours: pd.DataFrame) -> dict:
    """What is measured and predicted for one published slope."""
    same = ours[~ours.study.isin(labels.SNAPSHOTS)]
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
    series, dim = str(row["series"]).removesuffix(labels.GRIEWANK), int(row["dim"])
    order = 4 if row["operator"] == "biharmonic" else 2
    if row["study"] == "batch":
        rank = dim if math.isnan(row["rank_ratio"]) else round(row["rank_ratio"] * dim)
        vectors = counts.per_datum(counts.polyharmonic(order, rank), "griewank")
        nested = counts.nested_per_datum(order, rank)
    else:
        vectors = {"taylor": order, "collapsed": order - 1}
        nested = counts.nested_per_sample(order)
    return 1.0 if series == REFERENCE else vectors[series] / nested


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
    stock = (row["backend"], row["series"]) == ("jax", labels.STOCK)
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


def tally(frame: pd.DataFrame) -> dict[str, int]:
    """Verdict → number of slopes, all of `VERDICTS` in order."""
    found = frame.verdict.value_counts()
    return {name: int(found.get(name, 0)) for name in VERDICTS}


def subject(row: object) -> str:
    """What a slope is of, in words: operator, rank, per what."""
    rank = getattr(row, "rank_ratio", math.nan)
    shown = f" (rank {rank:g} D)" if row.study == "batch" and rank == rank and rank != 1 else ""
    return f"{labels.operator_label(row.operator)}{shown} per {LINEAR_AXES[row.study].replace(' ratio', '')}"
