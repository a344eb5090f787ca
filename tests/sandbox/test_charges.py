from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.fixtures_sandbox import SandboxFactory, SandboxServer, until


@pytest.fixture
def server(sandbox: SandboxFactory) -> SandboxServer:
    return sandbox(settle_seconds=0.1, dispute_seconds=0.1)


def amounts(charge: dict[str, Any]) -> dict[str, int]:
    names = ("authorized", "captured", "refunded", "voided", "released", "disputed")
    return {name: charge[name] for name in names if charge[name]}


def test_twenty_callers_with_one_key_have_one_effect_and_one_answer(server: SandboxServer) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: server.pay("k1"), range(20)))
    assert {status for status, _ in answers} == {201}
    assert len({body["id"] for _, body in answers}) == 1
    assert len(server.charges()) == 1
    assert server.times_received("authorize", "k1") == 20


def test_twenty_refunds_of_a_tenth_stop_at_what_was_captured(server: SandboxServer) -> None:
    _, charge = server.pay("k1", capture=True)
    with ThreadPoolExecutor(20) as pool:
        path = f"/v1/charges/{charge['id']}/refunds"
        answers = list(pool.map(lambda n: server.post(path, f"r{n}", amount=100), range(20)))
    assert sorted(status for status, _ in answers) == [201] * 10 + [402] * 10
    assert amounts(server.charge("k1")) == {"authorized": 1000, "captured": 1000, "refunded": 1000}


def test_a_repeated_key_gets_the_first_answer_even_when_the_charge_went_on(server: SandboxServer) -> None:
    _, first = server.pay("k1")
    server.post(f"/v1/charges/{first['id']}/captures", "k2")
    assert server.pay("k1") == (201, first)


@pytest.mark.parametrize("change", [{"amount": 1001}, {"payment_method": "pm_card_mastercard"}, {"capture": True}])
def test_a_key_with_another_body_is_refused(server: SandboxServer, change: dict[str, Any]) -> None:
    server.pay("k1")
    status, body = server.pay("k1", **change)
    assert (status, body["error"]["code"]) == (409, "idempotency_key_reused")
    assert len(server.charges()) == 1


def test_a_key_with_another_path_is_refused(server: SandboxServer) -> None:
    _, charge = server.pay("k1")
    assert server.post(f"/v1/charges/{charge['id']}/void", "k1")[0] == 409


@pytest.mark.parametrize(
    "body",
    [
        {"amount": 0},
        {"amount": -5},
        {"amount": 10.5},
        {"amount": 10.0},
        {"amount": "10"},
        {"amount": True},
        {"amount": 10**16},
        {"currency": "eur"},
        {"reference": ""},
        {"return_url": "javascript:alert(1)"},
        {"surprise": 1},
    ],
    ids=str,
)
def test_a_malformed_order_is_refused_by_field_and_its_key_stays_free(
    server: SandboxServer, body: dict[str, Any]
) -> None:
    status, answer = server.pay("k1", **body)
    assert status == 400
    assert next(iter(body)) in answer["error"]["message"]
    assert server.pay("k1")[0] == 201


def test_an_unknown_currency_is_refused(server: SandboxServer) -> None:
    status, answer = server.pay("k1", currency="ABC")
    assert (status, answer["error"]["code"]) == (422, "unknown_currency")


def test_a_post_without_a_key_or_with_a_wrong_api_key_does_nothing(server: SandboxServer) -> None:
    assert server.request("POST", "/v1/charges", {"reference": "pay_1"})[0] == 400
    status, _ = server.request("POST", "/v1/charges", {}, authorization="Bearer other", **{"idempotency-key": "k1"})
    assert status == 401
    assert server.charges() == []


def test_captures_add_up_to_the_authorization_and_no_further(server: SandboxServer) -> None:
    _, charge = server.pay("k1")
    path = f"/v1/charges/{charge['id']}/captures"
    assert server.post(path, "k2", amount=400, final=False)[0] == 201
    assert server.charge("k1")["status"] == "partially_captured"
    assert server.post(path, "k3", amount=601, final=False)[1]["decline_code"] == "amount_exceeds_authorized"
    assert server.post(path, "k4", amount=600, final=False)[0] == 201
    assert server.charge("k1")["status"] == "captured"
    assert amounts(server.charge("k1")) == {"authorized": 1000, "captured": 1000}


