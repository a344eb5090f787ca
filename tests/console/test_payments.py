"""Payments: finding them, the file, the page of one, and what an operator may do."""

from collections.abc import Callable
from html import unescape

import orjson
import pytest
from sqlalchemy import select, update

from app.console.read import payment_list
from app.disputes.models import Dispute
from app.engine.models import Definition, Incident, Instance, JournalRow, Message, WaitRow
from app.kit.clock import ShiftedClock
from app.kit.database import Database, Tx
from app.payments.models import Attempt, Payment
from app.payments.states import PaymentStatus
from app.refunds.models import Refund
from tests.console.conftest import Visitor
from tests.console.seed import DIAGRAMS, Seeded, seed

Come = Callable[[str], Visitor]


@pytest.mark.parametrize("term", ["order-1001", "cus_ken", "KEN@example", "Ken Mori"])
def test_a_payment_is_found_by_what_people_know(visitor: Come, seeded: Seeded, term: str) -> None:
    page = visitor("operator").read(f"/payments?search={term}")
    assert page.count('<tr class="link"') == 1
    assert seeded.payments["yen"] in page


def test_a_payment_is_found_by_its_id(visitor: Come, seeded: Seeded) -> None:
    assert visitor("operator").read(f"/payments?search={seeded.payments['held']}").count('<tr class="link"') == 1


def test_a_percent_sign_is_no_wildcard(visitor: Come) -> None:
    assert "No payment matches" in visitor("operator").read("/payments?search=%25")


def test_pages_follow_each_other_without_gap_or_repetition(visitor: Come) -> None:
    operator = visitor("operator")
    first = operator.read("/payments?status=succeeded")
    link = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    ids = [
        row.split('"')[0] for page in (first, operator.read(link)) for row in page.split('<tr class="link" id="')[1:]
    ]
    assert len(ids) == len(set(ids)) == 64
    assert ids == sorted(ids, reverse=True)


def test_the_file_holds_the_same_filter_and_no_formula(visitor: Come, database: Database, seeded: Seeded) -> None:
    with database.begin() as tx:
        tx.session.get_one(Payment, seeded.payments["yen"]).reference = '=HYPERLINK("http://evil")'
    response = visitor("operator").get("/payments.csv?status=requires_review")
    lines = response.text.splitlines()
    assert response.headers["Content-Disposition"].startswith('attachment; filename="payments-')
    assert lines[0].startswith("id,reference,status")
    assert len(lines) == 1 + 7
    assert "\"'=HYPERLINK" in response.text
    assert ",480000," in response.text


