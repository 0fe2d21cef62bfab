"""What each table says. One function a table, registered by name; how it is written is in `layout`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import pandas as pd

from jetbench.errors import JetbenchError, unknown
from jetbench.report import dense_zeros, labels
from jetbench.report.layout import Field, Table
from jetbench.report.pairs import paired
from jetbench.report.predicted import COMPARED, predictions
from jetbench.report.published import ACTIVATION, DTYPE, WIDTHS, Published
from jetbench.report.slopes import METRICS, slopes

MAIN_METRICS = ("time", "memory_differentiable", "memory_nondifferentiable")
PUBLISHED_NOTE = (
    "published: ratio in the paper (Nvidia RTX 6000, best of 50), only for the same network, dtype and directions."
)


@dataclass(frozen=True)
class Data:
    """What tables and figures are made from: the records of one machine, their slopes, and the published numbers."""

    records: pd.DataFrame
    published: Published
    #: Records of the study `training`, one row a run.
    training: pd.DataFrame = field(default_factory=pd.DataFrame)

    @cached_property
    def slopes(self) -> pd.DataFrame:
        """The slopes of the records, as `slopes.slopes` makes them."""
        return slopes(self.records)

    @property
    def ok(self) -> pd.DataFrame:
        """The records that were measured."""
        return self.records[self.records.status == "ok"]

    @property
    def place(self) -> str:
        """Where it was measured, in a sentence."""
        if self.records.empty:
            return "No machine."
        nodes = self.records.node.dropna().unique()
        told = [*self.records.hardware.dropna().iloc[-1:], *([f"{len(nodes)} equal nodes"] if len(nodes) > 1 else [])]
        named = f" ({', '.join(told)})" if told else ""
        return f"Measured on {self.records.machine.iloc[0]}{named}."


@dataclass(frozen=True)
class Entry:
    """A registered table: its name, what it shows, and the function that makes it."""

    name: str
    shows: str
    build: Callable[[Data], Table]


TABLES: dict[str, Entry] = {}


def table(name: str, shows: str) -> Callable[[Callable[[Data], Table]], Callable[[Data], Table]]:
    """Register the decorated function as the table `name`."""

    def register(build: Callable[[Data], Table]) -> Callable[[Data], Table]:
        TABLES[name] = Entry(name, shows, build)
        return build

    return register


def make(name: str, data: Data) -> Table:
    """The table of that name.

    Raises:
        JetbenchError: there is no such table; the message lists those that exist.
    """
    if name not in TABLES:
        raise JetbenchError(unknown("table", name, TABLES))
    return TABLES[name].build(data)


@table("main", "slopes of time and memory per datum and per sample, eager, each with its ratio to nested")
def main(data: Data) -> Table:
    return _slope_table(data, "Cost per datum and per sample, eager", ["batch", "samples"], ["eager"], MAIN_METRICS)


@table("compiled", "the main table under torch.compile")
def compiled(data: Data) -> Table:
    chosen = data.slopes[data.slopes.backend != "jax"]
    return _slope_table(
        data, "Cost per datum and per sample, compiled", ["batch", "samples"], ["compiled"], MAIN_METRICS, chosen
    )


@table("jax", "the paper's JAX comparison: cost per datum and per sample, stock and zero-aware Taylor mode apart")
def jax(data: Data) -> Table:
    chosen = data.slopes[data.slopes.backend == "jax"]
    made = _slope_table(
        data, "Cost per datum and per sample in JAX", ["batch", "samples"], ["compiled"], MAIN_METRICS, chosen
    )
    told = dense_zeros.sentence(data.records, data.published)
    return replace(made, notes=[*made.notes, *([told] if told else [])])


@table("rank", "weighted Laplacian: cost per unit of rank over dimension, and per datum at each rank")
def rank(data: Data) -> Table:
    chosen = data.slopes[(data.slopes.axis == "rank") | data.slopes.rank_ratio.notna() & (data.slopes.axis == "batch")]
    return _slope_table(data, "Low-rank weighted Laplacian", ["rank", "batch"], labels.MODES, MAIN_METRICS, chosen)


@table("gradient", "slopes of the time of an evaluation together with its gradient in the parameters")
def gradient(data: Data) -> Table:
    return _slope_table(
        data, "Cost with the gradient in the parameters", labels.STUDIES, labels.MODES, ("time", "gradient_time")
    )


def _slope_table(data: Data, title: str, axes, modes, metrics, chosen: pd.DataFrame | None = None) -> Table:
    frame = data.slopes if chosen is None else chosen
    frame = frame[frame.axis.isin(list(axes)) & frame["mode"].isin(list(modes)) & frame.metric.isin(list(metrics))]
    frame = frame[frame.groupby(["study", "case"]).points.transform("max") > 1]  # one point has no slope
    described = labels.ordered(frame[frame.metric == metrics[0]])
    named = _case_names(data, described)
    by_curve = frame.set_index(["study", "case", "series", "mode", "metric"])
    rows, published_seen = [], False
    for row in described.itertuples():
        shown = {
            "operator": named[row.case],
            "per": row.per,
            "mode": row.mode,
            "method": labels.series_label(row.series),
        }
        shown |= {"points": row.points, "block": f"{row.study} {row.case} {row.mode}"}
        for metric in metrics:
            found = by_curve.loc[(row.study, row.case, row.series, row.mode, metric)]
            shown |= {f"{metric}{end}": found[f"slope{end}"] for end in ("", "_low", "_high")}
            shown |= {f"{metric}_ratio": found.ratio_to_nested}
            shown |= {f"{metric}_ratio_low": found.ratio_low, f"{metric}_ratio_high": found.ratio_high}
            paper = data.published.slope(pd.Series(row._asdict()), row.series, metric)
            shown[f"{metric}_published"] = math.nan if paper is None else paper.ratio_to_nested
            published_seen |= paper is not None
        if row.points > 1 or not all(math.isnan(shown[f"{metric}_published"]) for metric in metrics):
            rows.append(shown)  # else there is nothing to show
    fields = [Field("operator", "Operator", "text"), Field("per", "Per", "text")]
    fields += [Field("mode", "Mode", "text")] if len(modes) > 1 else []
    fields += [Field("method", "Method", "text"), Field("points", "Points", "integer")]
    for metric in metrics:
        about = METRICS[metric]
        fields += [
            Field(metric, f"[{about.unit}]", group=about.label, interval=True),
            Field(f"{metric}_ratio", "to nested", group=about.label, interval=True),
            *([Field(f"{metric}_published", "published", group=about.label)] if metric in MAIN_METRICS else []),
        ]
    notes = [f"{data.place} Slopes of least-squares lines; 95% intervals of the fit, none for two points."]
    notes += [PUBLISHED_NOTE] if published_seen else []
    return Table(title, fields, _frame(rows, fields), notes, block="block")


@table("predicted", "ratios to standard Taylor mode predicted by counting vectors, against the measured ones")
def predicted(data: Data) -> Table:
    frame = labels.ordered(predictions(data.records, data.published))
    named = _case_names(data, frame)
    per = data.slopes.drop_duplicates(["study", "case"]).set_index(["study", "case"]).per if len(frame) else {}
    rows = []
    for row in frame.itertuples():
        shown = {"operator": named[row.case], "per": per[(row.study, row.case)], "mode": row.mode}
        shown |= {"method": labels.series_label(row.series), "vectors": row.vectors, "predicted": row.predicted}
        shown |= {m + end: getattr(row, m + end) for m in COMPARED for end in ("", "_low", "_high", "_published")}
        rows.append(shown | {"block": f"{row.study} {row.case} {row.mode}"})
    fields = [Field("operator", "Operator", "text"), Field("per", "Per", "text"), Field("mode", "Mode", "text")]
    fields += [Field("method", "Method", "text"), Field("vectors", "per unit", group="Vectors")]
    fields.append(Field("predicted", "predicted ratio", group="Vectors"))
    for metric in COMPARED:
        group = f"{METRICS[metric].label}, ratio"
        fields.append(Field(metric, "measured", group=group, interval=True))
        fields += [Field(f"{metric}_published", "published", group=group)] if metric in MAIN_METRICS else []
    notes = ["All ratios are to standard Taylor mode with the same directions (any, where the same were not measured)."]
    notes += [f"{data.place} 95% intervals of the fits."]
    return Table("Predicted and measured ratios to standard Taylor mode", fields, _frame(rows, fields), notes, "block")


@table("reproduction", "every published slope beside ours: published, predicted and measured ratio to nested, verdict")
def reproduction(data: Data) -> Table:
    from jetbench.report.reproduction import listing

    return listing(data)


@table("reproduction_compact", "the same with one line for the three costs of a method, short enough for a page")
def reproduction_compact(data: Data) -> Table:
    from jetbench.report.reproduction import compact

    return compact(data)


@table("vectors", "vectors per datum of each method, counted: dimension of the apolar algebra against directions")
def vectors(data: Data) -> Table:
    from jetbench.report.hilbert import listing

    del data  # nothing here is measured
    return listing()


COST_FIELDS = [
    Field("vectors", "Vectors", "integer"),
    Field("over_floor_vectors", "over floor's", group="Vectors"),
    Field("flops_over_network", "FLOPs / forward pass"),
    Field("time_ms", "[ms]", group="Time", interval=True),
    Field("time_over_floor", "over floor", group="Time", interval=True),
    Field("time_over_own_floor", "over own floor", group="Time"),
    Field("time_over_nested", "over nested", group="Time", interval=True),
    Field("gradient_time_over_nested", "with gradient, over nested", group="Time"),
    Field("memory_differentiable_mib", "diff. [MiB]", group="Memory"),
    Field("memory_nondifferentiable_mib", "non-diff. [MiB]", group="Memory"),
    Field("relative_error", "Relative error", "error"),
]


@table("operators", "every operator and method at its largest measured size: vectors, operations, time, memory, error")
def operators(data: Data) -> Table:
    frame = reference_points(data.records)
    fields = [Field("operator", "Operator", "text"), Field("mode", "Mode", "text"), Field("batch", "Batch", "integer")]
    fields += [Field("samples", "Samples", "integer"), Field("method", "Method", "text"), *COST_FIELDS]
    return _cost_table(data, "Operators: cost of each method", frame, fields)


REWRITTEN = ("taylor", "stock_rewrite", "collapsed_rewrite", "collapsed")


@table("rewrite", "the compiler pass: operations and time before it, after it, and of the scheme derived by hand")
def rewrite(data: Data) -> Table:
    frame = data.records[data.records.series.isin(REWRITTEN)]
    done = frame[frame.series.str.endswith("_rewrite") & (frame.status == "ok")]
    frame = reference_points(frame[frame.study.isin(done.study) & frame.case.isin(done.case)])
    fields = [Field("operator", "Operator", "text"), Field("mode", "Mode", "text"), Field("batch", "Batch", "integer")]
    fields += [Field("samples", "Samples", "integer"), Field("method", "Method", "text"), *COST_FIELDS]
    return _cost_table(data, "The compiler pass: before (standard Taylor), after, and by hand", frame, fields)


@table("dimension", "cost against the dimension D: vectors, operations, time, memory, error")
def dimension(data: Data) -> Table:
    frame = data.ok[data.ok.axis == "dimension"]
    fields = [Field("operator", "Operator", "text"), Field("mode", "Mode", "text"), Field("dim", "D", "integer")]
    fields += [Field("batch", "Batch", "integer"), Field("method", "Method", "text"), *COST_FIELDS]
    return _cost_table(data, "Cost against the dimension", frame, fields)


def reference_points(records: pd.DataFrame, within: tuple[str, ...] = ("study", "case", "mode")) -> pd.DataFrame:
    """The ok points of the `operators` study, or else of `batch` and `samples`, at one x for each group.

    The x is the largest of those that most methods of the group reached.
    """
    ok = records[records.status == "ok"]
    chosen = ok[ok.study == "operators"]
    chosen = ok[ok.study.isin(["batch", "samples"])] if chosen.empty else chosen
    parts = []
    for _, group in chosen.groupby(list(within), sort=False):
        reached = group.groupby("x").series.nunique()
        parts.append(group[group.x == reached[reached == reached.max()].index.max()])
    return pd.concat(parts) if parts else chosen


def as_published(records: pd.DataFrame) -> pd.DataFrame:
    """The records of the published network and type, where there are some of it among the measured ones."""
    for name, value in (("network", "mlp"), ("widths", WIDTHS), ("activation", ACTIVATION), ("dtype", DTYPE)):
        same = records[name] == value
        records = records[same] if (same & (records.status == "ok")).any() else records
    return records


def _cost_table(data: Data, title: str, frame: pd.DataFrame, fields: list[Field]) -> Table:
    frame = labels.ordered(frame)
    named = _case_names(data, frame)
    if fields[2].key == "dim":
        frame = frame.sort_values(["case", "mode", "dim"], kind="stable")
    shown = frame.assign(
        operator=frame.case.map(named),
        method=frame.series.map(labels.series_label),
        over_floor_vectors=frame.vectors.astype("float64") / frame.floor_vectors.astype("float64"),
        time_ms=1e3 * frame.time_s,
        time_ms_low=1e3 * frame.time_low_s,
        time_ms_high=1e3 * frame.time_high_s,
        memory_differentiable_mib=frame.memory_differentiable_bytes / 2**20,
        memory_nondifferentiable_mib=frame.memory_nondifferentiable_bytes / 2**20,
        block=[
            " ".join(map(str, v)) for v in zip(frame.study, frame.case, frame["mode"], frame.axis_value, strict=True)
        ],
    )
    notes = [
        f"{data.place} Medians with 95% intervals; the floor is the network's matrix products on the fewest vectors."
    ]
    return Table(title, fields, shown.reset_index(drop=True), notes, "block")


#: Public library → the method of this suite that does the same.
PEERS = {"jax_jet": "taylor", "jet_for_pytorch_standard": "taylor", "folx": "collapsed", "jet_for_pytorch": "collapsed"}


@table("peers", "public libraries against this suite's method that does the same: vectors, time, gradient, memory")
def peers(data: Data) -> Table:
    parts = [paired(data.records, "series", library, ours).assign(ours=ours) for library, ours in PEERS.items()]
    frame = pd.concat(parts) if any(map(len, parts)) else parts[0]
    frame = frame[frame.groupby(["study", "case", "mode", "series"]).x.transform("max") == frame.x]
    frame = labels.ordered(frame)
    named = _case_names(data, frame)
    shown = frame.assign(
        operator=frame.case.map(named),
        package=frame.series.map(labels.series_label),
        counterpart=frame.ours.map(labels.series_label),
        time_low=frame.low,
        time_high=frame.high,
        block=frame.study + " " + frame.case,
    )
    fields = [Field("operator", "Operator", "text"), Field("mode", "Mode", "text"), Field("batch", "Batch", "integer")]
    fields += [Field("package", "Library", "text"), Field("counterpart", "here", "text")]
    fields += [
        Field("vectors", "library", "integer", "Vectors"),
        Field("vectors_partner", "here", "integer", "Vectors"),
    ]
    fields.append(Field("time", "Time", group="Library / here", interval=True))
    fields.append(Field("gradient_time", "with gradient", group="Library / here"))
    fields.append(Field("memory_differentiable", "diff. memory", group="Library / here"))
    fields.append(Field("memory_nondifferentiable", "non-diff. memory", group="Library / here"))
    notes = [f"{data.place} At the largest size that both reached; medians, 95% intervals of the ratios of times."]
    return Table("Public libraries over this suite", fields, shown.reset_index(drop=True), notes, "block")


@table("status", "points that could not be measured, and why")
def status(data: Data) -> Table:
    failed = labels.ordered(data.records[data.records.status != "ok"])
    named = _case_names(data, failed)
    rows = []
    for key, group in failed.groupby(["study", "case", "mode", "series", "status", "reason"], sort=False, dropna=False):
        study, case, mode, series, state, reason = key
        values = ", ".join(f"{value:g}" for value in sorted(group.axis_value))
        row = {"study": study, "operator": named[case], "mode": mode, "method": labels.series_label(series)}
        row |= {
            "status": state,
            "at": f"{group.axis.iloc[0]} {values}",
            "reason": "" if pd.isna(reason) else str(reason),
        }
        rows.append(row | {"block": study})
    names = [("study", "Study"), ("operator", "Operator"), ("mode", "Mode"), ("method", "Method")]
    names += [("status", "Status"), ("at", "At"), ("reason", "Reason")]
    fields = [Field(key, header, "text") for key, header in names]
    counts = data.records.status.value_counts()
    told = ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"
    return Table(
        "Points that were not measured", fields, _frame(rows, fields), [f"{data.place} Points: {told}."], "block"
    )


def _case_names(data: Data, frame: pd.DataFrame) -> dict[str, str]:
    """Case → label; cases of one study are told apart within it."""
    shown = data.records[data.records.case.isin(list(frame.case))]
    return {case: name for _, study in shown.groupby("study") for case, name in labels.case_labels(study).items()}


def _frame(rows: list[dict], fields: list[Field]) -> pd.DataFrame:
    names = [n for f in fields for n in ([f.key, f"{f.key}_low", f"{f.key}_high"] if f.interval else [f.key])]
    return pd.DataFrame(rows, columns=[*names, "block"])
