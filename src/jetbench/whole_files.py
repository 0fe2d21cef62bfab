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

    Raises:
        OSError: it cannot be written; the file is as it was, and nothing is left beside it.
    """
    path = Path(path)
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with open(new, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(new, path)
    except BaseException as error:
        with suppress(OSError):
            new.unlink()
        if isinstance(error, OSError):
            error.filename = str(path)
        raise


def check_writable(path: Path) -> None:
    """Raise an OSError now, not after the measurements, if a file cannot be written; what it holds stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = path.exists()
    path.open("a").close()
    if not known:
        path.unlink()
