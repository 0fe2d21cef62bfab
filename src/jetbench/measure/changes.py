"""What differs between two descriptions of a machine that can matter for a time: drivers, packages, flags, hardware.

The code of this project does not: methods have version numbers of their own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

_NOT_COMPARED = ("id", "name", "code", "described_at")
# How much of its host a GPU was given: another share for each of several GPUs, another for each job on a cluster.
_SHARE_OF_HOST = {
    "cpu": ("cores", "memory_gib"),
    "backend": ("threads", "interop_threads"),
    "environment": ("OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_PLACES", "MKL_NUM_THREADS"),
}


def setting(description: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits for what matters in a description; records of two settings are not comparable."""
    compared = json.dumps(_compared(description), sort_keys=True, default=str)
    return hashlib.sha256(compared.encode()).hexdigest()[:8]


def framework(description: Mapping[str, Any]) -> str:
    """Whose worker described the machine, torch or jax. Their flags have nothing in common, so only those of one
    framework are compared."""
    backend = description.get("backend")
    return "jax" if isinstance(backend, Mapping) and "platform" in backend else "torch"


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What changed from one description to another: the last part of its name → value before, value after."""
    before, after = dict(_leaves(_compared(old))), dict(_leaves(_compared(new)))
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return {name.rpartition(".")[2]: (before.get(name), after.get(name)) for name in names}


def sentence(known: Mapping[str, Any], description: Mapping[str, Any]) -> str | None:
    """What to tell before measuring into a folder that holds records of other settings; None where there are none.

    Args:
        known: the folder's descriptions, as machine.json holds them.
    """
    others = [
        each
        for each in known.values()
        if isinstance(each, Mapping)
        and framework(each) == framework(description)
        and setting(each) != setting(description)
    ]
    if not others:
        return None
    changed = differences(others[-1], description)
    told = ", ".join(f"{name} {old} → {new}" for name, (old, new) in changed.items())
    return (
        f"Records in this folder were made under another setting ({told}). Reports keep both apart; to measure "
        "everything under this one, choose another folder (--machine-name, --out) or --again all."
    )


def _compared(description: Mapping[str, Any]) -> dict[str, Any]:
    """A description without what does not matter for a time."""
    left_out = {"versions": ("jetbench",), **(_SHARE_OF_HOST if description.get("device") == "cuda" else {})}
    found = {key: value for key, value in description.items() if key not in _NOT_COMPARED}
    for key, names in left_out.items():
        if isinstance(found.get(key), Mapping):
            found[key] = {name: value for name, value in found[key].items() if name not in names}
    return found


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _leaves(entry, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value):
        for number, entry in enumerate(value):
            yield from _leaves(entry, f"{name}.{number}")
    else:
        yield name, value