def test_a_final_capture_releases_the_rest_and_a_void_lets_it_go(server: SandboxServer) -> None:
    for key, verb, body in (("k1", "captures", {"amount": 700}), ("k2", "void", {})):
        _, charge = server.pay(key)
        if verb == "void":
            server.post(f"/v1/charges/{charge['id']}/captures", "k3", amount=400, final=False)
        assert server.post(f"/v1/charges/{charge['id']}/{verb}", f"{key}:{verb}", **body)[0] == 201
    assert amounts(server.charge("k1")) == {"authorized": 1000, "captured": 700, "released": 300}
    assert amounts(server.charge("k2")) == {"authorized": 1000, "captured": 400, "voided": 600}
    assert {server.charge(key)["status"] for key in ("k1", "k2")} == {"captured"}


def test_a_whole_void_leaves_a_voided_charge_that_cannot_be_voided_again(server: SandboxServer) -> None:
    _, charge = server.pay("k1")
    path = f"/v1/charges/{charge['id']}/void"
    assert server.post(path, "k2")[0] == 201
    assert server.charge("k1")["status"] == "voided"
    assert server.post(path, "k3")[1]["decline_code"] == "already_voided"


def test_an_authorization_ends_after_seven_days_of_the_sandboxes_clock(server: SandboxServer) -> None:
    _, charge = server.pay("k1")
    server.advance(days=6, hours=23, minutes=59)
    assert server.charge("k1")["status"] == "authorized"
    server.advance(minutes=1)
    assert server.charge("k1")["status"] == "expired"
    assert amounts(server.charge("k1")) == {"authorized": 1000, "released": 1000}
    _, capture = server.post(f"/v1/charges/{charge['id']}/captures", "k2")
    assert capture["decline_code"] == "authorization_expired"
    assert [event["data"]["status"] for event in server.events("charge.updated")] == ["expired"]


def test_the_clock_of_the_sandbox_does_not_go_back(server: SandboxServer) -> None:
    status, _ = server.request("POST", "/admin/clock", {"advance_seconds": -1})
    assert status == 400


def test_things_in_the_skipped_time_happen_at_their_own_moment(server: SandboxServer) -> None:
    _, charge = server.pay("k1", "pm_card_inquiry", capture=True)
    server.advance(days=30)
    (dispute,) = server.charge("k1")["disputes"]
    opened = datetime.fromisoformat(dispute["created_at"]) - datetime.fromisoformat(charge["created_at"])
    assert opened.total_seconds() < 2
    assert dispute["status"] == "expired"


@pytest.mark.parametrize(
    ("payment_method", "status"), [("pm_card_pending", "authorized"), ("pm_card_pending_declined", "declined")]
)
def test_a_pending_charge_is_decided_a_little_later(server: SandboxServer, payment_method: str, status: str) -> None:
    assert server.pay("k1", payment_method)[1]["status"] == "pending"
    (event,) = until(lambda: server.events("charge.updated"))
    assert (event["data"]["key"], event["data"]["status"]) == ("k1", status)
    assert server.charge("k1")["status"] == status


def test_a_pending_charge_that_was_voided_stays_voided(sandbox: SandboxFactory) -> None:
    server = sandbox(settle_seconds=5)
    _, charge = server.pay("k1", "pm_card_pending")
    assert server.post(f"/v1/charges/{charge['id']}/void", "k2")[0] == 201
    server.advance(seconds=10)
    assert server.charge("k1")["status"] == "voided"
    assert amounts(server.charge("k1")) == {}


def test_a_pending_capture_holds_its_amount_back_until_it_is_decided(sandbox: SandboxFactory) -> None:
    server = sandbox(settle_seconds=60)
    _, charge = server.pay("k1", "pm_card_capture_pending")
    path = f"/v1/charges/{charge['id']}/captures"
    assert server.post(path, "k2", amount=800, final=False)[1]["status"] == "pending"
    assert server.post(path, "k3", amount=300)[1]["decline_code"] == "amount_exceeds_authorized"
    assert amounts(server.charge("k1")) == {"authorized": 1000}
    server.advance(minutes=2)
    assert amounts(server.charge("k1")) == {"authorized": 1000, "captured": 800}
    assert server.events("capture.updated")[0]["data"]["status"] == "succeeded"


