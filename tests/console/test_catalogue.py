"""Every text is there in both languages, and no text is there for nothing."""

import re
from pathlib import Path

import pytest

from app.access.actor import Role
from app.console import language
from app.console.words import LOOKS
from app.disputes.states import DisputeStatus, Stage
from app.engine.forms import read_form
from app.engine.incidents import PARKED
from app.events.catalog import EVENT_TYPES
from app.gateways.port import DeclineCode, Outcome
from app.payments.restored import KIND as RESTORED
from app.payments.states import PaymentStatus
from app.payments.unheard import KIND as UNHEARD
from app.settings import ROOT

CONSOLE = Path(language.__file__).parent
SOURCES = [*CONSOLE.rglob("templates/**/*.html"), *CONSOLE.glob("*.py"), *CONSOLE.glob("pages/*.py")]
TEXT = "\n".join(path.read_text() for path in SOURCES)

STRICT = set(re.findall(r"""\bt\(\s*['"]([\w.]+)['"]\s*[,)]""", TEXT))
FAMILIES = (
    set(re.findall(r"""word\(\s*['"](\w+)['"]""", TEXT)) | set(LOOKS) | {"event", "journal", "problem", "status_reason"}
)
PREFIXES = set(re.findall(r"""t\(\s*f?['"]([\w.]+?)['"{]\s*~""", TEXT))
QUOTED = set(re.findall(r"""['"]([\w]+\.[\w.]+)['"]""", TEXT))
FORMS = [form for form in (read_form(path.read_bytes())[0] for path in ROOT.glob("workflows/*/*.form.json")) if form]
INCIDENTS = (
    *("call_failed", "deadlock", "decision", "expression", "step_limit", "uncaught_error", PARKED),
    *("amount_mismatch", "contradiction", "flow_ended", "unwatched", "webhook_parked", UNHEARD, RESTORED),
)


def test_every_text_that_is_asked_for_is_there() -> None:
    assert sorted(STRICT - set(language.catalogue())) == []


def test_no_text_is_there_for_nothing() -> None:
    unused = [
        key
        for key in language.catalogue()
        if key not in QUOTED
        and key.partition(".")[0] not in FAMILIES
        and not any(key.startswith(prefix) for prefix in PREFIXES)
    ]
    assert unused == []


@pytest.mark.parametrize("code", language.LANGUAGES)
def test_every_text_is_written_in_each_language(code: str) -> None:
    assert [key for key, texts in language.catalogue().items() if not texts[code].strip()] == []


def test_both_languages_have_the_same_places_to_fill() -> None:
    places = re.compile(r"{\w+}")
    different = [
        key
        for key, texts in language.catalogue().items()
        if sorted(places.findall(texts["en"])) != sorted(places.findall(texts["zh"]))
    ]
    assert different == []


@pytest.mark.parametrize(
    ("family", "values"),
    [
        ("payment_status", list(PaymentStatus)),
        ("attempt_outcome", list(Outcome)),
        ("dispute_status", list(DisputeStatus)),
        ("dispute_stage", list(Stage)),
        ("decline", list(DeclineCode)),
        ("role", list(Role)),
        ("event", list(EVENT_TYPES)),
        ("decision", [one.value for form in FORMS for one in form.decisions]),
        ("reason", [one.value for form in FORMS for one in form.reasons]),
        ("incident_kind", INCIDENTS),
    ],
)
def test_every_value_of_the_domain_has_a_word(family: str, values: list[str]) -> None:
    assert [value for value in values if f"{family}.{value}" not in language.catalogue()] == []


def test_every_status_with_a_look_has_a_word() -> None:
    missing = [
        f"{family}.{value}"
        for family, looks in LOOKS.items()
        for value in looks
        if f"{family}.{value}" not in language.catalogue()
    ]
    assert missing == []
