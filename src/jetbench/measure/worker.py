"""The process that measures. It reads a setup and then points as JSON lines, and writes events as JSON lines.

Run by the supervisor as `python -m jetbench.measure.worker`; by hand it takes the lines from a file:
`python -m jetbench.measure.worker points.jsonl`. Events are hello, stage, record and fatal.
"""

from __future__ import annotations

import ctypes
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TextIO

from jetbench.errors import BackendUnavailable, JetbenchError
from jetbench.measure import machine, own_files, point, records
from jetbench.measure.backends import backend_module
from jetbench.measure.case import Case, Point

PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def serve(lines: Iterable[str], write: TextIO) -> None:
    """Answer a setup line with hello and each point with a record, in order.

    A setup has the keys backend, device, threads, budget, operators_file and methods_file; a point has those of a case
    and of its place.
    """
    lines = iter(lines)

    def send(event: str, **content: Any) -> None:
        write.write(records.encode({"event": event, **content}) + "\n")
        write.flush()

    try:
        setup = json.loads(next(lines))
        own_files.load(setup.get("operators_file"), setup.get("methods_file"))
        backend = backend_module(setup["backend"])
        session = backend.open_session(setup["device"], setup.get("threads"))
        description = machine.describe(setup["device"], backend.description(setup["device"]))
        versions = backend.methods()
    except JetbenchError as error:
        send("fatal", message=str(error), unavailable=isinstance(error, BackendUnavailable))
        return
    send("hello", versions=versions, machine=description)
    for line in lines:
        given = json.loads(line)
        if "quit" in given:
            return
        at = Point(Case.from_record(given), given.get("study", ""), given.get("axis", "batch"), given["axis_value"])

        def stage(name: str, so_far: Mapping[str, Any]) -> None:
            send("stage", stage=name, record=so_far)

        record = point.measure(session, at, setup["budget"], stage)
        record.update(machine=description["id"], threads=description["backend"].get("threads"))
        session.release()
        send("record", record=record)


def _lines_until_abandoned() -> Iterator[str]:
    """Lines of the standard input. If it ends without a quit, the supervisor is gone, and this process goes too."""
    arrived: queue.Queue[str] = queue.Queue()

    def listen() -> None:
        for line in sys.stdin:
            arrived.put(line)
            if '"quit"' in line:
                return
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        yield arrived.get()


def end_with_supervisor() -> None:
    """Have the kernel end this process when its supervisor dies: native code that hangs lets no thread here notice.

    The kernel looks at the thread that started this process, which therefore has to live as long as the supervisor.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def events() -> TextIO:
    """The stream for events. What libraries print goes to the standard error, so that it cannot mix with them."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return stream


def main() -> None:
    """Entry point."""
    out = events()
    if len(sys.argv) > 1:
        with open(sys.argv[1], encoding="utf-8") as stream:
            serve(stream, out)
    else:
        end_with_supervisor()
        serve(_lines_until_abandoned(), out)
        os._exit(0)  # all is said and flushed; taking a framework down in order costs seconds


if __name__ == "__main__":
    main()
