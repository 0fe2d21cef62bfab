"""One measurement at a time: locks on devices and on files of records that hold between processes and end with them.

Which GPU a process may take is the concern of devices.py.
"""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from jetbench.measure import nvidia

# What file systems answer that have no locks, as some of clusters do.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF)


@contextmanager
def first_free(
    paths: Sequence[str | Path], waiting: Callable[[str], None] | None = None, poll_s: float = 0.2
) -> Iterator[int]:
    """Hold the lock of the first of some files that no other process holds; its number is yielded. Waits while all are.

    The kernel gives a lock back when its holder dies, so a lock file that lies about means nothing.

    Args:
        waiting: called once, with a sentence, if it has to wait.
    """
    descriptors = []
    try:
        for path in map(Path, paths):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptors.append(os.open(path, os.O_RDWR | os.O_CREAT, 0o666))
        told = False
        while (taken := next((n for n, each in enumerate(descriptors) if _try(each)), None)) is None:
            if waiting is not None and not told:
                holders = " and ".join(_holder(each) for each in descriptors)
                waiting(f"Waiting for {holders}, measuring on the same device (lock {' or '.join(map(str, paths))}).")
            told = True
            time.sleep(poll_s)
        os.ftruncate(descriptors[taken], 0)
        os.pwrite(descriptors[taken], f"process {os.getpid()}\n".encode(), 0)
        yield taken
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


@contextmanager
def exclusive(path: str | Path, waiting: Callable[[str], None] | None = None, poll_s: float = 0.2) -> Iterator[None]:
    """Hold the lock of one file, as `first_free` does."""
    with first_free([path], waiting, poll_s):
        yield


def device(name: str, waiting: Callable[[str], None] | None = None):
    """The lock of a device of this machine, "cpu" or "cuda" (the GPU that measures); a context manager."""
    return exclusive(place(f"{name}-{nvidia.gpu_id()}" if name == "cuda" else name), waiting)


def place(name: str) -> Path:
    """The file of a lock: in the system's folder for temporary files, or in the folder that JETBENCH_LOCKS names."""
    folder = os.environ.get("JETBENCH_LOCKS") or tempfile.gettempdir()
    plain = "".join(c if c.isalnum() or c == "-" else "_" for c in name)
    return Path(folder) / f"jetbench-{os.getuid()}-{plain}.lock"


@contextmanager
def contents(path: str | Path, waiting: Callable[[], None] | None = None, poll_s: float = 0.2) -> Iterator[None]:
    """Hold the lock of a file whose contents are to be changed, also between nodes that share it.

    Whoever holds it may replace the file. A missing file is made, and removed again if it stays empty. Where the file
    system has no locks, none is held.

    Args:
        waiting: called once if it has to wait.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    told = False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if _try(descriptor) and _is_at(descriptor, path):
                try:
                    yield
                finally:
                    with suppress(FileNotFoundError):
                        if path.stat().st_size == 0:
                            path.unlink()
                return
        finally:
            os.close(descriptor)
        if waiting is not None and not told:
            waiting()
        told = True
        time.sleep(poll_s)


def is_held(path: str | Path) -> bool:
    """Whether another process holds the lock of a file now, or so it seems; False where there is no such file."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        return not _try(descriptor)
    finally:
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    """Whether the lock of an open file was taken, or there are no locks to take."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _holder(descriptor: int) -> str:
    return os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
