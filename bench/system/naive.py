"""SpiffWorkflow as its manual shows it: the whole state as JSON in one row, read and written again at each step.

`python -m bench.system.naive URL COUNT` does the steps in this process; `enqueue` makes each an RQ job, of which the
workers take one after another and the steps named in REMOTE ask a gateway over HTTP.
"""

import os
import sys
import time
from typing import Any

import click
import orjson
import psycopg
import urllib3
from lxml import etree
from redis import Redis
from rq import Queue
from SpiffWorkflow.bpmn import BpmnWorkflow
from SpiffWorkflow.bpmn.script_engine import PythonScriptEngine
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
from SpiffWorkflow.spiff.parser import SpiffBpmnParser
from SpiffWorkflow.spiff.serializer import DEFAULT_CONFIG
from SpiffWorkflow.util.task import TaskState

from app.kit.ids import new_id
from bench.system import six

SERIALIZER = BpmnWorkflowSerializer(BpmnWorkflowSerializer.configure(DEFAULT_CONFIG))
REMOTE = frozenset({"gw.authorize", "gw.capture"})
TABLE = "CREATE TABLE IF NOT EXISTS naive (id text PRIMARY KEY, state text NOT NULL, done boolean NOT NULL)"
QUEUE = "naive"
_open: dict[str, Any] = {}


class Answering(PythonScriptEngine):
    """Asks the gateway over HTTP where an address is given, and answers by itself otherwise."""

    def __init__(self, stub: str = "") -> None:
        super().__init__()
        self._stub = stub
        self._http = urllib3.PoolManager()

    def call_service(self, _: Any, operation_name: str = "", operation_params: Any = None, **__: Any) -> str:
        if not self._stub or operation_name not in REMOTE:
            return orjson.dumps(six.answer(operation_name)).decode()
        body = orjson.dumps({name: parameter["value"] for name, parameter in operation_params.items()})
        return self._http.request("POST", f"{self._stub}/call", body=body, timeout=5).data.decode()


def specification() -> Any:
    parser = SpiffBpmnParser()
    parser.add_bpmn_xml(etree.fromstring(six.STOCK))
    return parser.get_spec(six.PROCESS)


def create(connection: psycopg.Connection[Any], spec: Any) -> str:
    identity = new_id("nai")
    workflow = BpmnWorkflow(spec)
    workflow.task_tree.data.update(six.PAYLOAD)
    state = SERIALIZER.serialize_json(workflow)
    connection.execute("INSERT INTO naive (id, state, done) VALUES (%s, %s, false)", (identity, state))
    connection.commit()
    return identity


def advance(connection: psycopg.Connection[Any], engine: Answering, identity: str) -> bool:
    """Load, run up to and including one service task, save; False once it is over."""
    row = connection.execute("SELECT state FROM naive WHERE id = %s FOR UPDATE", (identity,)).fetchone()
    assert row is not None
    workflow = SERIALIZER.deserialize_json(row[0])
    workflow.script_engine = engine
    more = _to_service(workflow)
    state = SERIALIZER.serialize_json(workflow)
    connection.execute("UPDATE naive SET state = %s, done = %s WHERE id = %s", (state, not more, identity))
    connection.commit()
    return more


def _to_service(workflow: Any) -> bool:
    while (task := workflow.get_next_task(state=TaskState.READY, manual=False)) is not None:
        serves = "ServiceTask" in type(task.task_spec).__name__
        task.run()
        if serves:
            return True
    return False


def job(identity: str) -> None:
    """One step as an RQ job: the next one is enqueued by it."""
    if not _open:
        _open["connection"] = psycopg.connect(os.environ["NAIVE_DATABASE"])
        _open["engine"] = Answering(os.environ["NAIVE_STUB"])
        _open["queue"] = Queue(QUEUE, connection=Redis.from_url(os.environ["NAIVE_REDIS"]))
    if advance(_open["connection"], _open["engine"], identity):
        _open["queue"].enqueue(job, identity, result_ttl=0)


def enqueued(url: str, redis_url: str, count: int) -> float:
    """Payments per second of the workers that listen to `redis_url`."""
    queue = Queue(QUEUE, connection=Redis.from_url(redis_url))
    spec = specification()
    with psycopg.connect(url) as connection:
        began = time.perf_counter()
        for _ in range(count):
            queue.enqueue(job, create(connection, spec), result_ttl=0)
        while _left(connection):
            time.sleep(0.02)
    return count / (time.perf_counter() - began)


def _left(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("SELECT count(*) FROM naive WHERE NOT done").fetchone()
    connection.commit()
    return row is not None and row[0] > 0


def reloading(url: str, count: int) -> float:
    """Payments per second of one process that reloads before each step."""
    spec, engine = specification(), Answering()
    with psycopg.connect(url) as connection:
        began = time.perf_counter()
        for _ in range(count):
            identity = create(connection, spec)
            while advance(connection, engine, identity):
                pass
    return count / (time.perf_counter() - began)


if __name__ == "__main__":
    click.echo(reloading(sys.argv[1], int(sys.argv[2])))
