"""The commands as people type them, against a real database, real sandboxes and the shipped files."""

import os
import pwd
import re
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

import app.gateways
from app.access.merchants import create_merchant
from app.access.models import User
from app.access.users import authenticate
from app.cli import cli
from app.commands.tables import table
from app.engine.models import Definition
from app.events.models import AuditEntry
from app.gateways import scaffold
from app.kit.clock import ShiftedClock
from app.kit.database import Database
from app.ledger.models import Posting
from app.payments.models import InboundWebhook
from app.settings import ROOT
from tests.engine.lint.draw import bpmn, call, end, path, start
from tests.fixtures_sandbox import sandbox
from tests.house import MERCHANT, House, house

assert sandbox
assert house
WORKFLOWS = str(ROOT / "workflows")
Sluice = Callable[..., Result]


@pytest.fixture
def sluice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sluice:
    """Run a command with data in a folder of its own; `database` when it has one."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("SLUICE_VAR", str(tmp_path / "var"))

    def run(*arguments: str, database: Database | None = None) -> Result:
        if database is not None:
            monkeypatch.setenv("DATABASE_URL", database.url)
        return CliRunner().invoke(cli, arguments, catch_exceptions=False)

    return run


def tell_of(house: House, folder: Path) -> None:
    """The file by which commands find the sandboxes of a running stack."""
    folder.mkdir()
    listed = [{"name": one.config.name, "url": one.base_url, "api_key": one.config.api_key} for one in house.sandboxes]
    (folder / "demo.json").write_bytes(orjson.dumps({"sandboxes": listed}))


def test_serving_becomes_the_web_at_the_address_that_is_set(
    sluice: Sluice, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, command: became.append(command))
    monkeypatch.chdir(tmp_path)
    nowhere = sluice("serve")
    assert (nowhere.exit_code, "DATABASE_URL is not set" in nowhere.output) == (1, True)
    monkeypatch.setenv("PORT", "8123")
    monkeypatch.setenv("SLUICE_WEB_PROCESSES", "3")
    assert sluice("serve", database=database).exit_code == 0
    (command,) = became
    assert {"wsgi:app", "127.0.0.1:8123"} <= set(command)
    assert command[command.index("--workers") + 1] == "3"
    assert Path.cwd() == ROOT


@pytest.mark.parametrize("command", ["verify-ledger", "verify-gateway", "demo", "migrate"])
def test_without_anything_running_a_command_says_how_to_start(sluice: Sluice, command: str) -> None:
    result = sluice(command)
    assert result.exit_code == 1
    assert "make up" in result.output
    assert "Traceback" not in result.output


def test_a_database_that_does_not_answer_is_a_sentence(sluice: Sluice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:9/none")
    result = sluice("verify-ledger")
    assert result.exit_code == 1
    assert "does not answer" in result.output


def test_migrating_a_new_database_again_changes_nothing(sluice: Sluice, database: Database) -> None:
    assert sluice("migrate", database=database).exit_code == 0


def test_the_first_merchant_of_a_new_database_has_flows_and_somebody_who_can_sign_in(
    sluice: Sluice, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_GATEWAYS", "[]")
    email = "ada@shop.example"
    refused = sluice("new-merchant", "Shop", "--administrator", email, "--gateway", "acme", database=database)
    assert (refused.exit_code, "No gateway acme; configured are: none" in refused.output) == (2, True)
    made = sluice("new-merchant", "Shop", "--administrator", email, database=database)
    assert made.exit_code == 0, made.output
    told = dict(line.split(maxsplit=1) for line in made.output.replace("sign in", "email").splitlines()[-3:])
    with database.begin() as tx:
        user = authenticate(tx, email, told["password"], "127.0.0.1")
        assert isinstance(user, User)
        assert (user.merchant_id, user.roles) == (told["merchant"], ["admin", "operator"])
        published = select(Definition.key).where(Definition.merchant_id == user.merchant_id)
        assert "card-payment" in tx.session.scalars(published.where(Definition.status == "published")).all()
        assert tx.session.scalars(select(AuditEntry.action)).all().count("user.created") == 1
    again = sluice("new-merchant", "Shop", "--administrator", email, database=database)
    assert (again.exit_code, "is taken" in again.output) == (1, True)


def test_a_ledger_that_balances_is_shown_per_merchant_and_currency(sluice: Sluice, house: House) -> None:
    house.pay("pm_card_visa", 1250)
    house.run()
    result = sluice("verify-ledger", database=house.database)
    assert result.exit_code == 0, result.output
    assert f"{MERCHANT}  EUR" in result.output
    assert "-1,250" in result.output
    assert "The ledger balances." in result.output


def test_a_posting_without_entries_is_a_problem(sluice: Sluice, database: Database) -> None:
    with database.begin() as tx:
        create_merchant(tx, "Test", merchant_id=MERCHANT)
        posting = {"id": "pst_1", "merchant_id": MERCHANT, "kind": "capture", "subject": "pay_1"}
        tx.session.add(Posting(**posting, source_type="attempt", source_id="att_1", created_at=tx.now()))
    result = sluice("verify-ledger", database=database)
    assert result.exit_code == 1
    assert "Posting pst_1 has no entries" in result.output


def test_books_that_agree_are_shown_side_by_side(sluice: Sluice, house: House, tmp_path: Path) -> None:
    tell_of(house, tmp_path / "var")
    house.pay("pm_card_visa", 1250)
    house.run()
    result = sluice("verify-gateway", database=house.database)
    assert result.exit_code == 0, result.output
    assert [line.split() for line in result.output.splitlines() if "captured" in line] == [
        ["EUR", "captured", "1,250", "1,250"]
    ]
    assert "The books agree." in result.output


def test_a_charge_we_do_not_know_of_is_a_difference_to_the_cent(sluice: Sluice, house: House, tmp_path: Path) -> None:
    tell_of(house, tmp_path / "var")
    house.pay("pm_card_visa", 1250)
    house.run()
    house.a.pay("att_strange", amount=1)
    result = sluice("verify-gateway", "sandbox_a", database=house.database)
    assert result.exit_code == 1
    assert "sandbox_a: att_strange: authorized is 0 in our books and 1 in the other" in result.output
    assert "1,250   1,251  differs" in result.output
    assert sluice("verify-gateway", "sandbox_b", database=house.database).exit_code == 0


def test_what_is_not_decided_yet_is_told_and_no_difference(sluice: Sluice, house: House, tmp_path: Path) -> None:
    tell_of(house, tmp_path / "var")
    payment_id = house.pay("pm_card_timeout_applied", 1250)
    house.eventually(lambda: house.payment(payment_id).status_reason == "outcome_unknown")
    result = sluice("verify-gateway", database=house.database)
    assert result.exit_code == 0, result.output
    assert "authorized is 0 in our books and 1250 in the other; its outcome is not known yet" in result.output
    house.later(minutes=1)
    house.until(payment_id, "succeeded")
    assert "not known yet" not in sluice("verify-gateway", database=house.database).output


def test_a_dispute_is_part_of_the_comparison(sluice: Sluice, house: House, tmp_path: Path, clock: ShiftedClock) -> None:
    tell_of(house, tmp_path / "var")
    payment = house.until(house.pay("pm_card_visa", 1250), "succeeded")
    house.a.dispute(house.charges()[0]["id"])
    assert sluice("verify-gateway", database=house.database).exit_code == 1, "the gateway's word has not arrived"
    end = 200
    while not house.payment(payment.id).amount_disputed and (end := end - 1):
        house.later(seconds=0.05)
    result = sluice("verify-gateway", database=house.database)
    assert result.exit_code == 0, result.output
    assert [line.split() for line in result.output.splitlines() if "disputed" in line] == [
        ["EUR", "disputed", "1,250", "1,250"]
    ]


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway with the adapter that `new-gateway` writes, which has no books yet."""
    for folder in ("app", "tests"):
        (tmp_path / "checkout" / folder / "gateways").mkdir(parents=True)
    adapter, _ = scaffold.write("acme", tmp_path / "checkout")
    monkeypatch.setattr("app.gateways.__path__", [*app.gateways.__path__, str(adapter.parent)])
    options = {"base_url": "http://127.0.0.1:9", "api_key": "sk"}
    monkeypatch.setenv(
        "SLUICE_GATEWAYS", orjson.dumps([{"name": "acme", "adapter": "acme", "options": options}]).decode()
    )


