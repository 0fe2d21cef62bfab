"""What is printed at the end of a run: the costs relative to nested, what failed, and where tables and figures lie."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from rich.console import Console, Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from jetbench.report import labels
from jetbench.report.tables import Data, reference_points

STYLES = {"nested": "blue", "nested_reverse": "bright_blue", "taylor": "yellow", "collapsed": "green"}


def summary(data: Data, folders: Iterable[tuple[str, Path]] = ()) -> RenderableType:
    """A short comparison: per case and mode the time over nested of each method, and in brackets over the floor."""
    parts: list[RenderableType] = []
    points = labels.ordered(reference_points(data.records))
    if points.empty:
        parts.append(Text("Nothing was measured yet, so there is nothing to compare."))
    else:
        parts.append(_comparison(data, points))
    parts.append(Text(_counts(data.records)))
    for name, path in folders:
        if Path(path).exists():
            parts.append(Text(f"{name}: {path}"))
    return Group(*parts)


def _comparison(data: Data, points: pd.DataFrame) -> RichTable:
    table = RichTable(title=f"Time over nested (over floor). {data.place}", title_justify="left", title_style="bold")
    table.add_column("Operator")
    table.add_column("Mode")
    table.add_column("At", justify="right")
    shown = labels.ranked(points.series, labels.SERIES)
    for series in shown:
        table.add_column(labels.series_label(series), justify="right", style=STYLES.get(series))
    named = {c: n for _, study in points.groupby("study") for c, n in labels.case_labels(study).items()}
    last = None
    for (study, case, mode), group in points.groupby(["study", "case", "mode"], sort=False):
        if last not in (None, case):
            table.add_section()
        at = f"{group.axis.iloc[0]} {group.axis_value.iloc[0]:g}"
        cells = [_cell(group[group.series == series], data.records, study, case, mode, series) for series in shown]
        table.add_row(named[case] if case != last else "", mode, at, *cells)
        last = case
    return table


def _cell(found: pd.DataFrame, records: pd.DataFrame, study: str, case: str, mode: str, series: str) -> str:
    if found.empty:
        same = (
            (records.study == study) & (records.case == case) & (records["mode"] == mode) & (records.series == series)
        )
        states = records[same & (records.status != "ok")].status
        return states.iloc[-1] if len(states) else ""
    row = found.iloc[0]
    floor = "" if pd.isna(row.time_over_floor) else f" ({row.time_over_floor:.2f})"
    if pd.isna(row.time_over_nested):
        return f"{1e3 * row.time_s:.3g} ms{floor}"
    return f"{row.time_over_nested:.2f}{floor}"


def _counts(records: pd.DataFrame) -> str:
    counts = records.status.value_counts()
    ok, others = int(counts.get("ok", 0)), counts.drop("ok", errors="ignore")
    text = f"{ok} of {len(records)} points measured"
    if len(others):
        text += ": " + ", ".join(f"{count} {status}" for status, count in others.items()) + " (see the table `status`)"
    unstable = int((records.stable == False).fillna(False).sum())  # noqa: E712 (a column of three values)
    return text + "." + (f" {unstable} are unstable: run again on an idle machine." if unstable else "")


def show(data: Data, folders: Iterable[tuple[str, Path]] = (), console: Console | None = None) -> None:
    """Print the summary."""
    (console or Console()).print(summary(data, folders))
