"""The process that trains: reads runs as one JSON line, and writes hello and then a record each as events."""

from __future__ import annotations

import json
import sys
from typing import Any

from jetbench.measure import machine, records
from jetbench.measure.backends import backend_module
from jetbench.measure.worker import end_with_supervisor, events
from jetbench.training.problem import Training


def main() -> None:
    """Entry point."""
    out = events()
    end_with_supervisor()

    def send(event: str, **content: Any) -> None:
        out.write(records.encode({"event": event, **content}) + "\n")
        out.flush()

    given = json.loads(sys.stdin.readline())
    backend = backend_module("torch")
    runs = [Training.from_mapping(run) for run in given["runs"]]
    backend.open_session(runs[0].device, given["threads"])
    description = machine.describe(runs[0].device, backend.description(runs[0].device))
    send("hello", machine=description)
    from jetbench.training import loop

    for record in loop.train(runs):
        record.update(machine=description["id"], threads=description["backend"].get("threads"))
        send("record", record=record)


if __name__ == "__main__":
    main()
