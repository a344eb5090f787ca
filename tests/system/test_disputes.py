"""Disputes through everything: opened by the gateway's webhook, answered once, booked as the funds move."""

import pytest

from app.access.actor import Role
from app.disputes import service
from app.disputes.models import Dispute
from app.engine import inbox
from app.engine.models import Instance
from app.engine.people import Completion
from app.refunds.service import RefundExceedsCaptured
from tests.fixtures_sandbox import until
from tests.house import House
from tests.system.people import decide

CONTEST = Completion("contest")
ACCEPT = Completion("accept", "customer_right")


def disputed(house: House, stage: str = "chargeback") -> Dispute:
    """A paid payment against which the customer's bank objects."""
    house.paid()
    house.a.dispute(house.charges()[0]["id"], stage)
    return house.eventually(house.disputes)[0]


def state(house: House) -> tuple[str, str]:
    (dispute,) = house.disputes()
    return dispute.stage, dispute.status


def theirs(house: House) -> dict[str, object]:
    (dispute,) = house.charges()[0]["disputes"]
    return dict(dispute)


def check(house: House, disputed_amount: int) -> None:
    """Ours, the ledger and the gateway say the same about what was taken."""
    (dispute,) = house.disputes()
    assert house.payment(dispute.payment_id).amount_disputed == disputed_amount
    assert (dispute.withdrawn, theirs(house)["withdrawn"]) == (disputed_amount, disputed_amount)
    assert (dispute.stage, dispute.status) == (theirs(house)["stage"], theirs(house)["status"])
    assert house.incidents() == []
    house.check_books()


def test_a_chargeback_takes_the_money_and_gives_a_person_a_deadline(house: House) -> None:
    dispute = disputed(house)

    task = house.eventually(lambda: house.task(dispute.id))
    assert task.due_at is not None
    assert dispute.due_by is not None
    assert task.due_at < dispute.due_by
    assert task.facts["evidence"]["payment.id"] == dispute.payment_id
    check(house, 1000)
    with pytest.raises(RefundExceedsCaptured):
        house.refund(dispute.payment_id, 1)


def test_a_contested_chargeback_that_is_won_brings_the_money_back(house: House) -> None:
    dispute = disputed(house)
    decide(house, "rosa", dispute.id, CONTEST)
    house.eventually(lambda: state(house)[1] == "under_review")
    assert theirs(house)["evidence"]
    house.a.decide(dispute.gateway_reference, "won")

    house.eventually(lambda: state(house)[1] == "won")
    house.eventually(lambda: house.instance(dispute.id).status == "completed")
    check(house, 0)


def test_a_chargeback_that_is_lost_stays_lost(house: House) -> None:
    dispute = disputed(house)
    decide(house, "rosa", dispute.id, CONTEST)
    house.a.decide(dispute.gateway_reference, "lost")

    house.eventually(lambda: state(house)[1] == "lost")
    house.eventually(lambda: house.instance(dispute.id).status == "completed")
    check(house, 1000)


def test_an_answer_asked_for_before_the_dispute_was_lost_is_old_and_one_asked_for_later_contradicts(
    house: House,
) -> None:
    dispute = disputed(house)
    decide(house, "rosa", dispute.id, CONTEST)
    house.eventually(lambda: state(house)[1] == "under_review")
    gateway = house.wired.gateways.get(dispute.gateway)
    said = gateway.dispute(dispute.gateway_reference)
    assert said is not None
    with house.database.begin() as tx:
        asked_at = tx.now()
    house.a.decide(dispute.gateway_reference, "lost")
    house.eventually(lambda: state(house)[1] == "lost")

    with house.database.begin() as tx, pytest.raises(service.AnswerOutdated):
        service.open_from_gateway(tx, dispute.gateway, said, asked_at)
    check(house, 1000)
    with house.database.begin() as tx:
        service.open_from_gateway(tx, dispute.gateway, said, tx.now())
    assert [one.kind for one in house.incidents(dispute.id)] == ["contradiction"]
    assert state(house)[1] == "lost"


def test_an_accepted_chargeback_is_told_to_the_gateway_once(house: House) -> None:
    dispute = disputed(house)
    decide(house, "rosa", dispute.id, ACCEPT)

    house.eventually(lambda: state(house)[1] == "accepted")
    house.eventually(lambda: house.instance(dispute.id).status == "completed")
    assert theirs(house)["status"] == "accepted"
    assert [one.operation for one in house.attempts(dispute.payment_id)].count("accept_dispute") == 1
    check(house, 1000)


def test_a_request_over_the_api_answers_in_place_of_the_reviewer(house: House) -> None:
    dispute = disputed(house)
    with house.database.begin() as tx:
        service.put_evidence(tx, house.shop, dispute.id, {"delivery.receipt": "signed by the customer"})
        service.request_submit(tx, house.shop, dispute.id)

    house.eventually(lambda: state(house)[1] == "under_review")
    evidence = theirs(house)["evidence"]
    assert isinstance(evidence, dict)
    assert evidence["delivery.receipt"] == "signed by the customer"
    check(house, 1000)


