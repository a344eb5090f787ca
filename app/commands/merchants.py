"""`sluice new-merchant`: a tenant with the shipped flows and its first administrator; the console does the rest."""

import click

from app.access.actor import Role, host_user
from app.access.merchants import MerchantSettings, create_merchant
from app.access.users import NewUser, create_user
from app.commands.flows import FLOWS
from app.commands.running import database
from app.engine import shipped
from app.events import audit
from app.kit.ids import new_secret
from app.settings import Settings


@click.command("new-merchant")
@click.argument("name")
@click.option("--administrator", "email", required=True, help="their e-mail address, to sign in with")
@click.option("--gateway", "gateways", multiple=True, help="in order of preference; all that are configured when none")
def new_merchant(name: str, email: str, gateways: tuple[str, ...]) -> None:
    """Make a merchant with the flows that come with Sluice, and its first administrator; prints the password once."""
    settings = Settings()
    configured = [gateway.name for gateway in settings.gateways]
    unknown = sorted(set(gateways) - set(configured))
    if unknown:
        raise click.UsageError(f"No gateway {', '.join(unknown)}; configured are: {', '.join(configured) or 'none'}")
    password = new_secret("pw", 20)
    with database(settings) as opened, opened.begin() as tx:
        merchant = create_merchant(tx, name, MerchantSettings(gateways=list(dict.fromkeys(gateways))))
        shipped.deploy(tx, merchant.id, FLOWS)
        roles = frozenset({Role.ADMIN, Role.OPERATOR})
        actor = host_user(merchant.id)
        user = create_user(tx, actor, NewUser(email, email.partition("@")[0], roles, password))
        audit.record(tx, actor, "user.created", user.id, {"email": user.email, "roles": user.roles})
    click.echo(f"merchant  {merchant.id}\nsign in   {user.email}\npassword  {password}")
