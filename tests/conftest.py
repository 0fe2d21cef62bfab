"""What the whole run is under: workers, when garbage is collected, and what its end tells beside failures."""

from __future__ import annotations

import gc
from collections.abc import Generator

import pytest

# Compilers and tracers make millions of objects that stay. To look through them as often as Python does by itself took
# a third of the run; garbage is still collected, only after more of it.
gc.set_threshold(100_000, 20, 20)


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """One more than there are cores: the test of a cluster waits for two minutes, which leave its core to others."""
    return (yield) + 1


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()  # modules and tests stay until the end


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for report in terminalreporter.getreports("passed") if report.when == "call"]
    tried = [given for report in reports for name, given in report.user_properties if name == "bad inputs tried"]
    for what, number in tried:
        terminalreporter.write_line(f"{number:,} bad inputs tried: {what}")
    if tried:
        terminalreporter.write_line(f"{sum(number for _, number in tried):,} bad inputs tried together")
