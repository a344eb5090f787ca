"""What became of an operation at Stripe whose answer was lost.

Captures and voids show in the state of their PaymentIntent, answers to disputes in the dispute. Authorizations and
refunds carry our key in their metadata; they are looked for among the newest objects first, for that list is always up
to date, while Stripe's search can be an hour behind.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from app.errors import AppError
from app.gateways import stripe_mapping as mapping
from app.gateways.port import GatewayResult, Lookup, LookupResult, Outcome
from app.gateways.stripe_lists import PAGE, Ask, Json, NoAnswer, created, listed, metadata
from app.gateways.stripe_mapping import EVIDENCE, KEY, Disputed, Intent, Refunded, read_object, refusal
from app.gateways.wire import JsonAnswer

if TYPE_CHECKING:
    from app.gateways.stripe_sdk import StripeApi

_Model = TypeVar("_Model", Intent, Refunded, Disputed)

_MOST_PAGES: Final = 5
#: How far Stripe's clock and ours may be apart.
_CLOCKS_DIFFER_BY: Final = timedelta(minutes=5)
#: Stripe documents an hour at most until its search knows an object.
_SEARCH_KNOWS_AFTER: Final = timedelta(minutes=70)


class _TooMany(Exception):
    """The objects looked through do not reach back to when the attempt began; the newest is from `newest`."""

    def __init__(self, newest: int) -> None:
        super().__init__("There are more objects than can be looked through")
        self.newest = newest


def find(api: "StripeApi", request: Lookup) -> LookupResult:
    """`found` is None for every answer that proves nothing, however complete it is."""
    try:
        return _find(api, request)
    except NoAnswer as nothing:
        return LookupResult(None, nothing.answer)
    except _TooMany as too_many:
        return _unproved(str(too_many))


def is_missing(answer: JsonAnswer) -> bool:
    """Whether Stripe says that it has no object of this id."""
    error = answer.body.get("error")
    return answer.status == 404 and isinstance(error, dict) and error.get("type") == "invalid_request_error"


def _find(api: "StripeApi", request: Lookup) -> LookupResult:
    on, reference = request.charge, request.gateway_reference
    match request.operation:
        case "authorize" if reference:
            return _retrieved(api, Intent, reference, _if_ours(request.key, mapping.authorization))
        case "authorize":
            return _authorization_by_key(api, request)
        case "capture" if on:
            return _retrieved(api, Intent, on, _if(lambda shown: shown.is_captured, mapping.capture))
        case "void" if on:
            return _retrieved(api, Intent, on, _if(lambda shown: shown.is_canceled, mapping.void))
        case "refund" if reference:
            return _retrieved(api, Refunded, reference, _if_ours(request.key, mapping.refund))
        case "refund" if on:
            return _refund_by_key(api, request)
        case "evidence" if on:
            return _retrieved(api, Disputed, on, _if(_hands_in(request.key), mapping.evidence))
        case "accept" if on:
            return _retrieved(api, Disputed, on, _if(lambda shown: shown.is_given_up, mapping.acceptance))
    return _unproved(f"A lookup of {request.operation!r} without what it was tried on")


def _authorization_by_key(api: "StripeApi", request: Lookup) -> LookupResult:
    expanded = {"expand": ["data.latest_charge"]}
    read = _if_ours(request.key, mapping.authorization)
    try:
        shown = _newest(lambda page: api.call(lambda v1: v1.payment_intents.list({**expanded, **page})), request)
        return _seen(_with_key(shown, request.key), Intent, read)
    except _TooMany as too_many:
        params = {**expanded, "query": f"metadata['{KEY}']:'{request.key}'", "limit": PAGE}
        shown = iter(listed(api.call(lambda v1: v1.payment_intents.search(params))))
        found = _with_key(shown, request.key)
        if found is None and not _is_old(request.begun_at, too_many.newest):
            return _unproved("Stripe's search may not know it yet")
        return _seen(found, Intent, read)


def _refund_by_key(api: "StripeApi", request: Lookup) -> LookupResult:
    on = {"payment_intent": request.charge}
    shown = _newest(lambda page: api.call(lambda v1: v1.refunds.list({**on, **page})), request)
    return _seen(_with_key(shown, request.key), Refunded, _if_ours(request.key, mapping.refund))


def _retrieved(
    api: "StripeApi", model: type[_Model], reference: str, read: Callable[[_Model], GatewayResult | None]
) -> LookupResult:
    answer = api.call(lambda v1: _SERVICES[model](v1, reference))
    if isinstance(answer, GatewayResult):
        return LookupResult(None, answer)
    if is_missing(answer):
        return LookupResult(found=False)
    if answer.status != 200 or answer.body.get("id") != reference:
        return LookupResult(None, refusal(answer))
    return _seen(answer.body, model, read)


_SERVICES: Final[Mapping[type, Callable[[Any, str], Any]]] = {
    Intent: lambda v1, intent: v1.payment_intents.retrieve(intent, {"expand": ["latest_charge"]}),
    Refunded: lambda v1, refund: v1.refunds.retrieve(refund),
    Disputed: lambda v1, dispute: v1.disputes.retrieve(dispute),
}


def _seen(shown: Json | None, model: type[_Model], read: Callable[[_Model], GatewayResult | None]) -> LookupResult:
    """What an object proves; nothing to read, or None read from it, proves that the operation was not carried out."""
    if shown is None:
        return LookupResult(found=False)
    try:
        result = read_object(shown, model, read)
    except (ValueError, AppError):
        return _unproved("The answer does not have the documented shape")
    if result is None:
        return LookupResult(found=False)
    return LookupResult(None if result.outcome is Outcome.UNKNOWN else True, result)


def _if(
    done: Callable[[_Model], bool], read: Callable[[_Model], GatewayResult]
) -> Callable[[_Model], GatewayResult | None]:
    return lambda shown: read(shown) if done(shown) else None


def _if_ours(key: str, read: Callable[[_Model], GatewayResult]) -> Callable[[_Model], GatewayResult | None]:
    other = GatewayResult(Outcome.UNKNOWN, message="The object at Stripe was made by another attempt")
    return lambda shown: read(shown) if shown.metadata.get(KEY) == key else other


def _hands_in(key: str) -> Callable[[Disputed], bool]:
    return lambda shown: shown.is_answered and shown.metadata.get(EVIDENCE) == key


def _newest(ask: Ask, request: Lookup) -> Iterator[Json]:
    """The newest objects, back to when the attempt began."""
    page: dict[str, Any] = {"limit": PAGE}
    newest = 0
    for _ in range(_MOST_PAGES):
        answer = ask(page)
        shown = listed(answer)
        yield from shown
        assert isinstance(answer, JsonAnswer)
        if not shown or answer.body.get("has_more") is not True or _is_before(shown[-1], request.begun_at):
            return
        newest = newest or created(shown[0])
        page["starting_after"] = str(shown[-1].get("id", ""))
    raise _TooMany(newest)


def _with_key(shown: Iterable[Json], key: str) -> Json | None:
    return next((each for each in shown if metadata(each).get(KEY) == key), None)


def _is_before(shown: Json, begun_at: datetime | None) -> bool:
    return begun_at is not None and 0 < created(shown) < (begun_at - _CLOCKS_DIFFER_BY).timestamp()


def _is_old(begun_at: datetime | None, now: int) -> bool:
    return begun_at is not None and now > (begun_at + _SEARCH_KNOWS_AFTER).timestamp()


def _unproved(message: str) -> LookupResult:
    return LookupResult(None, GatewayResult(Outcome.UNKNOWN, message=message))
