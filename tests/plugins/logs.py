"""How logs look in tests: plain lines. What structlog chooses by itself draws frames around every traceback where it
finds the means to, and a test of failures then spends its time on drawing.
"""

import structlog
from structlog.dev import ConsoleRenderer, plain_traceback


def pytest_configure() -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=True),
            ConsoleRenderer(colors=False, exception_formatter=plain_traceback),
        ]
    )
