"""Measuring curves into files: one curve for the workflow, or a whole config in slices of time. Both resume."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from jetbench.errors import BackendUnavailable, ConfigError, JetbenchError, unknown
from jetbench.measure import case, changes, devices, lock, machine, machine_file, records
from jetbench.measure.case import Curve, Point
from jetbench.measure.point import blank
from jetbench.measure.progress import Progress
from jetbench.measure.supervisor import OutOfTime, Setup, Supervisor
from jetbench.signals import interruptible

# For so long a device and its worker are kept from curve to curve; then another run that waits for it has its turn.
TURN_S = 300.0


@dataclass
class Result:
    """What became of the points that were asked for.

    Attributes:
        total: points of all curves.
        done: those recorded before.
        measured: status → number of points measured now.
    """

    total: int = 0
    done: int = 0
    measured: dict[str, int] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """Points still without a record."""
        return self.total - self.done - sum(self.measured.values())

    def __str__(self) -> str:
        now = ", ".join(f"{n} {status}" for status, n in sorted(self.measured.items())) or "none"
        return f"{self.total} points: {self.done} recorded before, measured now: {now}; {self.left} left."


class _MeasuredElsewhere(Exception):
    """Another run is measuring the curve, and there may be others to measure in the meantime."""


class _Bench:
    """A held device with a worker on it, kept while curves of one backend follow each other. A context manager.

    To load a framework and wake a GPU takes longer than many a curve, and a worker that waits keeps the GPU's memory:
    so both are held together, and given up together.
    """

    def __init__(self, any_gpu: bool, progress: Progress) -> None:
        self._any_gpu, self._progress = any_gpu, progress
        self._held = ExitStack()
        self._setup: Setup | None = None
        self._supervisor: Supervisor | None = None
        self._until = 0.0

    def __enter__(self) -> _Bench:
        return self

    def __exit__(self, *error: Any) -> None:
        self._held.__exit__(*error)

    def supervisor(self, setup: Setup) -> Supervisor:
        """One that works with a setup on the held device."""
        if self._supervisor is None or setup != self._setup or time.monotonic() >= self._until:
            self._supervisor = None
            self._held.close()
            self._held.enter_context(devices.hold(setup.device, self._any_gpu, self._progress.say))
            self._supervisor = self._held.enter_context(Supervisor(setup, self._progress.stage))
            self._setup, self._until = setup, time.monotonic() + TURN_S
        return self._supervisor


def setups(config: Mapping[str, Any], curves: Iterable[Curve], device: str | None = None) -> dict[str, Setup]:
    """Backend → what its workers are told, for the backends that the curves use."""
    case.check_threads(config.get("threads"), "threads")
    backends = {point.case.backend for curve in curves for point in curve.points}
    return {
        backend: Setup(
            backend,
            device or case.resolve_device(config.get("device", "auto")),
            config.get("threads"),
            config.get("budget") or {},
            config.get("operators_file"),
            config.get("methods_file"),
            every_core=config.get("threads") is None,
        )
        for backend in sorted(backends)
    }


def folder(out: str | Path, device: str, machine_name: str | None = None) -> Path:
    """The folder of this machine's results below `out`.

    Raises:
        ConfigError: the machine's name is not that of one folder.
    """
    if machine_name is not None:
        check_name(machine_name, "--machine-name")
    return Path(out) / (machine_name or machine.name(device))


def check_name(name: str, where: str) -> str:
    """The name of a machine's folder, if it is one that stays below the results on every file system.

    Raises:
        ConfigError: it is not.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name) or name == "published":
        raise ConfigError(
            f"{where} must be the name of a folder: letters, digits, '.', '_' and '-', no dot first, at most 100; "
            f"'published' is taken. Got {name!r}."
        )
    return name


