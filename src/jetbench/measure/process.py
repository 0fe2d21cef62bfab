"""Processes that work for this one: they read JSON lines, write events as JSON lines, and end with it."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The C library gives large blocks back to the system when they are freed and has every page mapped and cleared again in
# the next call. That would be timed, and differs with sizes; GPU allocators keep memory for the same reason.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 33)}
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_MEMORY_WORDS = ("bad_alloc", "out of memory", "cannot allocate memory", "can't allocate memory", "memoryerror")


@dataclass(frozen=True)
class Death:
    """How a process ended.

    Attributes:
        how: "was ended by SIGKILL" or "ended with status 1".
        words: the last line that it wrote to its standard error.
        starved: whether it ended for lack of memory.
    """

    how: str
    words: str
    starved: bool

    def reason(self, where: str = "") -> str:
        """A sentence, with the place where it happened, such as " in the stage 'time'"."""
        return f"The measuring process {self.how}{where}" + (f": {self.words}" if self.words else ".")


class WorkerProcess:
    """`python -m MODULE` with its children in a session of its own.

    Args:
        threads: CPU threads; None leaves them to the environment.
        every_core: with no number of threads, do not listen to the environment either: Snakemake sets
            OMP_NUM_THREADS to the threads of a rule.
    """

    def __init__(self, module: str, threads: int | None = None, every_core: bool = False) -> None:
        self._kills = _kernel_kills()
        self._stderr = tempfile.TemporaryFile(mode="w+b")  # noqa: SIM115
        self._process = subprocess.Popen(
            # -P: a file in the working directory that is called like a module is not taken for it.
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=_environment(threads, every_core),
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def send(self, content: Mapping[str, Any]) -> None:
        """Write a line to it.

        Raises:
            OSError: it does not read any more.
        """
        self._process.stdin.write(json.dumps(content) + "\n")
        self._process.stdin.flush()

    def event(self, timeout: float) -> dict[str, Any] | None:
        """The next thing it says; None where it has ended.

        Raises:
            TimeoutError: it has said nothing for so many seconds.
        """
        try:
            return self._events.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError from None

    def begin(self) -> None:
        """From now on it is doing something else: only what the kernel kills from here on counts for its death."""
        self._kills = _kernel_kills()

    def death(self) -> Death:
        """How it ended, after it has ended by itself; what is left of it is ended too."""
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            code = -signal.SIGKILL
        words = self.last_words()
        self.kill()
        how = f"was ended by {_signal_name(-code)}" if code < 0 else f"ended with status {code}"
        killed = code == -signal.SIGKILL and _kernel_kills() > self._kills
        return Death(how, words, killed or any(each in words.lower() for each in _MEMORY_WORDS))

    def last_words(self) -> str:
        """The last line that it wrote to its standard error."""
        try:
            self._stderr.seek(0, os.SEEK_END)
            self._stderr.seek(max(0, self._stderr.tell() - 4000))
            lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        except (OSError, ValueError):
            return ""
        return lines[-1].strip()[:400] if lines else ""

    def stop(self) -> None:
        """End it: kindly if it is idle, at once if it does not listen."""
        with suppress(OSError, subprocess.TimeoutExpired):
            self.send({"quit": True})
            self._process.stdin.close()
            self._process.wait(timeout=2)
        self.kill()

    def kill(self) -> None:
        """End it and its children at once, unless that has been done: its number may be another's by now."""
        if self._stderr.closed:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            with suppress(OSError):
                stream.close()

    def _listen(self) -> None:
        """Pass on what it says until it ends; then None."""
        with suppress(ValueError):
            for line in self._process.stdout:
                self._events.put(json.loads(line))
        self._events.put(None)


def _environment(threads: int | None, every_core: bool) -> dict[str, str]:
    environment = KEEP_MEMORY | dict(os.environ)
    source = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [source, environment.get("PYTHONPATH")]))
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    elif every_core:
        environment = {name: value for name, value in environment.items() if name not in _THREADS}
    return environment


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
