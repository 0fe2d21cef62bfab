"""The columns of the collected table: those that follow from a record's fields, and those that the report adds.

`collect` fills exactly these columns, and writes `document()` beside the table as COLUMNS.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from jetbench.measure.fields import FIELDS, Field

DTYPES = {"text": "string", "integer": "Int64", "number": "float64", "flag": "boolean"}
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """One column: `kind` is a key of `DTYPES`; `value` reads it from a record, None where `collect` computes it."""

    name: str
    kind: str
    unit: str
    meaning: str
    shown: bool = False
    value: Callable[[Record], Any] | None = None


def _of_field(field: Field) -> Iterator[Column]:
    """The columns that hold a field: one, two ends of an interval, a count of samples, one for each known entry."""
    name, unit, meaning, shown = field.name, field.unit, field.meaning, field.shown
    if field.kind == "interval":
        for place, (end, word) in enumerate((("low", "lower"), ("high", "upper"))):
            column = name.replace("_interval", f"_{end}")
            yield Column(column, "number", unit, f"{word} end of the {meaning}", shown, _part(name, place))
    elif field.kind == "samples":
        column, told = name.replace("_samples_s", "_count"), f"number of {meaning} (the JSON Lines files contain all)"
        yield Column(column, "integer", "", told, shown, lambda record: len(record.get(name) or []) or None)
    elif field.kind == "list":
        separator = "-" if name == "widths" else "; "
        told = f"{meaning}, joined by {separator.strip()}"
        yield Column(
            name, "text", unit, told, shown, lambda record: separator.join(map(str, record.get(name) or [])) or None
        )
    elif field.entries:
        stem = name.removeprefix("peak_").removesuffix("_bytes")
        for entry in field.entries:
            column = f"{stem}_{entry.name}{'_bytes' if entry.unit == 'B' else ''}"
            yield Column(column, entry.kind, entry.unit, entry.meaning, entry.shown, _part(name, entry.name))
    elif field.kind == "mapping":
        yield Column(name, "text", unit, f"{meaning}, as JSON", shown, lambda record: _json(record.get(name)))
    else:
        yield Column(name, field.kind, unit, meaning, shown, lambda record: record.get(name))


def _part(name: str, key: Any) -> Callable[[Record], Any]:
    def value(record: Record) -> Any:
        found = record.get(name)
        return found.get(key) if isinstance(found, Mapping) else found[key] if found else None

    return value


def _json(value: Any) -> str:
    return json.dumps(value or {}, sort_keys=True)


#: Fields that are not columns of the same name: `collect` translates the first, the second is not used.
_LEFT_OUT = ("machine", "device_state")
PLACE = [
    Column("machine", "text", "", "folder of results that contains the record; machines are never combined", True),
    Column("machine_id", "text", "", FIELDS["machine"].meaning, value=lambda record: record.get("machine")),
    Column("hardware", "text", "", "name of the GPU, or of the CPU, that did the work"),
    Column("series", "text", "", "method, with _griewank appended for the paper's directions; a curve in a figure"),
    Column("case", "text", "", "everything that is the same along a curve except method, directions and mode"),
    Column("x", "number", "", "position on the x-axis as plotted: axis_value, or rank over dimension on the axis rank"),
    Column("rank_ratio", "number", "", "rank of the coefficient matrix over dim; 1 for full rank, empty without one"),
]
DERIVED = [
    Column("flops_over_network", "number", "", "flops over network_flops"),
    Column("time_over_nested", "number", "", "time over that of nested: same place, machine, mode and case", True),
    Column("time_over_nested_low", "number", "", "lower end of its 95% interval: logarithmic distances in quadrature"),
    Column("time_over_nested_high", "number", "", "upper end of that interval"),
    Column("gradient_time_over_nested", "number", "", "gradient time over that of nested"),
    Column("memory_differentiable_over_nested", "number", "", "differentiable memory over that of nested"),
    Column("memory_nondifferentiable_over_nested", "number", "", "non-differentiable memory over that of nested"),
    Column("source", "text", "", "JSON Lines file of the record, relative to the folder of results"),
]
RECORDED = [column for name, field in FIELDS.items() if name not in _LEFT_OUT for column in _of_field(field)]
COLUMNS: list[Column] = [*PLACE, *RECORDED, *DERIVED]
NAMES: list[str] = [column.name for column in COLUMNS]
SHOWN: list[str] = [column.name for column in COLUMNS if column.shown]


def row(record: Record) -> dict[str, Any]:
    """The values of all columns that a record alone determines."""
    return {column.name: column.value(record) for column in COLUMNS if column.value is not None}


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with exactly the documented columns, in order and with their types; missing ones are empty."""
    frame = frame.reindex(columns=NAMES)
    for column in COLUMNS:
        values = frame[column.name]
        if column.kind == "number":
            frame[column.name] = _finite(values)
        elif column.kind == "integer":
            numbers = _finite(values).round()
            # Double precision does not represent all larger integers.
            frame[column.name] = numbers.where(numbers.abs() < 2**53).astype("Int64")
        else:
            frame[column.name] = values.astype(DTYPES[column.kind])
    return frame


def _finite(values: pd.Series) -> pd.Series:
    """Finite numbers; empty for everything else."""
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    return numbers.where(np.isfinite(numbers))


def document() -> str:
    """COLUMNS.md: the data dictionary as Markdown."""
    lines = [
        "# Columns of the collected table",
        "",
        "One row a measured point. The same table as Parquet (`records.parquet`) and CSV (`records.csv`).",
        "Times are in seconds, memory in bytes, ratios plain numbers; empty means not measured or not applicable.",
        "",
        "| column | type | unit | meaning |",
        "| --- | --- | --- | --- |",
    ]
    lines += [f"| `{c.name}` | {c.kind} | {c.unit} | {c.meaning.replace('|', '/')} |" for c in COLUMNS]
    return "\n".join(lines) + "\n"
