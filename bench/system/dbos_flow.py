"""`python -m bench.system.dbos_flow URL COUNT THREADS`: the same six steps as one DBOS workflow; prints payments/s."""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click
from dbos import DBOS

from bench.system import six


@DBOS.step()
def call(step: str, amount: int) -> dict[str, Any]:  # noqa: ARG001 - what a gateway would be told
    return six.answer(step)


@DBOS.workflow()
def pay(payload: dict[str, Any]) -> dict[str, Any]:
    return {step: call(step, payload["amount"]) for step in six.STEPS}


def run(count: int, threads: int) -> float:
    for _ in range(5):
        pay(dict(six.PAYLOAD))
    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        done = sum(len(answers) == len(six.STEPS) for answers in pool.map(pay, [dict(six.PAYLOAD)] * count))
    assert done == count
    return count / (time.perf_counter() - began)


if __name__ == "__main__":
    DBOS(config={"name": "bench", "system_database_url": sys.argv[1], "log_level": "ERROR"})
    DBOS.launch()
    click.echo(run(int(sys.argv[2]), int(sys.argv[3])))
    DBOS.destroy()
    os._exit(0)  # its threads would keep the process for seconds