@pytest.mark.usefixtures("acme")
def test_a_gateway_without_books_says_so_and_an_unknown_one_is_named(sluice: Sluice, database: Database) -> None:
    result = sluice("verify-gateway", "acme", database=database)
    assert result.exit_code == 1
    assert "acme: this gateway has no books to read" in result.output
    assert "Nothing was compared" in result.output
    assert "agree" not in result.output
    unknown = sluice("verify-gateway", "nobody", database=database)
    assert unknown.exit_code == 1
    assert "known are: acme" in unknown.output


@pytest.mark.usefixtures("acme")
def test_agreement_names_the_gateways_that_were_not_compared(sluice: Sluice, house: House, tmp_path: Path) -> None:
    tell_of(house, tmp_path / "var")
    result = sluice("verify-gateway", database=house.database)
    assert result.exit_code == 0
    assert "The books agree; not compared: acme." in result.output


def test_books_that_cannot_be_read_are_no_agreement(
    sluice: Sluice, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"name": "away", "adapter": "sandbox", "options": {"base_url": "http://127.0.0.1:9", "api_key": "sk"}}
    monkeypatch.setenv("SLUICE_GATEWAYS", orjson.dumps([options]).decode())
    result = sluice("verify-gateway", database=database)
    assert result.exit_code == 1
    assert "The gateway does not show its books: away did not list its charges to the end" in result.output
    assert "agree" not in result.output


