"""Where a measurement was made: hardware, versions, flags, the state of the code, and a stable name for results."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jetbench.measure import nvidia
from jetbench.measure.changes import SETTINGS


def name(device: str) -> str:
    """The folder of this machine's results, such as "cpu-3f9a1c": it depends on the kind of hardware alone."""
    return f"{device}-{_digest(kind({'device': device, 'cpu': _cpu(), 'gpus': nvidia.visible_gpus()}), 6)}"


def kind(description: Mapping[str, Any]) -> list[Any]:
    """What two machines must have in common for their records to be compared: the models of the GPU that measures and
    of the processor; without a GPU, of the processor and how many cores it may use.
    """
    cpu = description.get("cpu") or {}
    if description.get("device") == "cuda":
        return ["cuda", [gpu.get("name") for gpu in (description.get("gpus") or [])[:1]], cpu.get("model")]
    return ["cpu", cpu.get("model"), cpu.get("cores")]


def node() -> str:
    """The name of this machine in its network: which of several equal ones it is."""
    return platform.node()


def describe(device: str, backend: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Everything about this machine and this code that can matter for a number.

    Args:
        backend: what the backend says of itself: flags, threads.

    Returns:
        The description; its `id` is the same whenever everything but the time is, also on another node of a cluster
        and on another GPU of this machine. Which they were is for records to tell.
    """
    gpu = nvidia.visible_gpus()[:1] if device == "cuda" else []
    description = {
        "name": name(device),
        "device": device,
        "cpu": _cpu(),
        "gpus": [{key: value for key, value in each.items() if key not in ("uuid", "bus")} for each in gpu],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {
            package: version for package in ("jetbench", *SETTINGS["versions"]) if (version := _version(package))
        },
        "environment": {key: os.environ[key] for key in SETTINGS["environment"] if key in os.environ},
        "backend": dict(backend or {}),
        "code": _code(),
    }
    return {"id": _digest(description, 12), **description, "described_at": now()}


def now() -> str:
    """The time in UTC to the millisecond, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@cache
def _cpu() -> dict[str, Any]:
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        memory = None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"model": model, "cores": cores, "memory_gib": memory and round(memory / 2**30)}


@cache
def _code() -> dict[str, Any]:
    """Git commit of this package's checkout and whether it differs from it; None where it is no checkout."""
    root = Path(__file__).resolve().parents[3]

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", root, *arguments], capture_output=True, text=True, timeout=20, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    if not (root / ".git").exists():
        return {"commit": None, "dirty": None}
    changes = git("status", "--porcelain", "--", "src")
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if changes is None else bool(changes)}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _digest(value: Any, length: int) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:length]
