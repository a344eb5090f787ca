"""The console as one blueprint: who is there, the forgery check, the pages, and what is shown when something fails."""

from typing import cast

from flask import Blueprint, Flask, current_app, request
from flask.blueprints import BlueprintSetupState
from flask_wtf.csrf import CSRFError
from jinja2 import StrictUndefined
from werkzeug.wrappers import Response

from app.access.actor import Role
from app.console import identity, security
from app.console.context import EXTENSION, ConsoleContext, transaction
from app.console.pages import (
    actions,
    disputes,
    door,
    drawings,
    flows,
    limits,
    payments,
    records,
    repairs,
    review,
    settings,
    webhooks,
)
from app.console.read.badges import badges
from app.console.web import page, vocabulary
from app.errors import AppError, Forbidden
from app.installation import open_hold

_PAGES = (door, drawings, review, payments, actions, disputes, flows, repairs, records, settings, limits, webhooks)
#: The areas of the bar across the top, in its order: key of the word, address.
AREAS = (
    ("review", "/review"),
    ("payments", "/payments"),
    ("disputes", "/disputes"),
    ("flows", "/flows"),
    ("repairs", "/repairs"),
    ("records", "/events"),
    ("settings", "/settings"),
)

STATIC = "console.static"


def create_console(context: ConsoleContext) -> Blueprint:
    """The blueprint to register on the app at its root. The app needs a SECRET_KEY of its own."""
    console = Blueprint(
        "console", __name__, template_folder="templates", static_folder="static", static_url_path="/static"
    )

    def configure(state: BlueprintSetupState) -> None:
        state.app.extensions[EXTENSION] = context
        _strict(cast(Flask, state.app))

    console.record_once(configure)
    console.before_request(_arrive)
    security.secure(console, context)
    console.context_processor(vocabulary)
    console.context_processor(_frame)
    console.register_error_handler(AppError, _refused)
    console.register_error_handler(CSRFError, _forged)
    console.register_error_handler(500, _broken)
    for area in _PAGES:
        console.register_blueprint(area.pages)
    return console


def _strict(app: Flask) -> None:
    """A name that a template misspells fails loudly instead of printing nothing."""
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


def _arrive() -> Response | None:
    if request.endpoint == STATIC:
        return None
    identity.recognise()
    view = current_app.view_functions.get(request.endpoint or "")
    return identity.require_person(view)


def _frame() -> dict[str, object]:
    """What the frame around every page shows: who is here, where they may go, what waits there."""
    if not identity.is_signed_in():
        return {"person": None, "here": request.path}
    answers = identity.may(Role.OPERATOR) or identity.may(Role.ADMIN)
    with transaction() as tx:
        waiting = badges(tx, identity.actor())
        held = open_hold(tx) if answers else None
    here = request.full_path.rstrip("?")
    return {"person": identity.person(), "areas": AREAS, "badges": waiting, "held": held, "here": here}


def _refused(error: AppError) -> Response:
    return _problem(error, error.status, error.code)


def _forged(_: CSRFError) -> Response:
    error = Forbidden(identity.language().t("problem.forged"))
    return _problem(error, 400, "form_expired")


def _broken(_: Exception) -> Response:
    return _problem(AppError(), 500, AppError.code)


def _problem(error: AppError, status: int, code: str) -> Response:
    """The error as a page: the same title, sentence and code that the API would send."""
    language = identity.language()
    return page(
        "problem.html",
        http_status=status,
        area="",
        number=status,
        code=code,
        title=language.problem_title(status),
        detail=language.problem(error.code, error.detail),
        errors=error.errors,
        back=identity.own_path(request.args.get("back"), "/"),
    )
