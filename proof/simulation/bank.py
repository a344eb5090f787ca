"""A gateway of the simulation: the sandbox's rules and books behind the sandbox's adapter, joined by a faulty wire.

The weather of the wire is seeded: requests are refused, lost, arrive late or twice, and answers are lost, late,
mangled, or about another amount.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from pydantic import SecretStr

from app.errors import AppError
from app.gateways.port import Capability, GatewayResult, Outcome
from app.gateways.sandbox import SandboxGateway, SandboxOptions
from app.gateways.wire import JsonAnswer, Wire
from app.kit.database import Json
from app.sandbox import charges, disputes
from app.sandbox.company import Company
from app.sandbox.config import SandboxConfig
from app.sandbox.faults import Sight
from app.sandbox.intake import Effect, Order, serve
from app.sandbox.records import Charge, Dispute, Movement
from app.sandbox.refusals import NoSuchThing
from app.sandbox.views import charge_view, dispute_view, movement_view, status_code
from proof.simulation.timeline import Timeline

#: What becomes of a request, and how often in a thousand; the rest goes well.
POSTS: Final = {
    "refused": 25,  # surely not a byte has left
    "lost": 20,  # it never arrives, and nobody knows
    "late": 15,  # it takes effect after everybody has given up waiting
    "unanswered": 30,  # it took effect, and the answer is lost
    "garbage": 10,  # it took effect, and the answer is not readable
    "broken": 10,  # it took effect, and the answer is an error nobody documented
    "mistaken": 2,  # it took effect, and the answer is about another amount
    "twice": 25,  # it arrives once more, some time later
}
QUESTIONS: Final = {"unanswered": 60, "garbage": 20, "broken": 20}
_TIMEOUT_SECONDS: Final = 3.0
_VISIBLE_SECONDS: Final = 4.0
#: `pm_card_visa~7` behaves like `pm_card_visa` and is another card for everybody who counts cards.
CARD_NUMBER: Final = "~"

Witness = Callable[[str, str], None]


@dataclass
class Weather:
    """What the wires do: `outages` are the gateways that nobody reaches now, `fair` stops all faults."""

    random: Random
    outages: set[str]
    fair: bool = False
    #: How long the call in hand has taken so far.
    spent: float = 0.0

    def strike(self, fates: Mapping[str, int]) -> str:
        self.spent += self.random.uniform(0.02, 0.4)
        draw = self.random.randrange(1000)
        if self.fair:
            return ""
        for fate, often in fates.items():
            if draw < often:
                return fate
            draw -= often
        return ""


class Bank:
    """`witness` is told the verb and key of every order before it leaves. `heeds_keys` False: the adapter promises
    nothing about a key that comes twice, so nothing may be sent again.
    """

    def __init__(
        self, name: str, folder: Path, timeline: Timeline, weather: Weather, witness: Witness, *, heeds_keys: bool
    ) -> None:
        healthy = frozenset() if heeds_keys else frozenset({"pm_card_unavailable"})
        secret = "whsec_" + "c2ltdWxhdGlvbi1zZWNyZXQtb2YtdGhlLWJhbms="
        config = SandboxConfig(
            name, folder / name, "key", webhook_secret=secret, healthy_for=healthy, settle_seconds=40
        )
        self.name = name
        self.secret = secret
        self.heeds_keys = heeds_keys
        self.company = Company(config, timeline)
        options = SandboxOptions(
            base_url="http://in.process",
            api_key=SecretStr("key"),
            webhook_secrets=(SecretStr(secret),),
            visible_after_seconds=_VISIBLE_SECONDS,
        )
        self.gateway = SandboxGateway(name, options, _Line(self, timeline, weather, witness))
        if not heeds_keys:
            self.gateway.capabilities = self.gateway.capabilities - {Capability.IDEMPOTENT}

    def close(self) -> None:
        self.company.close()

    def truth(self, key: str) -> bool | None:
        """Whether the operation with this key took effect; None while it is undecided."""
        stored = self.company.books.answer(key)
        if stored is None:
            return False
        if charge := self.company.books.find(Charge, stored.object):
            return True if charge.authorized else (None if charge.status in ("pending", "requires_action") else False)
        if movement := self.company.books.find(Movement, stored.object):
            return None if movement.status == "pending" else movement.status == "succeeded"
        return True  # an answer to a dispute

    def reference(self, key: str) -> str:
        stored = self.company.books.answer(key)
        return stored.object if stored else ""

    def serve(self, path: str, key: str, body: Json) -> JsonAnswer:
        """What the company's server answers, and the sight that a payment method's own fault gives of it."""
        try:
            return self._served(path.split("/")[2:], path, key, body)
        except AppError as error:
            return JsonAnswer(error.status, {"error": {"code": error.code, "message": error.detail}})

    def _served(self, parts: Sequence[str], path: str, key: str, body: Json) -> JsonAnswer:
        match parts:
            case ["charges"]:
                token = body["payment_method"]
                plain = {**body, "payment_method": token.partition(CARD_NUMBER)[0]}
                answer = self._charged(path, key, plain)
                shown = dict(answer.body)
                return JsonAnswer(answer.status, shown | ({"payment_method": token} if "id" in shown else {}))
            case ["charges", charge_id, verb]:
                kind = {"captures": "capture", "void": "void", "refunds": "refund"}[verb]
                return self._moved(path, kind, charge_id, key, body)
            case ["disputes", dispute_id, "evidence" | "accept" as verb]:
                return self._answered(path, verb, dispute_id, key, body)
        raise NoSuchThing(path)

    def ask(self, path: str) -> JsonAnswer:
        parts = urlsplit(path)
        books = self.company.books
        if parts.path.endswith("/operations"):
            stored = books.answer(parse_qs(parts.query)["key"][0])
            if stored is None:
                return JsonAnswer(200, {"data": []})
            result = self._shown(stored.object)
            found = {"key": stored.key, "operation": stored.verb, "charge": stored.charge, "result": result}
            return JsonAnswer(200, {"data": [found]})
        found_dispute = books.find(Dispute, parts.path.split("/")[3])
        if found_dispute is None:
            return JsonAnswer(404, {"error": {"code": "not_found", "message": "no such dispute"}})
        return JsonAnswer(200, dispute_view(found_dispute))

    def _shown(self, object_id: str) -> Json:
        books = self.company.books
        if charge := books.find(Charge, object_id):
            return charge_view(charge)
        if movement := books.find(Movement, object_id):
            return movement_view(movement)
        dispute = books.find(Dispute, object_id)
        return dispute_view(dispute) if dispute else {}

    def _charged(self, path: str, key: str, body: Json) -> JsonAnswer:
        def work(desk: Any, reply: Any) -> Effect:
            order = charges.ChargeOrder(
                key, body["reference"], body["amount"], body["currency"], body["payment_method"], body["return_url"]
            )
            charge = charges.authorize(desk, order, reply, "http://in.process")
            return Effect(status_code(charge), charge_view(charge), charge.id, charge.id)

        return self._done(Order("authorize", key, path, body), work)

    def _moved(self, path: str, kind: str, charge_id: str, key: str, body: Json) -> JsonAnswer:
        def work(desk: Any, reply: Any) -> Effect:
            order = charges.MovementOrder(
                key,
                kind,
                charge_id,
                body.get("amount"),
                body.get("currency", ""),
                final=body.get("final", True),
                reason=body.get("reason", ""),
            )
            movement = charges.move(desk, order, reply)
            return Effect(status_code(movement), movement_view(movement), charge_id, movement.id)

        return self._done(Order(kind, key, path, body, charge_id), work)

    def _answered(self, path: str, verb: str, dispute_id: str, key: str, body: Json) -> JsonAnswer:
        def work(desk: Any, _reply: Any) -> Effect:
            if verb == "accept":
                dispute = disputes.accept(desk, dispute_id)
            else:
                dispute = disputes.submit_evidence(desk, dispute_id, body["facts"])
            return Effect(200, dispute_view(dispute), dispute.charge, dispute.id)

        known = self.company.books.find(Dispute, dispute_id)
        return self._done(Order(verb, key, path, body, known.charge if known else ""), work)

    def _done(self, order: Order, work: Callable[[Any, Any], Effect]) -> JsonAnswer:
        served = serve(self.company, order, work)
        if served.fault is not None:
            raise _Unseen(served.fault.sight)
        return JsonAnswer(served.status, served.body)


class _Unseen(Exception):
    """The payment method's own fault decides what the caller gets to see."""

    def __init__(self, sight: Sight) -> None:
        super().__init__(sight)
        self.sight = sight


