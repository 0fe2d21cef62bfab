"""What a run prints at its end: the costs relative to nested, what failed, and where tables and figures are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from jetbench.report import labels
from jetbench.report.data import Data, reference_points


def summary(data: Data, folders: Iterable[tuple[str, Path]] = ()) -> RenderableType:
    """A short comparison: for each case, method and mode the time over nested and over the floor."""
    parts: list[RenderableType] = []
    points = labels.ordered(reference_points(data.records, ("study", "case")))
    if points.empty:
        parts.append(Text("Nothing was measured yet, so there is nothing to compare."))
    else:
        parts.append(_comparison(data, points))
    parts.append(Text(_counts(data.records)))
    parts += [Text(f"{name}: {path}") for name, path in folders if Path(path).exists()]
    return Group(*parts)


def _comparison(data: Data, points: pd.DataFrame) -> RichTable:
    """A block a case, a line a method; narrow enough for 80 columns."""
    modes = labels.ranked(points["mode"], labels.MODES)
    table = RichTable(
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        title=f"Time of one evaluation. {data.place}",
        title_justify="left",
    )
    table.add_column("Case and method")
    table.add_column("Vectors", justify="right", no_wrap=True)
    for mode in modes:
        table.add_column(f"{mode}\n/ nested", justify="right", no_wrap=True)
        table.add_column("\n/ floor", justify="right", no_wrap=True)
    named = labels.case_names(points)
    for (study, case), group in points.groupby(["study", "case"], sort=False):
        axis, value = group.axis.iloc[0], group.axis_value.iloc[0]
        table.add_row(Text(f"{named[case]}, {axis} {value:g}", style="bold"))
        place = data.records[(data.records.study == study) & (data.records.case == case)]
        place = place[place.axis_value == value]
        for series in labels.ranked(place.series, labels.SERIES):
            own = place[place.series == series]
            cells = [cell for mode in modes for cell in _cells(own[own["mode"] == mode])]
            if any(cells):
                vectors = own.vectors.dropna()
                counted = str(vectors.iloc[0]) if len(vectors) else ""
                table.add_row(f"  {labels.series_label(series)}", counted, *cells, style=labels.look(series).terminal)
        table.add_section()
    return table


def _cells(found: pd.DataFrame) -> tuple[str, str]:
    """Time over nested (in ms where nested is missing) and over the floor; the status where it was not measured."""
    if found.empty:
        return "", ""
    row = found.iloc[-1]
    if row.status != "ok":
        return ("", "") if row.status == "unsupported" else (str(row.status), "")
    nested = f"{1e3 * row.time_s:.3g} ms" if pd.isna(row.time_over_nested) else labels.ratio_text(row.time_over_nested)
    return nested, "" if pd.isna(row.time_over_floor) else labels.ratio_text(row.time_over_floor)


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
