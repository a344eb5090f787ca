"""What systems and people can do with payments over HTTP, with the real flows, gateways and worker behind it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from app.access.actor import Role
from app.access.api_keys import create_key
from tests.api.conftest import client
from tests.api.web import Web, web
from tests.fixtures_sandbox import sandbox
from tests.full_disk import full_disk
from tests.house import MERCHANT, house

assert client
assert sandbox
assert house
assert web


def test_a_payment_is_answered_paid_when_the_caller_waits(web: Web) -> None:
    body = {"amount": 1250, "currency": "EUR", "payment_method": "pm_card_visa", "reference": "order-1"}
    paid = web.post("/v1/payments", body, key="k", headers={"Prefer": "wait=5"})
    assert paid.status_code == 201
    assert paid.headers["Preference-Applied"] == "wait"
    shown = paid.get_json()
    assert (shown["status"], shown["amount_captured"], shown["reference"]) == ("succeeded", 1250, "order-1")
    assert shown["instance"]["process"] == "card-payment"
    assert [attempt["operation"] for attempt in shown["attempts"]] == ["authorize", "capture"]
    again = web.post("/v1/payments", body, key="k", headers={"Prefer": "wait=5"})
    assert (again.data, again.headers["Idempotent-Replayed"]) == (paid.data, "true")
    assert web.get(f"/v1/payments/{shown['id']}") == shown


def test_twenty_equal_requests_at_once_are_one_payment_and_one_charge(web: Web) -> None:
    body = {"amount": 1250, "currency": "EUR", "payment_method": "pm_card_visa"}
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: web.post("/v1/payments", body, key="same"), range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.get_json()["id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 19
    web.house.run()
    assert [charge["captured"] for charge in web.house.charges()] == [1250]


def test_a_full_disk_is_told_as_unavailable_and_the_same_request_is_done_afterwards(web: Web) -> None:
    body = {"amount": 1250, "currency": "EUR", "payment_method": "pm_card_visa"}
    with full_disk(web.house.database, "INSERT ON payments"):
        refused = web.post("/v1/payments", body, key="k")
    assert (refused.status_code, refused.get_json()["code"]) == (503, "unavailable")
    assert refused.headers["Retry-After"] == "1"
    assert web.post("/v1/payments", body, key="k").status_code == 201


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": 12.5}, "amount"),
        ({"currency": "XXX"}, "currency"),
        ({"payment_method": "4242424242424242"}, "payment_method"),
        ({"capture_method": "later"}, "capture_method"),
        ({"metadata": {"n": 1}}, "metadata.n"),
        ({"colour": "red"}, "colour"),
        ({"customer": {"email": "nobody"}}, "customer.email"),
    ],
)
def test_a_wrong_payment_is_refused_by_field_and_nothing_is_created(
    web: Web, change: dict[str, Any], field: str
) -> None:
    body = {"amount": 1250, "currency": "EUR", "payment_method": "pm_card_visa", **change}
    refused = web.post("/v1/payments", body)
    assert refused.status_code == 422
    assert refused.get_json()["errors"][0]["field"] == field
    assert "4242" not in refused.get_data(as_text=True)
    assert web.get("/v1/payments")["data"] == []


def test_a_payment_is_confirmed_captured_in_part_and_refunded(web: Web) -> None:
    payment = web.pay(capture_method="manual", confirm=False)
    assert web.get(f"/v1/payments/{payment}")["status"] == "requires_confirmation"
    assert web.post(f"/v1/payments/{payment}/confirm").status_code == 200
    web.house.run()
    assert web.get(f"/v1/payments/{payment}")["amount_capturable"] == 1000
    over = web.post(f"/v1/payments/{payment}/capture", {"amount": 1001})
    assert (over.status_code, over.get_json()["amount_capturable"]) == (409, 1000)
    captured = web.post(f"/v1/payments/{payment}/capture", {"amount": 600}, headers={"Prefer": "wait=5"})
    assert (captured.get_json()["status"], captured.get_json()["amount_captured"]) == ("partially_captured", 600)
    refund = web.post("/v1/refunds", {"payment": payment, "amount": 250}, headers={"Prefer": "wait=5"})
    assert (refund.status_code, refund.get_json()["status"]) == (201, "succeeded")
    more = web.post("/v1/refunds", {"payment": payment, "amount": 351})
    assert (more.get_json()["code"], more.get_json()["amount_refundable"]) == ("refund_exceeds_captured", 350)
    assert web.get(f"/v1/payments/{payment}")["amount_refunded"] == 250
    assert [one["amount"] for one in web.get(f"/v1/refunds?payment={payment}")["data"]] == [250]
    web.house.check_books()


def test_an_authorization_is_canceled(web: Web) -> None:
    payment = web.pay(capture_method="manual")
    canceled = web.post(f"/v1/payments/{payment}/cancel", {"reason": "abandoned"}, headers={"Prefer": "wait=5"})
    assert canceled.get_json()["status"] == "canceled"
    again = web.post(f"/v1/payments/{payment}/cancel", {"reason": "abandoned"})
    assert (again.status_code, again.get_json()["code"]) == (409, "illegal_transition")


def test_lists_are_read_page_by_page_without_gaps(web: Web) -> None:
    made = [web.pay(confirm=False, reference=f"order-{number}") for number in range(5)]
    seen, after = [], ""
    while True:
        page = web.get(f"/v1/payments?limit=2{after}")
        seen += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            break
        after = f"&after={page['next']}"
    assert seen == made[::-1]
    assert [one["reference"] for one in web.get("/v1/payments?search=order-3")["data"]] == ["order-3"]
    assert web.get("/v1/payments?status=succeeded")["data"] == []


def test_a_flagged_payment_is_decided_by_a_person_once(web: Web) -> None:
    payment = web.pay("pm_card_high_risk")
    assert web.get(f"/v1/payments/{payment}")["status"] == "requires_review"
    [task] = web.get(f"/v1/tasks?subject={payment}", "reviewer")["data"]
    assert (task["status"], task["payment"], "approve" in task["decisions"]) == ("open", payment, True)
    decision = {"decision": "approve", "reason": "customer_confirmed", "note": "She called."}

    machine = web.post(f"/v1/tasks/{task['id']}/complete", decision, "shop")
    assert (machine.status_code, machine.get_json()["code"]) == (403, "forbidden")
    assert web.post(f"/v1/tasks/{task['id']}/claim", who="reviewer").get_json()["status"] == "claimed"
    taken = web.post(f"/v1/tasks/{task['id']}/complete", decision, "reviewer2")
    assert (taken.status_code, taken.get_json()["code"]) == (409, "task_taken")
    assert (taken.get_json()["name"], taken.get_json()["by"]) == ("Reviewer", web.house.person("reviewer").id)
    wrong = web.post(f"/v1/tasks/{task['id']}/complete", {"decision": "perhaps"}, "reviewer")
    assert (wrong.status_code, wrong.get_json()["errors"][0]["field"]) == (422, "decision")

    done = web.post(f"/v1/tasks/{task['id']}/complete", decision, "reviewer", key="done")
    assert done.get_json()["status"] == "completed"
    assert web.post(f"/v1/tasks/{task['id']}/complete", decision, "reviewer", key="done").data == done.data
    late = web.post(f"/v1/tasks/{task['id']}/complete", decision, "reviewer2")
    assert (late.status_code, late.get_json()["code"], late.get_json()["name"]) == (409, "task_closed", "Reviewer")
    web.house.run()
    assert web.get(f"/v1/payments/{payment}")["status"] == "succeeded"


def test_who_made_the_key_may_not_decide_what_was_asked_with_it(web: Web) -> None:
    maker = web.house.person("reviewer")
    with web.house.database.begin() as tx:
        made = create_key(tx, replace(maker, roles=frozenset({Role.ADMIN})), "till", [Role.INTEGRATOR])
    web.keys["till"] = made.secret
    body = {"amount": 1000, "currency": "EUR", "payment_method": "pm_card_high_risk"}
    payment = web.post("/v1/payments", body, "till").get_json()["id"]
    web.house.run()
    [task] = web.get(f"/v1/tasks?subject={payment}", "reviewer")["data"]
    for verb, sent in (("claim", {}), ("complete", {"decision": "approve", "reason": "customer_confirmed"})):
        refused = web.post(f"/v1/tasks/{task['id']}/{verb}", sent, "reviewer")
        assert (refused.status_code, refused.get_json()["code"]) == (403, "four_eyes")
        assert "made the key" in refused.get_json()["detail"]
    assert web.post(f"/v1/tasks/{task['id']}/claim", who="reviewer2").status_code == 200


def test_a_task_is_given_back(web: Web) -> None:
    payment = web.pay("pm_card_high_risk")
    [task] = web.get(f"/v1/tasks?subject={payment}", "reviewer")["data"]
    web.post(f"/v1/tasks/{task['id']}/claim", who="reviewer")
    assert web.post(f"/v1/tasks/{task['id']}/release", who="reviewer2").status_code == 409
    assert web.post(f"/v1/tasks/{task['id']}/release", who="reviewer").get_json()["status"] == "open"


def test_a_webhook_endpoint_is_made_changed_rotated_and_its_deliveries_sent_again(web: Web) -> None:
    made = web.post("/v1/webhook_endpoints", {"url": "http://127.0.0.1:1/hook", "event_types": ["payment.*"]})
    assert made.status_code == 201
    endpoint, secret = made.get_json()["id"], made.get_json()["secret"]
    path = f"/v1/webhook_endpoints/{endpoint}"
    assert secret not in web.send("GET", path).get_data(as_text=True)
    assert web.post(f"{path}/rotate_secret").get_json()["secret"] not in ("", secret)
    changed = web.send("PATCH", path, json={"event_types": ["payment.created"]})
    assert changed.get_json()["event_types"] == ["payment.created"]
    unknown = web.send("PATCH", path, json={"event_types": ["payment.created", "payment.nonsense"]})
    assert unknown.get_json()["errors"][0]["field"] == "event_types.1"
    web.pay(confirm=False)
    web.house.run()
    [delivery] = web.get(f"{path}/deliveries")["data"]
    again = web.post(f"/v1/deliveries/{delivery['id']}/resend")
    assert (again.status_code, again.get_json()["status"]) == (202, "pending")
    assert web.send("PATCH", path, json={"enabled": False}).get_json()["status"] == "disabled"
    disabled = web.post(f"/v1/deliveries/{delivery['id']}/resend")
    assert (disabled.status_code, disabled.get_json()["code"]) == (409, "webhook_endpoint_disabled")


def test_events_tell_what_happened_to_an_object_in_order(web: Web) -> None:
    payment = web.pay()
    events = web.get(f"/v1/events?object_id={payment}")["data"][::-1]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["type"] == "payment.created"
    assert events[-1]["data"]["status"] == "succeeded"
    assert web.get(f"/v1/events/{events[0]['id']}") == events[0]


def test_the_ledger_is_readable_and_balances(web: Web) -> None:
    payment = web.pay()
    accounts = web.get("/v1/ledger/accounts")["data"]
    assert {"psp:sandbox_a:clearing", "merchant:payable"} <= {account["name"] for account in accounts}
    assert sum(account["posted"] for account in accounts) == 0
    some = web.get("/v1/ledger/accounts?limit=1")
    others = web.get(f"/v1/ledger/accounts?after={quote(some['next'])}")
    assert (len(some["data"]), some["has_more"], some["data"] + others["data"]) == (1, True, accounts)
    entries = web.get(f"/v1/ledger/entries?payment={payment}")["data"]
    assert sum(entry["amount"] for entry in entries) == 0
    first = web.get("/v1/ledger/entries?limit=1")
    rest = web.get(f"/v1/ledger/entries?after={first['next']}")
    assert [one["id"] for one in first["data"] + rest["data"]] == [one["id"] for one in entries]
    assert web.send("GET", "/v1/ledger/entries?after=x").status_code == 422


def test_a_gateways_webhook_needs_its_signature_and_no_key(web: Web) -> None:
    client = web.app.test_client()
    forged = client.post("/webhooks/sandbox_a", data=b"{}", headers={"webhook-id": "1", "webhook-timestamp": "1"})
    assert (forged.status_code, forged.content_type) == (401, "application/problem+json")
    assert client.post("/webhooks/nobody", data=b"{}").status_code == 404
    assert client.post("/webhooks/sandbox_a", data=b"x" * (1024 * 1024 + 1)).status_code == 413


def test_a_key_sees_its_own_merchant_only(web: Web) -> None:
    payment = web.pay(confirm=False)
    assert web.house.payment(payment).merchant_id == MERCHANT
    assert [one["id"] for one in web.get("/v1/payments", "operator")["data"]] == [payment]
