"""`sluice inbound-webhooks`: what gateways told that was not applied, and trying it again."""

from collections.abc import Iterator

import click
from sqlalchemy import select

from app.access.actor import Actor, host_user
from app.access.models import Merchant
from app.commands.running import database
from app.commands.tables import table
from app.errors import NotFound
from app.kit.database import Tx
from app.payments import inbound
from app.payments.inbound import Unapplied
from app.settings import Settings

PAGE = 200


@click.command("inbound-webhooks")
@click.option("--status", type=click.Choice(inbound.STATUSES), default=None, help="only those that stand so")
@click.option("--gateway", default="", help="only those of this gateway")
@click.option("--replay", is_flag=True, help="try all that are listed again, as if they had just arrived")
@click.argument("webhooks", nargs=-1, metavar="[WEBHOOK]...")
def inbound_webhooks(status: str | None, gateway: str, replay: bool, webhooks: tuple[str, ...]) -> None:
    """List webhooks of gateways that were not applied, all or those named, newest first."""
    with database(Settings()) as opened, opened.begin() as tx:
        found = {
            one.webhook.id: (actor, one)
            for actor in _everywhere(tx)
            for one in _unapplied(tx, actor, status or "", gateway)
            if not webhooks or one.webhook.id in webhooks
        }
        missing = sorted(set(webhooks) - found.keys())
        if missing:
            raise NotFound(f"Not among those that were not applied: {', '.join(missing)}")
        if replay:
            for webhook_id, (actor, _) in found.items():
                inbound.replay(tx, actor, webhook_id)
        listed = [one for _, one in found.values()]
    if listed:
        click.echo(table(("webhook", "gateway", "type", "stands at", "tries", "payment", "why"), _rows(listed)))
    click.echo(f"{len(listed)} webhooks{' will be tried again' if replay else ''}.")


def _everywhere(tx: Tx) -> list[Actor]:
    """One actor for each merchant; a webhook nobody can place is seen by several of them and listed once."""
    return [host_user(merchant) for merchant in tx.session.scalars(select(Merchant.id).order_by(Merchant.id))]


def _unapplied(tx: Tx, actor: Actor, status: str, gateway: str) -> Iterator[Unapplied]:
    after = None
    while True:
        page = inbound.unapplied(tx, actor, status=status, gateway=gateway, limit=PAGE, after=after)
        yield from page.rows
        if page.next is None:
            return
        after = page.next


def _rows(listed: list[Unapplied]) -> list[tuple[str | int, ...]]:
    return [
        (
            one.webhook.id,
            one.webhook.gateway,
            one.webhook.type,
            one.status,
            one.webhook.tries,
            one.payment or "",
            one.webhook.last_error or "",
        )
        for one in listed
    ]
