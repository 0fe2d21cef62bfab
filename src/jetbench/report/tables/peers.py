"""The table of public libraries beside this suite."""

from __future__ import annotations

import pandas as pd

from jetbench.report import labels
from jetbench.report.costs import paired
from jetbench.report.data import Data
from jetbench.report.registry import table
from jetbench.report.tables.layout import BATCH, MODE, OPERATOR, Field, Table


@table("peers", "public libraries against this suite's method that does the same: vectors, time, gradient, memory")
def peers(data: Data) -> Table:
    parts = [paired(data.records, "series", library, ours).assign(ours=ours) for library, ours in labels.PEERS.items()]
    frame = pd.concat(parts) if any(map(len, parts)) else parts[0]
    frame = frame[frame.groupby(["study", "case", "mode", "series"]).x.transform("max") == frame.x]
    frame = labels.ordered(frame)
    shown = frame.assign(
        operator=frame.case.map(data.named(frame)),
        package=frame.series.map(labels.series_label),
        counterpart=frame.ours.map(labels.series_label),
        time_low=frame.low,
        time_high=frame.high,
        block=frame.study + " " + frame.case,
    )
    group = "Library / here"
    fields = [OPERATOR, MODE, BATCH, Field("package", "Library", "text"), Field("counterpart", "here", "text")]
    fields += [
        Field("vectors", "library", "integer", "Vectors"),
        Field("vectors_partner", "here", "integer", "Vectors"),
    ]
    fields += [Field("time", "Time", group=group, interval=True), Field("gradient_time", "with gradient", group=group)]
    fields += [Field("memory_differentiable", "diff. memory", group=group)]
    fields += [Field("memory_nondifferentiable", "non-diff. memory", group=group)]
    notes = [f"{data.place} At the largest size that both reached; medians, 95% intervals of the ratios of times."]
    return Table("Public libraries over this suite", fields, shown.reset_index(drop=True), notes, "block")
