"""What every page of the console carries: headers, the forgery check, and cookies that scripts cannot read.

Scripts come from our own files only. Styles too, except where a diagram is drawn: its library sets inline styles.
"""

from typing import cast

from flask import Blueprint, Flask, Request, Response, g, request
from flask.blueprints import BlueprintSetupState
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask_wtf.csrf import CSRFProtect

from app.console.context import ConsoleContext
from app.errors import InvalidInput, NotFound
from app.kit.pan import refuse_card_numbers

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self' data:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
_WITH_DIAGRAM = _POLICY | {"style-src": "'self' 'unsafe-inline'", "connect-src": "'self' blob:"}

#: Fields that are never stored as they are; a password may look like anything.
_SECRETS = frozenset({"password", "present", "new", "again", "csrf_token"})

_csrf = CSRFProtect()


def draws_diagram() -> None:
    """Say that this response shows a diagram, so its inline styles are let through."""
    g.draws_diagram = True


def check_forgery() -> None:
    """Refuse a POST that carries no valid token; one that is refused raises CSRFError."""
    if request.method not in {"GET", "HEAD", "OPTIONS"}:
        _csrf.protect()


def check_texts() -> None:
    """Refuse what the database cannot hold and what has no place in it: NUL, and card numbers in what is typed."""
    if any("\x00" in str(part) for part in (request.view_args or {}).values()):
        raise NotFound
    for name, text in (*request.args.items(multi=True), *request.form.items(multi=True)):
        if "\x00" in name or "\x00" in text:
            raise InvalidInput("A text must not contain the character NUL")
    refuse_card_numbers({name: texts for name, texts in request.form.lists() if name not in _SECRETS})


def add_headers(response: Response) -> Response:
    policy = _WITH_DIAGRAM if g.get("draws_diagram") else _POLICY
    response.headers.setdefault(
        "Content-Security-Policy", "; ".join(f"{name} {value}" for name, value in policy.items())
    )
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if request.is_secure:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
    if request.path.startswith("/static/"):
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"  # addresses change with the content
    else:
        response.headers.setdefault("Cache-Control", "no-store")
    return response


class _FormSessions(SecureCookieSessionInterface):
    """As Flask's own, which makes what verifies a cookie before it looks for one; requests of the API have none."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        if self.get_cookie_name(app) not in request.cookies:
            return self.session_class()
        return super().open_session(app, request)


def _configure(app: Flask, secure_cookies: bool) -> None:
    app.config.update(
        SESSION_COOKIE_NAME="sluice_form",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=secure_cookies,
        WTF_CSRF_CHECK_DEFAULT=False,  # the console asks for the check itself; the API has no cookies to forge
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session: a note typed over lunch is not lost
    )
    app.session_interface = _FormSessions()
    _csrf.init_app(app)


def secure(blueprint: Blueprint, context: ConsoleContext) -> None:
    """Put the headers and the forgery check on every route of `blueprint`."""

    def configure(state: BlueprintSetupState) -> None:
        _configure(cast(Flask, state.app), context.settings.secure_cookies)

    blueprint.record_once(configure)
    blueprint.before_request(check_forgery)
    blueprint.before_request(check_texts)
    blueprint.after_request(add_headers)
