"""What the end of a test run tells beside failures: how many bad inputs were tried."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for report in terminalreporter.getreports("passed") if report.when == "call"]
    tried = [given for report in reports for name, given in report.user_properties if name == "bad inputs tried"]
    for what, number in tried:
        terminalreporter.write_line(f"{number:,} bad inputs tried: {what}")
    if tried:
        terminalreporter.write_line(f"{sum(number for _, number in tried):,} bad inputs tried together")
