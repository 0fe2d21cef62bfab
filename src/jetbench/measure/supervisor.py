"""Runs points in a worker process and sees to it that each ends as a record, whatever becomes of the worker."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jetbench.errors import BackendUnavailable, JetbenchError
from jetbench.measure import config as configs
from jetbench.measure import point as points
from jetbench.measure.case import Point

START_LIMIT_S = 300.0
_MEMORY_WORDS = ("bad_alloc", "out of memory", "cannot allocate memory", "can't allocate memory", "memoryerror")


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


# The C library gives large blocks back to the system when they are freed and has every page mapped and cleared again in
# the next call. That would be timed, and differs with sizes; GPU allocators keep memory for the same reason.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 33)}


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
        self._process: subprocess.Popen[str] | None = None
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._hello: dict[str, Any] | None = None
        self._stderr: Any = None

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
        kills = _kernel_kills()
        try:
            self._send({**point.case.identity, **point.place})
        except OSError:
            return self._failed(so_far, start, stage, kills)
        while True:
            until = min(start + limit, deadline if deadline is not None else float("inf"))
            try:
                event = self._events.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                self._kill()
                if deadline is not None and time.monotonic() >= deadline and start + limit > deadline:
                    raise OutOfTime from None
                reason = f"Stopped after {limit:g} s in the stage {stage!r} (budget.first_call_s + 3 · budget.point_s)."
                return _ended(so_far, "timeout", reason, stage, start)
            if event is None:
                return self._failed(so_far, start, stage, kills)
            if event["event"] == "record":
                return event["record"]
            if event["event"] == "stage":
                stage = event["stage"]
                so_far = {**event["record"], **self._signature()}
                self._stage(point, stage)

    def stop(self) -> None:
        """End the worker: kindly if it is idle, at once if it does not listen."""
        if self._process is None:
            return
        try:
            self._send({"quit": True})
            self._process.stdin.close()
            self._process.wait(timeout=2)
        except (OSError, subprocess.TimeoutExpired):
            pass
        self._kill()

    def kill(self) -> None:
        """End the worker and its children at once."""
        self._kill()

    def _signature(self) -> dict[str, Any]:
        description = self._hello["machine"]
        return {"machine": description["id"], "threads": description["backend"].get("threads")}

    def _start(self) -> None:
        environment = KEEP_MEMORY | dict(os.environ)
        source = str(Path(__file__).resolve().parents[2])
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [source, environment.get("PYTHONPATH")]))
        if self.setup.threads is not None:
            environment["OMP_NUM_THREADS"] = str(self.setup.threads)
        elif self.setup.every_core:
            for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
                environment.pop(variable, None)
        self._stderr = tempfile.TemporaryFile(mode="w+b")  # noqa: SIM115
        self._process = subprocess.Popen(
            # -P: a file in the working directory that is called like a module is not taken for it.
            [sys.executable, "-P", "-m", "jetbench.measure.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=environment,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        self._events = queue.Queue()
        threading.Thread(target=_listen, args=(self._process, self._events), daemon=True).start()
        try:
            self._send({**self.setup.__dict__, "budget": self.budget})
            event = self._events.get(timeout=START_LIMIT_S)
        except (OSError, queue.Empty):
            event = None
        if event is None or event["event"] != "hello":
            tail = self._last_words()
            self._kill()
            if event is None:
                raise JetbenchError(f"The measuring process could not be started: {tail or 'it said nothing'}")
            raise (BackendUnavailable if event.get("unavailable") else JetbenchError)(event["message"])
        self._hello = event

    def _send(self, content: Mapping[str, Any]) -> None:
        self._process.stdin.write(json.dumps(content) + "\n")
        self._process.stdin.flush()

    def _failed(self, so_far: dict[str, Any], start: float, stage: str, kills: int) -> dict[str, Any]:
        """The record of a point in which the worker died."""
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            code = -signal.SIGKILL
        words = self._last_words()
        self._kill()
        how = f"was ended by {_signal_name(-code)}" if code < 0 else f"ended with status {code}"
        reason = f"The measuring process {how} in the stage {stage!r}" + (f": {words}" if words else ".")
        starved = (code == -signal.SIGKILL and _kernel_kills() > kills) or any(
            w in words.lower() for w in _MEMORY_WORDS
        )
        return _ended(so_far, "oom" if starved else "error", reason, stage, start)

    def _last_words(self) -> str:
        """The last line that the worker wrote to its standard error."""
        try:
            self._stderr.seek(0, os.SEEK_END)
            self._stderr.seek(max(0, self._stderr.tell() - 4000))
            lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        except (OSError, ValueError):
            return ""
        return lines[-1].strip()[:400] if lines else ""

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout, self._stderr):
            with suppress(OSError):
                stream.close()


def _ended(record: Mapping[str, Any], status: str, reason: str, stage: str, start: float) -> dict[str, Any]:
    """A record for a point that was ended from outside. What was timed before stands, and a warning tells the rest."""
    record = {**record, "duration_s": time.monotonic() - start}
    if record["status"] == "ok":
        return {**record, "warnings": [*record["warnings"], f"No {stage}: {reason}"]}
    return {**record, "status": status, "reason": reason}


def _listen(process: subprocess.Popen[str], events: queue.Queue[dict[str, Any] | None]) -> None:
    """Pass on what a worker says until it ends; then None."""
    try:
        for line in process.stdout:
            try:
                events.put(json.loads(line))
            except json.JSONDecodeError:
                break
    except ValueError:
        pass
    events.put(None)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _kernel_kills() -> int:
    """How many processes the kernel has killed for memory since it started."""
    try:
        with open("/proc/vmstat") as stream:
            return next((int(line.split()[1]) for line in stream if line.startswith("oom_kill ")), 0)
    except OSError:
        return 0
