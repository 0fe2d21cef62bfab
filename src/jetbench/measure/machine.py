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

from jetbench.atomic_files import replacing
from jetbench.measure import records
from jetbench.measure.changes import SETTINGS


@cache
def has_cuda() -> bool:
    """Whether there is an NVIDIA GPU here that the installed torch can use, without importing torch."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    if "+cpu" in (_version("torch") or ""):
        return False
    return bool(gpus())


def name(device: str) -> str:
    """The folder of this machine's results, such as "cpu-3f9a1c": it depends on the kind of hardware alone."""
    return f"{device}-{_digest(kind({'device': device, 'cpu': _cpu(), 'gpus': visible_gpus()}), 6)}"


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
        backend: what the backend's adapter says of itself: flags, threads.

    Returns:
        The description; its `id` is the same whenever everything but the time is, also on another node of a cluster
        and on another GPU of this machine. Which they were is for records to tell.
    """
    gpu = visible_gpus()[:1] if device == "cuda" else []
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


def remember(folder: str | Path, description: Mapping[str, Any]) -> Path:
    """Add a description to machine.json in a folder of results (id → description), replacing the file whole.

    A folder holds the records of one kind of machine. Where two runs do this at once, one waits for the other, also
    when they are on two nodes.

    Returns:
        The folder for records of the machine described: `folder`, or, where that holds another kind's records, the one
        beside it that has the name of this kind appended.
    """
    from jetbench.measure import lock

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


def now() -> str:
    """The time in UTC to the millisecond, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@cache
def gpus() -> list[dict[str, Any]]:
    """The NVIDIA GPUs: name, memory, driver, clocks, and which they are (UUID, PCI slot), by nvidia-ml-py or else
    nvidia-smi; empty without either.
    """
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # no package, no library, no driver: each has its own error type
        return _gpus_by_command()
    try:
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        found = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            gpu = pynvml.nvmlDeviceGetHandleByIndex(index)
            found.append(
                {
                    "name": _text(pynvml.nvmlDeviceGetName(gpu)),
                    "memory_bytes": int(pynvml.nvmlDeviceGetMemoryInfo(gpu).total),
                    "driver": driver,
                    "max_clock_mhz": _ask(pynvml.nvmlDeviceGetMaxClockInfo, gpu, pynvml.NVML_CLOCK_SM),
                    "application_clock_mhz": _ask(pynvml.nvmlDeviceGetApplicationsClock, gpu, pynvml.NVML_CLOCK_SM),
                    "power_limit_w": (_ask(pynvml.nvmlDeviceGetEnforcedPowerLimit, gpu) or 0) / 1e3 or None,
                    "uuid": _text(pynvml.nvmlDeviceGetUUID(gpu)),
                    "bus": _text(_ask(lambda g: pynvml.nvmlDeviceGetPciInfo(g).busId, gpu) or ""),
                    "mig": bool((_ask(pynvml.nvmlDeviceGetMigMode, gpu) or [0])[0]),
                }
            )
        return found
    finally:
        pynvml.nvmlShutdown()


def visible_gpus() -> list[dict[str, Any]]:
    """The GPUs that frameworks see: those that CUDA_VISIBLE_DEVICES names, in its order, or all. The first measures."""
    names = os.environ.get("CUDA_VISIBLE_DEVICES")
    if names is None:
        return gpus()
    found = []
    for name in (each.strip() for each in names.split(",") if each.strip()):
        for number, gpu in enumerate(gpus()):
            if name == str(number) or (name.startswith("GPU-") and gpu["uuid"].startswith(name)):
                found.append(gpu)
    return found


def gpu_id() -> str:
    """What names the GPU that measures: its UUID, or else (a part of a GPU, no driver) how it was asked for."""
    asked = os.environ.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0].strip()
    found = visible_gpus()
    return found[0]["uuid"] if found and not asked.startswith("MIG-") else asked or "0"


class GpuWatch:
    """Clock, temperature and throttling of the GPU that measures; silent where they cannot be read."""

    # Reasons that mean a slower clock than asked for: power, thermal and hardware slowdowns; not "idle" and the like.
    _THROTTLING = 0x04 | 0x08 | 0x20 | 0x40 | 0x80

    def __init__(self) -> None:
        self.rounds = 0
        self.throttled_rounds: list[int] = []
        try:
            import pynvml

            pynvml.nvmlInit()
            self._nvml, self._gpu = pynvml, _first_visible(pynvml)
        except Exception:
            self._nvml = self._gpu = None

    def state(self) -> dict[str, Any] | None:
        """Clock in MHz and temperature in °C now."""
        if self._nvml is None:
            return None
        return {
            "clock_mhz": _ask(self._nvml.nvmlDeviceGetClockInfo, self._gpu, self._nvml.NVML_CLOCK_SM),
            "temperature_c": _ask(self._nvml.nvmlDeviceGetTemperature, self._gpu, self._nvml.NVML_TEMPERATURE_GPU),
        }

    def after_round(self) -> None:
        """Note whether the GPU was throttled in the round of samples that just ended."""
        if self._nvml is not None:
            reasons = _ask(self._nvml.nvmlDeviceGetCurrentClocksThrottleReasons, self._gpu) or 0
            if reasons & self._THROTTLING:
                self.throttled_rounds.append(self.rounds)
        self.rounds += 1


def _first_visible(nvml: Any) -> Any:
    """NVML's handle of the GPU that is device 0 for a framework: it does not heed CUDA_VISIBLE_DEVICES itself."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0].strip()
    if first.startswith(("GPU-", "MIG-")):
        return nvml.nvmlDeviceGetHandleByUUID(first)
    return nvml.nvmlDeviceGetHandleByIndex(int(first or 0))


def _gpus_by_command() -> list[dict[str, Any]]:
    command = [
        "nvidia-smi",
        "--query-gpu=name,memory.total,driver_version,clocks.max.sm,uuid,pci.bus_id",
        "--format=csv,noheader,nounits",
    ]
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    found = []
    for line in output.splitlines():
        gpu, memory, driver, clock, uuid, bus = (part.strip() for part in line.split(","))
        found.append(
            {
                "name": gpu,
                "memory_bytes": int(memory) * 2**20 if memory.isdigit() else None,
                "driver": driver,
                "max_clock_mhz": int(clock) if clock.isdigit() else None,
                "uuid": uuid,
                "bus": bus,
            }
        )
    return found


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


def _ask(question: Any, *arguments: Any) -> Any:
    """The answer of an NVML function, None where this GPU does not give it."""
    try:
        return question(*arguments)
    except Exception:
        return None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _digest(value: Any, length: int) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:length]


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