@pytest.mark.parametrize(
    ("payment_method", "first"), [("pm_card_refund_fails", "pending"), ("pm_card_refund_fails_late", "succeeded")]
)
def test_a_refund_that_fails_later_gives_the_money_back(
    sandbox: SandboxFactory, payment_method: str, first: str
) -> None:
    server = sandbox(settle_seconds=60)
    _, charge = server.pay("k1", payment_method, capture=True)
    _, refund = server.post(f"/v1/charges/{charge['id']}/refunds", "k2", amount=400)
    assert refund["status"] == first
    server.advance(minutes=2)
    assert amounts(server.charge("k1")) == {"authorized": 1000, "captured": 1000}
    (event,) = server.events("refund.updated")
    assert event["data"] == {
        "key": "k2",
        "charge": charge["id"],
        "reference": "pay_k1",
        "refund": refund["id"],
        "status": "failed",
    }


def test_a_refund_can_be_failed_by_hand_once(server: SandboxServer) -> None:
    _, charge = server.pay("k1", capture=True)
    _, refund = server.post(f"/v1/charges/{charge['id']}/refunds", "k2", amount=400)
    assert server.fail_refund(refund["id"])["status"] == "failed"
    assert server.request("POST", f"/admin/refunds/{refund['id']}/fail", {})[0] == 409
    assert server.charge("k1")["refunded"] == 0


@pytest.mark.parametrize(
    ("payment_method", "verb", "code"),
    [
        ("pm_card_capture_fails", "captures", "capture_refused"),
        ("pm_card_refund_declined", "refunds", "refund_refused"),
    ],
)
def test_a_movement_can_be_declined(server: SandboxServer, payment_method: str, verb: str, code: str) -> None:
    _, charge = server.pay("k1", payment_method, capture=verb == "refunds")
    before = amounts(server.charge("k1"))
    status, movement = server.post(f"/v1/charges/{charge['id']}/{verb}", "k2", amount=10)
    assert (status, movement["decline_code"]) == (402, code)
    assert amounts(server.charge("k1")) == before


def test_a_healthy_sandbox_approves_what_another_cannot_take(sandbox: SandboxFactory) -> None:
    ill, healthy = sandbox(), sandbox("sandbox_b", healthy_for=frozenset({"pm_card_unavailable"}))
    status, body = ill.pay("k1", "pm_card_unavailable")
    assert (status, body["error"]["code"], ill.charges()) == (503, "unavailable", [])
    assert healthy.pay("k1", "pm_card_unavailable")[1]["status"] == "authorized"


def test_a_fault_meets_as_many_requests_as_were_planned(server: SandboxServer) -> None:
    server.fault("unavailable", "authorize", method="pm_card_visa", count=2)
    methods = ["pm_card_mastercard", "pm_card_visa", "pm_card_visa", "pm_card_visa"]
    assert [server.pay(f"k{n}", method)[0] for n, method in enumerate(methods)] == [201, 503, 503, 201]


@pytest.mark.parametrize("plan", [{"fault": "earthquake"}, {"fault": "slow", "count": 0}])
def test_a_plan_that_makes_no_sense_is_refused(server: SandboxServer, plan: dict[str, Any]) -> None:
    assert server.request("POST", "/admin/faults", plan)[0] == 400


def test_the_books_show_every_object_with_its_key(server: SandboxServer) -> None:
    _, charge = server.pay("k1", capture=True)
    server.post(f"/v1/charges/{charge['id']}/refunds", "k2", amount=400)
    books = server.admin("GET", "books")
    assert books["name"] == "sandbox_a"
    (shown,) = books["charges"]
    assert [capture["amount"] for capture in shown["captures"]] == [1000]
    assert [(refund["key"], refund["amount"]) for refund in shown["refunds"]] == [("k2", 400)]
    assert datetime.fromisoformat(shown["created_at"]).tzinfo == UTC
