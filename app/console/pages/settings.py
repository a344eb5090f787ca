"""Settings: one's own tokens and password for everybody; people and keys of systems for administrators."""

from collections.abc import Callable

from flask import Blueprint, request
from werkzeug.wrappers import Response

from app.access import api_keys, users
from app.access.actor import Role
from app.access.api_keys import Created
from app.console import identity
from app.console.context import transaction
from app.console.read.people import names_of
from app.console.web import back_to, page, refused
from app.errors import AppError
from app.events import audit
from app.kit.database import Tx

pages = Blueprint("settings", __name__)

#: Roles a system's key may have; deciding is for people.
KEY_ROLES = (Role.INTEGRATOR, Role.ANALYST, Role.OPERATOR)


def _roles(allowed: tuple[Role, ...]) -> frozenset[Role]:
    return frozenset(role for role in allowed if role in request.form.getlist("roles"))


@pages.get("/settings")
def index() -> Response:
    return back_to("/settings/users" if identity.may("admin") else "/settings/profile")


@pages.get("/settings/profile")
def profile() -> Response:
    return _profile(None)


def _profile(created: Created | None, refusal: AppError | None = None) -> Response:
    with transaction() as tx:
        tokens = api_keys.tokens(tx, identity.actor().id)
    status = refusal.status if refusal else 200
    return page(
        "settings/profile.html", http_status=status, area="settings", tokens=tokens, created=created, refusal=refusal
    )


@pages.post("/settings/profile/tokens")
def create_token() -> Response:
    """Answers with the page itself: the secret is shown this once and never stored."""
    try:
        with transaction() as tx:
            actor = identity.actor()
            created = api_keys.create_token(tx, users.find_user(tx, actor, actor.id), request.form.get("name", ""))
            audit.record(tx, actor, "token.created", created.key.id, {"name": created.key.name})
    except AppError as refusal:
        return _profile(None, refusal)
    return _profile(created)


@pages.post("/settings/profile/password")
def change_password() -> Response:
    form, actor = request.form, identity.actor()
    if form.get("new", "") != form.get("again", ""):
        return back_to("/settings/profile", "settings.not_the_same", "bad")

    def act(tx: Tx) -> None:
        users.change_password(tx, users.find_user(tx, actor, actor.id), form.get("present", ""), form.get("new", ""))
        audit.record(tx, actor, "password.changed", actor.id)

    return _act(act, "/settings/profile", "settings.password_changed")


@pages.get("/settings/users")
def people() -> Response:
    identity.actor().require(Role.ADMIN)
    with transaction() as tx:
        rows = users.users(tx, identity.actor())
    return page("settings/users.html", area="settings", rows=rows, roles=_PERSON_ROLES)


_PERSON_ROLES = (Role.REVIEWER, Role.ANALYST, Role.OPERATOR, Role.ADMIN)


@pages.post("/settings/users")
def create_user() -> Response:
    form, actor = request.form, identity.actor()

    def act(tx: Tx) -> None:
        new = users.NewUser(
            form.get("email", ""), form.get("name", ""), _roles(_PERSON_ROLES), form.get("password", "")
        )
        user = users.create_user(tx, actor, new)
        audit.record(tx, actor, "user.created", user.id, {"email": user.email, "roles": user.roles})

    return _act(act, "/settings/users", "settings.user_created")


@pages.post("/settings/users/<user_id>/roles")
def set_roles(user_id: str) -> Response:
    actor = identity.actor()

    def act(tx: Tx) -> None:
        user = users.set_roles(tx, actor, user_id, _roles(_PERSON_ROLES))
        audit.record(tx, actor, "user.roles_set", user.id, {"roles": user.roles})

    return _act(act, "/settings/users", "settings.saved")


@pages.post("/settings/users/<user_id>/<any(disable,enable):change>")
def switch_user(user_id: str, change: str) -> Response:
    actor = identity.actor()

    def act(tx: Tx) -> None:
        switch = users.disable_user if change == "disable" else users.enable_user
        switch(tx, actor, user_id)
        audit.record(tx, actor, f"user.{change}d", user_id)

    return _act(act, "/settings/users", "settings.saved")


@pages.post("/settings/users/<user_id>/password")
def reset_password(user_id: str) -> Response:
    actor = identity.actor()

    def act(tx: Tx) -> None:
        users.reset_password(tx, actor, user_id, request.form.get("password", ""))
        audit.record(tx, actor, "user.password_reset", user_id)

    return _act(act, "/settings/users", "settings.password_reset")


@pages.get("/settings/keys")
def keys() -> Response:
    return _keys(None)


def _keys(created: Created | None, refusal: AppError | None = None) -> Response:
    with transaction() as tx:
        rows = api_keys.keys(tx, identity.actor())
        names = names_of(tx, {row.created_by for row in rows})
    status = refusal.status if refusal else 200
    return page(
        "settings/keys.html",
        http_status=status,
        area="settings",
        rows=rows,
        names=names,
        roles=KEY_ROLES,
        created=created,
        refusal=refusal,
    )


@pages.post("/settings/keys")
def create_key() -> Response:
    """Answers with the page itself: the secret is shown this once and never stored."""
    actor = identity.actor()
    try:
        with transaction() as tx:
            created = api_keys.create_key(tx, actor, request.form.get("name", ""), _roles(KEY_ROLES))
            audit.record(tx, actor, "key.created", created.key.id, {"name": created.key.name})
    except AppError as refusal:
        return _keys(None, refusal)
    return _keys(created)


@pages.post("/settings/keys/<key_id>/revoke")
def revoke(key_id: str) -> Response:
    actor = identity.actor()

    def act(tx: Tx) -> None:
        api_keys.revoke(tx, actor, key_id)
        audit.record(tx, actor, "key.revoked", key_id)

    return _act(act, identity.own_path(request.form.get("back"), "/settings/keys"), "settings.revoked")


def _act(act: Callable[[Tx], None], target: str, said: str) -> Response:
    try:
        with transaction() as tx:
            act(tx)
    except AppError as refusal:
        return refused(target, refusal)
    return back_to(target, said)
