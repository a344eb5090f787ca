import urllib.parse

import pytest
import urllib3

from tests.fixtures_sandbox import SandboxFactory, SandboxServer, WebhookReceiver, until

RETURN = "https://shop.test/back?order=7&x=y"


@pytest.fixture
def server(sandbox: SandboxFactory, receiver: WebhookReceiver) -> SandboxServer:
    return sandbox(webhook_url=receiver.url)


def browse(url: str, result: str = "") -> urllib3.BaseHTTPResponse:
    with urllib3.PoolManager(retries=False) as browser:
        if not result:
            return browser.request("GET", url)
        form = urllib.parse.urlencode({"result": result})
        return browser.request("POST", url, body=form, headers={"content-type": "application/x-www-form-urlencoded"})


def action_url(server: SandboxServer, reference: str = "pay_7", return_url: str = RETURN) -> str:
    status, charge = server.pay("k1", "pm_card_3ds", 123456, reference=reference, return_url=return_url)
    assert (status, charge["status"], charge["authorized"]) == (201, "requires_action", 0)
    return str(charge["next_action"]["url"])


def test_the_page_shows_the_amount_and_two_buttons(server: SandboxServer) -> None:
    page = browse(action_url(server))
    text = page.data.decode()
    assert page.status == 200
    assert "1234.56 EUR" in text
    assert "pay_7" in text
    assert text.count("<button") == 2
    assert page.headers["cache-control"] == "no-store"


def test_what_a_merchant_wrote_is_shown_as_text(server: SandboxServer) -> None:
    assert "<script>" not in browse(action_url(server, reference="<script>alert(1)</script>")).data.decode()


@pytest.mark.parametrize(("result", "status"), [("complete", "authorized"), ("fail", "declined")])
def test_the_buttons_decide_tell_the_merchant_and_lead_back(
    server: SandboxServer, receiver: WebhookReceiver, result: str, status: str
) -> None:
    answer = browse(action_url(server), result)
    assert (answer.status, answer.headers.get("location")) == (303, RETURN)
    charge = server.charge("k1")
    assert charge["status"] == status
    assert charge["decline_code"] == ("" if result == "complete" else "authentication_failed")
    until(lambda: receiver.received)
    assert receiver.types() == ["charge.action_completed"]
    assert receiver.received[0].json["data"]["status"] == status


def test_the_second_click_changes_nothing(server: SandboxServer) -> None:
    url = action_url(server)
    browse(url, "complete")
    assert browse(url, "fail").status == 303
    assert server.charge("k1")["status"] == "authorized"
    assert len(server.events()) == 1
    assert "<button" not in browse(url).data.decode()


def test_without_a_way_back_the_page_says_how_it_ended(server: SandboxServer) -> None:
    answer = browse(action_url(server, return_url=""), "complete")
    assert answer.status == 200
    assert "authorized" in answer.data.decode()


def test_the_page_does_nothing_it_was_not_asked(server: SandboxServer) -> None:
    url = action_url(server)
    assert browse(url, "maybe").status == 400
    assert browse(f"{server.base_url}/actions/ch_none").status == 404
    assert server.charge("k1")["status"] == "requires_action"


def test_a_charge_without_an_action_has_no_page(server: SandboxServer) -> None:
    _, charge = server.pay("k2")
    assert browse(f"{server.base_url}/actions/{charge['id']}").status == 404


def test_an_action_that_took_too_long_cannot_be_completed(server: SandboxServer) -> None:
    url = action_url(server)
    server.advance(days=7)
    browse(url, "complete")
    assert server.charge("k1")["status"] == "expired"
