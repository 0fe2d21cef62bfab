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

from jetbench.measure import records

_PACKAGES = ("jetbench", "torch", "jax", "jaxlib", "numpy", "triton", "folx", "jet-for-pytorch")
_VARIABLES = (
    "OMP_NUM_THREADS",
    "OMP_PROC_BIND",
    "OMP_PLACES",
    "KMP_AFFINITY",
    "MKL_NUM_THREADS",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TRIM_THRESHOLD_",
    "CUDA_VISIBLE_DEVICES",
    "CUBLAS_WORKSPACE_CONFIG",
    "NVIDIA_TF32_OVERRIDE",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_ALLOC_CONF",
    "TORCHINDUCTOR_FORCE_DISABLE_CACHES",
    "TORCHINDUCTOR_FREEZING",
    "TORCHINDUCTOR_MAX_AUTOTUNE",
    "XLA_FLAGS",
    "XLA_PYTHON_CLIENT_MEM_FRACTION",
    "XLA_PYTHON_CLIENT_PREALLOCATE",
    "JAX_ENABLE_X64",
    "JAX_PLATFORMS",
    "JAX_DEFAULT_MATMUL_PRECISION",
    "NPROC",
)


@cache
def has_cuda() -> bool:
    """Whether there is an NVIDIA GPU here that the installed torch can use, without importing torch."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    if "+cpu" in (_version("torch") or ""):
        return False
    return bool(gpus())


def name(device: str) -> str:
    """The folder of this machine's results, such as "cpu-3f9a1c": it depends on the hardware alone."""
    what = {"device": device, **_cpu()}
    if device == "cuda":
        what["gpus"] = [gpu["name"] for gpu in gpus()]
    return f"{device}-{_digest(what, 6)}"


def describe(device: str, backend: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Everything about this machine and this code that can matter for a number.

    Args:
        backend: what the backend's adapter says of itself: flags, threads.

    Returns:
        The description; its `id` is the same whenever everything but the time is.
    """
    description = {
        "name": name(device),
        "device": device,
        "cpu": _cpu(),
        "gpus": gpus() if device == "cuda" else [],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {package: version for package in _PACKAGES if (version := _version(package))},
        "environment": {key: os.environ[key] for key in _VARIABLES if key in os.environ},
        "backend": dict(backend or {}),
        "code": _code(),
    }
    return {"id": _digest(description, 12), **description, "described_at": now()}


def remember(folder: str | Path, description: Mapping[str, Any]) -> None:
    """Add a description to machine.json in a machine's folder of results (id → description), replacing the file whole.

    Where two runs do so at once, one waits for the other.
    """
    from jetbench.measure import lock

    path = Path(folder) / "machine.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock.exclusive(lock.place(_digest(str(path.resolve()), 12))):
        known = _read(path)
        if description["id"] in known:
            return
        known[description["id"]] = dict(description)
        new = path.with_suffix(".new")
        with open(new, "w", encoding="utf-8") as stream:
            stream.write(json.dumps(json.loads(records.encode(known)), indent=2, ensure_ascii=False) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(new, path)


def now() -> str:
    """The time in UTC to the second, ISO 8601."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@cache
def gpus() -> list[dict[str, Any]]:
    """Name, memory, driver and clocks of the NVIDIA GPUs, by nvidia-ml-py or else nvidia-smi; empty without either."""
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
                    "mig": bool((_ask(pynvml.nvmlDeviceGetMigMode, gpu) or [0])[0]),
                }
            )
        return found
    finally:
        pynvml.nvmlShutdown()


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
        "--query-gpu=name,memory.total,driver_version,clocks.max.sm",
        "--format=csv,noheader,nounits",
    ]
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    found = []
    for line in output.splitlines():
        gpu, memory, driver, clock = (part.strip() for part in line.split(","))
        found.append(
            {
                "name": gpu,
                "memory_bytes": int(memory) * 2**20 if memory.isdigit() else None,
                "driver": driver,
                "max_clock_mhz": int(clock) if clock.isdigit() else None,
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


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
