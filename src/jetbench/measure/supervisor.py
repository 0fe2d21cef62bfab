"""Runs points in a worker process and sees to it that each ends as a record, whatever becomes of the worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jetbench.errors import BackendUnavailable, JetbenchError
from jetbench.measure import config as configs
from jetbench.measure import point as points
from jetbench.measure.case import Point
from jetbench.measure.process import WorkerProcess

START_LIMIT_S = 300.0


@dataclass(frozen=True)
class Setup:
    """What a worker is told before its first point.

    Attributes:
        threads: CPU threads; None leaves them to the backend and to the environment.
        every_core: with no number of threads, do not listen to the environment either: Snakemake sets
            OMP_NUM_THREADS to the threads of a rule.
    """

    backend: str = "torch"
    device: str = "cpu"
    threads: int | None = None
    budget: Mapping[str, Any] | None = None
    operators_file: str | None = None
    methods_file: str | None = None
    every_core: bool = False


class OutOfTime(Exception):
    """The time given for all points together is over; the point in progress was stopped and is not recorded."""


class Supervisor:
    """A worker process for one setup, started when needed and again after it died. A context manager.

    Args:
        stage: called with a point and the name of each stage it enters.
    """

    def __init__(self, setup: Setup, stage: Callable[[Point, str], None] | None = None) -> None:
        self.setup = setup
        self.budget = configs.budget({"budget": setup.budget or {}})
        self._stage = stage or (lambda point, stage: None)
        self._process: WorkerProcess | None = None
        self._hello: dict[str, Any] | None = None

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()

    @property
    def hello(self) -> dict[str, Any]:
        """What the worker says of itself: `versions` of its methods and its `machine`.

        Raises:
            BackendUnavailable: its framework or device is not there.
            JetbenchError: it cannot be started; the message says why.
        """
        if self._hello is None:
            self._start()
        return self._hello

    def measure(self, point: Point, deadline: float | None = None) -> dict[str, Any]:
        """The record of one point.

        Args:
            deadline: a value of `time.monotonic` at which to stop, whatever is being done.

        Raises:
            OutOfTime: the deadline came first.
        """
        if self._process is None:
            self._start()
        start = time.monotonic()
        limit = configs.limit_s(self.budget)
        so_far = {**points.blank(point), **self._signature()}
        stage = "start"
        self._process.begin()
        try:
            self._process.send({**point.case.identity, **point.place})
        except OSError:
            return self._failed(so_far, start, stage)
        while True:
            until = min(start + limit, deadline if deadline is not None else float("inf"))
            try:
                event = self._process.event(max(0.0, until - time.monotonic()))
            except TimeoutError:
                self.kill()
                if deadline is not None and time.monotonic() >= deadline and start + limit > deadline:
                    raise OutOfTime from None
                reason = f"Stopped after {limit:g} s in the stage {stage!r} (budget.first_call_s + 3 · budget.point_s)."
                return _ended(so_far, "timeout", reason, stage, start)
            if event is None:
                return self._failed(so_far, start, stage)
            if event["event"] == "record":
                return event["record"]
            if event["event"] == "stage":
                stage = event["stage"]
                so_far = {**event["record"], **self._signature()}
                self._stage(point, stage)

    def stop(self) -> None:
        """End the worker: kindly if it is idle, at once if it does not listen."""
        process, self._process = self._process, None
        if process is not None:
            process.stop()

    def kill(self) -> None:
        """End the worker and its children at once."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()

    def _signature(self) -> dict[str, Any]:
        description = self._hello["machine"]
        return {"machine": description["id"], "threads": description["backend"].get("threads")}

    def _start(self) -> None:
        self._process = WorkerProcess("jetbench.measure.worker", self.setup.threads, self.setup.every_core)
        try:
            self._process.send({**self.setup.__dict__, "budget": self.budget})
            event = self._process.event(START_LIMIT_S)
        except (OSError, TimeoutError):
            event = None
        if event is None or event["event"] != "hello":
            tail = self._process.last_words()
            self.kill()
            if event is None:
                raise JetbenchError(f"The measuring process could not be started: {tail or 'it said nothing'}")
            raise (BackendUnavailable if event.get("unavailable") else JetbenchError)(event["message"])
        self._hello = event

    def _failed(self, so_far: dict[str, Any], start: float, stage: str) -> dict[str, Any]:
        """The record of a point in which the worker died."""
        process, self._process = self._process, None
        death = process.death()
        return _ended(
            so_far, "oom" if death.starved else "error", death.reason(f" in the stage {stage!r}"), stage, start
        )


def _ended(record: Mapping[str, Any], status: str, reason: str, stage: str, start: float) -> dict[str, Any]:
    """A record for a point that was ended from outside. What was timed before stands, and a warning tells the rest."""
    record = {**record, "duration_s": time.monotonic() - start}
    if record["status"] == "ok":
        return {**record, "warnings": [*record["warnings"], f"No {stage}: {reason}"]}
    return {**record, "status": status, "reason": reason}
