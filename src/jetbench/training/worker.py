"""The process that trains: reads runs as one JSON line, writes the machine's description and then records as lines."""

from __future__ import annotations

import json
import os
import sys

from jetbench.measure import adapter, machine, records
from jetbench.training.problem import Training


def main() -> None:
    """Entry point. What libraries print goes to the standard error."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    given = json.loads(sys.stdin.readline())
    backend = adapter.find("torch")
    runs = [Training.from_mapping(run) for run in given["runs"]]
    backend.open_session(runs[0].device, given["threads"])
    description = machine.describe(runs[0].device, backend.description(runs[0].device))
    out.write(records.encode({"machine": description}) + "\n")
    out.flush()
    from jetbench.training import loop

    for record in loop.train(runs):
        record["machine"], record["threads"] = description["id"], description["backend"].get("threads")
        out.write(records.encode(record) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
