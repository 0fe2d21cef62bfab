"""Where the faults happen: a folder and locks of each test's own, and what it observes, for docs/reliability.md."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import reliability  # noqa: E402


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(HERE.parent))
    monkeypatch.setenv("JETBENCH_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def observed(tmp_path: Path) -> Callable[[str, str, str], None]:
    """Say what a user saw of a fault and what was lost. It must be what the page says, or goes into a new one."""

    def observe(fault: str, sees: str, lost: str) -> None:
        assert any(fault in faults for faults in reliability.CATALOGUE.values()), f"{fault} is not in the catalogue"
        line = reliability.row(fault, reliability.plain(sees, tmp_path), lost)
        folder = os.environ.get(reliability.FOLDER)
        if folder:
            name = hashlib.sha256(fault.encode()).hexdigest()[:16]
            Path(folder, f"{name}.json").write_text(json.dumps([fault, line]), encoding="utf-8")
        else:
            known = reliability.PAGE.read_text(encoding="utf-8").splitlines()
            assert line in known, f"docs/reliability.md is not in step; `make reliability` writes it anew:\n{line}"

    return observe


@pytest.fixture
def tried(record_property: Callable[[str, object], None]) -> Callable[[str, int], None]:
    """Say how many bad inputs of a kind were tried: at least as many as the page tells. The end of the run tells it."""

    def count(what: str, number: int) -> None:
        record_property("bad inputs tried", [what, number])
        assert number >= reliability.TRIED[what]

    return count


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 64 KiB. Only root can mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "jetbench-test", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk needs root; the full disk is simulated by another test")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
