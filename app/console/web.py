"""How a page is made: the template with the reader's language, and the small answers every area gives."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from flask import flash, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from app.console import identity
from app.console.assets import island
from app.console.context import console
from app.console.words import look, risk_band
from app.errors import AppError
from app.kit.money import exponent

STATIC = Path(__file__).parent / "static"


@cache
def _fingerprint(name: str) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def static_url(name: str) -> str:
    """A file of `static/` under an address that changes with its content, so that browsers may keep it."""
    return f"/static/{name}?v={_fingerprint(name)}"


def vocabulary() -> dict[str, object]:
    """What every template may use."""
    language = identity.language()
    return {
        "t": language.t,
        "word": language.word,
        "said": language.said,
        "language": language,
        "look": look,
        "risk_band": risk_band,
        "exponent": exponent,
        "static_url": static_url,
        "now": console().clock.now(),
        "theme": identity.preference("theme"),
        "may": identity.may,
        "viewer": island("viewer"),
        "live": island("live"),
        "keys": identity.preference("keys"),
    }


def page(template: str, *, http_status: int = 200, **values: Any) -> Response:
    return make_response(render_template(template, **values), http_status)


def part(template: str, **values: Any) -> Response:
    """A live part of a page: answered with 304 when the asker has the same already."""
    response = page(template, **values)
    response.set_etag(hashlib.sha256(response.get_data()).hexdigest()[:24])
    response.headers["Cache-Control"] = "private, no-cache"
    return response.make_conditional(request)


def back_to(path: str, key: str = "", tone: str = "good", **values: object) -> Response:
    """Go to `path` after an action, saying what was done."""
    if key:
        say(identity.language().t(key, **values), tone)
    return redirect(path, 303)


def say(text: str, tone: str) -> None:
    flash(text, tone)


def refused(path: str, error: AppError) -> Response:
    """Go back to `path` with the sentence of what stood in the way."""
    say(sentence(error), "bad")
    return redirect(path, 303)


def sentence(error: AppError) -> str:
    """The refusal in the reader's language where the catalogue knows its code, with the detail behind it."""
    language = identity.language()
    title = language.problem(error.code, error.detail)
    fields = "; ".join(f"{item.field} {language.said(item.message)}" for item in error.errors)
    return f"{title} ({fields})" if fields else title
