"""Calls to the outside, made on threads with no transaction open; each lane (a gateway) has threads of its own."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from app.kit.trace import following
from app.operations import Effect


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
        pool = self._pools.get(effect.lane)
        if pool is None:
            pool = ThreadPoolExecutor(
                self._caps.get(effect.lane, self._per_lane), thread_name_prefix=f"call-{effect.lane}"
            )
            self._pools[effect.lane] = pool
        pool.submit(self._call, instance_id, node, effect, trace)

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

    def _call(self, instance_id: str, node: str, effect: Effect, trace: str) -> None:
        try:
            with following(trace, instance=instance_id, activation=node):
                answer = Answer(instance_id, node, effect, value=effect.call(), trace=trace)
        except BaseException as error:  # noqa: BLE001 - whatever broke is an answer too, or the instance would hang
            answer = Answer(instance_id, node, effect, error=error, trace=trace)
        self._answers.put(answer)
        self._wake()
