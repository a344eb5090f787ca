"""The merchant's side of the HTTP API: every POST has a key and is sent again with it until there is an answer.

So a run survives the stack being killed and started again, and the same run once more only replays.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from app.demo import NothingRuns
from app.errors import AppError, Unavailable
from app.kit.database import Json
from app.kit.http import Answer, HttpClient

SHOP: Final = "shop"
_PAUSES_SECONDS: Final = (0.2, 0.5, 1, 2)
_IN_PROGRESS: Final = "idempotency_in_progress"


class Refused(AppError):
    """The API said no; `code` of the answer is in `extra`."""

    code = "request_refused"
    title = "The API refused a request"
    status = 502


@dataclass(frozen=True, slots=True)
class Place:
    """Where a running `sluice up` is reached, as its `demo.json` tells: addresses, and a secret per caller."""

    base_url: str
    secrets: Mapping[str, str] = field(repr=False)
    sandboxes: Mapping[str, str]


@dataclass(slots=True)
class Tally:
    """What the sending itself saw."""

    sent: int = 0
    repeated: int = 0
    replayed: int = 0


def place(told: Json) -> Place:
    """From the content of `demo.json`."""
    people = {name: person["token"] for name, person in told["users"].items()}
    sandboxes = {sandbox["name"]: sandbox["url"] for sandbox in told["sandboxes"]}
    return Place(told["base_url"], {SHOP: told["api_key"], **people}, sandboxes)


class Shop:
    """`patience_seconds`: how long a request is tried again before Unavailable. Safe to share between threads."""

    def __init__(self, where: Place, patience_seconds: float = 120) -> None:
        self._where = where
        self._patience = patience_seconds
        # A gateway's books grow with every payment.
        self._client = HttpClient(connect_seconds=2, total_seconds=30, max_bytes=1 << 28)
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self.tally = Tally()

    def must_answer(self) -> None:
        """NothingRuns unless the web answers now."""
        answer = self._client.exchange("GET", f"{self._where.base_url}/healthz", {})
        if not isinstance(answer, Answer) or answer.status != 200:
            raise NothingRuns(f"Nothing answers at {self._where.base_url}. Start `make up`, then run this beside it")

    def get(self, path: str, **query: object) -> Json:
        return self._ask("GET", f"{path}?{urlencode(query)}" if query else path, SHOP)

    def post(self, path: str, key: str, body: Json | None = None, who: str = SHOP) -> Json:
        return self._ask("POST", path, who, orjson.dumps(body or {}), {"idempotency-key": key})

    def every(self, path: str, **query: object) -> Iterator[Json]:
        """The objects of a whole list, page after page."""
        page = self.get(path, limit=100, **query)
        yield from page["data"]
        while page["has_more"]:
            page = self.get(path, limit=100, after=page["next"], **query)
            yield from page["data"]

    def play(self, gateway: str, path: str, body: Json | None = None) -> bool:
        """Be the customer or the bank at a sandbox; False when what is asked happened before."""
        url = f"{self._where.sandboxes[gateway]}/admin/{path}"
        headers = {"content-type": "application/json"}
        answer = self._until_answered("POST", url, headers, orjson.dumps(body or {}))
        return answer.status < 300

    def charges(self, gateway: str) -> list[Json]:
        answer = self._until_answered("GET", f"{self._where.sandboxes[gateway]}/admin/books", {}, None)
        return list(orjson.loads(answer.body)["charges"])

    def pause(self, seconds: float) -> None:
        """Wait, unless the run is stopped meanwhile: then Unavailable."""
        if self._stopped.wait(seconds):
            raise Unavailable("The run was stopped")

    def stop(self) -> None:
        """Every waiting request gives up."""
        self._stopped.set()

    def close(self) -> None:
        self._client.close()

    def _ask(
        self, method: str, path: str, who: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Json:
        known = {"authorization": f"Bearer {self._where.secrets[who]}", "content-type": "application/json"}
        answer = self._until_answered(method, self._where.base_url + path, {**known, **(headers or {})}, body)
        content = orjson.loads(answer.body)
        if answer.status >= 400:
            told = f"{method} {path} was refused: {content['title']} ({content['detail']})"
            raise Refused(told, extra={"code": content["code"]})
        with self._lock:
            self.tally.sent += method == "POST"
            self.tally.replayed += answer.headers.get("idempotent-replayed") == "true"
        return dict(content)

    def _until_answered(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        end = time.monotonic() + self._patience
        tries = 0
        while True:
            answer = self._client.exchange(method, url, headers, body)
            if isinstance(answer, Answer) and not _passing(answer):
                return answer
            if time.monotonic() > end:
                raise Unavailable(f"{url} did not answer for {self._patience:.0f} seconds")
            with self._lock:
                self.tally.repeated += 1
            self.pause(_PAUSES_SECONDS[min(tries, len(_PAUSES_SECONDS) - 1)])
            tries += 1


def _passing(answer: Answer) -> bool:
    """What the same request, sent again, may get past."""
    return answer.status >= 500 or answer.status == 429 or (answer.status == 409 and _code(answer) == _IN_PROGRESS)


def _code(answer: Answer) -> Any:
    try:
        return orjson.loads(answer.body).get("code")
    except orjson.JSONDecodeError:
        return None
