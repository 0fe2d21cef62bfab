"""The protocol for one point: right before fast, then counts, time next to the floor, gradient and memory.

It runs in the worker's process and turns whatever Python can catch into a record; what kills the process is the
supervisor's concern.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from jetbench.errors import Unsupported
from jetbench.measure import clock, fields, machine, nvidia
from jetbench.measure.case import Point
from jetbench.measure.config import has_gradient
from jetbench.measure.subject import Session, Subject

Stage = Callable[[str, Mapping[str, Any]], None]
Record = dict[str, Any]

GRADIENT_SHARE = 1 / 3  # of a point's budget, where the gradient is timed too


def blank(point: Point) -> Record:
    """A record with the identity and place of a point and nothing measured."""
    return {
        **fields.blank(),
        "key": point.case.key,
        **point.case.identity,
        **point.place,
        "status": "error",
        "reason": "The measurement did not begin.",
        "node": machine.node(),
        "gpu": nvidia.gpu_id() if point.case.device == "cuda" else None,
        "started_at": machine.now(),
    }


def measure(session: Session, point: Point, budget: Mapping[str, Any], stage: Stage) -> Record:
    """Take one point through the protocol.

    Args:
        budget: completed, as `config.budget` returns it.
        stage: called with the name of each stage as it begins and the record so far.

    Returns:
        The record, with a status other than ok and a reason where something failed.
    """
    start = time.perf_counter()
    record = blank(point)
    try:
        _load_warning(record)
        _stages(session, point, budget, stage, record)
    except Unsupported as error:
        record.update(status="unsupported", reason=str(error))
    except Exception as error:
        failed = "oom" if session.is_out_of_memory(error) else "error"
        record.update(status=failed, reason=_reason(error))
        if failed == "error":
            traceback.print_exc(file=sys.stderr)
    record["duration_s"] = time.perf_counter() - start
    return record


def _stages(session: Session, point: Point, budget: Mapping[str, Any], stage: Stage, record: Record) -> None:
    stage("build", record)
    subject = session.prepare(point.case)
    record.update(vectors=subject.vectors, order=subject.order, floor_vectors=subject.floor_vectors)

    stage("first call", record)
    kept: list[Any] = []
    record["first_call_s"] = subject.clock.time(lambda: kept.append(subject.value()))
    stage("value", record)
    record["relative_error"] = error = float(subject.relative_error(kept.pop()))
    if not error <= subject.tolerance:
        record.update(
            status="mismatch",
            reason=f"The value differs from nested AD in float64 by {error:.3g}; up to {subject.tolerance:.3g} is "
            f"right in {point.case.dtype}. It was not timed.",
        )
        return

    stage("counts", record)
    counting_s = subject.clock.time(lambda: kept.append(subject.flops()))
    record.update(flops=kept.pop(), compiler_flops=subject.compiler_flops(), network_flops=subject.network_flops)

    stage("time", record)
    with_gradient = has_gradient(budget, point.case.mode)
    share = 1 - GRADIENT_SHARE if with_gradient else 1.0
    eager = point.case.mode == "eager"
    warm = {"method": counting_s} if eager else {}
    _time(subject, point, budget, share * budget["point_s"], warm, record)
    record.update(status="ok", reason=None)

    if with_gradient:
        stage("gradient", record)
        _extra("gradient", session, record, lambda: _time_gradient(subject, budget, eager, record))
    if budget["memory"]:
        memory = record["peak_memory_bytes"]
        memory["source"] = subject.memory_source
        for kind in ("nondifferentiable", "differentiable"):
            if kind == "differentiable" and budget["gradient"] == "quick" and not with_gradient:
                continue  # it would take the graphs of the gradient
            stage(f"{kind} memory", record)
            _extra(f"{kind} memory", session, record, lambda: _memory(subject, memory, kind))  # noqa: B023
    if point.case.samples is not None:
        stage("sampling error", record)
        _extra("sampling error", session, record, lambda: record.update(sampling_error=subject.sampling_error()))


def _time(
    subject: Subject,
    point: Point,
    budget: Mapping[str, Any],
    budget_s: float,
    warm: Mapping[str, float],
    record: Record,
) -> None:
    """Samples of method, floor and own floor in one loop, and what follows from them."""
    candidates = {"method": subject.value}
    if subject.floor_vectors is not None:
        candidates["floor"] = subject.floor(subject.floor_vectors)
        if subject.has_own_floor and subject.vectors not in (None, subject.floor_vectors):
            candidates["own floor"] = subject.floor(subject.vectors)
    watch = nvidia.GpuWatch() if point.case.device == "cuda" else None
    before = watch and watch.state()
    samples = clock.sample(
        candidates,
        subject.clock,
        budget_s,
        budget["samples_min"],
        budget["samples_max"],
        budget["interval"],
        warm,
        watch and watch.after_round,
    )
    times = samples.seconds["method"]
    record.update(
        time_s=median(times),
        time_interval_s=list(clock.interval_of_median(times)),
        time_min_s=min(times),
        time_samples_s=times,
        stable=samples.settled,
    )
    if not samples.settled:
        record["warnings"].append(_unstable(times, samples.spent_s, budget["interval"]))
    if watch is not None:
        record["device_state"] = {"before": before, "after": watch.state(), "throttled_rounds": watch.throttled_rounds}
        if watch.throttled_rounds:
            record["warnings"].append(
                f"The GPU was throttled in {len(watch.throttled_rounds)} of {watch.rounds} rounds (device_state)."
            )
    _relate_to_floor(subject, samples.seconds, record)


def _unstable(times: list[float], spent_s: float, interval: float) -> str:
    """How well the median is known, and what to do about it."""
    known = f"the median is not known to ± {interval:.1%}"
    if len(times) >= clock.SAMPLES_FOR_INTERVAL:
        low, high = clock.interval_of_median(times)
        known = f"the median is known to ± {(high - low) / 2 / median(times):.1%}, not ± {interval:.1%}"
    return f"Unstable: after {len(times)} samples in {spent_s:.2g} s {known}. Close other programs or raise the budget."


def _relate_to_floor(subject: Subject, seconds: Mapping[str, list[float]], record: Record) -> None:
    floor = seconds.get("floor")
    if floor is None:
        return
    over = clock.ratios(seconds["method"], floor)
    record.update(
        floor_s=median(floor),
        floor_samples_s=floor,
        time_over_floor=median(over),
        time_over_floor_interval=list(clock.interval_of_median(over)),
    )
    if subject.has_own_floor and subject.vectors is not None:
        own = seconds.get("own floor", floor)
        record.update(own_floor_s=median(own), time_over_own_floor=median(clock.ratios(seconds["method"], own)))


def _time_gradient(subject: Subject, budget: Mapping[str, Any], eager: bool, record: Record) -> None:
    first_s = subject.clock.time(subject.gradient)
    samples = clock.sample(
        {"gradient": subject.gradient},
        subject.clock,
        GRADIENT_SHARE * budget["point_s"],
        budget["samples_min"],
        budget["samples_max"],
        budget["interval"],
        {"gradient": first_s} if eager else {},
    )
    times = samples.seconds["gradient"]
    record.update(
        gradient_time_s=median(times),
        gradient_time_interval_s=list(clock.interval_of_median(times)),
        gradient_time_samples_s=times,
    )


def _memory(subject: Subject, memory: Record, kind: str) -> None:
    memory[kind] = int(subject.peak_memory(differentiable=kind == "differentiable"))


def _extra(what: str, session: Session, record: Record, act: Callable[[], None]) -> None:
    """Something measured after the time; if it fails, the time remains valid and a warning gives the reason."""
    try:
        act()
    except Exception as error:
        failed = "out of memory" if session.is_out_of_memory(error) else _reason(error)
        record["warnings"].append(f"No {what}: {failed}")


def _load_warning(record: Record) -> None:
    """Say so if other programs keep the processors busy when a point begins."""
    try:
        running = int(Path("/proc/loadavg").read_text().split()[3].partition("/")[0]) - 1
    except (OSError, ValueError, IndexError):
        return
    cores = os.cpu_count() or 1
    if running >= cores:
        record["warnings"].append("Other programs kept all cores busy when the measurement began.")


def _reason(error: BaseException) -> str:
    """Kind and message of an error in one line of at most 500 characters."""
    message = " ".join(str(error).split())
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return text if len(text) <= 500 else text[:497] + "..."
