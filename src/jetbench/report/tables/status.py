"""The table of points that could not be measured."""

from __future__ import annotations

import pandas as pd

from jetbench.report import labels
from jetbench.report.data import Data
from jetbench.report.registry import table
from jetbench.report.tables.layout import METHOD, MODE, OPERATOR, Field, Table


@table("status", "points that could not be measured, and why")
def status(data: Data) -> Table:
    failed = labels.ordered(data.records[data.records.status != "ok"])
    named = data.named(failed)
    rows = []
    for key, group in failed.groupby(["study", "case", "mode", "series", "status", "reason"], sort=False, dropna=False):
        study, case, mode, series, state, reason = key
        values = ", ".join(f"{value:g}" for value in sorted(group.axis_value))
        row = {"study": study, "operator": named[case], "mode": mode, "method": labels.series_label(series)}
        row |= {"status": state, "at": f"{group.axis.iloc[0]} {values}", "block": study}
        rows.append(row | {"reason": "" if pd.isna(reason) else str(reason)})
    fields = [Field("study", "Study", "text"), OPERATOR, MODE, METHOD, Field("status", "Status", "text")]
    fields += [Field("at", "At", "text"), Field("reason", "Reason", "text")]
    counts = data.records.status.value_counts()
    told = ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"
    return Table.of("Points that were not measured", fields, rows, [f"{data.place} Points: {told}."])
