"""The data dictionary of the collected table: every column with its type, unit and meaning.

`collect` fills exactly these columns in this order, and writes `document()` beside the table as COLUMNS.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

DTYPES = {"text": "string", "integer": "Int64", "number": "float64", "flag": "boolean"}


@dataclass(frozen=True)
class Column:
    """One column: `kind` is text, integer, number or flag; `unit` is "" for what has none."""

    name: str
    kind: str
    unit: str
    meaning: str


def _group(kind: str, *rows: tuple[str, str, str]) -> list[Column]:
    return [Column(name, kind, unit, meaning) for name, unit, meaning in rows]


PLACE = [
    *_group(
        "text",
        ("machine", "", "folder under results/ that the record was read from; rows of two machines are never combined"),
        ("machine_id", "", "hash of the machine description that the record points to"),
        ("hardware", "", "name of the GPU, or of the CPU, that did the work"),
        ("node", "", "name of the machine in its network: which of several equal nodes it was"),
        ("gpu", "", "UUID of the GPU that did the work"),
        ("study", "", "study that the point belongs to"),
        ("axis", "", "x-axis of the study: batch, samples, rank, width, depth or dimension"),
    ),
    *_group(
        "number",
        ("axis_value", "", "position on the x-axis as configured"),
        (
            "x",
            "",
            "position on the x-axis as plotted and fitted: axis_value, but rank over dimension where the axis is rank",
        ),
    ),
    *_group("text", ("case", "", "everything that is the same along a curve except method, directions and mode")),
]

IDENTITY = [
    *_group(
        "text",
        ("key", "", "hash that identifies the point"),
        ("backend", "", "torch or jax"),
        ("operator", "", "name in the operator zoo"),
        ("operator_options", "", "arguments of the operator as JSON"),
    ),
    *_group(
        "integer",
        ("dim", "", "number D of input coordinates"),
        ("order", "", "degree K of the operator's symbol"),
    ),
    *_group(
        "number", ("rank_ratio", "", "rank of the coefficient matrix over dim; 1 where it is full, empty without one")
    ),
    *_group("text", ("estimator", "", "exact, normal, rademacher or coordinate")),
    *_group("integer", ("samples", "", "number of random directions; empty where exact")),
    *_group(
        "text",
        ("method", "", "how the derivatives are obtained"),
        ("directions", "", "scheme of the directions where it matters: exact Taylor methods above degree 2"),
        ("series", "", "method, with _griewank appended for the paper's directions; one curve in a figure"),
        ("mode", "", "eager or compiled"),
    ),
    *_group("integer", ("method_version", "", "version of the method's implementation")),
    *_group(
        "text",
        ("dtype", "", "floating-point type"),
        ("network", "", "kind of network"),
        ("widths", "", "widths of the hidden layers, joined by -"),
        ("activation", "", "elementwise function between layers"),
    ),
    *_group(
        "integer",
        ("outputs", "", "number of network outputs"),
        ("network_seed", "", "seed of the network's weights"),
        ("batch", "", "number of points x evaluated together"),
    ),
    *_group("text", ("device", "", "cpu or cuda")),
    *_group("integer", ("threads", "", "threads that the backend was given")),
]

RESULTS = [
    *_group(
        "text",
        ("status", "", "ok, oom, timeout, error, mismatch or unsupported"),
        ("reason", "", "why the status is not ok, in a sentence"),
    ),
    *_group(
        "integer",
        ("vectors", "", "vectors of layer width pushed through each linear layer, per datum"),
        ("floor_vectors", "", "smallest known number of vectors for the operator"),
    ),
    *_group(
        "number",
        ("time_s", "s", "median time of one evaluation"),
        ("time_low_s", "s", "lower end of the 95% interval of that median"),
        ("time_high_s", "s", "upper end of the 95% interval of that median"),
        ("time_min_s", "s", "fastest sample"),
    ),
    *_group("integer", ("time_count", "", "number of timed samples (all are kept in the JSON Lines files)")),
    *_group("flag", ("stable", "", "whether the interval is as narrow as asked for")),
    *_group("text", ("warnings", "", "what may have disturbed the measurement, joined by ;")),
    *_group(
        "number",
        ("first_call_s", "s", "time of the first call, tracing and compilation included"),
        (
            "floor_s",
            "s",
            "median time of only the network's matrix products on floor_vectors vectors, interleaved with time_s",
        ),
        ("time_over_floor", "", "median of the paired ratios of time to floor"),
        ("time_over_floor_low", "", "lower end of its 95% interval"),
        ("time_over_floor_high", "", "upper end of its 95% interval"),
        ("own_floor_s", "s", "the floor with the method's own number of vectors"),
        ("time_over_own_floor", "", "ratio of time to that floor: what the method spends outside matrix products"),
        ("gradient_time_s", "s", "median time of the operator and the gradient of its mean square in the parameters"),
        ("gradient_time_low_s", "s", "lower end of the 95% interval of that median"),
        ("gradient_time_high_s", "s", "upper end of the 95% interval of that median"),
        ("memory_differentiable_bytes", "B", "peak memory with the graph for parameter gradients kept"),
        ("memory_nondifferentiable_bytes", "B", "peak memory without a graph"),
    ),
    *_group("text", ("memory_source", "", "what counted the memory")),
    *_group(
        "number",
        ("flops", "", "floating-point operations of the matrix products and convolutions of one evaluation"),
        ("compiler_flops", "", "all floating-point operations of one evaluation as its compiler (XLA) counts them"),
        ("network_flops", "", "floating-point operations of one forward pass of the network on the same batch"),
        ("relative_error", "", "largest deviation from nested derivatives in float64, relative"),
        ("sampling_error", "", "root-mean-square deviation of the random estimate from the exact operator, relative"),
    ),
]

DERIVED = _group(
    "number",
    ("flops_over_network", "", "flops over network_flops"),
    ("time_over_nested", "", "time over that of nested at the same place, same machine, mode and case"),
    (
        "time_over_nested_low",
        "",
        "lower end of its 95% interval (logarithmic distances of both times added in quadrature)",
    ),
    ("time_over_nested_high", "", "upper end of that interval"),
    ("gradient_time_over_nested", "", "gradient time over that of nested"),
    ("memory_differentiable_over_nested", "", "differentiable memory over that of nested"),
    ("memory_nondifferentiable_over_nested", "", "non-differentiable memory over that of nested"),
)

RUN = [
    *_group("text", ("started_at", "", "start of the measurement, ISO 8601, UTC")),
    *_group("number", ("duration_s", "s", "wall time that the point took altogether")),
    *_group("text", ("source", "", "JSON Lines file that the record was read from, relative to the results folder")),
]

COLUMNS: list[Column] = [*PLACE, *IDENTITY, *RESULTS, *DERIVED, *RUN]
NAMES: list[str] = [column.name for column in COLUMNS]


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with exactly the documented columns, in order and with their types; missing ones are empty."""
    frame = frame.reindex(columns=NAMES)
    for column in COLUMNS:
        values = frame[column.name]
        if column.kind == "number":
            frame[column.name] = _finite(values)
        elif column.kind == "integer":
            numbers = _finite(values).round()
            # Larger ones are no whole numbers any more in double precision.
            frame[column.name] = numbers.where(numbers.abs() < 2**53).astype("Int64")
        else:
            frame[column.name] = values.astype(DTYPES[column.kind])
    return frame


def _finite(values: pd.Series) -> pd.Series:
    """Numbers; empty where something else stands, infinity included."""
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