def measure(
    curves: Iterable[Curve],
    config: Mapping[str, Any],
    machine_folder: str | Path,
    progress: Progress,
    device: str | None = None,
    again: str = "never",
    minutes: float | None = None,
    any_gpu: bool = False,
) -> Result:
    """Measure what is missing of some curves and append it to their files below a machine's folder.

    The lock of a curve's file is held while it is measured, that of the device for some minutes: two runs take turns
    on one device, share the curves on two, and measure nothing twice. Where the folder holds records of another kind
    of machine, this one's go into a folder beside it.

    Args:
        again: "never", "failed" or "all": which recorded points are measured once more.
        minutes: stop after so long; the point in progress is given up.
        any_gpu: for each curve take whichever visible GPU is free, rather than the first one.

    Raises:
        Interrupted: SIGINT or SIGTERM; finished points are recorded.
        ConfigError: the config names methods that the backend does not have.
    """
    curves = list(curves)
    machine_folder = Path(machine_folder)
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    result = Result(total=sum(len(curve.points) for curve in curves))
    known: dict[str, Mapping[str, int]] = {}
    with (
        interruptible(lambda: f"Stopped. {result} Run the same command again to go on."),
        _Bench(any_gpu, progress) as bench,
    ):
        setup_of = setups(config, curves, device)
        finished, later = 0, []
        for curve in chain(curves, later):
            first = curve not in later
            if first and lock.is_held(machine_folder / curve.path):
                later.append(curve)
                continue
            setup = setup_of[curve.points[0].case.backend]
            todo = None
            if setup.backend in known:
                found = records.read(machine_folder / curve.path)
                todo = records.remaining(curve.points, found, known[setup.backend], again)
            if todo == []:
                result.done += len(curve.points)
                finished += 1
                progress.finish_curve(curve, finished, len(curves), result)
                continue
            if deadline is not None and time.monotonic() >= deadline:
                break
            try:
                _measure_curve(curve, machine_folder, setup, bench, first, progress, deadline, again, result, known)
            except OutOfTime:
                break
            except _MeasuredElsewhere:
                later.append(curve)
                continue
            finished += 1
            progress.finish_curve(curve, finished, len(curves), result)
    return result


def _measure_curve(
    curve: Curve,
    machine_folder: Path,
    setup: Setup,
    bench: _Bench,
    unless_elsewhere: bool,
    progress: Progress,
    deadline: float | None,
    again: str,
    result: Result,
    known: dict[str, Mapping[str, int]],
) -> None:
    def elsewhere() -> None:
        if unless_elsewhere:
            raise _MeasuredElsewhere
        progress.say(f"Waiting for another run to measure {curve}.")

    supervisor = bench.supervisor(setup)
    try:
        versions = known[setup.backend] = supervisor.hello["versions"]
    except BackendUnavailable as error:
        _leave_out(curve, machine_folder / curve.path, str(error), again, progress, result)
        return
    check_methods(curve.points, versions)
    description = supervisor.hello["machine"]
    folder = _place(machine_folder, description, progress)
    path = folder / curve.path
    with lock.contents(path, elsewhere):
        # Read under the lock: another run may have measured some of it in the meantime.
        todo = records.remaining(curve.points, records.read(path), versions, again)
        result.done += len(curve.points) - len(todo)
        progress.start_curve(curve, len(todo))
        for point in todo:
            if deadline is not None and time.monotonic() >= deadline:
                raise OutOfTime
            record = supervisor.measure(point, deadline)
            if supervisor.hello["machine"]["id"] != description["id"]:
                # The worker was started anew, and what is around it has changed.
                description = supervisor.hello["machine"]
                path = _place(folder, description, progress) / curve.path
            _keep(path, record, point)
            result.measured[record["status"]] = result.measured.get(record["status"], 0) + 1
            progress.finish_point(point, record)


def _place(folder: Path, description: Mapping[str, Any], progress: Progress) -> Path:
    """The folder for records of a machine, which is described there from now on; says what is different from before."""
    found = machine_file.remember(folder, description)
    if found != folder:
        progress.say(f"{folder} holds records of another kind of machine; this one's go to {found}.")
    if (sentence := changes.sentence(machine_file.descriptions(found), description)) is not None:
        progress.say_once(f"{found}: {sentence}")
    return found


def _keep(path: Path, record: Mapping[str, Any], point: Point) -> None:
    try:
        records.append(path, record)
    except OSError as error:
        raise JetbenchError(
            f"{path}: the record of {point.case.label} could not be written ({error.strerror}). Make room or choose "
            "another folder; the same command goes on from there, this point is measured again."
        ) from error


def _leave_out(curve: Curve, path: Path, reason: str, again: str, progress: Progress, result: Result) -> None:
    """Record that a backend is not here. The records name no version of the method, so that the points are measured
    once the backend is there."""
    todo = records.remaining(curve.points, records.read(path), {}, again)
    result.done += len(curve.points) - len(todo)
    progress.start_curve(curve, len(todo))
    for point in todo:
        record = {**blank(point), "status": "unsupported", "reason": reason}
        records.append(path, record)
        result.measured["unsupported"] = result.measured.get("unsupported", 0) + 1
        progress.finish_point(point, record)


def check_methods(points: Iterable[Point], versions: Mapping[str, int]) -> None:
    """Raise a ConfigError if a point names a method that the backend does not have."""
    for point in points:
        if point.case.method not in versions:
            raise ConfigError(unknown(f"{point.case.backend} method", point.case.method, versions))