def test_when_nobody_answers_in_time_the_evidence_is_handed_in_once(house: House) -> None:
    dispute = disputed(house)
    house.later(days=17)

    house.eventually(lambda: state(house)[1] == "under_review")
    house.later(days=2)
    submitted = [one for one in house.attempts(dispute.payment_id) if one.operation == "submit_evidence"]
    assert [one.outcome for one in submitted] == ["approved"]
    check(house, 1000)


def test_after_half_the_time_operators_see_the_task_too(house: House) -> None:
    dispute = disputed(house)
    house.later(days=8)

    assert Role.OPERATOR in house.task(dispute.id).candidate_groups


def test_a_victory_that_is_challenged_again_gets_a_second_round(house: House) -> None:
    dispute = disputed(house)
    decide(house, "rosa", dispute.id, CONTEST)
    house.a.decide(dispute.gateway_reference, "won")
    house.eventually(lambda: house.instance(dispute.id).status == "completed")

    house.a.pre_arbitration(dispute.gateway_reference)
    house.eventually(lambda: state(house) == ("pre_arbitration", "needs_response"))
    check(house, 1000)
    decide(house, "ravi", dispute.id, CONTEST)
    house.a.decide(dispute.gateway_reference, "won")

    house.eventually(lambda: state(house) == ("pre_arbitration", "won"))
    check(house, 0)
    with house.database.begin() as tx:
        flows = tx.session.query(Instance).filter_by(subject=dispute.id).all()
    assert [flow.status for flow in flows] == ["completed", "completed"]


def test_a_request_counts_for_the_stage_in_which_it_was_made(house: House) -> None:
    dispute = disputed(house)
    with house.database.begin() as tx:
        service.request_submit(tx, house.shop, dispute.id)
    house.eventually(lambda: state(house)[1] == "under_review")
    house.a.decide(dispute.gateway_reference, "won")
    house.eventually(lambda: house.instance(dispute.id).status == "completed")
    with house.database.begin() as tx:
        left = ("dispute.submit_requested", dispute.id, {"by": house.shop.id}, "left over")
        inbox.publish_message(tx, dispute.merchant_id, *left, ttl=service.REQUEST_LASTS)

    house.a.pre_arbitration(dispute.gateway_reference)
    house.eventually(lambda: state(house) == ("pre_arbitration", "needs_response"))
    house.later(hours=1)
    assert state(house) == ("pre_arbitration", "needs_response")
    assert house.task(dispute.id).status == "open"
    assert [one.operation for one in house.attempts(dispute.payment_id)].count("submit_evidence") == 1


def test_an_acceptance_is_not_carried_out_in_the_stage_that_comes_while_the_gateway_is_away(house: House) -> None:
    dispute = disputed(house, "inquiry")
    house.a.fault("unavailable", "accept")
    decide(house, "rosa", dispute.id, ACCEPT)
    assert [one.outcome for one in house.attempts(dispute.payment_id)][-1] == "not_sent"
    house.a.admin("POST", f"disputes/{dispute.gateway_reference}/chargeback")
    house.eventually(lambda: state(house) == ("chargeback", "needs_response"))
    house.later(minutes=1)

    assert house.eventually(lambda: house.task(dispute.id)).facts["stage"] == "chargeback"
    assert [one.operation for one in house.attempts(dispute.payment_id)].count("accept_dispute") == 1
    check(house, 1000)


def test_a_round_that_opens_while_the_first_is_under_review_goes_on_in_the_same_flow(house: House) -> None:
    dispute = disputed(house)
    decide(house, "rosa", dispute.id, CONTEST)
    house.a.pre_arbitration(dispute.gateway_reference)
    house.eventually(lambda: state(house) == ("pre_arbitration", "needs_response"))
    decide(house, "ravi", dispute.id, CONTEST)

    house.eventually(lambda: state(house) == ("pre_arbitration", "under_review"))
    assert house.instance(dispute.id).status == "waiting"
    check(house, 1000)


def test_an_inquiry_takes_no_money_and_may_become_a_chargeback(house: House) -> None:
    dispute = disputed(house, "inquiry")
    house.task(dispute.id)
    check(house, 0)

    house.a.admin("POST", f"disputes/{dispute.gateway_reference}/chargeback")
    house.eventually(lambda: state(house) == ("chargeback", "needs_response"))
    house.eventually(lambda: house.task(dispute.id).facts["stage"] == "chargeback")
    check(house, 1000)


def test_webhooks_told_twice_and_in_the_wrong_order_come_to_the_same_end(house: House) -> None:
    house.paid()
    house.inbound.held = []
    opened = house.a.dispute(house.charges()[0]["id"])
    house.a.decide(opened["id"], "won")
    house.a.pre_arbitration(opened["id"])
    until(lambda: len(house.inbound.held or []) == 3)
    house.inbound.release()
    house.eventually(lambda: house.disputes() and state(house) == ("pre_arbitration", "needs_response"))

    (dispute,) = house.disputes()
    decide(house, "rosa", dispute.id, CONTEST)
    house.eventually(lambda: state(house) == ("pre_arbitration", "under_review"))
    check(house, 1000)
    submitted = [one for one in house.attempts(dispute.payment_id) if one.operation == "submit_evidence"]
    assert len(submitted) == 1