def test_a_file_that_leaves_payments_out_says_so(visitor: Come, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = visitor("operator")
    whole = operator.get("/payments.csv?status=succeeded").text
    assert (len(whole.splitlines()), "There are more" in whole) == (1 + 64, False)
    assert "at most" not in operator.read("/payments")
    monkeypatch.setattr(payment_list, "EXPORT", 63)
    lines = operator.get("/payments.csv?status=succeeded").text.splitlines()
    assert (len(lines), lines[:64]) == (1 + 63 + 1, whole.splitlines()[:64])
    assert "ends after the newest 63" in lines[-1]
    assert "at most 63" in operator.read("/payments")
    assert "at most" not in operator.read("/payments?status=failed")


def test_every_status_can_be_chosen(visitor: Come, database: Database, seeded: Seeded) -> None:
    with database.begin() as tx:
        tx.session.get_one(Payment, seeded.payments["held"]).status = "requires_confirmation"
    page = visitor("operator").read("/payments?status=requires_confirmation")
    assert page.count('<tr class="link"') == 1
    assert all(f'"/payments?status={status}"' in page for status in PaymentStatus)


def test_a_flow_may_be_called_by_any_letters_and_be_downloaded(visitor: Come, database: Database) -> None:
    with database.begin() as tx:
        one = tx.session.scalars(select(Definition).where(Definition.kind == "bpmn").limit(1)).one()
        one.key = "\u9000\u6b3e"
    response = visitor("analyst").get(f"/definitions/{one.id}/source?download")
    assert response.status_code == 200
    assert response.headers["Content-Disposition"].endswith("%E9%80%80%E6%AC%BE-1.bpmn")


def test_the_page_tells_money_path_attempts_and_ledger(visitor: Come, seeded: Seeded) -> None:
    page = visitor("operator").read(f"/payments/{seeded.payments['succeeded']}")
    for text in (
        "129.00\u00a0EUR",
        "29.00\u00a0EUR",
        "Not enough money (51)",
        "psp:sandbox_a:clearing",
        "Refund succeeded",
        "Assess risk",
    ):
        assert text in page, text


def test_the_drawing_says_where_the_instance_is(visitor: Come, database: Database, seeded: Seeded) -> None:
    with database.begin() as tx:
        instance = tx.session.get_one(Payment, seeded.payments["stuck"]).instance_id
    answer = visitor("operator").get(f"/instances/{instance}/state")
    state = orjson.loads(answer.data)
    assert state["status"] == "incident"
    assert {"element": "f4", "count": 1} in state["path"]
    assert [row["element"] for row in state["incidents"]] == ["Authorize"]
    again = visitor("operator").get(f"/instances/{instance}/state", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


def test_an_operator_asks_for_a_capture_in_major_units(visitor: Come, database: Database, seeded: Seeded) -> None:
    payment = seeded.payments["held"]
    with database.begin() as tx:
        running = tx.session.get_one(Payment, seeded.payments["stuck"]).instance_id
        tx.session.get_one(Payment, payment).instance_id = running
    sent = visitor("operator").post(f"/payments/{payment}/capture", amount="120.50", final="yes")
    assert sent.location == f"/payments/{payment}"
    with database.begin() as tx:
        attempt = tx.session.scalars(select(Attempt).where(Attempt.payment_id == payment)).one()
        message = tx.session.scalars(select(Message).where(Message.correlation == payment)).one()
    assert (attempt.operation, attempt.amount, attempt.final) == ("capture", 12050, True)
    assert message.name == "capture.requested"


def test_too_much_is_refused_in_words_and_changes_nothing(visitor: Come, database: Database, seeded: Seeded) -> None:
    operator, payment = visitor("operator"), seeded.payments["held"]
    operator.post(f"/payments/{payment}/capture", amount="500.01")
    assert "cannot be captured" in operator.read(f"/payments/{payment}")
    operator.post(f"/payments/{payment}/capture", amount="a lot")
    assert "must be a number such as" in operator.read(f"/payments/{payment}")
    with database.begin() as tx:
        assert tx.session.scalars(select(Attempt).where(Attempt.payment_id == payment)).all() == []


@pytest.mark.parametrize("action", ["capture", "refund", "cancel"])
def test_actions_are_for_operators(visitor: Come, database: Database, seeded: Seeded, action: str) -> None:
    refused = visitor("reviewer").post(
        f"/payments/{seeded.payments['succeeded']}/{action}", amount="1", reason="duplicate"
    )
    assert refused.status_code == 403
    with database.begin() as tx:
        assert len(tx.session.scalars(select(Refund)).all()) == 1


def test_actions_that_cannot_be_are_not_offered(visitor: Come, seeded: Seeded) -> None:
    operator = visitor("operator")
    held, bought = (operator.read(f"/payments/{seeded.payments[word]}") for word in ("held", "succeeded"))
    assert "/capture" in held
    assert "/refund" not in held
    assert "/refund" in bought
    assert "/cancel" not in bought
    assert "/refund" not in visitor("reviewer").read(f"/payments/{seeded.payments['succeeded']}")


def test_a_capture_is_not_offered_where_the_flow_makes_it_by_itself_or_is_to_cancel(
    visitor: Come, database: Database, seeded: Seeded
) -> None:
    operator, payment = visitor("operator"), seeded.payments["held"]
    for changed in ({"capture_method": "automatic"}, {"capture_method": "manual", "cancel_reason": "fraudulent"}):
        with database.begin() as tx:
            tx.execute(update(Payment).where(Payment.id == payment).values(changed))
        page = operator.read(f"/payments/{payment}")
        assert "/capture" not in page
        assert "/cancel" in page


def test_an_incident_is_repaired_from_the_payment(visitor: Come, seeded: Seeded) -> None:
    operator, payment = visitor("operator"), seeded.payments["stuck"]
    page = operator.read(f"/payments/{payment}")
    assert "the gateway answered 500" in page
    sent = operator.post(f"/repairs/{seeded.others['incident']}/retry", back=f"/payments/{payment}")
    assert sent.location == f"/payments/{payment}"
    assert "The flow tries again" in operator.read(f"/payments/{payment}")


def test_repairs_need_an_operator(visitor: Come, seeded: Seeded) -> None:
    reviewer = visitor("reviewer")
    reviewer.post(f"/repairs/{seeded.others['incident']}/retry")
    assert "This needs the role operator" in reviewer.read("/repairs")


def test_unknown_outcomes_show_money_age_and_next_look(visitor: Come) -> None:
    page = visitor("operator").read("/repairs")
    assert "205.00\u00a0EUR" in page
    assert "in 3 min" in page or "in 4 min" in page
    assert "12 min" in page


def test_what_waits_in_a_called_process_is_drawn_there_and_at_its_call(
    visitor: Come, database: Database, seeded: Seeded
) -> None:
    with database.begin() as tx:
        instance = tx.session.get_one(Payment, seeded.payments["flagged"]).instance_id
        assert instance is not None
        wait = tx.session.scalars(select(WaitRow).where(WaitRow.instance_id == instance)).one()
        wait.node, wait.element = "Review#1/Decide#1", "Decide"
        entered = {"kind": "entered", "process": "manual-review", "scope": "Review#1", "actor": "", "facts": {}}
        tx.session.add(
            JournalRow(instance_id=instance, seq=90, at=tx.now(), element="Decide", node="Review#1/Decide#1", **entered)
        )
    operator = visitor("operator")
    drawn = {
        process: [
            wait["element"]
            for wait in orjson.loads(operator.get(f"/instances/{instance}/state{process}").data)["waits"]
        ]
        for process in ("", "?process=manual-review", "?process=refund")
    }
    assert drawn == {"": ["Review"], "?process=manual-review": ["Decide"], "?process=refund": []}
    page = operator.read(f"/payments/{seeded.payments['flagged']}")
    assert "Decide" in page


def test_the_path_names_each_element_by_its_own_process(visitor: Come, database: Database, seeded: Seeded) -> None:
    payment = seeded.payments["flagged"]
    with database.begin() as tx:
        _call_a_process_with_the_same_ids(tx, payment, seeded.definitions["flow2"])
    page = visitor("operator").read(f"/payments/{payment}")
    path = page.split('<ol class="steps">')[1].split("</ol>")[0]
    assert "Look closely" in path
    assert path.count("Validate payment") == 1
    assert "Approved" not in path  # the gateway without a name; at the top the same id has one
    assert "Look closely" in page.rsplit("Waits for", 1)[1].split("</p>")[0]


def _call_a_process_with_the_same_ids(tx: Tx, payment: str, caller: str) -> None:
    drawn = (DIAGRAMS / "card-payment.bpmn").read_bytes()
    called = tx.session.get_one(Definition, caller)
    tx.session.add(
        Definition(
            id="def_called",
            merchant_id=called.merchant_id,
            kind="bpmn",
            key="manual-review",
            version=1,
            name="Manual review",
            status="published",
            content=drawn.replace(b'"Validate payment"', b'"Look closely"').replace(b'name="Approved?"', b""),
            content_hash="called",
            file_name="manual-review.bpmn",
            uses=called.uses,
            warnings={"findings": []},
            created_by=called.created_by,
            created_at=called.created_at,
        )
    )
    instance = tx.session.scalars(select(Instance).where(Instance.subject == payment)).one()
    instance.pins = {**instance.pins, "processes": {**instance.pins["processes"], "manual-review": "def_called"}}
    inside = {"instance_id": instance.id, "process": "manual-review", "scope": "Review#1", "actor": "", "facts": {}}
    lines = [("entered", "Approved"), ("left", "Approved"), ("entered", "Validate")]
    for seq, (kind, element) in enumerate(lines, 90):
        node = f"Review#1/{element}#1"
        tx.session.add(JournalRow(seq=seq, at=tx.now(), kind=kind, element=element, node=node, **inside))
    wait = tx.session.scalars(select(WaitRow).where(WaitRow.instance_id == instance.id)).one()
    wait.node, wait.element = "Review#1/Validate#1", "Validate"


def test_a_step_shows_what_it_wrote_and_a_value_is_only_text(visitor: Come, database: Database, seeded: Seeded) -> None:
    payment = seeded.payments["flagged"]
    facts = {"wrote": {"route": {"gateway": "<b>a</b>"}}, "large": {"answer": 4321}}
    with database.begin() as tx:
        instance = tx.session.scalars(select(Instance.id).where(Instance.subject == payment)).one()
        line = {"instance_id": instance, "process": "", "scope": "", "actor": "", "at": tx.now()}
        for seq, (kind, told) in enumerate([("entered", {}), ("left", facts)], 80):
            named = {"element": "Validate", "node": "Validate#9"}
            tx.session.add(JournalRow(seq=seq, kind=kind, facts=told, **named, **line))
    page = visitor("operator").read(f"/payments/{payment}")
    path = page.split('<ol class="steps">')[1].split("</ol>")[0]
    assert "wrote route, answer" in path
    assert "gateway" in path
    assert "<b>" not in path
    assert "too long to be kept (4321 bytes)" in path


def _give_the_refund_a_flow(database: Database, seeded: Seeded) -> tuple[str, Instance]:
    """The refund of the payment that succeeded, stopped by an incident where it waits to be authorized."""
    with database.begin() as tx:
        refund = tx.session.scalars(select(Refund)).one()
        instance = tx.session.scalars(select(Instance).where(Instance.subject == seeded.payments["stuck"])).one()
        incident = tx.session.get_one(Incident, seeded.others["incident"])
        instance.subject = incident.subject = refund.id
        refund.instance_id = instance.id
        return refund.id, instance


def test_an_incident_about_a_refund_leads_to_its_flow_on_the_page_of_its_payment(
    visitor: Come, database: Database, seeded: Seeded
) -> None:
    refund, instance = _give_the_refund_a_flow(database, seeded)
    operator, payment = visitor("operator"), seeded.payments["succeeded"]
    assert f'href="/refunds/{refund}"' in operator.read("/repairs")
    sent = operator.get(f"/refunds/{refund}")
    assert (sent.status_code, sent.location) == (302, f"/payments/{payment}?about={refund}#flow")
    own, its = operator.read(f"/payments/{payment}"), operator.read(f"/payments/{payment}?about={refund}")
    state = f'data-state-url="/instances/{instance.id}/state'
    assert (state in own, state in its) == (False, True)
    assert f'href="/payments/{payment}?about={refund}#flow"' in own
    assert "Refund of 29.00\u00a0EUR" in own
    assert f'href="/refunds/{refund}"' in own  # the incident at the top says what it is about


def test_what_lives_below_the_diagram_tells_the_path_of_the_flow_that_is_drawn(
    visitor: Come, database: Database, seeded: Seeded
) -> None:
    refund, _ = _give_the_refund_a_flow(database, seeded)
    operator, payment = visitor("operator"), seeded.payments["succeeded"]
    page = operator.read(f"/payments/{payment}?about={refund}")
    asked = unescape(page.split(f'hx-get="/payments/{payment}/rest')[1].split('"')[0])
    again = operator.read(f"/payments/{payment}/rest{asked}")
    own = operator.read(f"/payments/{payment}/rest")
    path = [text.split('<ol class="steps">')[1].split("</ol>")[0] for text in (page, again, own)]
    assert [("Capture" in one, 'class="now"' in one) for one in path] == [(False, True), (False, True), (True, False)]


def test_the_flow_of_a_dispute_is_drawn_on_the_page_of_its_payment(
    visitor: Come, database: Database, seeded: Seeded
) -> None:
    dispute, payment = seeded.others["dispute"], seeded.payments["disputed"]
    with database.begin() as tx:
        instance = tx.session.scalars(select(Instance).where(Instance.subject == seeded.payments["stuck"])).one()
        tx.session.get_one(Dispute, dispute).instance_id = instance.id
        bought = tx.session.get_one(Payment, seeded.payments["succeeded"])
        tx.session.get_one(Payment, payment).instance_id = bought.instance_id
    page = visitor("operator").read(f"/payments/{payment}?about={dispute}")
    assert f'data-state-url="/instances/{instance.id}/state' in page
    assert "Dispute of 349.00\u00a0EUR" in page


def test_a_refund_of_somebody_else_leads_nowhere(visitor: Come, database: Database, clock: ShiftedClock) -> None:
    other = seed(database, clock.now(), "mer_other")
    with database.begin() as tx:
        query = select(Refund.id).where(Refund.payment_id == other.payments["succeeded"])
        foreign = tx.session.scalars(query).one()
    assert visitor("operator").get(f"/refunds/{foreign}").status_code == 404


def test_the_tables_of_refunds_and_disputes_name_their_columns(visitor: Come, seeded: Seeded) -> None:
    for word, title in (("succeeded", "refunds"), ("disputed", "disputes")):
        page = visitor("operator").read(f"/payments/{seeded.payments[word]}")
        table = page.split(f'<h2 id="{title}">')[1].split("</table>")[0]
        assert table.count('<th scope="col"') == 2
