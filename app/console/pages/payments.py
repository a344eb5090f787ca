"""Payments: the list, one payment with its flow, and the list as a file."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, redirect, request, stream_with_context
from werkzeug.wrappers import Response

from app.console import identity
from app.console.context import console, transaction
from app.console.read import payment, payment_list
from app.console.security import draws_diagram
from app.console.web import page, part
from app.refunds.queries import find_refund

pages = Blueprint("payments", __name__)


def _filter() -> payment_list.Filter:
    status = request.args.get("status", "")
    return payment_list.Filter(
        search=request.args.get("search", "").strip()[:200],
        status=status if status in payment_list.STATUSES else "",
    )


@pages.get("/payments")
def index() -> Response:
    chosen, after = _filter(), request.args.get("after") or None
    with transaction() as tx:
        rows = payment_list.payments(tx, identity.actor(), chosen, after)
        counts = payment_list.counts(tx, identity.actor())
    query = {key: value for key, value in (("search", chosen.search), ("status", chosen.status)) if value}
    return page(
        "payments/index.html",
        area="payments",
        rows=rows,
        counts=counts,
        statuses=payment_list.STATUSES,
        filter=chosen,
        query=urlencode(query),
        export_limit=payment_list.EXPORT,
        listed=counts.get(chosen.status, 0) if chosen.status else sum(counts.values()),
        older=f"/payments?{urlencode({**query, 'after': rows.next})}" if rows.next else "",
        newest=f"/payments?{urlencode(query)}" if after else "",
    )


@pages.get("/payments.csv")
def export() -> Response:
    chosen, actor, database = _filter(), identity.actor(), console().database

    def lines() -> Iterator[str]:
        with database.begin() as tx:
            yield from payment_list.export(tx, actor, chosen)

    name = f"payments-{console().clock.now():%Y%m%d-%H%M}.csv"
    response = Response(stream_with_context(lines()), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@pages.get("/payments/<payment_id>")
def show(payment_id: str) -> Response:
    draws_diagram()
    return page("payments/show.html", area="payments", **_view(payment_id))


@pages.get("/refunds/<refund_id>")
def refund(refund_id: str) -> Response:
    """A refund has no page of its own: its payment's, with the refund's flow drawn."""
    with transaction() as tx:
        found = find_refund(tx, identity.actor().merchant_id, refund_id)
    return redirect(f"/payments/{found.payment_id}?about={found.id}#flow")


@pages.get("/payments/<payment_id>/<any(top,rest):name>")
def live(payment_id: str, name: str) -> Response:
    """The parts of the page that change while the payment runs: above the diagram, and below it."""
    return part(f"payments/{name}.html", **_view(payment_id))


def _view(payment_id: str) -> dict[str, Any]:
    chosen = {name: request.args.get(name, "") for name in ("about", "flow")}
    with transaction() as tx:
        view = payment.payment_page(tx, identity.actor(), payment_id, chosen["about"], chosen["flow"])
    return {"view": view, "payment": view.payment, "flow": view.flow, "query": urlencode(chosen)}
