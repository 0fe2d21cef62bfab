"""docs/reliability.md has a row for every fault that is injected, and no other; each test compares its own row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import reliability

pytestmark = pytest.mark.long


def rows() -> dict[str, str]:
    """Fault → its line on the page."""
    lines = reliability.PAGE.read_text(encoding="utf-8").splitlines()
    return {match[1]: line for line in lines if (match := re.match(r"\| (.+?) \| .+ \| .+ \|$", line))}


def test_the_page_is_what_the_catalogue_makes_of_its_rows():
    assert reliability.page(rows()) == reliability.PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("fault", [fault for faults in reliability.CATALOGUE.values() for fault in faults])
def test_every_fault_is_injected_by_a_test(fault):
    sources = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    parts = re.split("|".join(map(re.escape, (*reliability.DEATHS, *reliability.STAGES, "SIGINT", "SIGTERM"))), fault)
    assert all(part.strip(" ") in sources for part in parts)


def test_at_least_2000_bad_inputs_are_tried():
    assert sum(reliability.TRIED.values()) >= 2000
