"""Calls to the outside, made on threads with no transaction open; each lane (a gateway) has threads of its own."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import structlog

from app.kit.trace import following
from app.operations import Effect

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one node of one instance: the effect's answer, or the exception it must never have raised.

    `trace` is on whose behalf the call was made.
    """

    instance_id: str
    node: str
    effect: Effect
    value: object = None
    error: BaseException | None = None
    trace: str = ""


class Caller:
    """Runs effects and collects their answers; `wake` is called when one is in.

    At most `per_lane` calls run in one lane, or as many as `caps` says of it.
    """

    def __init__(self, per_lane: int, wake: Callable[[], None], caps: Mapping[str, int] | None = None) -> None:
        self._per_lane = per_lane
        self._caps = caps or {}
        self._wake = wake
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._answers: SimpleQueue[Answer] = SimpleQueue()

    def submit(self, instance_id: str, node: str, effect: Effect, trace: str = "") -> None:
        """Have the effect called. There is an answer to every one, also where the system has no thread left for it."""
        try:
            pool = self._pools.get(effect.lane) or self._opened(effect.lane)
        except RuntimeError as error:
            self._answers.put(Answer(instance_id, node, effect, error=error, trace=trace))
            self._wake()
            return
        try:
            pool.submit(self._call, instance_id, node, effect, trace)
        except RuntimeError as error:
            # It stands in line before another thread is asked for, and those that there are come to it.
            log.warning("caller.short_of_threads", lane=effect.lane, error=str(error))

    def answers(self) -> list[Answer]:
        """All answers that are in, without waiting."""
        taken: list[Answer] = []
        while True:
            try:
                taken.append(self._answers.get_nowait())
            except Empty:
                return taken

    def close(self) -> None:
        for pool in self._pools.values():
            pool.shutdown(wait=True, cancel_futures=True)

    def _opened(self, lane: str) -> ThreadPoolExecutor:
        """The lane with its first thread, which it never loses. RuntimeError when none can be started."""
        pool = ThreadPoolExecutor(self._caps.get(lane, self._per_lane), thread_name_prefix=f"call-{lane}")
        pool.submit(int)
        self._pools[lane] = pool
        return pool

    def _call(self, instance_id: str, node: str, effect: Effect, trace: str) -> None:
        try:
            with following(trace, instance=instance_id, activation=node):
                answer = Answer(instance_id, node, effect, value=effect.call(), trace=trace)
        except BaseException as error:  # noqa: BLE001 - whatever broke is an answer too, or the instance would hang
            answer = Answer(instance_id, node, effect, error=error, trace=trace)
        self._answers.put(answer)
        self._wake()
