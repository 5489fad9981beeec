"""Random damage, with named seeds. SER_CHAOS is the number of inputs per fuzzer and a measure of the number of kills:
10 in `make test`, 1000 in `make chaos`, which prints the numbers at the end.
"""

from __future__ import annotations

import os

import pytest

from tests.chaos.mutation import fuzz, total

INPUTS = int(os.environ.get("SER_CHAOS", "10"))


@pytest.fixture
def run(record_property, capsys):
    """Fuzzes a reader (`tests.chaos.mutation.fuzz`) and keeps the numbers for the end."""

    def run(name, make, inputs=INPUTS):
        line = fuzz(name, inputs, make)
        capsys.readouterr()
        record_property("chaos", line)

    return run


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = [
        str(line)
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, line in report.user_properties
        if name == "chaos"
    ]
    if lines:
        terminalreporter.section("chaos")
        for line in [*lines, total(lines)]:
            terminalreporter.write_line(line)
