"""Every text is there in both languages, and no text is there for nothing."""

import ast
import re
from html import unescape
from pathlib import Path

import pytest

from app.access.actor import Role
from app.api.problems import known_problems
from app.console import language
from app.console.pages.review import ELSEWHERE
from app.console.words import LOOKS
from app.disputes.states import DisputeStatus, Stage
from app.engine.forms import read_form
from app.engine.incidents import PARKED
from app.events.catalog import EVENT_TYPES
from app.gateways.port import DeclineCode, Outcome
from app.ledger import postings
from app.payments.restored import KIND as RESTORED
from app.payments.states import PaymentStatus
from app.payments.unheard import KIND as UNHEARD
from app.settings import ROOT

CONSOLE = Path(language.__file__).parent
SOURCES = [*CONSOLE.rglob("templates/**/*.html"), *CONSOLE.glob("*.py"), *CONSOLE.glob("pages/*.py")]
TEXT = "\n".join(path.read_text() for path in SOURCES)

STRICT = set(re.findall(r"""\bt\(\s*['"]([\w.]+)['"]\s*[,)]""", TEXT))
FAMILIES = (
    set(re.findall(r"""word\(\s*['"](\w+)['"]""", TEXT))
    | set(LOOKS)
    | {"event", "journal", "problem", "status_reason", "finding"}
)
PREFIXES = set(re.findall(r"""t\(\s*f?['"]([\w.]+?)['"{]\s*~""", TEXT))
QUOTED = set(re.findall(r"""['"]([\w]+\.[\w.]+)['"]""", TEXT))
FORMS = [form for form in (read_form(path.read_bytes())[0] for path in ROOT.glob("workflows/*/*.form.json")) if form]
INCIDENTS = (
    *("call_failed", "deadlock", "decision", "expression", "step_limit", "uncaught_error", PARKED),
    *("amount_mismatch", "contradiction", "flow_ended", "unwatched", "webhook_parked", UNHEARD, RESTORED),
)


def _first_words(folder: str, functions: set[str]) -> set[str]:
    """The fixed texts that these functions are called with first."""
    calls = (
        node
        for path in (ROOT / "app" / folder).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and node.args and ast.unparse(node.func).rpartition(".")[2] in functions
    )
    return {one.args[0].value for one in calls if isinstance(one.args[0], ast.Constant)}


#: `decision_` stands before what decision tables are told; an attribute's code is chosen where it is told.
FINDINGS = sorted(
    _first_words("engine/lint", {"error", "warning"})
    | {f"decision_{code}" for code in _first_words("decisions", {"report", "_refused", "Finding"})}
    | {"dangling_reference", "unsupported_attribute"}
)
POSTINGS = re.findall(r'_post\("(\w+)"', Path(postings.__file__).read_text())
TOLD = {
    name
    for path in ROOT.glob("workflows/*/*.bpmn")
    for task in re.findall(r"<bpmn:userTask .*?</bpmn:userTask>", path.read_text(), re.DOTALL)
    for name in re.findall(r'<zeebe:input [^>]*target="(\w+)"', task)
}
assert POSTINGS
assert TOLD
assert len(FINDINGS) > 100


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


NAMED = re.compile(rb'<bpmn:(?!message|error|escalation)\w+ [^>]*?\bname="([^"]+)"')
SENTENCE = re.compile(rb"<text>&?\"?\"([A-Z][^\"]+ [^\"]+)\"</text>")
WHY = re.compile(r'="=([^"]+)" (?:target|resultVariable)="why"')
TEXT = re.compile(r'"([A-Z][^"]+ [^"]+)"')
ROOMS = ("access", "engine", "payments", "refunds", "disputes", "events", "console", "errors")


def test_every_name_and_sentence_of_the_shipped_flows_is_there_in_chinese() -> None:
    drawn = [path.read_bytes() for path in ROOT.glob("workflows/*/*.bpmn")]
    ruled = [path.read_bytes() for path in ROOT.glob("workflows/*/*.dmn")]
    found = {unescape(name.decode()) for text in drawn for name in NAMED.findall(text)}
    found |= {unescape(one.decode()) for text in ruled for one in SENTENCE.findall(text)}
    found |= {one for text in drawn for why in WHY.findall(text.decode()) for one in TEXT.findall(unescape(why))}
    assert len(found) > 150
    assert sorted(text for text in found if language.Language("zh").said(text) == text) == []


def test_a_text_keeps_its_numbers_and_one_nobody_knows_stays() -> None:
    chinese = language.Language("zh")
    assert chinese.said("The amount is above 20,000 EUR") == "金额超过 20,000 欧元"
    assert chinese.said("Our own rule") == "Our own rule"
    assert language.Language("en").said("Review payment") == "Review payment"
    assert chinese.drawn(b'<a name="Review payment" id="Review payment"/>').decode() == (
        '<a name="审核支付" id="Review payment"/>'
    )


def test_every_refusal_that_a_page_may_show_is_there_in_chinese() -> None:
    codes = {code for code, kind in known_problems().items() if kind.__module__.split(".")[1] in ROOMS}
    assert sorted(code for code in codes if f"problem.{code}" not in language.catalogue()) == []


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
        ("posting", POSTINGS),
        ("finding", FINDINGS),
        ("fact", sorted(TOLD - ELSEWHERE)),
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