def test_the_shipped_flows_pass_the_gate_and_a_wrong_one_is_named_with_its_remedy(
    sluice: Sluice, tmp_path: Path
) -> None:
    good = sluice("lint", WORKFLOWS)
    assert good.exit_code == 0, good.output
    wrong = tmp_path / "wrong.bpmn"
    wrong.write_bytes(b"<!DOCTYPE a><a/>")
    refused = sluice("lint", str(wrong))
    assert refused.exit_code == 1
    assert "doctype" in refused.output.lower()
    assert "1 errors" in refused.output


def test_a_flow_alone_is_checked_beside_those_that_come_with_sluice(sluice: Sluice, tmp_path: Path) -> None:
    shipped = Path(WORKFLOWS) / "card-payment" / "card-payment.bpmn"
    alone = sluice("lint", str(shipped))
    assert (alone.exit_code, alone.output) == (0, "0 errors, 0 warnings\n")
    text = shipped.read_text().replace('processId="authorize-card"', 'processId="authorise-card"')
    wrong = tmp_path / "wrong.bpmn"
    wrong.write_text(text)
    told = sluice("lint", str(wrong)).output
    line = next(number for number, one in enumerate(text.splitlines(), 1) if "authorise-card" in one)
    assert "Did you mean 'authorize-card'?" in told
    place = re.search(r"unknown_process +(\S+):(\d+) ", told)
    assert place is not None
    assert place[1] == str(wrong)
    assert 0 <= line - int(place[2]) < 5


def test_for_a_merchant_a_flow_is_checked_beside_what_they_published(
    sluice: Sluice, database: Database, tmp_path: Path
) -> None:
    with database.begin() as tx:
        create_merchant(tx, "Test", merchant_id=MERCHANT)
    (tmp_path / "flow.bpmn").write_bytes(bpmn(start(), call("a", "manual-review"), end(), path("start", "a", "end")))
    file = str(tmp_path / "flow.bpmn")
    assert sluice("lint", file).exit_code == 0
    refused = sluice("lint", file, "--merchant", MERCHANT, database=database)
    assert refused.exit_code == 1
    assert "unknown_process" in refused.output
    assert sluice("lint", file, "--merchant", "mer_none", database=database).exit_code == 2


