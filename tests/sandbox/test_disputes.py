import csv
import io
from typing import Any

import pytest

from app.sandbox.desk import card_fee
from tests.fixtures_sandbox import SandboxFactory, SandboxServer, until


@pytest.fixture
def server(sandbox: SandboxFactory) -> SandboxServer:
    return sandbox(settle_seconds=0.1, dispute_seconds=0.1)


@pytest.fixture
def charge(server: SandboxServer) -> str:
    return str(server.pay("k1", capture=True)[1]["id"])


def lines(server: SandboxServer, date: str = "") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(server.settlement(date))))


def disputed(server: SandboxServer) -> int:
    return int(server.charge("k1")["disputed"])


@pytest.mark.parametrize(
    ("payment_method", "stage", "withheld"),
    [("pm_card_dispute", "chargeback", 1000), ("pm_card_inquiry", "inquiry", 0)],
)
def test_a_capture_is_disputed_a_little_later(
    server: SandboxServer, payment_method: str, stage: str, withheld: int
) -> None:
    server.pay("k1", payment_method, capture=True)
    (event,) = until(lambda: server.events("dispute.created"))
    assert (event["data"]["stage"], event["data"]["key"]) == (stage, "k1")
    assert disputed(server) == withheld


def test_a_second_capture_brings_no_second_dispute(sandbox: SandboxFactory) -> None:
    server = sandbox(dispute_seconds=10)
    _, charge = server.pay("k1", "pm_card_dispute")
    for key in ("k2", "k3"):
        server.post(f"/v1/charges/{charge['id']}/captures", key, amount=500, final=False)
    server.advance(minutes=1)
    assert [dispute["amount"] for dispute in server.charge("k1")["disputes"]] == [1000]


def test_a_refunded_charge_is_not_disputed_any_more(sandbox: SandboxFactory) -> None:
    server = sandbox(dispute_seconds=10)
    _, charge = server.pay("k1", "pm_card_dispute", capture=True)
    server.post(f"/v1/charges/{charge['id']}/refunds", "k2")
    server.advance(minutes=1)
    assert server.charge("k1")["disputes"] == []


def test_the_whole_way_of_a_dispute(server: SandboxServer, charge: str) -> None:
    dispute = server.dispute(charge, "inquiry", reason="product_not_received")["id"]
    assert disputed(server) == 0
    server.admin("POST", f"disputes/{dispute}/chargeback")
    assert disputed(server) == 1000
    assert server.post(f"/v1/disputes/{dispute}/evidence", "e1", facts={"note": "sent"})[1]["status"] == "under_review"
    assert server.decide(dispute, "won")["status"] == "won"
    assert disputed(server) == 0
    again = server.pre_arbitration(dispute)
    assert (again["stage"], again["status"], again["evidence_submitted"]) == (
        "pre_arbitration",
        "needs_response",
        False,
    )
    assert disputed(server) == 1000
    assert server.post(f"/v1/disputes/{dispute}/accept", "e2")[1]["status"] == "accepted"
    assert [(line["type"], line["gross"], line["fee"]) for line in lines(server)] == [
        ("capture", "1000", "39"),
        ("dispute", "-1000", "1500"),
        ("dispute_won", "1000", "0"),
        ("dispute", "-1000", "0"),
    ]
    told = [(event["data"]["stage"], event["data"]["status"]) for event in server.events("dispute.")]
    assert told == [
        ("inquiry", "needs_response"),
        ("chargeback", "needs_response"),
        ("chargeback", "under_review"),
        ("chargeback", "won"),
        ("pre_arbitration", "needs_response"),
        ("pre_arbitration", "accepted"),
    ]


def test_evidence_is_taken_once(server: SandboxServer, charge: str) -> None:
    dispute = server.dispute(charge)["id"]
    path = f"/v1/disputes/{dispute}/evidence"
    first = server.post(path, "e1", facts={"note": "one"})
    assert server.post(path, "e1", facts={"note": "one"}) == first
    status, body = server.post(path, "e2", facts={"note": "two"})
    assert (status, body["error"]["code"]) == (409, "not_now")
    assert server.charge("k1")["disputes"][0]["evidence"] == {"note": "one"}


def test_a_dispute_that_nobody_answers_expires_and_the_money_stays_away(server: SandboxServer, charge: str) -> None:
    dispute = server.dispute(charge)["id"]
    server.advance(days=17)
    assert server.charge("k1")["disputes"][0]["status"] == "needs_response"
    server.advance(days=1)
    assert server.charge("k1")["disputes"][0]["status"] == "expired"
    assert disputed(server) == 1000
    assert server.post(f"/v1/disputes/{dispute}/evidence", "e1", facts={"note": "late"})[0] == 409


