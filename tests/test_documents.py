"""What the documents say is true: the settings, the links, the sample code."""

import base64
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from app.api.problems import known_problems
from app.api.resources import RESOURCES
from app.bootstrap import web_app, wire
from app.cli import cli
from app.engine.expressions import formula
from app.engine.scenarios import library
from app.engine.shipped import uploads
from app.events.catalog import EVENT_TYPES
from app.kit.clock import SystemClock
from app.kit.crypto import new_signing_secret, signed_headers
from app.kit.database import Database
from app.kit.keys import new_master_key
from app.operations import registry
from app.payments.states import PaymentStatus
from app.sandbox.methods import METHODS
from app.settings import ROOT, Settings

PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "workflows" / "README.md",
        ROOT / "deploy" / "README.md",
        *(ROOT / "docs").rglob("*.md"),
    ]
)
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


def settings_table() -> str:
    """The table as the README must show it."""
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        variable = field.validation_alias or f"SLUICE_{name.upper()}"
        rows.append(f"| `{variable}` | {_default(field.default)} | {field.description} |")
    return "\n".join(rows)


def _default(value: Any) -> str:
    if isinstance(value, Path):
        return f"`{value.relative_to(ROOT)}`"
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    return "" if text in ("", []) else f"`{str(text).lower() if isinstance(text, bool) else text}`"


def test_the_readme_lists_every_setting_as_it_is() -> None:
    assert settings_table() in (ROOT / "README.md").read_text(), f"the table must be:\n\n{settings_table()}\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_fault_has_its_row_and_every_test_it_names_exists() -> None:
    page = (ROOT / "docs" / "faults.md").read_text()
    rows = re.findall(r"^\| (\d+) \|.*\|$", page, re.MULTILINE)
    assert [int(number) for number in rows] == list(range(1, 41))
    written = {
        name for path in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    contract = set(re.findall(r"def (test_\w+)", (ROOT / "tests" / "gateways" / "contract.py").read_text()))
    assert words(page, r"`(test_\w+)`") - written - contract == set()


def words(text: str, pattern: str) -> set[str]:
    return set(re.findall(pattern, text))


def test_every_command_that_is_named_exists() -> None:
    named = set().union(*(words(page.read_text(), r"sluice ([a-z][a-z-]+)\b(?=[^a-z]|$)") for page in PAGES))
    spoken = {name for name in named if any(f"sluice {name}" in code for code in _code())}
    assert spoken - set(cli.commands) == set()
    assert spoken


def _code() -> list[str]:
    """Everything written as code on any page."""
    found: list[str] = []
    for page in PAGES:
        text = page.read_text()
        found += re.findall(r"```.*?```", text, re.DOTALL)
        found += re.findall(r"`[^`\n]+`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return found


def test_the_addresses_for_machines_and_readers_answer_in_the_whole_application(database: Database) -> None:
    settings = Settings(
        database_url=database.url, master_key=SecretStr(new_master_key()), secret_key=SecretStr("s" * 32)
    )
    client = web_app(wire(settings, database)).test_client()
    addresses = ("/docs", "/problems", "/openapi.json", "/healthz", "/readyz", "/metrics")
    assert {address: client.get(address).status_code for address in addresses} == dict.fromkeys(addresses, 200)


def test_every_route_that_is_named_exists() -> None:
    routes = {re.sub(r"{\w+}", "{}", route.path) for resource in RESOURCES for route in resource.routes}
    named = set().union(*(words(code, r"/v1/[a-z_{}/]+[a-z_}]") for code in _code()))
    assert {path for path in named if re.sub(r"{\w+}", "{}", path) not in routes} == set()


def test_the_integrators_page_knows_every_status_and_only_real_codes_methods_and_events() -> None:
    text = (ROOT / "docs" / "integrators.md").read_text()
    assert {status for status in PaymentStatus if f"`{status}`" not in text} == set()
    assert words(text, r"`(pm_card_\w+)`") <= METHODS.keys() | {"pm_card_blocked"}
    told = {code: int(status) for status, code in re.findall(r"(?m)^\| (\d{3}) \| `([a-z_]+)`", text)}
    assert told
    assert told == {code: kind.status for code, kind in known_problems().items() if code in told}
    assert words(text, r"`((?:payment|refund|dispute)\.[a-z_]+)`") <= EVENT_TYPES.keys()


def test_the_sample_that_verifies_webhooks_takes_ours_and_refuses_others() -> None:
    text = (ROOT / "docs" / "integrators.md").read_text()
    (sample,) = [code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "def verified" in code]
    scope: dict[str, Any] = {}
    exec(sample, scope)  # noqa: S102 - the page's own sample is what is tested
    secret, body, now = new_signing_secret(), b'{"type":"payment.succeeded"}', SystemClock().now()
    headers = signed_headers([new_signing_secret(), secret], "evt_1", now, body)
    assert scope["verified"](secret, headers, body)
    assert not scope["verified"](secret, headers, body + b" ")
    assert not scope["verified"](new_signing_secret(), headers, body)
    old = signed_headers([secret], "evt_1", datetime(2020, 1, 1, tzinfo=UTC), body)
    assert not scope["verified"](secret, old, body)
    assert base64.b64decode(secret.removeprefix("whsec_"))


@pytest.mark.parametrize(
    ("beginning", "wanted"),
    [
        ("=amount >", True),
        ("=decline_code in", True),
        ("=if risk", "operator"),
        ("=rules[", ["large"]),
        ("=every one", True),
        ("=now()", "2026-01-01T13:00:00Z"),
        ("=if attempts", 1),
        ("=round half up", 61),
    ],
)
def test_every_expression_of_the_analysts_page_gives_what_it_says(beginning: str, wanted: Any) -> None:
    code = (ROOT / "docs" / "analysts.md").read_text()
    (written,) = {found for found in re.findall(r"`(=[^`]+)`", code) if found.startswith(beginning)}
    variables = {
        "amount": 100_001 if ">" in beginning else 1_225,
        "currency": "EUR",
        "decline_code": "insufficient_funds",
        "risk": {"outcome": "review"},
        "rules": [{"rule": "small", "points": 5}, {"rule": "large", "points": 50}],
        "captures": [{"amount": 1}, {"amount": 2}],
    }
    assert formula(written).evaluate(variables, datetime(2026, 1, 1, 9, tzinfo=UTC)) == wanted


def test_every_form_of_expression_on_the_analysts_page_is_tried() -> None:
    section = (ROOT / "docs" / "analysts.md").read_text().partition("## Variables")[2].partition("\n## ")[0]
    assert len(re.findall(r"`=[^`]+`", section)) == 8


def test_the_index_of_flows_lists_every_process() -> None:
    text = (ROOT / "workflows" / "README.md").read_text()
    listed = words(text, r"(?m)^\| `([a-z-]+)`")
    assert listed == library(uploads(ROOT / "workflows"), registry).diagrams.keys()


def test_the_analysts_page_tells_every_operation_with_its_parameters_and_errors() -> None:
    text = (ROOT / "docs" / "analysts.md").read_text()
    rows = re.findall(r"(?m)^\| `([a-z]+\.[a-z]+)` \| ([^|]+) \| ([^|]*) \| ?([^|]*)\|$", text)
    told = {name: (does, _named(parameters), set(_named(errors))) for name, does, parameters, errors in rows}
    assert told == {
        operation.name: (operation.title, list(operation.params.model_fields), set(operation.errors))
        for operation in registry
    }


def _named(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)
