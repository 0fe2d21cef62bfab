"""What a built paper must be: 8 to 12 pages, under 1 MiB, and each page with something on it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGES = range(8, 13)
LARGEST_BYTES = 2**20


def main(path: Path) -> list[str]:
    """The complaints about a PDF; none if all is well."""
    told = subprocess.run(["pdfinfo", path], capture_output=True, text=True, check=True).stdout
    pages = int(re.search(r"^Pages:\s+(\d+)", told, flags=re.MULTILINE).group(1))
    size = path.stat().st_size
    complaints = [] if pages in PAGES else [f"{path} has {pages} pages; {PAGES.start} to {PAGES.stop - 1} are wanted."]
    complaints += [f"{path} has {size} bytes, more than {LARGEST_BYTES}."] if size >= LARGEST_BYTES else []
    for page in range(1, pages + 1):
        span = ["-f", str(page), "-l", str(page)]
        text = subprocess.run(["pdftotext", *span, path, "-"], capture_output=True, text=True, check=True).stdout
        complaints += [] if len(text.split()) > 20 else [f"{path}: page {page} is empty."]
        complaints += [f"{path}: page {page} shows an unresolved reference."] if "??" in text else []
    print(f"{path}: {pages} pages, {size / 1024:.0f} KiB")
    return complaints


if __name__ == "__main__":
    found = main(Path(sys.argv[1]))
    print("\n".join(found))
    sys.exit(bool(found))
