"""Tables that a test has made are shown after the last test: `record_property("summary", text)`, on workers too."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.getreports("passed"):
        for name, text in report.user_properties:
            if name == "summary":
                terminalreporter.write_sep("-", report.head_line or report.nodeid)
                terminalreporter.write_line(str(text))
