"""Points, curves and sweeps of this backend, and waiting for what another process does."""

from __future__ import annotations

import time
from pathlib import Path

from jetbench.measure import sweep
from jetbench.measure.case import Case, Curve, Point
from jetbench.measure.progress import Progress

BACKEND = "fake_backend.measuring"
BUDGET = {"point_s": 0.02, "first_call_s": 30, "samples_min": 3, "samples_max": 20}
TESTS = str(Path(__file__).parents[1])


def point(method: str, batch: int = 4, mode: str = "eager") -> Point:
    case = Case(operator="laplacian", dim=3, method=method, backend=BACKEND, batch=batch, mode=mode, method_version=1)
    return Point(case, "batch", "batch", batch)


def curve(method: str, batches=(1, 2, 3)) -> Curve:
    return Curve("batch", f"fake-{method}", tuple(point(method, batch) for batch in batches))


def measure(tmp_path, curves, **options) -> sweep.Result:
    config = {"threads": 1, "budget": BUDGET}
    return sweep.measure(curves, config, tmp_path / "machine", Progress(quiet=True), "cpu", **options)


def wait_for(condition, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def worker_of(log: Path) -> int:
    return int(lines(log)[-1].split()[0])


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
