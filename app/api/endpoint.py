"""One declared route as a Flask view: read, admit, work, answer.

A request is one transaction, repeated when PostgreSQL undid it for the sake of another: it admits the caller, claims
the Idempotency-Key if there is one, does the work and stores the answer. Nothing is open while the body is read or an
instance is waited for.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
from flask import Request, Response, g, request
from sqlalchemy.exc import IntegrityError

from app.access.actor import Actor
from app.api import auth, validation
from app.api.context import ApiContext
from app.api.idempotency import (
    Busy,
    Claim,
    Idempotency,
    KeyRequired,
    Scope,
    Stored,
    fingerprint,
    is_taken,
    key_of,
    wait,
)
from app.api.problems import BodyTooLarge
from app.api.rate import Rate
from app.api.route import Answer, Body, Call, Query, Rest, Route, Upload
from app.api.waiting import Seats
from app.kit.crashpoint import Point, crashpoint
from app.kit.database import Tx
from app.kit.trace import request_span

LONGEST_WAIT_SECONDS = 30
#: The query parameter that every route with files knows.
FILE_NAME = frozenset({"name"})


class NoBody(Body):
    """For routes that take none: an empty body or `{}`."""


class NoQuery(Query):
    """For routes that take none: a parameter is refused rather than ignored."""


@dataclass(frozen=True)
class Admitted:
    """A caller who may, and arguments that are valid. `asked` is what tells the request from others to its address."""

    actor: Actor
    arguments: dict[str, Any]
    asked: Any


@dataclass(frozen=True)
class Done:
    """The work was done under `claim`; `rest` is what may be waited for."""

    stored: Stored
    rest: Rest | None
    claim: Claim


class Endpoint:
    def __init__(self, route: Route, context: ApiContext, idempotency: Idempotency, seats: Seats, rate: Rate) -> None:
        self.route = route
        self._context = context
        self._idempotency = idempotency
        self._seats = seats
        self._rate = rate

    def view(self) -> Callable[..., Response]:
        """The function to register in Flask, which tells views apart by their names."""

        def answer(**parts: str) -> Response:
            self._rate.check(auth.caller())
            with request_span(self.route.signature, request.headers.get("traceparent", "")):
                return self._answer(**parts)

        answer.__name__ = answer.__qualname__ = self.route.name
        return answer

    def _answer(self, **parts: str) -> Response:
        raw = self._read(request)
        key = key_of(request) if self.route.method == "POST" else None
        if key is not None:
            return self._once(key, raw, parts)
        stored, rest = self._context.database.run(lambda tx: self._at_once(tx, raw, parts))
        crashpoint(Point.REQUEST_COMMITTED)
        return self._respond(self._rested(stored, rest, None))

    def _at_once(self, tx: Tx, raw: bytes, parts: dict[str, str]) -> tuple[Stored, Rest | None]:
        admitted = self._admit(tx, raw, parts)
        if self.route.needs_key:
            raise KeyRequired
        return self._work(tx, admitted)

    def _once(self, key: str, raw: bytes, parts: dict[str, str]) -> Response:
        found = self._under(key, raw, parts)
        if isinstance(found, Busy):
            found = self._after(lambda: self._under(key, raw, parts))
        if isinstance(found, Stored):
            return self._respond(found, replayed=True)
        crashpoint(Point.REQUEST_COMMITTED)
        return self._respond(self._rested(found.stored, found.rest, found.claim))

    def _under(self, key: str, raw: bytes, parts: dict[str, str]) -> Done | Stored | Busy:
        """The work, done under the key, or what is in its way."""
        try:
            return self._context.database.run(lambda tx: self._claimed(tx, key, raw, parts))
        except IntegrityError as error:
            if not is_taken(error):
                raise
            return Busy()

    def _claimed(self, tx: Tx, key: str, raw: bytes, parts: dict[str, str]) -> Done | Stored | Busy:
        admitted = self._admit(tx, raw, parts)
        mark = fingerprint(request.path, admitted.asked)
        claim = self._idempotency.claim(tx, Scope(admitted.actor.merchant_id, self.route.signature, key, mark))
        if not isinstance(claim, Claim):
            return claim
        stored, rest = self._work(tx, admitted)
        patience = wait_seconds(request.headers.get("Prefer", ""))
        resting = timedelta(seconds=patience) if rest is not None and patience else None
        self._idempotency.complete(tx, claim, stored, resting)
        return Done(stored, rest, claim)

    def _after(self, again: Callable[[], Done | Stored | Busy]) -> Done | Stored:
        """Wait for the first request with this key; without a seat only as long as everybody does."""
        patience = wait_seconds(request.headers.get("Prefer", ""))
        with self._seats.one() as seated:
            return wait(again, patience if seated else 0)

    def _read(self, incoming: Request) -> bytes:
        body = self.route.body
        most = body.max_bytes if isinstance(body, Upload) else self._context.max_body_bytes
        if (incoming.content_length or 0) > most:
            raise BodyTooLarge(f"The body has {incoming.content_length} bytes; this route accepts {most}")
        # For bodies that do not tell their length beforehand.
        incoming.max_content_length = most
        # A form is parsed while it is read, and leaves nothing else.
        is_form = isinstance(body, Upload) and incoming.mimetype == "multipart/form-data"
        return incoming.get_data(cache=False, parse_form_data=is_form)

    def _admit(self, tx: Tx, raw: bytes, parts: dict[str, str]) -> Admitted:
        actor = auth.authenticate(tx, request)
        actor.require(*self.route.roles)
        arguments: dict[str, Any] = dict(validation.path_parts(parts))
        ignored = FILE_NAME if isinstance(self.route.body, Upload) else frozenset[str]()
        query = validation.query(self.route.query or NoQuery, request, ignored=ignored)
        if self.route.query is not None:
            arguments["query"] = query
        if self.route.method == "GET":
            return Admitted(actor, arguments, None)
        if isinstance(self.route.body, Upload):
            arguments["files"] = validation.files(self.route.body, request, raw)
            parsed: Any = [[file.name, hashlib.sha256(file.content).hexdigest()] for file in arguments["files"]]
        else:
            parsed = validation.read_json(request, raw)
            checked = validation.body(self.route.body or NoBody, raw)
            if self.route.body is not None:
                arguments["body"] = checked
        asked = parsed if self.route.query is None else [query.model_dump(mode="json"), parsed]
        return Admitted(actor, arguments, asked)

    def _work(self, tx: Tx, admitted: Admitted) -> tuple[Stored, Rest | None]:
        call = Call(tx, admitted.actor, self._context)
        result = self.route.handler(call, **admitted.arguments)
        answer = result if isinstance(result, Answer) else Answer(result)
        content = orjson.dumps(answer.body, option=orjson.OPT_UTC_Z) if answer.content is None else answer.content
        return Stored(answer.status or self.route.status, answer.media_type, content), answer.rest

    def _rested(self, stored: Stored, rest: Rest | None, claim: Claim | None) -> Stored:
        """With `Prefer: wait=N`, the answer as it is once the instance rests; replays then give this one."""
        seconds = wait_seconds(request.headers.get("Prefer", ""))
        if rest is None or not seconds:
            return stored
        with self._seats.one() as g.waited:
            if g.waited:
                self._context.wait_until_rest(rest.instance_id, seconds)
        with self._context.database.begin() as tx:
            later = Stored(stored.status, stored.media_type, orjson.dumps(rest.show(tx), option=orjson.OPT_UTC_Z))
            if claim is not None:
                self._idempotency.amend(tx, claim, later)
        return later

    def _respond(self, stored: Stored, *, replayed: bool = False) -> Response:
        response = Response(stored.body, status=stored.status, content_type=stored.media_type)
        if replayed:
            response.headers["Idempotent-Replayed"] = "true"
        if self.route.waits and wait_seconds(request.headers.get("Prefer", "")) and g.get("waited", True):
            response.headers["Preference-Applied"] = "wait"
        return response


def wait_seconds(prefer: str) -> float:
    """The seconds in `Prefer: respond-async, wait=10`, at most LONGEST_WAIT_SECONDS; 0 without any."""
    for preference in prefer.split(","):
        match = re.fullmatch(r"\s*wait\s*=\s*\"?(\d{1,6})\"?\s*", preference, re.IGNORECASE)
        if match:
            return min(int(match.group(1)), LONGEST_WAIT_SECONDS)
    return 0
