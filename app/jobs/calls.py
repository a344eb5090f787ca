"""Calls to the outside, made on threads with no transaction open; each lane (a gateway) has threads of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from app.operations import Effect


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one node of one instance: the effect's answer, or the exception it must never have raised."""

    instance_id: str
    node: str
    effect: Effect
    value: object = None
    error: BaseException | None = None


class Caller:
    """Runs effects and collects their answers; `wake` is called when one is in."""

    def __init__(self, per_lane: int, wake: Callable[[], None]) -> None:
        self._per_lane = per_lane
        self._wake = wake
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._answers: SimpleQueue[Answer] = SimpleQueue()

    def submit(self, instance_id: str, node: str, effect: Effect) -> None:
        pool = self._pools.get(effect.lane)
        if pool is None:
            pool = ThreadPoolExecutor(self._per_lane, thread_name_prefix=f"call-{effect.lane}")
            self._pools[effect.lane] = pool
        pool.submit(self._call, instance_id, node, effect)

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

    def _call(self, instance_id: str, node: str, effect: Effect) -> None:
        try:
            answer = Answer(instance_id, node, effect, value=effect.call())
        except BaseException as error:  # noqa: BLE001 - whatever broke is an answer too, or the instance would hang
            answer = Answer(instance_id, node, effect, error=error)
        self._answers.put(answer)
        self._wake()
