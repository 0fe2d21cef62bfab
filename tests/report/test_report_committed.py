"""The figures and tables of the machines with committed records: all there, small, and drawn from those records."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import matplotlib
import pytest

from jetbench.cli.report import data_of
from jetbench.report import collect
from jetbench.report.figures import style
from jetbench.report.registry import FIGURES, TABLES

ROOT = Path(__file__).resolve().parents[2]
KIB = 2**10
REDRAW = "they are not those of the committed records; `make picture` redraws them"


def tracked(pattern: str) -> list[Path]:
    """The committed files of a pattern."""
    done = subprocess.run(["git", "ls-files", "-z", pattern], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("this is not a checkout of the repository")
    return [ROOT / name for name in done.stdout.split("\0") if name]


@pytest.fixture(scope="module")
def machines() -> list[str]:
    return [path.parent.name for path in tracked("results/*/machine.json")]


@pytest.fixture(scope="module")
def data(machines, tmp_path_factory):
    """Machine → the data that its committed figures were drawn from."""
    folder = tmp_path_factory.mktemp("collected")
    records, *_ = collect.write(collect.machines_in(ROOT / "results" / name for name in machines), folder)
    return {name: data_of(records, name, ROOT / "results" / "published") for name in machines}


def test_every_machine_with_committed_records_has_every_figure_and_table(machines):
    assert machines
    expected = {f"figures/{m}/{n}.{s}" for m in machines for n in FIGURES for s in ("pdf", "png")}
    expected |= {f"tables/{m}/{n}.{s}" for m in machines for n in TABLES for s in ("csv", "md", "tex")}
    found = {str(path.relative_to(ROOT)) for kind in ("figures/*", "tables/*") for path in tracked(kind)}
    assert found == expected


def test_committed_figures_are_small(machines):
    for machine in machines:
        sizes = {path: path.stat().st_size for path in tracked(f"figures/{machine}/*")}
        assert max(sizes.values()) < 300 * KIB
        assert sum(sizes.values()) < 5 * KIB**2


@pytest.mark.parametrize("name", ["main", "operators", "status", "vectors"])
def test_committed_tables_are_those_of_the_committed_records(name, data):
    for machine, own in data.items():
        committed = ROOT / "tables" / machine / f"{name}.md"
        assert TABLES.make(name, own).markdown() == committed.read_text(encoding="utf-8"), REDRAW


@pytest.mark.parametrize("name", ["overview", "depth"])
def test_a_figure_redrawn_is_the_committed_one_to_the_byte(name, data, tmp_path):
    pinned = re.search(r"^matplotlib==(\S+)", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE).group(1)
    if matplotlib.__version__ != pinned:
        pytest.skip(f"matplotlib {matplotlib.__version__} may draw other bytes than the pinned {pinned}")
    for machine, own in data.items():
        for path in style.write(name, own, tmp_path / machine / name):
            committed = ROOT / "figures" / machine / path.name
            assert path.read_bytes() == committed.read_bytes(), REDRAW
