"""Every number of the paper's text, by name, with where it comes from. Nothing here is typed that can be computed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import pandas as pd

from jetbench.operators.symbol import Symbol, variables
from jetbench.report import counts, labels
from jetbench.report.costs import PUBLISHED as METRICS
from jetbench.report.costs import paired
from jetbench.report.data import Data, as_published, reference_points
from jetbench.report.figures.overview import SUBJECTS
from jetbench.report.phrases import answers, interval, listed
from jetbench.report.reproduction.comparison import CLOSE, VAGUE, predicted, reproduction, tally
from jetbench.report.reproduction.published import WIDTHS
from jetbench.report.tables.layout import escape

COUNTED = "counted"
PUBLISHED = "published"


@dataclass(frozen=True)
class Value:
    """A number or a few words as LaTeX, and where they come from: counted, published, or a machine and its records."""

    tex: str
    source: str


def values(data: Data, results: Path | None = None) -> dict[str, Value]:
    """Name → value. `results` is the folder of machine.json files, for versions and the commit."""
    found = dict(_counted())
    found |= dict(_published(data))
    if len(data.records):
        found |= dict(_machine(data, results))
        found |= dict(_measured(data))
        found |= dict(_reproduced(data))
        found |= dict(_fused(data))
        machine = str(data.records.machine.iloc[0])
        for name, sentence in answers(data).items():
            found[f"finding/{name}"] = Value(escape(sentence), f"{machine}, all records of the figure {name}")
    return found


def _counted() -> Iterator[tuple[str, Value]]:
    two = variables(2)
    symbols: dict[str, Symbol] = {
        "biharmonic": counts.polyharmonic(4, 5),
        "mixed": two[0] ** 2 * two[1],
        "product": prod(variables(4)),
    }
    for name, symbol in symbols.items():
        yield f"counted/{name}/hilbert", Value(", ".join(map(str, counts.by_order(symbol)["apolar"])), COUNTED)
        yield f"counted/{name}/apolar", Value(str(counts.per_datum(symbol)["apolar"]), COUNTED)
        yield f"counted/{name}/dim", Value(str(symbol.dim), COUNTED)
        for scheme in ("polarization", "griewank"):
            found = counts.per_datum(symbol, scheme)
            directions = counts.by_order(symbol, scheme)["taylor"][-1]
            yield f"counted/{name}/{scheme}/directions", Value(str(directions), COUNTED)
            yield f"counted/{name}/{scheme}/taylor", Value(str(found["taylor"]), COUNTED)
            yield f"counted/{name}/{scheme}/collapsed", Value(str(found["collapsed"]), COUNTED)
    yield "rule/close", Value(escape(f"{CLOSE:.0%}"), COUNTED)
    yield "rule/vague", Value(escape(f"{VAGUE:.0%}"), COUNTED)
    yield "rule/confidence", Value(escape("95%"), COUNTED)


def _published(data: Data) -> Iterator[tuple[str, Value]]:
    slopes = data.published.slopes
    if slopes.empty:
        return
    yield "published/slopes", Value(str(len(slopes)), PUBLISHED)
    yield "published/points", Value(str(len(data.published.points)), PUBLISHED)
    yield "published/gpu", Value("RTX 6000", PUBLISHED)
    yield "published/network", Value("--".join(WIDTHS.split("-")), PUBLISHED)
    chosen = slopes[(slopes.study == "batch") & (slopes.metric == "time") & (slopes.estimator == "exact")]
    for row in chosen.itertuples():
        if row.operator in ("laplacian", "biharmonic") and row.series != "nested":
            name = f"{row.backend}/{row.operator}/{row.series}/{row.mode}"
            yield f"published/{name}", Value(labels.ratio_text(row.ratio_to_nested), PUBLISHED)
            counted = predicted(row._asdict())
            if counted == counted:
                yield f"predicted/{name}", Value(labels.ratio_text(counted), COUNTED)


def _machine(data: Data, results: Path | None) -> Iterator[tuple[str, Value]]:
    records = data.records
    machine = str(records.machine.iloc[0])
    source = f"{machine}, machine.json"
    hardware = records.hardware.dropna()
    gpu = records.device.fillna("").str.startswith("cuda").any()
    yield "machine/name", Value(escape(machine), source)
    yield "machine/kind", Value("GPU" if gpu else "CPU", source)
    if gpu:
        yield "machine/is-gpu", Value("", source)
    if len(hardware):
        yield "machine/hardware", Value(escape(hardware.iloc[-1]), source)
    threads = records.threads.dropna()
    if len(threads):
        yield "machine/threads", Value(str(int(threads.iloc[-1])), source)
    if records.backend.eq("jax").any():
        yield "machine/has-jax", Value("", source)
    counts_of = records.status.value_counts()
    yield "records/points", Value(str(len(records)), f"{machine}, all records")
    yield "records/ok", Value(str(int(counts_of.get("ok", 0))), f"{machine}, all records")
    failed = len(records) - int(counts_of.get("ok", 0))
    if failed:
        yield "records/failed", Value(str(failed), f"{machine}, all records")
    unstable = int((~records.stable.fillna(True).astype(bool)).sum())
    yield "records/unstable", Value(str(unstable), f"{machine}, all records")
    yield "records/curves", Value(str(records.source.nunique()), f"{machine}, all records")
    error = records.relative_error.max()
    if error == error:
        yield "records/error", Value(rf"\num{{{error:.1e}}}", f"{machine}, all records")
    description = description_of(results, machine, str(records.machine_id.iloc[-1]))
    for name, version in (description.get("versions") or {}).items():
        yield f"version/{name}", Value(escape(str(version)), source)
    if "python" in description:
        yield "version/python", Value(escape(str(description["python"])), source)
    if commits := _commits(results, machine, records):
        yield "machine/commits", Value(listed(rf"\texttt{{{commit[:10]}}}" for commit in commits), source)
    if len(commits) > 1:
        yield "machine/several-commits", Value("", source)


def description_of(results: Path | None, machine: str, identity: str) -> dict:
    """The machine description that records point to; empty where there is none."""
    path = Path(results or "results") / machine / "machine.json"
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return {}
    return known.get(identity) or (list(known.values())[-1] if known else {})


def _commits(results: Path | None, machine: str, records: pd.DataFrame) -> list[str]:
    """The commits of the code that made the records, that of most records first."""
    made = records.machine_id.dropna().value_counts()
    found: dict[str, int] = {}
    for identity, number in made.items():
        commit = (description_of(results, machine, str(identity)).get("code") or {}).get("commit")
        if commit:
            found[str(commit)] = found.get(str(commit), 0) + int(number)
    return sorted(found, key=lambda commit: -found[commit])


def _measured(data: Data) -> Iterator[tuple[str, Value]]:
    """Ratios of every exact method at the largest size that most methods reached: over nested, over the floor."""
    points = reference_points(as_published(data.records))
    points = points[(points.estimator == "exact") & (points.backend == "torch") & points.operator.isin(SUBJECTS)]
    several = points.groupby("case").series.transform("nunique")
    cases = (
        points.assign(several=several).sort_values("several", kind="stable").drop_duplicates("operator", keep="last")
    )
    for row in points[points.case.isin(cases.case)].itertuples():
        place = f"{row.operator}/{row.series}/{row.mode}"
        source = f"{row.source}, {row.axis} {row.axis_value:g}"
        yield f"{row.operator}/dim", Value(str(row.dim), source)
        yield f"{row.operator}/{row.mode}/batch", Value(str(row.batch), source)
        yield f"{row.operator}/dtype", Value(escape(row.dtype), source)
        yield f"{row.operator}/network", Value(row.widths.replace("-", "--"), source)
        floor = interval(row.time_over_floor, row.time_over_floor_low, row.time_over_floor_high)
        yield f"{place}/over-floor", Value(escape(floor), source)
        yield f"{place}/vectors", Value(str(row.vectors), source)
        if row.time_over_nested == row.time_over_nested and row.series != "nested":
            nested = interval(row.time_over_nested, row.time_over_nested_low, row.time_over_nested_high)
            yield f"{place}/over-nested", Value(escape(nested), source)


def _fused(data: Data) -> Iterator[tuple[str, Value]]:
    """A switch: apolar gains more on collapsed Taylor mode when compiled, wherever both modes were measured."""
    both = paired(data.records, "series", "apolar", "collapsed")
    both = both[both.vectors_ratio < 1].pivot_table("time", ["case", "axis_value"], "mode")
    if {"eager", "compiled"} <= set(both) and len(both := both.dropna()) and (both.compiled < both.eager).all():
        yield "apolar/compiler-helps", Value("", f"{data.records.machine.iloc[0]}, all records of the figure apolar")


def _reproduced(data: Data) -> Iterator[tuple[str, Value]]:
    frame = reproduction(data)
    if frame.empty:
        return
    source = f"{data.records.machine.iloc[0]}, studies batch, samples and rank"
    for name, number in tally(frame).items():
        yield f"reproduction/{name.replace(' ', '-')}", Value(str(number), source)
    for metric in METRICS:
        for name, number in tally(frame[frame.metric == metric]).items():
            yield f"reproduction/{metric}/{name.replace(' ', '-')}", Value(str(number), source)
    compared = frame[frame.verdict.isin(["agrees", "differs", "undecided"])]
    if len(compared):
        yield "reproduction/compared", Value(str(len(compared)), source)
    times = compared[(compared.metric == "time") & compared.predicted.notna() & (compared.measured > 0)]
    if len(times):
        yield "reproduction/time/compared", Value(str(int((compared.metric == "time").sum())), source)
        for name in ("measured", "published"):
            factors = np.exp(np.log(times[name] / times.predicted).abs())
            yield f"reproduction/time/{name}-over-counted", Value(labels.ratio_text(factors.median()), source)
