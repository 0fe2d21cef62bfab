"""Records on disk: JSON Lines, one record a line, only ever appended to. What survives any kill is what was written."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from jetbench.errors import unknown
from jetbench.measure.case import Point
from jetbench.measure.fields import FIELDS, STATUSES, TYPES, of_kind

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # half of a character, which no file can hold if the other is missing
# NaN and Infinity, which JSON does not have, are not in any record that this project wrote.
_DECODER = json.JSONDecoder(parse_constant=lambda name: None)


def append(path: str | Path, record: Mapping[str, Any]) -> None:
    """Write a record at the end of a file and onto the disk before returning.

    A last line that a kill cut off is removed first, so that the new record does not become part of it.

    Raises:
        OSError: it cannot be written, wholly; the file is then as it was before.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        _mend(descriptor)
        size = os.fstat(descriptor).st_size
        line = (encode(record) + "\n").encode()
        written = 0
        try:
            while written < len(line):
                written += os.write(descriptor, line[written:])
            os.fsync(descriptor)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(descriptor, size)
            raise OSError(error.errno, error.strerror, str(path)) from error
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
        record = parse(line)
        if record is not None and "key" in record:
            found[record["key"]] = record
    return list(found.values())


def parse(line: str) -> dict[str, Any] | None:
    """The record in a line; None if the line is not a record.

    That is a line that was cut off or garbled, whose values are of other types than a record's, whose status this
    version does not know, or that says ok and has no time.
    """
    try:
        found = _DECODER.decode(line)
        if _SURROGATE.search(line):
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and _is_record(found) else None


def _is_record(found: Mapping[str, Any]) -> bool:
    for name, value in found.items():
        if value is None or name not in FIELDS:
            continue
        kind = type(value)
        if kind not in TYPES[FIELDS[name].kind] or (kind is int and not -(2**63) <= value < 2**63):
            return False
    if found.get("status") not in STATUSES or ("key" in found and found["key"] is None):
        return False
    if found["status"] == "ok" and "time_s" in found and not 0 < (found["time_s"] or 0) < math.inf:
        return False
    intervals = [found[name] for name in of_kind("interval") if found.get(name) is not None]
    if any(len(ends) != 2 or not all(_is_number(end) for end in ends) for ends in intervals):
        return False
    return all(_is_number(value) or isinstance(value, str) for value in (found.get("peak_memory_bytes") or {}).values())


def _is_number(value: Any) -> bool:
    return value is None or type(value) in (int, float)


def remaining(
    points: Iterable[Point], records: Iterable[Mapping[str, Any]], versions: Mapping[str, int], again: str = "never"
) -> list[Point]:
    """The points that are still to be measured, with the present versions of their methods.

    A point is done when a record has its key, whatever its status; the key contains the method's version, so that a
    changed method is measured again.

    Args:
        again: "never", "failed" (also points whose record is not ok) or "all".
    """
    if again not in (allowed := ("never", "failed", "all")):
        raise ValueError(unknown("value", again, allowed, "again"))
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
    except (ValueError, RecursionError):
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
