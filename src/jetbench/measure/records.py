"""Records on disk: JSON Lines, one record a line, only ever appended to. What survives any kill is what was written."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jetbench.measure.case import Point

STATUSES = ("ok", "oom", "timeout", "error", "mismatch", "unsupported")


def append(path: str | Path, record: Mapping[str, Any]) -> None:
    """Write a record at the end of a file and onto the disk before returning.

    A last line that a kill cut off is removed first, so that the new record does not become part of it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        _mend(descriptor)
        line = (encode(record) + "\n").encode()
        written = 0
        while written < len(line):
            written += os.write(descriptor, line[written:])
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def encode(record: Mapping[str, Any]) -> str:
    """A record as one line of strict JSON; numbers that are not finite become null."""
    return json.dumps(_strict(record), allow_nan=False, ensure_ascii=False)


def read(path: str | Path) -> list[dict[str, Any]]:
    """The records of a file, one for each key, the last of duplicates, in the order of first appearance.

    Lines that are not whole records (a kill can cut off the last one) are passed over. No file means no records.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    found: dict[str, dict[str, Any]] = {}
    for line in text.split("\n"):
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict) and isinstance(record.get("key"), str) and record.get("status") in STATUSES:
            found[record["key"]] = record
    return list(found.values())


def remaining(
    points: Iterable[Point], records: Iterable[Mapping[str, Any]], versions: Mapping[str, int], again: str = "never"
) -> list[Point]:
    """The points that are still to be measured, with the present versions of their methods.

    A point is done when a record has its key, whatever its status; the key contains the method's version, so that a
    changed method is measured again.

    Args:
        again: "never", "failed" (also points whose record is not ok) or "all".
    """
    if again not in ("never", "failed", "all"):
        raise ValueError(f"again must be never, failed or all; got {again!r}.")
    done = {r["key"] for r in records if again == "never" or (again == "failed" and r["status"] == "ok")}
    versioned = (Point(p.case.versioned(versions), p.study, p.axis, p.axis_value) for p in points)
    return [p for p in versioned if p.case.key not in done]


def _mend(descriptor: int) -> None:
    """Cut off a last line without its end, or end it if it is a whole record."""
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return
    content = os.pread(descriptor, size, 0)
    start = content.rfind(b"\n") + 1
    try:
        json.loads(content[start:])
    except (json.JSONDecodeError, UnicodeDecodeError):
        os.ftruncate(descriptor, start)
    else:
        os.write(descriptor, b"\n")


def _strict(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _strict(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(v) for v in value]
    return value