def test_a_deadline_that_was_answered_in_time_does_not_expire(server: SandboxServer, charge: str) -> None:
    dispute = server.dispute(charge)["id"]
    server.post(f"/v1/disputes/{dispute}/evidence", "e1", facts={"note": "x"})
    server.advance(days=40)
    assert server.charge("k1")["disputes"][0]["status"] == "under_review"


def test_the_deadline_of_an_earlier_stage_ends_no_later_one(server: SandboxServer, charge: str) -> None:
    dispute = server.dispute(charge)["id"]
    server.decide(dispute, "won")
    server.advance(days=10)
    server.pre_arbitration(dispute)
    server.advance(days=10)
    assert server.charge("k1")["disputes"][0]["status"] == "needs_response"
    server.advance(days=8)
    assert server.charge("k1")["disputes"][0]["status"] == "expired"


def test_what_is_disputed_cannot_be_refunded_as_well(server: SandboxServer, charge: str) -> None:
    dispute = server.dispute(charge, amount=700)["id"]
    path = f"/v1/charges/{charge}/refunds"
    assert server.post(path, "r1", amount=301)[1]["decline_code"] == "charge_disputed"
    assert server.post(path, "r2", amount=300)[0] == 201
    server.decide(dispute, "won")
    assert server.post(path, "r3", amount=700)[0] == 201


@pytest.mark.parametrize(("path", "body"), [("dispute", {"stage": "quarrel"}), ("dispute", {"amount": 1001})])
def test_a_dispute_must_fit_its_charge(server: SandboxServer, charge: str, path: str, body: dict[str, Any]) -> None:
    assert server.request("POST", f"/admin/charges/{charge}/{path}", body)[0] in (400, 409)
    assert server.charge("k1")["disputes"] == []


def test_a_decided_dispute_is_not_decided_again(server: SandboxServer, charge: str) -> None:
    dispute = server.dispute(charge)["id"]
    server.decide(dispute, "lost")
    assert server.request("POST", f"/admin/disputes/{dispute}/decide", {"status": "won"})[0] == 409
    assert server.request("POST", f"/admin/disputes/{dispute}/pre_arbitration", {})[0] == 409
    assert disputed(server) == 1000


@pytest.mark.parametrize(
    ("amount", "fee"),
    [
        (1, 25),
        (1000, 39),
        (1250, 43),
        (1750, 49),
        (1785, 50),
        (35, 25),
        (36, 26),
        (250, 29),
        (107, 26),
        (10**15, 14 * 10**12 + 25),
    ],
)
def test_the_fee_is_rounded_half_to_even(amount: int, fee: int) -> None:
    assert card_fee(amount) == fee


def test_the_settlement_file_sums_to_what_the_books_say(server: SandboxServer) -> None:
    for number, method in enumerate(["pm_card_visa", "pm_card_refund_fails_late", "pm_card_visa"]):
        _, made = server.pay(f"k{number}", method, amount=1000 + number, capture=True)
        server.post(f"/v1/charges/{made['id']}/refunds", f"r{number}", amount=100)
    server.dispute(server.charge("k2")["id"])
    until(lambda: server.events("refund.updated"))
    found = lines(server)
    charges = server.charges()
    held = sum(charge["captured"] - charge["refunded"] - charge["disputed"] for charge in charges)
    fees = sum(capture["fee"] for charge in charges for capture in charge["captures"]) + 1500
    assert sum(int(line["gross"]) for line in found) == held
    assert sum(int(line["fee"]) for line in found) == fees
    assert sum(int(line["net"]) for line in found) == held - fees
    assert {line["reference"] for line in found} == {"pay_k0", "pay_k1", "pay_k2"}


def test_the_settlement_file_is_of_one_day(server: SandboxServer, charge: str) -> None:
    (today,) = {line["date"] for line in lines(server)}
    server.advance(days=1)
    server.post(f"/v1/charges/{charge}/refunds", "r1")
    (tomorrow,) = {line["date"] for line in lines(server)}
    assert tomorrow > today
    assert [line["type"] for line in lines(server, today)] == ["capture"]
    assert [line["type"] for line in lines(server, tomorrow)] == ["refund"]
    assert server.request("GET", "/v1/settlements?date=yesterday")[0] == 400
