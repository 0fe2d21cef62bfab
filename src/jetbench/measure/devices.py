"""Which device measures: a lock on it, and, where any GPU will do, a free one with the processor cores near it.

Finding and describing GPUs is the concern of machine.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jetbench.measure import lock, nvidia

SYSTEM = Path("/sys")


@contextmanager
def hold(device: str, any_gpu: bool = False, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock of a device, "cpu" or "cuda", for one measuring process at a time, also of separate runs.

    Args:
        any_gpu: take whichever visible GPU is free instead of the first one. While it is held, this process and those
            it starts see that GPU alone, and run on cores near it that no other GPU's share.
        waiting: called once, with a sentence, if it has to wait.
    """
    gpus = nvidia.visible_gpus() if any_gpu and device == "cuda" else []
    if not gpus:
        with lock.device(device, waiting):
            yield
        return
    places = [lock.place(f"cuda-{gpu['uuid']}") for gpu in gpus]
    with lock.first_free(places, waiting) as number, _pinned(gpus[number]):
        yield


def near(gpu: Mapping[str, Any], gpus: Sequence[Mapping[str, Any]], allowed: set[int]) -> set[int]:
    """The logical processors for a GPU: of those that share its memory node, an equal part for each GPU there.

    Whole cores are dealt out, so that two GPUs never get two threads of one core. Where the system does not tell what
    is near, everything is; where there are more GPUs than cores, they share them.

    Args:
        gpus: all GPUs of this machine, so that separate runs agree about the parts.
        allowed: the processors that may be used at all.
    """
    local = _local(gpu, allowed)
    neighbours = [each["uuid"] for each in gpus if _local(each, allowed) == local]
    cores = sorted({tuple(sorted(_threads_of_core(number) & local)) for number in local})
    share = len(cores) // max(len(neighbours), 1)
    if share == 0:
        return local
    start = share * neighbours.index(gpu["uuid"])
    return {number for core in cores[start : start + share] for number in core}


@contextmanager
def _pinned(gpu: Mapping[str, Any]) -> Iterator[None]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    allowed = os.sched_getaffinity(0)
    os.environ["CUDA_VISIBLE_DEVICES"] = gpu["uuid"]
    os.sched_setaffinity(0, near(gpu, nvidia.gpus(), allowed))
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
        if visible is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = visible


def _local(gpu: Mapping[str, Any], allowed: set[int]) -> set[int]:
    """The processors on the memory node of a GPU's PCI slot; all that are allowed where that is unknown."""
    domain, _, slot = str(gpu.get("bus")).lower().partition(":")
    found = _processors(SYSTEM / "bus/pci/devices" / f"{domain[-4:]}:{slot}" / "local_cpulist")
    return found & allowed or allowed


def _threads_of_core(number: int) -> set[int]:
    return _processors(SYSTEM / f"devices/system/cpu/cpu{number}/topology/thread_siblings_list") or {number}


def _processors(path: Path) -> set[int]:
    """What a file such as "0-3,8" lists; nothing where there is none."""
    try:
        parts = [part.partition("-") for part in path.read_text().strip().split(",") if part]
        return {n for first, dash, last in parts for n in range(int(first), int(last if dash else first) + 1)}
    except (OSError, ValueError):
        return set()
