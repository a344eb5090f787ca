"""Wire cases: which request must go out for a call, what the gateway answers, and what we make of it.

They are written from a gateway's documentation, for what its test system cannot do.

A case is JSON: a `promise`, and `steps` of a `call`, the `exchanges` it needs in this order, and what to `expect`. A
body with `"$": name` is the object of that name in `objects.json` with the other fields laid over it.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from app.gateways.port import (
    Authorize,
    Capture,
    CouldNotAsk,
    Evidence,
    Gateway,
    GatewayDispute,
    GatewayResult,
    Lookup,
    LookupResult,
    Refund,
    Void,
)
from app.kit.money import Money

Json = dict[str, Any]
_REQUESTS = {"authorize": Authorize, "capture": Capture, "void": Void, "refund": Refund, "lookup": Lookup}
_REQUESTS |= {"submit_evidence": Evidence, "accept_dispute": Evidence}


@dataclass(frozen=True)
class Case:
    file: str
    promise: str
    steps: tuple[Json, ...]
    #: Tests of the contract whose promise this case shows.
    contract: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.file}: {self.promise}"


def cases(folder: Path) -> list[Case]:
    objects = json.loads((folder / "objects.json").read_text())
    files = sorted(path for path in folder.glob("*.json") if path.name != "objects.json")
    return [
        Case(path.stem, each["promise"], tuple(_laid_over(each["steps"], objects)), tuple(each.get("contract", ())))
        for path in files
        for each in json.loads(path.read_text())
    ]


def _laid_over(value: Any, objects: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_laid_over(each, objects) for each in value]
    if isinstance(value, dict):
        inside = {name: _laid_over(each, objects) for name, each in value.items() if name != "$"}
        return (_laid_over(objects[value["$"]], objects) | inside) if "$" in value else inside
    return value


class Recorded:
    """Answers the exchanges given in `expected`, each once and in order; anything else is kept in `surprises`."""

    def __init__(self) -> None:
        self.expected: list[Json] = []
        self.surprises: list[str] = []
        recorded = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def _answer(self) -> None:
                length = int(self.headers.get("content-length", 0))
                answer = recorded.answer(_seen(self.command, self.path, dict(self.headers), self.rfile.read(length)))
                body = json.dumps(answer["body"]).encode()
                self.send_response(answer["status"])
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def answer(self, seen: Json) -> Json:
        if self.expected and self.expected[0]["request"].items() <= seen.items():
            return dict(self.expected.pop(0)["answer"])
        self.surprises.append(f"{json.dumps(seen, indent=1)}\nwhere this was expected: {json.dumps(self.expected[:1])}")
        return {"status": 500, "body": {"surprise": True}}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@contextmanager
def recorded() -> Iterator[Recorded]:
    server = Recorded()
    try:
        yield server
    finally:
        server.close()


def _seen(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Json:
    url = urlsplit(target)
    lower = {name.lower(): value for name, value in headers.items()}
    seen: Json = {"method": method, "path": url.path, "query": dict(parse_qsl(url.query, keep_blank_values=True))}
    if method == "POST":
        seen |= {"form": dict(parse_qsl(body.decode(), keep_blank_values=True)), "key": lower.get("idempotency-key")}
    return seen


def play(gateway: Gateway, call: Mapping[str, Any]) -> Json:
    """Make the call a step names; what came of it as plain JSON."""
    verb = call["verb"]
    if verb == "dispute":
        return _plain(gateway.dispute(call["dispute"]))
    if verb == "books":
        return _read(gateway, datetime.fromisoformat(call["since"]))
    given = {name: value for name, value in call.items() if name != "verb"}
    if "amount" in given:
        given["amount"] = Money(*given["amount"])
    if "begun_at" in given:
        given["begun_at"] = datetime.fromisoformat(given["begun_at"])
    return _plain(getattr(gateway, verb)(_REQUESTS[verb](**given)))


def _read(gateway: Gateway, since: datetime) -> Json:
    """The charges up to the end of the books, or up to where they cannot be read."""
    charges: list[Json] = []
    try:
        charges.extend(map(asdict, gateway.books(since)))
    except CouldNotAsk:
        return {"charges": charges, "unreadable": True}
    return {"charges": charges, "unreadable": False}


def _plain(result: GatewayResult | LookupResult | GatewayDispute | None) -> Json:
    if result is None:
        return {"dispute": None}
    if isinstance(result, LookupResult):
        return {"found": result.found} | (_plain(result.result) if result.result else {})
    shown: Json = json.loads(json.dumps(asdict(result), default=str))
    for name in ("amount", "fee"):
        if shown.get(name):
            shown[name] = [shown[name]["minor"], shown[name]["currency"]]
    if isinstance(result, GatewayResult) and result.decline:
        shown["retry"] = result.decline.retry
    return shown
