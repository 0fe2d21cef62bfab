"""A dry run: every point of a config with an estimate of its time and memory, from shapes and assumed speeds alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from rich.table import Table

from jetbench import networks, operators
from jetbench.errors import Unsupported
from jetbench.measure import config as configs
from jetbench.measure.backends import backend_module
from jetbench.measure.case import Case, Curve, Point, modes
from jetbench.measure.progress import duration, size
from jetbench.methods import METHODS
from jetbench.operators.estimators import Estimator
from jetbench.operators.problem import Problem

ITEM_BYTES = {"float64": 8, "float32": 4, "tf32": 4, "bfloat16": 2, "float16": 2}
COMPILE_S = {"eager": 0.0, "compiled": 12.0}
COMPILE_JAX_S = 1.5
START_S = 3.0
COLUMNS = (
    *("study", "axis", "operator", "backend", "method", "mode", "dtype"),
    *("vectors", "TFLOP", "one call", "point", "memory"),
)
MOST_ROWS = 1000  # of a table that is laid out for reading
# A nested evaluation of order K costs about this many plain forward passes per vector that it differentiates along.
NESTED_PASSES = 2.5
OVERHEAD = 1.3


@dataclass(frozen=True)
class Speed:
    """What a device is assumed to do: operations a second by type, and bytes a second."""

    name: str
    flops: Mapping[str, float]
    bandwidth: float
    launch_s: float


RATES = {
    "cpu": {"float64": 5e10, "float32": 1e11, "tf32": 1e11, "bfloat16": 1e11, "float16": 5e10},
    "cuda": {"float64": 3e13, "float32": 4e13, "tf32": 2e14, "bfloat16": 4e14, "float16": 4e14},
}
SPEEDS = {
    "cpu": Speed("2 CPU cores", RATES["cpu"], 1e10, 5e-6),
    "cuda": Speed("one H200", RATES["cuda"], 2e12, 5e-6),
}


@dataclass(frozen=True)
class Estimate:
    """What a point is expected to need.

    Attributes:
        reason: why it will not be measured, if it is unsupported.
        call_s: one evaluation.
        point_s: all of the point: calls, compilation, samples.
        memory_bytes: of an evaluation that keeps its graph.
    """

    curve: str
    point: Point
    vectors: int | None
    reason: str | None
    call_s: float
    point_s: float
    memory_bytes: float
    flops: float


def estimates(curves: Iterable[Curve], config: Mapping[str, Any]) -> list[Estimate]:
    """An estimate for each point of some curves. The backends' methods are asked for their vectors; nothing is run."""
    budget = configs.budget(config)
    sizes: dict[tuple, tuple[int, int]] = {}
    return [_estimate(str(curve), point, budget, sizes) for curve in curves for point in curve.points]


def assumptions(device: str) -> str:
    """One sentence that says what the estimates rest on."""
    speed = SPEEDS[device]
    rates = ", ".join(f"{kind} {rate / 1e12:g}" for kind, rate in speed.flops.items())
    return (
        f"Assumed: {speed.name} with {rates} TFLOP/s and {speed.bandwidth / 1e9:g} GB/s; "
        f"{COMPILE_S['compiled']:g} s to compile a graph ({COMPILE_JAX_S:g} s in JAX), {START_S:g} s to start a curve. "
        "Estimates are for planning; they may be off by a factor of 3."
    )


def table(found: Iterable[Estimate]) -> Table:
    """A row for each point."""
    made = Table(title="Planned measurements", title_justify="left")
    for name in COLUMNS[:7]:
        made.add_column(name, overflow="fold")
    for name in COLUMNS[7:]:
        made.add_column(name, justify="right", no_wrap=True)
    for estimate in found:
        made.add_row(*_row(estimate))
    return made


def lines(found: Iterable[Estimate]) -> Iterator[str]:
    """The table as plain lines with tabs, for so many points that laying it out would take longer than planning."""
    yield "\t".join(COLUMNS)
    for estimate in found:
        yield "\t".join(_row(estimate))


