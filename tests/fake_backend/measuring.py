"""Adapter of the fake backend. The method's name says what happens when it is called."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import time
from contextlib import suppress

from jetbench.errors import Unsupported
from jetbench.measure.clock import WallClock

VERSIONS = {
    "well": 1,
    "other": 7,
    "hang": 1,
    "hang_in_gradient": 1,
    "wrong": 1,
    "broken": 1,
    "hungry": 1,
    "starved_gradient": 1,
    "segfault": 1,
    "killed": 1,
    "exits": 1,
    "noisy": 1,
    "unable": 1,
    "slow": 1,
    "dies": 1,
    "native_hang": 1,
    "brief": 1,
}
DEATHS = {
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segfault": lambda: ctypes.string_at(0),
    "os._exit": lambda: os._exit(3),
}
CALLS = {1: "compile", 2: "warm-up", 3: "sampling"}  # of `dies`, whose calls are long enough to be timed one by one


def methods():
    return {**VERSIONS, "well": int(os.environ.get("FAKE_VERSION", VERSIONS["well"]))}


def vectors(method, problem):
    return 10, None


def description(device):
    return {"threads": 1, "process": "fake"}


def open_session(device, threads=None):
    return Session()


class Session:
    case = None

    def prepare(self, case):
        self.case = case
        if case.method == "unable":
            raise Unsupported("This method cannot do anything.")
        return Subject(case)

    def is_out_of_memory(self, error):
        return isinstance(error, MemoryError)

    def release(self):
        """The record is made and not yet sent: one that dies in writing leaves half of it in the pipe."""
        if self.case.method == "dies" and self.case.operator_options["at"] == "writing":
            os.write(_events(), b'{"event": "record", "record": {"status": "o')
            DEATHS[self.case.operator_options["by"]]()


def _events():
    """The descriptor that the worker writes its events to: the only pipe beside its standard input."""
    for number in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):
            if number > 2 and os.readlink(f"/proc/self/fd/{number}").startswith("pipe:"):
                return number
    raise OSError("There is no pipe to the supervisor.")


class Subject:
    order = 2
    vectors = 10
    floor_vectors = 10
    has_own_floor = True
    tolerance = 1e-8
    memory_source = "made up"
    network_flops = 100

    def __init__(self, case):
        self.case, self.clock, self.calls = case, WallClock(), 0

    def value(self):
        self.calls += 1
        log = os.environ.get("FAKE_LOG")
        if log:
            with open(log, "a") as stream:
                stream.write(f"{os.getpid()} {self.case.method} {self.case.batch} {self.calls}\n")
        bad_batch = int(os.environ.get("FAKE_BAD_BATCH", self.case.batch))
        if self.case.batch != bad_batch:
            return 1.0
        match self.case.method:
            case "hang":
                time.sleep(600)
            case "dies":
                time.sleep(0.002)
                if CALLS.get(self.calls) == self.case.operator_options["at"]:
                    DEATHS[self.case.operator_options["by"]]()
            case "native_hang":
                ctypes.PyDLL(None).sleep(600)  # PyDLL keeps the interpreter's lock: no thread of this process goes on
            case "brief":
                time.sleep(0.02)
            case "slow":
                time.sleep(0.3)
            case "broken":
                raise ValueError("a rule\nis missing")
            case "hungry":
                resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))
                bytearray(2**32)
            case "segfault":
                ctypes.string_at(0)
            case "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "exits":
                os._exit(3)
            case "noisy":
                print('{"event": "record", "record": {}}', flush=True)
                os.write(1, b"not an event\n")
        return 1.0

    def gradient(self):
        if self.case.method == "hang_in_gradient":
            time.sleep(600)
        if self.case.method == "starved_gradient":
            raise MemoryError("no more")

    def floor(self, vectors):
        return lambda: None

    def relative_error(self, value):
        return 0.5 if self.case.method == "wrong" else 1e-12

    def sampling_error(self):
        return 0.25

    def flops(self):
        return 1000

    def compiler_flops(self):
        return None

    def peak_memory(self, differentiable):
        return 2048 if differentiable else 1024
