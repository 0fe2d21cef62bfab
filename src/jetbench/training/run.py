"""Running the trainings of a config: what is recorded is not run again, and every run ends as a record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from jetbench.errors import JetbenchError, unknown
from jetbench.measure import lock, machine, machine_file, records
from jetbench.measure.backends import backend_module
from jetbench.measure.process import WorkerProcess
from jetbench.training.problem import Training, runs

#: Beside the studies' folders, in a machine's folder of results.
FILE = "training.jsonl"
LIMIT_S = 3600.0


def train(
    config: Mapping[str, Any], folder: Path, device: str, say: Callable[[str], None], again: bool = False
) -> dict[str, int]:
    """Train what has no record yet, problem by problem, and append the records to folder/training.jsonl.

    Returns:
        Status → number of runs now recorded.
    """
    planned = runs(config, device)
    if not planned:
        return {}
    versions = backend_module("torch").methods()
    counts: dict[str, int] = {}
    path = folder / FILE
    for group in planned:
        group = [replace(run, method_version=versions.get(run.method)) for run in group]
        missing = [run.method for run in group if run.method not in versions]
        if missing:
            raise JetbenchError(unknown("method", missing[0], versions, "training"))
        done = {record["key"] for record in records.read(path)} if not again else set()
        # All methods of a problem are trained in turn: one that is missing alone would have no partner.
        if all(run.key in done for run in group):
            continue
        say(f"Training {group[0].problem}: {', '.join(run.method for run in group)}")
        with lock.device(device, say):
            for record in _process(group, config, folder):
                records.append(path, record)
                counts[record["status"]] = counts.get(record["status"], 0) + 1
                reached = record.get("seconds_to_target")
                told = f"{reached:.3g} s to the target" if reached else record.get("reason") or "target not reached"
                say(f"  {record['method']}: {record['status']}, {told}")
    return counts


def _process(group: Sequence[Training], config: Mapping[str, Any], folder: Path) -> Iterator[dict[str, Any]]:
    """The records of one problem; of a process that died or did not end, those that say so."""
    limit = float((config.get("training") or {}).get("limit_s", LIMIT_S))
    until = time.monotonic() + limit
    threads = config.get("threads")
    found: dict[str, dict[str, Any]] = {}
    status, reason = "error", "No record was made."
    process = WorkerProcess("jetbench.training.worker", threads, every_core=True)
    try:
        process.send({"runs": [run.identity for run in group], "threads": threads})
        while len(found) < len(group):
            event = process.event(max(0.0, until - time.monotonic()))
            if event is None:
                raise BrokenPipeError
            if event["event"] == "hello":
                machine_file.remember(folder, event["machine"])
            else:
                found[event["record"]["key"]] = event["record"]
    except BrokenPipeError:
        death = process.death()
        status, reason = "oom" if death.starved else "error", death.reason()
    except TimeoutError:
        status, reason = "timeout", f"Stopped after {limit:g} s (training.limit_s)."
    finally:
        process.kill()
    for run in group:
        unmeasured = {"key": run.key, "kind": "training", **run.identity, "status": status, "reason": reason}
        yield found.get(run.key, {**unmeasured, "losses": [], "seconds": [], "started_at": machine.now()})


def collected(results: Path) -> pd.DataFrame:
    """All training records below `results`, one row a run, the last of equal ones; `machine` is the folder."""
    rows = [
        {**record, "machine_id": record.get("machine"), "machine": path.parent.name}
        for path in sorted(Path(results).glob(f"*/{FILE}"))
        for record in records.read(path)
    ]
    return pd.DataFrame(rows)
