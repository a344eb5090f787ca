"""Lines of the log, in a process of their own."""

import os
import subprocess
import sys

import orjson

_WORK = """
import structlog
from app.kit import log
log.configure("info")
for number in range(3):
    structlog.get_logger().warning("part.failed", number=number)
    print(number, flush=True)
"""


def work(stderr: int) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", _WORK]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=stderr, check=False, timeout=60)


def test_a_line_is_one_json_object() -> None:
    lines = [orjson.loads(line) for line in work(subprocess.PIPE).stderr.splitlines()]
    assert [(line["event"], line["level"], line["number"]) for line in lines] == [
        ("part.failed", "warning", number) for number in range(3)
    ]


def test_work_goes_on_where_nobody_takes_its_lines() -> None:
    """A thread of a worker that ended of this would be missed by nobody."""
    reader, writer = os.pipe()
    os.close(reader)
    assert work(writer).stdout.split() == [b"0", b"1", b"2"]
    os.close(writer)
