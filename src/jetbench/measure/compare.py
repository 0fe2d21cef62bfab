"""One case by several methods and modes, side by side: what `jetbench compare` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich import box
from rich.table import Table

from jetbench import networks
from jetbench.errors import ConfigError, unknown
from jetbench.measure import lock
from jetbench.measure.backends import BACKENDS, backend_module, method_names
from jetbench.measure.case import DTYPES, MODES, Case, Point, facts
from jetbench.measure.case import modes as modes_of
from jetbench.measure.progress import Progress, duration, interval, size
from jetbench.measure.supervisor import Setup, Supervisor
from jetbench.measure.sweep import check_methods
from jetbench.operators import estimators
from jetbench.operators.problem import SCHEMES
from jetbench.signals import interruptible

Record = Mapping[str, Any]


def points(
    common: Mapping[str, Any],
    methods: Sequence[str] | None,
    modes: Sequence[str] | None,
    schemes: Sequence[str],
    backends: Sequence[str] = ("torch",),
) -> list[Point]:
    """One point for each backend, mode and method, and for each scheme where it matters.

    Args:
        common: fields of `Case` that all share; `outputs` may be None, for what the operator needs.
        methods: None for all that each backend has.
        modes: None for the first that each backend has.

    Raises:
        ConfigError: a value is not possible; the message names the allowed ones.
    """
    for mode in modes or ():
        _check("--mode", mode, MODES)
    for backend in backends:
        _check("--backend", backend, BACKENDS)
    for scheme in schemes:
        _check("--directions", scheme, SCHEMES)
    _check("--dtype", common["dtype"], DTYPES)
    case = Case(**{**common, "outputs": common["outputs"] or 1, "method": "nested"})
    order, components = facts(case)
    outputs = common["outputs"] or components or 1
    try:
        estimators.Estimator(case.estimator, case.samples)
        networks.NetworkSpec(case.network, case.dim, case.widths, outputs, case.activation, case.network_seed)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    of_backend = {backend: _methods(backend, methods, backends) for backend in dict.fromkeys(backends)}
    matters = order > 2 and case.estimator == "exact"
    return [
        Point(
            Case(
                **{**common, "outputs": outputs, "backend": backend, "method": method, "mode": mode},
                directions=scheme,
            ),
            axis_value=case.batch,
        )
        for backend in of_backend
        for mode in dict.fromkeys(modes or modes_of(backend))
        for method in of_backend[backend]
        for scheme in (dict.fromkeys(schemes) if matters else (None,))
    ]


def _methods(backend: str, wanted: Sequence[str] | None, backends: Sequence[str]) -> list[str]:
    """The wanted methods, all if none is named; where several backends are compared, only those that this one has.

    Raises:
        ConfigError: a wanted method is in none of the backends.
    """
    known = {each: method_names(each) or tuple(backend_module(each).methods()) for each in backends}
    for method in wanted or ():
        if not any(method in found for found in known.values()):
            raise ConfigError(
                unknown("method", method, dict.fromkeys(name for found in known.values() for name in found))
            )
    return [method for method in dict.fromkeys(wanted or known[backend]) if method in known[backend]]


def _check(flag: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ConfigError(unknown("value", value, allowed, flag))


def measure(
    points: Sequence[Point], setup: Setup, progress: Progress, keep: Callable[[Sequence[Record]], None] | None = None
) -> list[dict[str, Any]]:
    """The records of some points, measured one after the other, those of a backend in one worker.

    Args:
        setup: of every worker, but for its backend.
        keep: called after each point with the records so far, so that an interruption loses none.

    Raises:
        ConfigError: the backend of a point has no such method.
        Interrupted: SIGINT or SIGTERM.
    """
    found: list[dict[str, Any]] = []
    with (
        interruptible(
            lambda: (
                f"Stopped after {len(found)} of {len(points)} measurements, which --json keeps. Run the "
                "same command again to measure all, or with the --methods that are left."
            )
        ),
        lock.device(setup.device, progress.say),
    ):
        progress.start_curve("", len(points))
        for backend in dict.fromkeys(point.case.backend for point in points):
            own = [point for point in points if point.case.backend == backend]
            with Supervisor(replace(setup, backend=backend), progress.stage) as supervisor:
                versions = supervisor.hello["versions"]
                check_methods(own, versions)
                for point in own:
                    versioned = Point(point.case.versioned(versions), point.study, point.axis, point.axis_value)
                    record = supervisor.measure(versioned)
                    found.append(record)
                    if keep is not None:
                        keep(found)
                    progress.finish_point(versioned, record)
    return found


def table(records: Sequence[Record]) -> Table:
    """The comparison, one row a record; ratios to nested are within one backend and mode."""
    first = records[0]
    samples = "" if first["samples"] is None else f", {first['estimator']} with {first['samples']} samples"
    network = f"{first['network']} {first['dim']}-{'-'.join(map(str, first['widths']))}-{first['outputs']}"
    made = Table(
        title=f"{first['operator']} in {first['dim']} dimensions{samples}; {network}, {first['activation']}; "
        f"batch {first['batch']}, {first['dtype']}, {first['device']}",
        caption=_caption(records),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    several = len({r["backend"] for r in records}) > 1
    for name in (*(("backend",) if several else ()), "method", "mode", "status"):
        made.add_column(name, no_wrap=True)
    random = any(r["sampling_error"] is not None for r in records)
    numbers = ["vectors", "time", "95% interval", "/ floor", "/ nested", "gradient", "memory diff.", "non-diff."]
    for name in (*numbers, "error", *(["sampling error"] if random else [])):
        made.add_column(name, justify="right")
    nested = {(r["backend"], r["mode"]): r for r in records if r["method"] == "nested" and r["time_s"]}
    for record in records:
        row = _row(record, nested.get((record["backend"], record["mode"])))
        row += [_error(record["sampling_error"])] if random else []
        made.add_row(*([record["backend"]] if several else []), *row)
    return made


def notes(records: Sequence[Record]) -> list[str]:
    """A line for each reason why a record is not ok and for each warning, with all records that it concerns."""
    concerned: dict[str, list[str]] = {}
    for record in records:
        sentences = [] if record["status"] == "ok" else [f"{record['status']}. {record['reason']}"]
        for sentence in [*sentences, *record["warnings"]]:
            backend = f"{record['backend']} " if len({r["backend"] for r in records}) > 1 else ""
            concerned.setdefault(sentence, []).append(f"{backend}{_series(record)} {record['mode']}")
    return [f"{', '.join(who)}: {sentence}" for sentence, who in concerned.items()]


def _row(record: Record, nested: Record | None) -> list[str]:
    memory = record["peak_memory_bytes"]
    low, high = record["time_interval_s"] or (None, None)
    return [
        _series(record),
        record["mode"],
        record["status"],
        "-" if record["vectors"] is None else str(record["vectors"]),
        duration(record["time_s"]),
        "-" if low is None else interval(low, high),
        _ratio(record["time_over_floor"]),
        _ratio(record["time_s"] / nested["time_s"] if nested and record["time_s"] else None),
        duration(record["gradient_time_s"]),
        size(memory["differentiable"]),
        size(memory["nondifferentiable"]),
        _error(record["relative_error"]),
    ]


def _error(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"


def _series(record: Record) -> str:
    return f"{record['method']} (griewank)" if record["directions"] == "griewank" else record["method"]


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _caption(records: Sequence[Record]) -> str | None:
    floors = {r["backend"]: r for r in reversed(records) if r["floor_s"]}
    if not floors:
        return None
    several = len(floors) > 1
    times = [duration(floors[b]["floor_s"]) + (f" in {b}" if several else "") for b in BACKENDS if b in floors]
    vectors = next(iter(floors.values()))["floor_vectors"]
    told = (
        f"floor: the network's matrix products on {vectors} vectors per datum, {', '.join(times)}. "
        "gradient: operator and gradient of its mean square together."
    )
    if any(r["sampling_error"] is not None for r in records):
        told += " sampling error: root mean square of the estimate's distance from the exact operator, relative to it."
    return told
