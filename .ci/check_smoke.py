"""What a smoke run of the workflow must have left in a folder: every record, table and figure, none of them empty."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import pandas as pd

from jetbench.measure import case, config
from jetbench.measure.backends import BACKENDS
from jetbench.report.registry import FIGURES, TABLES

ROOT = Path(__file__).resolve().parents[1]


def main(folder: Path) -> list[str]:
    """The complaints about a folder; none if all is well."""
    complaints = []
    machines = [path.parent for path in folder.glob("results/*/machine.json")]
    if len(machines) != 1:
        return [f"expected results of one machine in {folder}/results, found {len(machines)}"]
    machine = machines[0].name
    statuses: Counter[str] = Counter()
    measured: Counter[str] = Counter()
    for curve in case.curves(config.load(ROOT / "workflows" / "config" / "smoke.yaml")):
        path = machines[0] / curve.path
        found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        if len(found) != len(curve.points):
            complaints.append(f"{curve}: {len(found)} records for {len(curve.points)} points")
        statuses.update(record["status"] for record in found)
        measured.update(record["backend"] for record in found if record["status"] == "ok")
        complaints += [
            f"{curve} at {record['axis']} {record['axis_value']}: {record['status']}, {record['reason']}"
            for record in found
            if record["status"] not in ("ok", "unsupported")
        ]
        complaints += [
            f"{curve}: no positive time or floor"
            for record in found
            if record["status"] == "ok" and not (record["time_s"] > 0 and record["floor_s"] > 0)
        ]
    complaints += [f"nothing was measured in {backend}" for backend in BACKENDS if not measured[backend]]
    records = pd.read_parquet(folder / "results" / "records.parquet")
    if len(records) != sum(statuses.values()):
        complaints.append(f"records.parquet has {len(records)} rows, the curves {sum(statuses.values())} records")
    for name in TABLES:
        complaints += [
            text
            for suffix in ("csv", "md", "tex")
            if (text := _thin(folder / "tables" / machine / f"{name}.{suffix}", 20))
        ]
    for name in FIGURES:
        complaints += [
            text
            for suffix in ("pdf", "png")
            if (text := _thin(folder / "figures" / machine / f"{name}.{suffix}", 2000))
        ]
    shown = (folder / "workflow.html").read_text(encoding="utf-8")
    complaints += [
        f"workflow.html does not show {name}" for name in FIGURES if f'"figures/{machine}/{name}.png": {{' not in shown
    ]
    told = f"{sum(statuses.values())} records ({dict(statuses)}; {dict(measured)})"
    print(f"{told}, {len(TABLES)} tables, {len(FIGURES)} figures")
    return complaints


def _thin(path: Path, least: int) -> str | None:
    """A complaint if a file is missing or smaller than `least` bytes."""
    size = path.stat().st_size if path.exists() else None
    return (
        None if size is not None and size >= least else f"{path}: {'missing' if size is None else f'only {size} bytes'}"
    )


if __name__ == "__main__":
    found = main(Path(sys.argv[1]))
    print("\n".join(found))
    sys.exit(bool(found))
