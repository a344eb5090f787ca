"""Keys of systems (`sk_…`) and personal tokens (`pt_…`). The secret is shown once; the row holds its SHA-256.

A token acts as its person: the same id, so four eyes stay four, and never more roles than that person has now.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select, text

from app.access.actor import Actor, Role
from app.access.models import ApiKey, User
from app.errors import FieldError, Forbidden, InvalidInput, NotFound, Unauthenticated
from app.kit.database import Tx
from app.kit.ids import new_id, new_secret

KEY = "sk"
TOKEN = "pt"  # noqa: S105 - the word a token starts with, not a token
_VISIBLE = 11
_TOUCH_EVERY = timedelta(minutes=1)
# Asked with every request, so it reads the clock as well.
_HOLDER = text("""
SELECT api_keys.id, api_keys.name, api_keys.merchant_id, api_keys.roles, api_keys.last_used_at,
    users.id AS person, users.name AS person_name, users.merchant_id AS person_merchant, users.roles AS person_roles,
    users.disabled_at, clock_timestamp() AS clock
FROM api_keys LEFT JOIN users ON users.id = api_keys.user_id
WHERE api_keys.secret_hash = :digest AND api_keys.revoked_at IS NULL
""")


@dataclass(frozen=True, slots=True)
class Created:
    """`secret` is shown to the person who made it and never again."""

    key: ApiKey
    secret: str


def create_key(tx: Tx, actor: Actor, name: str, roles: Iterable[Role]) -> Created:
    """A key for a system of the actor's merchant, with roles of its own."""
    actor.require(Role.ADMIN)
    return _create(tx, actor, KEY, name, roles, user_id=None)


def create_token(tx: Tx, user: User, name: str, roles: Iterable[Role] | None = None) -> Created:
    """A token of a person; all of their roles, or only those given."""
    wanted = {Role(role) for role in user.roles} if roles is None else set(roles)
    beyond = sorted(wanted - {Role(role) for role in user.roles})
    if beyond:
        raise Forbidden(f"You do not have the role {beyond[0]} yourself", extra={"roles": beyond})
    actor = Actor(user.id, user.name, user.merchant_id, frozenset(user.roles))
    return _create(tx, actor, TOKEN, name, wanted, user_id=user.id)


def authenticate(tx: Tx, secret: str) -> Actor:
    """Who holds this secret; Unauthenticated when it is unknown, revoked, or its person was disabled."""
    row = tx.row(_HOLDER, {"digest": _digest(secret)})
    if row is None:
        raise Unauthenticated("The key is unknown or was revoked")
    if row.disabled_at is not None:
        raise Unauthenticated("The person this token belongs to was disabled")
    tx.clocked(row.clock)
    if row.last_used_at is None or tx.now() - row.last_used_at > _TOUCH_EVERY:
        _touch(tx, row.id)
    if row.person is None:
        return Actor(row.id, row.name, row.merchant_id, frozenset(row.roles))
    return Actor(row.person, row.person_name, row.person_merchant, frozenset(row.roles) & frozenset(row.person_roles))


def keys(tx: Tx, actor: Actor) -> Sequence[ApiKey]:
    """The merchant's keys of systems, newest first; revoked ones stay visible."""
    actor.require(Role.ADMIN)
    query = select(ApiKey).where(ApiKey.merchant_id == actor.merchant_id, ApiKey.user_id.is_(None))
    return tx.session.scalars(query.order_by(ApiKey.id.desc())).all()


def people_behind(tx: Tx, actors: Iterable[str]) -> list[str]:
    """The people among `actors`, and for each key among them whoever made it, sorted.

    Somebody who asks for a thing with a key of their own making and approves it as a person would decide alone.
    """
    known, new = set[str](), set(actors)
    while new - known:
        known |= new
        new = set(tx.session.scalars(select(ApiKey.created_by).where(ApiKey.id.in_(known), ApiKey.user_id.is_(None))))
    return sorted(actor for actor in known if actor.startswith("usr_"))


def tokens(tx: Tx, user_id: str) -> Sequence[ApiKey]:
    """The tokens of one person, newest first."""
    return tx.session.scalars(select(ApiKey).where(ApiKey.user_id == user_id).order_by(ApiKey.id.desc())).all()


def revoke(tx: Tx, actor: Actor, key_id: str) -> ApiKey:
    """Stop a key at once. People may revoke their own tokens, administrators everything of their merchant."""
    key = tx.session.scalar(select(ApiKey).where(ApiKey.id == key_id, ApiKey.merchant_id == actor.merchant_id))
    if key is None:
        raise NotFound(f"There is no key {key_id}")
    if key.user_id is None or key.user_id != actor.id:
        actor.require(Role.ADMIN)
    key.revoked_at = key.revoked_at or tx.now()
    return key


def _create(tx: Tx, actor: Actor, word: str, name: str, roles: Iterable[Role], user_id: str | None) -> Created:
    label = " ".join(name.split())
    if not 1 <= len(label) <= 80:
        message = "must have 1 to 80 characters"
        raise InvalidInput(f"The name {message}", errors=[FieldError("name", message)])
    secret = new_secret(word)
    key = ApiKey(
        id=new_id("key"),
        merchant_id=actor.merchant_id,
        user_id=user_id,
        name=label,
        prefix=secret[:_VISIBLE],
        secret_hash=_digest(secret),
        roles=sorted(str(role) for role in set(roles)),
        created_by=actor.id,
        created_at=tx.now(),
    )
    tx.session.add(key)
    tx.session.flush()
    return Created(key, secret)


def _touch(tx: Tx, key_id: str) -> None:
    # A busy key is used by many requests at once; whoever does not get the row at once leaves it to the others.
    free = tx.session.scalar(select(ApiKey).where(ApiKey.id == key_id).with_for_update(skip_locked=True))
    if free is not None:
        free.last_used_at = tx.now()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
