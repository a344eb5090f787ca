"""Signing in and out, and what a browser remembers about how its reader likes pages."""

from flask import Blueprint, request
from werkzeug.wrappers import Response

from app.access import sessions, users
from app.access.models import User
from app.console import identity
from app.console.context import transaction
from app.console.language import LANGUAGES
from app.console.web import back_to, page
from app.errors import NotFound
from app.events import audit

pages = Blueprint("door", __name__)


@pages.get("/")
def home() -> Response:
    """The area where the person's work is."""
    homes = (("reviewer", "/review"), ("analyst", "/flows"), ("operator", "/repairs"))
    return back_to(next((path for role, path in homes if identity.may(role)), "/payments"))


@pages.get("/sign-in")
@identity.public
def show() -> Response:
    return page("door.html", wrong="", email="", next=request.args.get("next", ""))


@pages.post("/sign-in")
@identity.public
def sign_in() -> Response:
    email, password = request.form.get("email", ""), request.form.get("password", "")
    wanted = request.form.get("next", "")
    address = request.remote_addr or ""
    with transaction() as tx:
        found = users.authenticate(tx, email, password, address)
        if isinstance(found, User):
            previous = request.cookies.get(identity.COOKIE, "")
            agent = request.user_agent.string
            begun = sessions.start(tx, found, address=address, user_agent=agent, previous=previous)
            audit.record(tx, users.actor_of(found), "session.started", found.id, {"address": address})
    if not isinstance(found, User):
        return page("door.html", http_status=found.status, wrong=_why(found), email=email, next=wanted)
    response = back_to(identity.own_path(wanted, "/"))
    identity.sign_in(response, begun.secret)
    return response


def _why(refusal: users.SignInRefused | users.SignInLocked) -> str:
    language = identity.language()
    if isinstance(refusal, users.SignInLocked):
        return language.t("sign_in.locked", seconds=refusal.extra["retry_after"])
    return language.t("sign_in.refused")


@pages.post("/sign-out")
def sign_out() -> Response:
    with transaction() as tx:
        sessions.end(tx, request.cookies.get(identity.COOKIE, ""))
    response = back_to("/sign-in", "sign_in.gone")
    identity.sign_out(response)
    return response


@pages.get("/<path:elsewhere>")
def nowhere(elsewhere: str) -> Response:
    raise NotFound(identity.language().t("problem.nowhere", path=f"/{elsewhere[:80]}"))


@pages.post("/preferences")
@identity.public
def prefer() -> Response:
    """Language, theme and keys: each a button of a form of its own."""
    response = back_to(identity.own_path(request.form.get("back"), "/"))
    if request.form.get("language") in LANGUAGES:
        _speak(response, request.form["language"])
    if request.form.get("theme") in {"system", "light", "dark"}:
        identity.remember(response, "theme", request.form["theme"].removeprefix("system"))
    if request.form.get("keys") in {"on", "off"}:
        identity.remember(response, "keys", request.form["keys"].removeprefix("on"))
    return response


def _speak(response: Response, language: str) -> None:
    identity.remember(response, "language", language)
    if identity.is_signed_in():
        with transaction() as tx:
            users.set_language(users.find_user(tx, identity.actor(), identity.actor().id), language)