def test_deploying_makes_a_published_version_and_an_unknown_merchant_is_refused(
    sluice: Sluice, database: Database, tmp_path: Path
) -> None:
    with database.begin() as tx:
        create_merchant(tx, "Test", merchant_id=MERCHANT)
    file = _diagram(tmp_path)
    stranger = sluice("deploy", str(file), "--merchant", "mer_none", database=database)
    assert stranger.exit_code == 2
    assert f"known are: {MERCHANT}" in stranger.output
    result = sluice("deploy", str(file), "--merchant", MERCHANT, "--publish", database=database)
    assert result.exit_code == 0, result.output
    with database.begin() as tx:
        (made,) = tx.session.scalars(select(Definition)).all()
        said = tx.session.scalars(select(AuditEntry.actor)).all()
    assert (made.version, made.status) == (1, "published")
    assert {made.created_by, made.published_by, *said} == {f"cli:{pwd.getpwuid(os.getuid()).pw_name}"}
    assert "version 1" in result.output
    assert made.id in result.output


def test_element_templates_are_written_once_and_told_when_stale(sluice: Sluice, tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    assert sluice("templates", "--check", str(folder)).exit_code == 1
    assert sluice("templates", str(folder)).exit_code == 0
    again = sluice("templates", "--check", str(folder))
    assert again.exit_code == 0
    assert again.output.startswith("0 are stale")


def test_the_committed_element_templates_are_those_of_the_operations(sluice: Sluice) -> None:
    result = sluice("templates", "--check")
    assert result.exit_code == 0, f"run `sluice templates` and commit:\n{result.output}"


def test_scenarios_print_the_coverage_of_each_diagram_and_fail_when_a_flow_is_not_visited(
    sluice: Sluice, tmp_path: Path
) -> None:
    _diagram(tmp_path)
    told = tmp_path / "scenarios.yaml"
    told.write_text("process: flow\nscenarios: [{name: It ends, expect: {ends: [end]}}]")
    good = sluice("scenarios", str(tmp_path))
    assert good.exit_code == 0, good.output
    assert "1/1 flows" in good.output

    told.write_text("process: flow\nscenarios: [{name: It hangs, expect: {status: waiting}}]")
    wrong = sluice("scenarios", str(tmp_path))
    assert wrong.exit_code == 1
    assert "It hangs" in wrong.output

    told.unlink()
    bare = sluice("scenarios", str(tmp_path))
    assert bare.exit_code == 1
    assert "not visited: start-end" in bare.output


def test_a_table_aligns_numbers_to_the_right() -> None:
    assert table(("name", "minor"), [("a", 1250), ("long name", 5)]) == (
        "name       minor\n---------  -----\na          1,250\nlong name      5"
    )


def _diagram(folder: Path) -> Path:
    file = folder / "small.bpmn"
    file.write_bytes(bpmn(start(), end(), path("start", "end")))
    return file


def test_webhooks_that_were_not_applied_are_listed_and_tried_again(sluice: Sluice, house: House) -> None:
    with house.database.begin() as tx:
        told = {"id": "inb_1", "gateway": "sandbox_a", "event_id": "evt_1", "kind": "charge", "type": "charge.captured"}
        nowhere = {"key": "att_nobody", "charge": "", "dispute": "", "body": b"{}", "last_error": "who?"}
        times = {"received_at": tx.now(), "occurred_at": tx.now()}
        tx.session.add(InboundWebhook(status="unmatched", tries=9, due_at=None, **told, **nowhere, **times))
    listed = sluice("inbound-webhooks", database=house.database)
    assert "inb_1" in listed.output
    assert "who?" in listed.output
    assert "1 webhooks." in listed.output
    unknown = sluice("inbound-webhooks", "inb_2", "--replay", database=house.database)
    assert unknown.exit_code == 1
    assert "inb_2" in unknown.output
    again = sluice("inbound-webhooks", "inb_1", "--replay", database=house.database)
    assert "1 webhooks will be tried again." in again.output
    with house.database.begin() as tx:
        row = tx.session.get_one(InboundWebhook, "inb_1")
        assert (row.status, row.tries, row.due_at is not None) == ("new", 0, True)
