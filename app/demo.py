"""The demo merchant of an embedded start: its people, its key, its flows, and the file that tells how to sign in."""

from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
from sqlalchemy import select, update

from app.access import api_keys, passwords, users
from app.access.actor import Role, system
from app.access.merchants import MerchantSettings, create_merchant
from app.access.models import ApiKey, Merchant, User
from app.engine import shipped
from app.errors import AppError
from app.kit.database import Json, Tx
from app.kit.ids import new_secret
from app.kit.keys import write_private

MERCHANT = "mer_demo"
PEOPLE: dict[str, tuple[str, frozenset[Role]]] = {
    "reviewer": ("Rosa Reviewer", frozenset({Role.REVIEWER})),
    "reviewer2": ("Ravi Reviewer", frozenset({Role.REVIEWER})),
    "analyst": ("Anna Analyst", frozenset({Role.ANALYST})),
    "analyst2": ("Anton Analyst", frozenset({Role.ANALYST})),
    "operator": ("Olga Operator", frozenset({Role.OPERATOR})),
    "admin": ("Ada Admin", frozenset({Role.ADMIN, Role.OPERATOR})),
}


class NothingRuns(AppError):
    code = "nothing_runs"
    title = "Nothing runs here"
    status = 503


@dataclass(frozen=True, slots=True)
class SandboxAddress:
    name: str
    url: str
    api_key: str


def prepare(tx: Tx, gateways: list[str], flows: Path) -> None:
    """The demo merchant with the newest shipped flows; what is there already stays as it is."""
    if tx.session.get(Merchant, MERCHANT) is None:
        create_merchant(tx, "Demo shop", MerchantSettings(gateways=gateways), merchant_id=MERCHANT)
    shipped.deploy(tx, MERCHANT, flows)


def issue_credentials(tx: Tx) -> Json:
    """People, passwords, tokens and the key as `var/demo.json` lists them; older ones of the demo stop working."""
    tx.execute(
        update(ApiKey)
        .where(ApiKey.merchant_id == MERCHANT, ApiKey.name == "demo", ApiKey.revoked_at.is_(None))
        .values(revoked_at=tx.now())
    )
    key = api_keys.create_key(tx, system(MERCHANT), "demo", [Role.INTEGRATOR])
    return {"api_key": key.secret, "users": {name: _person(tx, name) for name in PEOPLE}}


def credentials(path: Path) -> Json | None:
    return dict(orjson.loads(path.read_bytes())) if path.exists() else None


def running(path: Path) -> Json:
    """What the file of a running `sluice up` tells; NothingRuns when nothing was ever started here."""
    told = credentials(path)
    if told is None:
        raise NothingRuns(f"There is no {path}. Start everything with `make up`, then run this beside it")
    return told


def write(path: Path, base_url: str, issued: Json, sandboxes: list[SandboxAddress]) -> None:
    """The file for whoever wants to sign in or call; `base_url` and the sandboxes are those of this start."""
    listed = [asdict(sandbox) for sandbox in sandboxes]
    told = {
        "base_url": base_url,
        "api_key": issued["api_key"],
        "users": issued["users"],
        "sandboxes": listed,
    }
    write_private(path, orjson.dumps(told, option=orjson.OPT_INDENT_2))


def _person(tx: Tx, name: str) -> Json:
    title, roles = PEOPLE[name]
    email = f"{name}@demo.example"
    password = new_secret(name, 10)
    user = tx.session.scalar(select(User).where(User.email == email))
    if user is None:
        user = users.create_user(tx, system(MERCHANT), users.NewUser(email, title, roles, password))
    else:
        user.password_hash = passwords.hash_password(password, email=email)
    token = api_keys.create_token(tx, user, "demo")
    return {"email": email, "password": password, "token": token.secret}
