"""Deciding: claiming, one decision only, four eyes, what is kept when somebody else was faster."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from app.console.read import desk
from app.engine.models import InboxItem, Task
from app.events.models import AuditEntry
from app.kit.clock import ShiftedClock
from app.kit.database import Database
from tests.console.conftest import Visitor
from tests.console.seed import Seeded

Come = Callable[[str], Visitor]
APPROVE = {"decision": "approve", "reason": "customer_confirmed", "note": "She knows the order"}


def stored(database: Database, task_id: str) -> Task:
    with database.begin() as tx:
        return tx.session.get_one(Task, task_id)


def test_the_desk_shows_why_how_much_and_how_urgent(visitor: Come) -> None:
    page = visitor("reviewer").read("/review?queue=all")
    assert "High" in page
    assert "480,000\u00a0JPY" in page
    assert "4 payments with this card within one hour" in page
    assert "overdue" in page
    assert "2/2" in page


def test_queues_count_what_they_hold(visitor: Come) -> None:
    reviewer = visitor("reviewer")
    for queue, rows in {
        "unclaimed": 5,
        "mine": 1,
        "second": 1,
        "overdue": 1,
        "escalated": 1,
        "all": 7,
        "done": 2,
    }.items():
        page = reviewer.read(f"/review?queue={queue}")
        assert page.count('<tr class="link"') == rows, queue


def test_an_empty_queue_says_which_filter_is_on(visitor: Come) -> None:
    page = visitor("reviewer").read("/review?queue=unclaimed&process=refund")
    assert "The filter is: Unclaimed · refund" in page
    assert 'href="/review?queue=unclaimed"' in page


def test_take_next_claims_the_most_urgent_task_and_never_the_same_for_two(
    visitor: Come, database: Database, seeded: Seeded
) -> None:
    one, two = visitor("reviewer"), visitor("reviewer2")
    first = one.post("/review/next").location
    second = two.post("/review/next").location
    assert first.startswith(f"/review/{seeded.tasks['escalated']}")
    assert second.startswith(f"/review/{seeded.tasks['overdue']}")
    assert stored(database, seeded.tasks["escalated"]).assignee == seeded.users["reviewer"]


def test_take_next_leaves_out_what_four_eyes_forbid(visitor: Come, seeded: Seeded) -> None:
    sent = visitor("reviewer").post("/review/next?queue=second")
    assert sent.location == "/review?queue=second"
    assert (
        visitor("reviewer2").post("/review/next?queue=second").location.startswith(f"/review/{seeded.tasks['second']}")
    )


def test_the_list_has_pages_in_its_own_order(
    visitor: Come, database: Database, seeded: Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.begin() as tx:
        tx.session.get_one(Task, seeded.tasks["yen"]).due_at = None
    reviewer = visitor("reviewer")
    for queue in ("all", "done"):
        monkeypatch.setattr(desk, "PAGE", 50)
        whole = _listed(reviewer.read(f"/review?queue={queue}"))
        monkeypatch.setattr(desk, "PAGE", 2 if queue == "all" else 1)
        found, path = [], f"/review?queue={queue}"
        while path:
            page = reviewer.read(path)
            found += _listed(page)
            older = re.search(r'rel="next" href="([^"]+)"', page)
            path = unescape(older[1]) if older else ""
        assert found == whole
    assert len(whole) == 2
    assert "First page" in page
    assert f"/review/live?queue=done&amp;after={found[-2]}" in page


def _listed(page: str) -> list[str]:
    return re.findall(r'<tr class="link" id="(tsk_\w+)"', page)


def test_take_next_keeps_to_the_currency_that_the_list_is_narrowed_to(visitor: Come, seeded: Seeded) -> None:
    reviewer = visitor("reviewer")
    page = reviewer.read("/review?currency=JPY")
    assert (seeded.tasks["yen"] in page, seeded.tasks["escalated"] in page) == (True, False)
    assert "currency=EUR" in page
    yen = f"/review/{seeded.tasks['yen']}"
    assert f'href="{yen}' in reviewer.read(f"/review/{seeded.tasks['done']}?currency=JPY")
    assert reviewer.post("/review/next?currency=JPY").location.startswith(yen)
    assert reviewer.post("/review/next?currency=JPY").location == "/review?queue=unclaimed&currency=JPY"


def test_a_decision_goes_to_the_flow_and_the_next_task_opens(visitor: Come, database: Database, seeded: Seeded) -> None:
    reviewer = visitor("reviewer")
    sent = reviewer.post(f"/review/{seeded.tasks['mine']}/decide?queue=unclaimed", **APPROVE)
    assert sent.status_code == 303
    assert sent.location == f"/review/{seeded.tasks['escalated']}?queue=unclaimed"
    task = stored(database, seeded.tasks["mine"])
    assert (task.status, task.decision, task.note) == ("completed", "approve", "She knows the order")
    assert task.data == {"call_back": False}
    with database.begin() as tx:
        item = tx.session.scalars(select(InboxItem).where(InboxItem.instance_id == task.instance_id)).one()
        entry = tx.session.scalars(select(AuditEntry).where(AuditEntry.object_id == task.id)).one()
    assert (item.kind, item.node, item.payload["decision"]) == ("task_completed", "Review#1", "approve")
    assert entry.actor == seeded.users["reviewer"]


def test_a_missing_reason_is_said_beside_its_field_and_the_note_comes_back(
    visitor: Come, database: Database, seeded: Seeded
) -> None:
    refused = visitor("reviewer").post(
        f"/review/{seeded.tasks['mine']}/decide", decision="reject", note="Looks wrong to me"
    )
    assert refused.status_code == 422
    assert 'id="reason-wrong"' in refused.text
    assert "Looks wrong to me</textarea>" in refused.text
    assert stored(database, seeded.tasks["mine"]).status == "claimed"


def test_who_comes_second_sees_who_was_first_and_keeps_the_note(
    visitor: Come, database: Database, seeded: Seeded
) -> None:
    late = visitor("reviewer").post(
        f"/review/{seeded.tasks['done']}/decide", decision="reject", reason="stolen_card", note="My long note"
    )
    assert late.status_code == 409
    assert "Li Wei decided “Approve” on" in late.text
    assert "readonly" in late.text
    assert "My long note" in late.text
    assert stored(database, seeded.tasks["done"]).decision == "approve"


def test_a_task_somebody_has_cannot_be_claimed_or_decided(visitor: Come, database: Database, seeded: Seeded) -> None:
    reviewer = visitor("reviewer")
    for path, fields in (("claim", {}), ("decide", APPROVE)):
        taken = reviewer.post(f"/review/{seeded.tasks['taken']}/{path}", **fields)
        assert taken.status_code == 409
        assert "Li Wei has this task since" in taken.text
    assert stored(database, seeded.tasks["taken"]).assignee == seeded.users["reviewer2"]


def test_a_claim_that_ran_out_is_free_again(
    visitor: Come, database: Database, clock: ShiftedClock, seeded: Seeded
) -> None:
    clock.advance(timedelta(minutes=20))
    reviewer = visitor("reviewer")
    assert "Unclaimed" in reviewer.read(f"/review/{seeded.tasks['taken']}/state")
    assert reviewer.post(f"/review/{seeded.tasks['taken']}/claim").status_code == 303
    assert stored(database, seeded.tasks["taken"]).assignee == seeded.users["reviewer"]


def test_four_eyes_are_told_in_a_sentence_and_kept_by_the_engine(
    visitor: Come, database: Database, seeded: Seeded
) -> None:
    reviewer, task = visitor("reviewer"), seeded.tasks["second"]
    assert "the rules ask for another person" in reviewer.read(f"/review/{task}")
    refused = reviewer.post(f"/review/{task}/decide", **APPROVE)
    assert refused.status_code == 403
    assert "the rules ask for another person" in refused.text
    assert stored(database, task).status == "open"


def test_the_reviewer_sees_what_the_amount_is_about_worth(visitor: Come, seeded: Seeded) -> None:
    page = visitor("reviewer").read(f"/review/{seeded.tasks['yen']}")
    assert "480,000\u00a0JPY" in page
    assert "about 2,880.00\u00a0EUR" in page
    assert "for judging risk only" in visitor("reviewer").read(f"/payments/{seeded.payments['yen']}")
    assert "for judging risk only" not in visitor("reviewer").read(f"/review/{seeded.tasks['open']}")


def test_who_asked_for_it_is_told_why_there_is_no_button(visitor: Come, database: Database, seeded: Seeded) -> None:
    task = seeded.tasks["open"]
    with database.begin() as tx:
        tx.session.get_one(Task, task).excluded = [seeded.users["reviewer"]]
    reviewer = visitor("reviewer")
    page = reviewer.read(f"/review/{task}")
    assert "You asked for this, or made the key that did" in page
    assert "/claim" not in page
    assert "made the key that did" in reviewer.post(f"/review/{task}/decide", **APPROVE).text
    queue = reviewer.read("/review?queue=second")
    assert (seeded.tasks["second"] in queue, task in queue) == (True, False)


def test_who_is_no_reviewer_is_told_whom_the_task_is_for(visitor: Come, database: Database, seeded: Seeded) -> None:
    analyst = visitor("analyst")
    assert "This task is for: Reviewer" in analyst.read(f"/review/{seeded.tasks['open']}")
    assert analyst.post(f"/review/{seeded.tasks['open']}/decide", **APPROVE).status_code == 403
    assert stored(database, seeded.tasks["open"]).status == "open"


def test_the_desk_offers_each_role_what_it_may_take_and_nothing_else(
    visitor: Come, database: Database, seeded: Seeded
) -> None:
    task = seeded.tasks["open"]
    with database.begin() as tx:
        tx.session.get_one(Task, task).candidate_groups = ["operator"]
    claim = f"/review/{task}/claim"
    desks = {word: visitor(word).read("/review") for word in ("operator", "reviewer", "analyst")}
    assert {word: claim in page for word, page in desks.items()} == {
        "operator": True,
        "reviewer": False,
        "analyst": False,
    }
    assert {word: "/review/next" in page for word, page in desks.items()} == {
        "operator": True,
        "reviewer": True,
        "analyst": False,
    }
    assert seeded.tasks["yen"] in desks["operator"]
    assert f"/review/{seeded.tasks['yen']}/claim" not in desks["operator"]
    assert f"/review/{seeded.tasks['yen']}/claim" in desks["reviewer"]


def test_the_next_task_is_never_one_for_others(visitor: Come, database: Database, seeded: Seeded) -> None:
    for word, groups in (("escalated", ["operator"]), ("overdue", ["analyst"])):
        with database.begin() as tx:
            tx.session.get_one(Task, seeded.tasks[word]).candidate_groups = groups
    sent = visitor("reviewer").post(f"/review/{seeded.tasks['mine']}/decide?queue=all", **APPROVE)
    assert sent.location.partition("?")[0] not in {f"/review/{seeded.tasks[word]}" for word in ("escalated", "overdue")}
    assert f'href="/review/{seeded.tasks["escalated"]}' in visitor("operator").read(f"/review/{seeded.tasks['open']}")


def test_a_claim_that_ran_out_is_offered_in_the_list(visitor: Come, clock: ShiftedClock, seeded: Seeded) -> None:
    taken = f"/review/{seeded.tasks['taken']}/claim"
    assert taken not in visitor("reviewer").read("/review?queue=all")
    clock.advance(timedelta(minutes=20))
    assert taken in visitor("reviewer").read("/review?queue=all")


def test_a_task_can_be_given_back_and_an_operator_can_take_it_away(
    visitor: Come, database: Database, seeded: Seeded
) -> None:
    visitor("reviewer").post(f"/review/{seeded.tasks['mine']}/release")
    assert stored(database, seeded.tasks["mine"]).status == "open"
    visitor("operator").post(f"/review/{seeded.tasks['taken']}/release")
    assert stored(database, seeded.tasks["taken"]).assignee is None


def test_the_review_tells_what_a_decision_needs(visitor: Come, seeded: Seeded) -> None:
    page = visitor("reviewer").read(f"/review/{seeded.tasks['mine']}")
    assert "Captures 84.50\u00a0EUR now" in page
    assert "+35" in page
    assert "Card from Brazil, address in Germany" in page
    assert 'class="here"' in page
    assert "Same method" in page
    assert "Customer was called" in page


def test_the_help_lists_the_keys_that_the_forms_decisions_have(visitor: Come, seeded: Seeded) -> None:
    reviewer = visitor("reviewer")
    own = reviewer.read(f"/review/{seeded.tasks['mine']}")
    assert re.findall(r"<kbd>(.)</kbd></dt><dd>Go to “(\w+)”", own) == [("a", "Approve"), ("r", "Reject")]
    for path in ("/review", f"/review/{seeded.tasks['open']}"):
        page = reviewer.read(path)
        assert "the decision that begins with it" in page
        assert 'data-opens="keys"' in page


def test_the_second_person_sees_the_first_decision(visitor: Come, seeded: Seeded) -> None:
    page = visitor("reviewer2").read(f"/review/{seeded.tasks['second']}")
    assert "Dana Okafor" in page
    assert "Called the customer, she knows the order." in page


def test_what_the_flow_tells_cannot_become_markup(visitor: Come, database: Database, seeded: Seeded) -> None:
    with database.begin() as tx:
        task = tx.session.get_one(Task, seeded.tasks["open"])
        task.facts = {**task.facts, "<script>alert(1)</script>": "<img src=x onerror=alert(2)>"}
    page = visitor("reviewer").read(f"/review/{seeded.tasks['open']}")
    assert "<script>alert" not in page
    assert "<img src=x" not in page


def test_a_live_part_is_sent_again_only_when_it_changed(visitor: Come, seeded: Seeded) -> None:
    reviewer = visitor("reviewer")

    def ask_twice() -> tuple[TestResponse, TestResponse]:
        first = reviewer.get("/review/live?queue=all")
        return first, reviewer.get("/review/live?queue=all", headers={"If-None-Match": first.headers["ETag"]})

    # Between the two a minute may begin, and with it every age in the list changes.
    first, again = next(pair for pair in (ask_twice() for _ in range(3)) if pair[1].status_code == 304)
    assert (first.status_code, again.text) == (200, "")
    reviewer.post(f"/review/{seeded.tasks['open']}/claim")
    changed = reviewer.get("/review/live?queue=all", headers={"If-None-Match": first.headers["ETag"]})
    assert changed.status_code == 200


def test_a_live_part_sends_who_was_signed_out_to_the_door(visitor: Come) -> None:
    answer = visitor("").get("/review/live", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (401, "/sign-in")