class _Line(Wire):
    """The wire between the adapter and the company."""

    def __init__(self, bank: Bank, timeline: Timeline, weather: Weather, witness: Witness) -> None:
        self._bank = bank
        self._timeline = timeline
        self._weather = weather
        self._witness = witness

    def close(self) -> None:
        """There is no connection."""

    def get(self, path: str) -> JsonAnswer | GatewayResult:
        fate = self._weather.strike(QUESTIONS)
        if self._bank.name in self._weather.outages:
            return self._silence("The gateway is away")
        answer = self._bank.ask(path)
        return self._seen(fate, answer) if fate else answer

    def post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> JsonAnswer | GatewayResult:
        key = headers["idempotency-key"]
        fate = self._weather.strike(POSTS)
        if self._bank.name in self._weather.outages:
            fate = self._weather.random.choice(("refused", "lost"))
        if fate == "refused":
            return GatewayResult(Outcome.NOT_SENT, message="The connection was refused")
        self._witness(path.rsplit("/", 1)[-1], key)
        sent = dict(body)
        if fate == "lost":
            return self._silence("The request was lost")
        if fate == "late":
            # After the caller has given up, and before the gateway promises to know all that it has received.
            seconds = _TIMEOUT_SECONDS + self._weather.random.uniform(0.1, _VISIBLE_SECONDS - 0.5)
            self._timeline.after(seconds, partial(self._arrive, path, key, sent))
            return self._silence("Nobody answered in time")
        if fate == "twice" and self._bank.heeds_keys:
            self._timeline.after(self._weather.random.uniform(0.1, 60), partial(self._arrive, path, key, sent))
        answer = self._effect(path, key, sent)
        return self._seen(fate, answer) if fate and isinstance(answer, JsonAnswer) else answer

    def _arrive(self, path: str, key: str, body: Json) -> None:
        """The request comes in, and nobody waits for its answer any more."""
        self._effect(path, key, body)

    def _effect(self, path: str, key: str, body: Json) -> JsonAnswer | GatewayResult:
        try:
            return self._bank.serve(path, key, body)
        except _Unseen as unseen:
            match unseen.sight:
                case Sight.UNAVAILABLE:
                    return JsonAnswer(503, {"error": {"code": "unavailable", "message": "later"}})
                case Sight.SERVER_ERROR:
                    return JsonAnswer(500, {"error": {"code": "internal_error", "message": "broken"}})
            return self._silence("Nobody answered")

    def _seen(self, fate: str, answer: JsonAnswer) -> JsonAnswer | GatewayResult:
        match fate:
            case "unanswered":
                return self._silence("The answer was lost")
            case "garbage":
                shapes: tuple[Json, ...] = ({}, {"id": 7}, {"status": "succeeded"}, {**answer.body, "status": "maybe"})
                return JsonAnswer(answer.status, self._weather.random.choice(shapes))
            case "broken":
                return JsonAnswer(502, {"error": {"code": "bad_gateway", "message": "<html>"}})
            case "mistaken":
                return JsonAnswer(answer.status, {**answer.body, "amount": 1, "authorized": 1})
        return answer

    def _silence(self, message: str) -> GatewayResult:
        self._weather.spent += _TIMEOUT_SECONDS
        return GatewayResult(Outcome.UNKNOWN, message=message)
