"""NVIDIA GPUs: which there are, which one measures, its clock, temperature and throttling. Needs no framework."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
from functools import cache
from typing import Any


@cache
def has_cuda() -> bool:
    """Whether there is an NVIDIA GPU here that the installed torch can use, without importing torch."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    if "+cpu" in _torch_version():
        return False
    return bool(gpus())


def _torch_version() -> str:
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return ""


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


def _ask(question: Any, *arguments: Any) -> Any:
    """The answer of an NVML function, None where this GPU does not give it."""
    try:
        return question(*arguments)
    except Exception:
        return None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
