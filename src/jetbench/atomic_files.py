"""Files that are replaced whole: whoever reads one, or is left with it after a kill or a full disk, has the old or the
new content and nothing between."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """A stream of bytes whose content becomes that of the file when the block ends well; it is on the disk then.

    A link stays one, and its target is replaced. What is no file, such as /dev/stdout, is written to as it is.

    Raises:
        OSError: it cannot be written; the file is as it was, and nothing is left beside it.
    """
    path = Path(path)
    if _is_stream(path):
        with open(path, "wb") as stream:
            yield stream
        return
    target = os.path.realpath(path)
    new = Path(target).with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with open(new, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(new, target)
    except BaseException as error:
        with suppress(OSError):
            new.unlink()
        if isinstance(error, OSError):
            error.filename = str(path)
        raise


def check_writable(path: Path) -> None:
    """Raise an OSError now, not after the measurements, if a file cannot be written; what it holds stays."""
    if _is_stream(path):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    known = path.exists()
    path.open("a").close()
    if not known:
        path.unlink()


def _is_stream(path: Path) -> bool:
    """Whether a path is a device or a pipe: opening one in passing can wait for ever, replacing it would remove it."""
    return path.exists() and not path.is_file() and not path.is_dir()
