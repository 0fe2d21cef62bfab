"""PyTorch's adapter in a process that runs out of memory: batches from `STARVED` on meet a limit of the address space,
and the batch `ON_GPU` the error that CUDA's allocator raises."""

from __future__ import annotations

import resource
from pathlib import Path

import torch

from jetbench.measure.backends import torch as measuring
from jetbench.measure.backends.torch import description, methods, vectors

__all__ = ["description", "methods", "open_session", "vectors"]
STARVED = 100_000
ON_GPU = 3
SPARE = 2**25


def open_session(device, threads=None):
    return Session(measuring.open_session(device, threads).device)


class Session(measuring.Session):
    def prepare(self, case):
        subject = super().prepare(case)
        if case.batch >= STARVED:
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + SPARE, resource.RLIM_INFINITY))
        if case.batch == ON_GPU:
            subject.evaluate = _refuse
        return subject

    def release(self):
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        super().release()


def _refuse(x, draws):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
