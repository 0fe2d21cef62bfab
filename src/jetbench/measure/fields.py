"""The fields of a record: name, type, unit and meaning of each, once.

The blank record, the checks on reading, the columns of the collected table and its data dictionary follow from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

STATUSES = ("ok", "oom", "timeout", "error", "mismatch", "unsupported")
TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "integer": (int, float),
    "number": (int, float),
    "flag": (bool,),
    "list": (list,),
    "samples": (list,),
    "interval": (list,),
    "mapping": (dict,),
}


@dataclass(frozen=True)
class Field:
    """One field of a record.

    Attributes:
        kind: a key of `TYPES`; `samples` is a list of numbers, `interval` a pair of them.
        unit: "" for what has none.
        part: identity (what defines the case), place (where the point belongs in a study), result or run.
        shown: whether overviews such as the table of the HTML report show it.
        entries: of a mapping with known keys, what these are.
    """

    name: str
    kind: str
    unit: str
    meaning: str
    part: str = "result"
    shown: bool = False
    entries: tuple[Field, ...] = ()

    @property
    def empty(self) -> Any:
        """The value of the field before anything was measured."""
        if self.kind in ("list", "samples"):
            return []
        return {entry.name: None for entry in self.entries} or None


SHOWN = True
_MEMORY = (
    Field("differentiable", "number", "B", "peak memory with the graph for parameter gradients kept", shown=SHOWN),
    Field("nondifferentiable", "number", "B", "peak memory without a graph", shown=SHOWN),
    Field("source", "text", "", "what counted the memory"),
)


def _fields(part: str, *rows: tuple) -> list[Field]:
    return [Field(*row[:4], part, *row[4:]) for row in rows]


#: In the order in which they are written.
FIELDS: dict[str, Field] = {
    each.name: each
    for each in [
        *_fields("run", ("key", "text", "", "hash of the identity: equal for measurements of the same case")),
        *_fields(
            "identity",
            ("operator", "text", "", "name of the operator", SHOWN),
            ("dim", "integer", "", "number D of input coordinates", SHOWN),
            ("method", "text", "", "how the derivatives are obtained", SHOWN),
            ("backend", "text", "", "torch or jax", SHOWN),
            ("operator_options", "mapping", "", "arguments of the operator"),
            ("estimator", "text", "", "exact, normal, rademacher or coordinate", SHOWN),
            ("samples", "integer", "", "number of random directions; empty where exact", SHOWN),
            ("method_version", "integer", "", "version of the method's implementation"),
            ("directions", "text", "", "scheme of the directions where it matters: exact above degree 2", SHOWN),
            ("network", "text", "", "kind of network", SHOWN),
            ("widths", "list", "", "widths of the hidden layers", SHOWN),
            ("activation", "text", "", "elementwise function between layers"),
            ("outputs", "integer", "", "number of network outputs"),
            ("network_seed", "integer", "", "seed of the network's weights"),
            ("mode", "text", "", "eager or compiled", SHOWN),
            ("dtype", "text", "", "floating-point type", SHOWN),
            ("batch", "integer", "", "number of points x evaluated together", SHOWN),
            ("device", "text", "", "cpu or cuda"),
        ),
        *_fields(
            "place",
            ("study", "text", "", "study that the point belongs to", SHOWN),
            ("axis", "text", "", "x-axis of the study: batch, samples, rank, width, depth or dimension", SHOWN),
            ("axis_value", "number", "", "position on the x-axis as configured", SHOWN),
        ),
        *_fields(
            "result",
            ("status", "text", "", f"{', '.join(STATUSES[:-1])} or {STATUSES[-1]}", SHOWN),
            ("reason", "text", "", "why the status is not ok, in a sentence", SHOWN),
            ("vectors", "integer", "", "vectors of layer width pushed through each linear layer, per datum", SHOWN),
            ("order", "integer", "", "degree K of the operator's symbol"),
            ("time_s", "number", "s", "median time of one evaluation", SHOWN),
            ("time_interval_s", "interval", "s", "95% interval of time_s", SHOWN),
            ("time_min_s", "number", "s", "fastest sample"),
            ("time_samples_s", "samples", "s", "timed samples of one evaluation"),
            ("stable", "flag", "", "whether the interval is as narrow as asked for", SHOWN),
            ("warnings", "list", "", "what may have disturbed the measurement", SHOWN),
            ("first_call_s", "number", "s", "time of the first call, tracing and compilation included"),
            ("floor_vectors", "integer", "", "smallest known number of vectors for the operator"),
            ("floor_s", "number", "s", "median time of the network's matrix products alone, on floor_vectors vectors"),
            ("floor_samples_s", "samples", "s", "timed samples of the floor, interleaved with those of the evaluation"),
            ("time_over_floor", "number", "", "median of the paired ratios of time to floor", SHOWN),
            ("time_over_floor_interval", "interval", "", "95% interval of time_over_floor"),
            ("own_floor_s", "number", "s", "the floor with the method's own number of vectors"),
            ("time_over_own_floor", "number", "", "ratio of time to own_floor_s: the share outside matrix products"),
            (
                "gradient_time_s",
                "number",
                "s",
                "median time of the operator and the parameter gradient of its mean square",
                SHOWN,
            ),
            ("gradient_time_interval_s", "interval", "s", "95% interval of gradient_time_s"),
            ("gradient_time_samples_s", "samples", "s", "timed samples of the operator with the gradient"),
            ("peak_memory_bytes", "mapping", "B", "peak memory of one evaluation", False, _MEMORY),
            (
                "flops",
                "number",
                "",
                "floating-point operations of the matrix products and convolutions of one evaluation",
                SHOWN,
            ),
            ("compiler_flops", "number", "", "all floating-point operations of one evaluation as XLA counts them"),
            ("network_flops", "number", "", "floating-point operations of a forward pass on the same batch"),
            ("relative_error", "number", "", "largest deviation from nested derivatives in float64, relative", SHOWN),
            (
                "sampling_error",
                "number",
                "",
                "root-mean-square deviation of the random estimate from the exact operator, relative",
            ),
            ("device_state", "mapping", "", "state of the GPU before and after the samples"),
        ),
        *_fields(
            "run",
            ("machine", "text", "", "hash of the machine description in machine.json"),
            ("node", "text", "", "name of the machine in its network: which of several equal nodes it was"),
            ("gpu", "text", "", "UUID of the GPU that did the work"),
            ("started_at", "text", "", "start of the measurement, ISO 8601, UTC", SHOWN),
            ("duration_s", "number", "s", "wall time that the point took altogether"),
            ("threads", "integer", "", "threads that the backend was given"),
        ),
    ]
}


def blank() -> dict[str, Any]:
    """A record of which nothing is known."""
    return {name: field.empty for name, field in FIELDS.items()}


def of_kind(kind: str) -> list[str]:
    """Names of the fields of one kind."""
    return [name for name, field in FIELDS.items() if field.kind == kind]


def of_part(part: str) -> list[str]:
    """Names of the fields of one part."""
    return [name for name, field in FIELDS.items() if field.part == part]
