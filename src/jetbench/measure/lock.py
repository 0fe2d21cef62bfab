"""One measurement at a time: a lock on a device that holds between processes and ends when its holder does."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive(path: str | Path, waiting: Callable[[str], None] | None = None, poll_s: float = 0.2) -> Iterator[None]:
    """Hold the lock of a file; wait while another process holds it.

    The kernel gives the lock back when its holder dies, so a lock file that lies about means nothing.

    Args:
        waiting: called once, with a sentence, if it has to wait.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        told = False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if waiting is not None and not told:
                    holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
                    waiting(f"Waiting for {holder}, which is measuring on the same device (lock {path}).")
                told = True
                time.sleep(poll_s)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def device(name: str, waiting: Callable[[str], None] | None = None):
    """The lock of a device of this machine, "cpu" or "cuda"; a context manager."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0] or "0"
    suffix = "".join(c if c.isalnum() else "_" for c in visible) if name == "cuda" else ""
    return exclusive(place(f"{name}{suffix}"), waiting)


def place(name: str) -> Path:
    """The file of a lock: in the system's folder for temporary files, or in the folder that JETBENCH_LOCKS names."""
    folder = os.environ.get("JETBENCH_LOCKS") or tempfile.gettempdir()
    return Path(folder) / f"jetbench-{os.getuid()}-{name}.lock"
