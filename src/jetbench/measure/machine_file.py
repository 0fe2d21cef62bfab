"""machine.json in a folder of results: the descriptions that its records point to, by their ids."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jetbench.atomic_files import replacing
from jetbench.measure import lock, records
from jetbench.measure.machine import kind


def remember(folder: str | Path, description: Mapping[str, Any]) -> Path:
    """Add a description to machine.json in a folder of results (id → description), replacing the file whole.

    A folder holds the records of one kind of machine. Where two runs do this at once, one waits for the other, also
    when they are on two nodes.

    Returns:
        The folder for records of the machine described: `folder`, or, where that holds another kind's records, the one
        beside it that has the name of this kind appended.
    """
    path = Path(folder) / "machine.json"
    with lock.contents(path):
        known = descriptions(folder)
        if any(isinstance(each, Mapping) and kind(each) != kind(description) for each in known.values()):
            other = path.parent.with_name(f"{path.parent.name}-{description['name']}")
        else:
            if description["id"] not in known:
                _replace(path, {**known, description["id"]: dict(description)})
            return path.parent
    return remember(other, description)


def _replace(path: Path, found: Mapping[str, Any]) -> None:
    with replacing(path) as stream:
        stream.write((json.dumps(json.loads(records.encode(found)), indent=2, ensure_ascii=False) + "\n").encode())


def descriptions(folder: str | Path) -> dict[str, Any]:
    """The descriptions in machine.json of a folder of results, id → description; none where there is no such file.

    A file that is damaged is kept as machine.json.damaged, since records point to what it held.
    """
    path = Path(folder) / "machine.json"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    try:
        found = json.loads(content)
        if isinstance(found, dict):
            return found
    except (ValueError, RecursionError):
        pass
    if content:
        path.with_name("machine.json.damaged").write_bytes(content)
    return {}
