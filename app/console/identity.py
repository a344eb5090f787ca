"""Who looks at the page: the session behind the cookie, and what this browser prefers.

The session's secret lives in one cookie that scripts cannot read; the row it names is read once per request.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar, cast
from urllib.parse import urlencode

from flask import g, redirect, request, session
from werkzeug.wrappers import Response

from app.access import sessions, users
from app.access.actor import Actor
from app.access.models import User
from app.console.context import console, transaction
from app.console.language import Language, best_language
from app.errors import Unauthenticated

COOKIE = "sluice_session"
PUBLIC = "public"
_YEAR = timedelta(days=365)
# Browsers drop control characters and take a backslash for a slash before they look where an address leads.
_OWN_PATH = re.compile(r"/(?!/)[^\x00-\x1f\x7f\\]*")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is signed in."""

    user: User
    actor: Actor


View = TypeVar("View")


def public(view: View) -> View:
    """Mark a view that needs nobody to be signed in."""
    setattr(view, PUBLIC, True)
    return view


def person() -> Person:
    """Who is signed in; every view that is not `public` may rely on it."""
    found = g.get("person")
    if found is None:
        raise Unauthenticated("Sign in to see this page")
    return cast(Person, found)


def is_signed_in() -> bool:
    return g.get("person") is not None


def actor() -> Actor:
    return person().actor


def may(role: str) -> bool:
    """Whether the person has `role`: pages leave out what would be refused anyway."""
    return role in actor().roles


def language() -> Language:
    """The person's own choice, else this browser's, else what it asks for."""
    known = g.get("person")
    accepted = request.accept_languages.best_match(["en", "zh"])
    return best_language(known and known.user.language, request.cookies.get("language"), accepted)


def preference(name: str) -> str:
    """A setting of this browser: `theme` (light, dark or nothing) or `keys` (off or nothing)."""
    return request.cookies.get(name, "")


def recognise() -> None:
    """Read the session of this request, before any view."""
    secret = request.cookies.get(COOKIE)
    if not secret:
        return
    with transaction() as tx:
        found = sessions.find(tx, secret)
    if found is not None:
        g.person = Person(found[1], users.actor_of(found[1]))


def require_person(view: object) -> Response | None:
    """Send who is not signed in to the door, remembering where they wanted to go."""
    if is_signed_in() or getattr(view, PUBLIC, False):
        return None
    if request.headers.get("HX-Request"):
        response = Response(status=401)
        response.headers["HX-Redirect"] = "/sign-in"
        return response
    wanted = request.full_path.rstrip("?") if request.method == "GET" else "/"
    return redirect("/sign-in" if wanted == "/" else f"/sign-in?{urlencode({'next': wanted})}", 303)


def sign_in(response: Response, secret: str) -> None:
    """Give the browser its new session; the token of its forms starts afresh with it."""
    session.clear()
    _set(response, COOKIE, secret, None)


def sign_out(response: Response) -> None:
    session.clear()
    response.delete_cookie(COOKIE, path="/")


def remember(response: Response, name: str, value: str) -> None:
    """Keep a preference in this browser; an empty value forgets it."""
    if value:
        _set(response, name, value, _YEAR)
    else:
        response.delete_cookie(name, path="/")


def own_path(target: str | None, default: str) -> str:
    """`target` when it is a path on this site, else `default`: nobody is sent elsewhere by a link they were given."""
    return target if target and _OWN_PATH.fullmatch(target) else default


def _set(response: Response, name: str, value: str, keep: timedelta | None) -> None:
    secure = console().settings.secure_cookies
    response.set_cookie(name, value, max_age=keep, path="/", secure=secure, httponly=True, samesite="Lax")