def _row(estimate: Estimate) -> tuple[str, ...]:
    case = estimate.point.case
    estimator = "" if case.samples is None else f", {case.estimator} {case.samples}"
    return (
        estimate.point.study,
        f"{estimate.point.axis}={estimate.point.axis_value:g}",
        f"{case.operator} D={case.dim}{estimator}",
        case.backend,
        f"{case.method} ({case.directions})" if case.directions == "griewank" else case.method,
        case.mode,
        case.dtype,
        "-" if estimate.vectors is None else str(estimate.vectors),
        f"{estimate.flops / 1e12:.3g}",
        duration(estimate.call_s) if estimate.reason is None else "unsupported",
        duration(estimate.point_s),
        size(estimate.memory_bytes),
    )


def summary(found: Sequence[Estimate]) -> str:
    """Number of points and curves, total time, largest memory."""
    largest = max((e.memory_bytes for e in found), default=0)
    total = sum(e.point_s for e in found) + START_S * len({e.curve for e in found})
    return (
        f"{len(found)} points in {len({e.curve for e in found})} curves: about {total / 60:.3g} minutes, at most "
        f"{size(largest)} at once."
    )


def _estimate(curve: str, point: Point, budget: Mapping[str, Any], sizes: dict[tuple, tuple[int, int]]) -> Estimate:
    case = point.case
    vectors, reason = vectors_of(case)
    if case.mode not in modes(case.backend, [case.mode]):
        reason = f"The backend {case.backend} has no mode {case.mode}."
    if reason is not None or vectors is None:
        return Estimate(curve, point, vectors, reason, 0.0, 0.1, 0.0, 0.0)
    key = (case.network, case.dim, case.widths, case.outputs, case.activation)
    if key not in sizes:
        sizes[key] = _network_size(case)
    parameters, width_sum = sizes[key]
    is_nested = case.method in METHODS and METHODS[case.method].is_nested
    passes = vectors * (NESTED_PASSES if is_nested else 1)
    flops = 2.0 * parameters * case.batch * passes
    item = ITEM_BYTES[case.dtype]
    memory = 2.0 * width_sum * case.batch * passes * item
    speed = SPEEDS[case.device]
    launches = 20 * len(case.widths) * speed.launch_s
    call = OVERHEAD * (flops / speed.flops[case.dtype] + 2 * memory / speed.bandwidth) + launches
    with_gradient = configs.has_gradient(budget, case.mode)
    graphs = 2 if with_gradient else 1
    others = 6 + (4 if with_gradient else 0) + (3 if budget["memory"] else 0)
    least = others * call + graphs * (COMPILE_JAX_S if case.backend == "jax" else COMPILE_S[case.mode])
    sampling = min(budget["point_s"], 4 * budget["samples_max"] * max(call, 1e-3))
    return Estimate(curve, point, vectors, None, call, least + sampling, memory, flops)


def vectors_of(case: Case) -> tuple[int | None, str | None]:
    """The vectors of a case's method, and why it is unsupported if it is; found once for all sizes of network."""
    options = json.dumps(dict(case.operator_options), sort_keys=True)
    scheme = case.directions or "polarization"
    problem = (case.operator, case.dim, options, case.estimator, case.samples, scheme)
    return _vectors(case.backend, case.method, operators.REGISTRY.get(case.operator), *problem)


@cache
def _vectors(
    backend: str,
    method: str,
    function: Callable | None,
    operator: str,
    dim: int,
    options: str,
    estimator: str,
    samples: int | None,
    scheme: str,
) -> tuple[int | None, str | None]:
    del function  # part of the key only: another file may mean another operator by the same name
    try:
        made = operators.make(operator, dim=dim, **json.loads(options))
        return backend_module(backend).vectors(method, Problem(made, Estimator(estimator, samples), scheme))
    except (Unsupported, ValueError) as error:
        return None, str(error)


def _network_size(case: Case) -> tuple[int, int]:
    """Entries of the network's matrices, and the sum of the widths that they map from and to."""
    spec = networks.NetworkSpec(
        kind=case.network, dim=case.dim, widths=case.widths, outputs=case.outputs, activation=case.activation
    )
    return sum(rows * columns for rows, columns in spec.layers), sum(columns for _, columns in spec.layers)
