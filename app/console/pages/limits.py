"""Settings: the limits above which two people decide. Looser ones wait here for a second person."""

from collections.abc import Callable

from flask import Blueprint, request
from werkzeug.wrappers import Response

from app.access import merchants
from app.access.actor import Role
from app.access.merchants import Limits
from app.console import identity
from app.console.amounts import parse_amount
from app.console.context import transaction
from app.console.read.people import names_of
from app.console.web import back_to, page, refused
from app.errors import AppError
from app.events import audit
from app.kit.database import Json, Tx

pages = Blueprint("limits", __name__, url_prefix="/settings/limits")
_HERE = "/settings/limits"


@pages.get("")
def index() -> Response:
    actor = identity.actor()
    actor.require(Role.ADMIN, Role.OPERATOR)
    with transaction() as tx:
        settings = merchants.settings_of(tx, actor.merchant_id)
        names = names_of(tx, [settings.proposal.by] if settings.proposal else [])
    wanted = settings.proposal.limits if settings.proposal else settings.limits
    return page(
        "settings/limits.html",
        area="settings",
        limits=settings.limits,
        proposal=settings.proposal,
        names=names,
        currencies=_currencies(settings.limits),
        changed=[one for one in _currencies(settings.limits, wanted) if _at(wanted, one) != _at(settings.limits, one)],
        mine=settings.proposal is not None and settings.proposal.by == actor.id,
    )


@pages.post("")
def change() -> Response:
    """What is left empty has no limit. Rows come as three lists of equal length."""
    actor = identity.actor()

    def act(tx: Tx) -> str:
        review, refund = _typed("review"), _typed("refund")
        settings = merchants.change_limits(tx, actor, review, refund)
        action = "limits.proposed" if settings.proposal else "limits.changed"
        audit.record(
            tx, actor, action, actor.merchant_id, _facts(Limits(review_limit=review, refund_approval_limit=refund))
        )
        return "limits.waits" if settings.proposal else "settings.saved"

    return _act(act)


@pages.post("/confirm")
def confirm() -> Response:
    actor = identity.actor()

    def act(tx: Tx) -> str:
        settings = merchants.confirm_limits(tx, actor, request.form.get("mark", ""))
        audit.record(tx, actor, "limits.confirmed", actor.merchant_id, _facts(settings.limits))
        return "settings.saved"

    return _act(act)


@pages.post("/withdraw")
def withdraw() -> Response:
    actor = identity.actor()

    def act(tx: Tx) -> str:
        merchants.withdraw_limits(tx, actor)
        audit.record(tx, actor, "limits.withdrawn", actor.merchant_id)
        return "limits.was_withdrawn"

    return _act(act)


def _currencies(*limits: Limits) -> list[str]:
    return sorted(
        {currency for one in limits for known in (one.review_limit, one.refund_approval_limit) for currency in known}
    )


def _at(limits: Limits, currency: str) -> tuple[int | None, int | None]:
    return limits.review_limit.get(currency), limits.refund_approval_limit.get(currency)


def _typed(name: str) -> dict[str, int]:
    rows = zip(request.form.getlist("currency"), request.form.getlist(name), strict=True)
    named = ((currency.strip().upper(), text.strip()) for currency, text in rows)
    return {currency: parse_amount(text, currency, least=0) for currency, text in named if currency and text}


def _facts(limits: Limits) -> Json:
    return limits.model_dump()


def _act(act: Callable[[Tx], str]) -> Response:
    try:
        with transaction() as tx:
            said = act(tx)
    except AppError as refusal:
        return refused(_HERE, refusal)
    return back_to(_HERE, said)
