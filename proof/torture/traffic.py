"""The traffic of a torture: the stories of a day's shopping, told by careful clients while everything is being killed.

A client repeats every request under its key until it is answered, and notes what it was told: that must exist for ever.
"""

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from app.errors import AppError, Unavailable
from app.kit.database import Json
from app.traffic.orders import Order
from app.traffic.shop import Place, Shop

CLIENTS: Final = 40
#: How often a story is told again that waited in vain; a worker's lease alone may hold it up for ten seconds.
TELLINGS: Final = 8


class Client(Shop):
    """A shop that remembers the ids in every 2xx answer."""

    def __init__(self, where: Place) -> None:
        super().__init__(where, patience_seconds=300)
        self.told: dict[str, str] = {}

    def post(self, path: str, key: str, body: Json | None = None, who: str = "shop") -> Json:
        answer = super().post(path, key, body, who)
        if path in ("/v1/payments", "/v1/refunds"):
            self.told[str(answer["id"])] = key
        return answer


class Traffic:
    """Sends `orders` as fast as they are taken; `done` counts those whose story has ended."""

    def __init__(self, client: Client, orders: Sequence[Order]) -> None:
        self._client = client
        self._pool = ThreadPoolExecutor(CLIENTS, thread_name_prefix="client")
        self._lock = threading.Lock()
        self.done = 0
        #: Sentences about stories that came to no end.
        self.wrong: list[str] = []
        self.refused: Counter[str] = Counter()
        self._futures = [self._pool.submit(self._tell, order) for order in orders]

    @property
    def over(self) -> bool:
        return all(future.done() for future in self._futures)

    def stop(self) -> None:
        self._client.stop()
        self._pool.shutdown(cancel_futures=True)

    def _tell(self, order: Order) -> None:
        sentence = ""
        for _ in range(TELLINGS):
            try:
                self._act(order)
            except Unavailable as waited:
                sentence = waited.detail
                continue
            except AppError as refused:
                # Such as a refund of a payment that was meanwhile disputed: the answer is an answer.
                with self._lock:
                    self.refused[str(refused.extra.get("code", refused.code))] += 1
            sentence = ""
            break
        with self._lock:
            self.done += 1
            if sentence:
                self.wrong.append(f"{order.reference} ({order.story.name}): {sentence}")

    def _act(self, order: Order) -> None:
        body: Json = {
            "amount": order.amount,
            "currency": order.currency,
            "payment_method": order.story.payment_method,
            "capture_method": "manual" if order.story.manual else "automatic",
            "reference": order.reference,
            "customer": order.customer,
            "metadata": order.metadata,
        }
        payment = self._client.post("/v1/payments", order.key("pay"), body)["id"]
        order.story.then(self._client, order, payment)


class Receiver:
    """The merchant's own endpoint for webhooks. It notes the ids of the events it was sent, how often each."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                receiver.events[self.headers["webhook-id"]] += 1
                self.send_response(204)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Stay quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hooks"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def wait(seconds: float, enough: Any) -> bool:
    """Until `enough()`; False when that did not come in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if enough():
            return True
        time.sleep(0.5)
    return False


__all__ = ["Client", "Mapping", "Receiver", "Traffic", "wait"]
