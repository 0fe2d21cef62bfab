"""Tables of points: every operator and method at one size, with vectors, operations, time, memory and error."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from jetbench.report import labels
from jetbench.report.data import Data, reference_points
from jetbench.report.registry import table
from jetbench.report.tables.layout import BATCH, METHOD, MODE, OPERATOR, Field, Table

SAMPLES = Field("samples", "Samples", "integer")
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
    return _table(data, "Operators: cost of each method", reference_points(data.records), [BATCH, SAMPLES, METHOD])


@table("rewrite", "the compiler pass: operations and time before it, after it, and of the scheme derived by hand")
def rewrite(data: Data) -> Table:
    frame = data.records[data.records.series.isin(labels.REWRITTEN)]
    done = frame[frame.series.str.endswith("_rewrite") & (frame.status == "ok")]
    frame = reference_points(frame[frame.study.isin(done.study) & frame.case.isin(done.case)])
    title = "The compiler pass: before (standard Taylor), after, and by hand"
    return _table(data, title, frame, [BATCH, SAMPLES, METHOD])


@table("dimension", "cost against the dimension D: vectors, operations, time, memory, error")
def dimension(data: Data) -> Table:
    frame = data.ok[data.ok.axis == "dimension"].sort_values("dim", kind="stable")
    by = ["study", "backend", "operator", "case", "mode", "dim", "series"]
    return _table(data, "Cost against the dimension", frame, [Field("dim", "D", "integer"), BATCH, METHOD], by)


def _table(
    data: Data, title: str, frame: pd.DataFrame, fields: list[Field], by: Sequence[str] = labels.READING
) -> Table:
    """One row a point, in the order of the columns `by`."""
    frame = labels.ordered(frame, by)
    shown = frame.assign(
        operator=frame.case.map(data.named(frame)),
        method=frame.series.map(labels.series_label),
        over_floor_vectors=frame.vectors.astype("float64") / frame.floor_vectors.astype("float64"),
        **{f"time_ms{end}": 1e3 * frame[f"time{end}_s"] for end in ("", "_low", "_high")},
        memory_differentiable_mib=frame.memory_differentiable_bytes / 2**20,
        memory_nondifferentiable_mib=frame.memory_nondifferentiable_bytes / 2**20,
        block=frame.study + " " + frame.case + " " + frame["mode"] + " " + frame.axis_value.astype("string"),
    )
    notes = [
        f"{data.place} Medians with 95% intervals; the floor is the network's matrix products on the fewest vectors."
    ]
    fields = [OPERATOR, MODE, *fields, *COST_FIELDS]
    return Table(title, fields, shown.reset_index(drop=True), notes, "block")
