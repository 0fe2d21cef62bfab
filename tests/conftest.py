"""What the whole run is under: when garbage is collected, and what its end tells beside failures."""

from __future__ import annotations

import gc

import pytest

# Compilers and tracers make millions of objects that stay. To look through them as often as Python does by itself took
# a third of the run; garbage is still collected, only after more of it.
gc.set_threshold(100_000, 20, 20)


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
