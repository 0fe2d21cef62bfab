"""Two stand-in GPUs for tests: the environment that makes them, a sweep, and what its records must be like."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from datetime import datetime
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

from jetbench.measure import case, config

ROOT = Path(__file__).parents[2]
STAND_IN = Path(__file__).parent / "stand_in"
GPUS = ("GPU-stand-in-0", "GPU-stand-in-1")

Record = dict[str, Any]


def environment(folder: Path) -> dict[str, str]:
    """Environment variables under which the device "cuda" is one of two stand-ins; locks lie in the folder."""
    programs = [str(STAND_IN), str(Path(sys.executable).parent), os.environ["PATH"]]
    found = {**os.environ, "PATH": os.pathsep.join(programs), "PYTHONPATH": str(STAND_IN)}
    found.pop("CUDA_VISIBLE_DEVICES", None)
    return {**found, "JETBENCH_LOCKS": str(folder / "locks"), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def write_config(path: Path, point_s: float, studies: dict[str, dict[str, Any]]) -> list[case.Curve]:
    """A config of the given studies, with small networks; its curves. Every point takes `point_s` seconds."""
    made = {
        "preset": "stand_in",
        "device": "cuda",
        "threads": 1,
        "budget": {"point_s": point_s, "interval": 1e-6, "samples_max": 10000, "gradient": False, "memory": False},
        "studies": {
            name: {"axis": "batch", "network": {"kind": "mlp", "widths": [8, 8]}, **study}
            for name, study in studies.items()
        },
    }
    path.write_text(yaml.safe_dump(made))
    return case.curves(config.load(path))


def records(folder: Path) -> list[Record]:
    """All lines of the records below a folder, also those that stand twice."""
    return [json.loads(line) for path in sorted(folder.rglob("*.jsonl")) for line in path.read_text().splitlines()]


def check_complete(found: list[Record], curves: Iterable[case.Curve]) -> None:
    """Every point was measured, once, and well."""
    places = [(record["study"], record["operator"], record["method"], record["axis_value"]) for record in found]
    expected = [(c.study, p.case.operator, p.case.method, p.axis_value) for c in curves for p in c.points]
    assert sorted(places) == sorted(expected)
    assert {(record["status"], record["reason"]) for record in found} == {("ok", None)}


def check_apart(found: list[Record]) -> None:
    """By their own times, no two measurements were on one GPU at once; some were on two."""
    assert {record["gpu"] for record in found} == set(GPUS)
    spans = []
    for record in found:
        start = datetime.fromisoformat(record["started_at"]).timestamp()
        spans.append((start, start + record["duration_s"], record["node"], record["gpu"]))
    at_once = [(a, b) for a, b in combinations(sorted(spans), 2) if b[0] < a[1]]
    assert at_once, "nothing was measured side by side, so this test tells nothing"
    assert not [(a, b) for a, b in at_once if a[2:] == b[2:]]
