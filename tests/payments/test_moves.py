"""The legal moves of what the domain reports: which are offered, who makes them, and what a void of an orphan does."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from app.access.actor import Role, system
from app.access.models import Merchant
from app.engine.definitions import deploy
from app.engine.lint import Upload
from app.engine.models import Incident, Instance
from app.errors import Forbidden, NotFound
from app.events.models import AuditEntry
from app.gateways.port import GatewayResult, Outcome
from app.kit.money import Money
from app.operations import InvalidParameters, OperationError
from app.payments import moves, service
from app.payments.models import Payment
from app.payments.moves import Move, MoveNotLegal, Offer
from app.payments.queries import lock_payment
from app.payments.recovery import AttemptNotFound
from app.payments.service import RELEASE_PROCESS
from tests.engine.lint.draw import bpmn, end, path, start
from tests.payments.orphans import (
    amounts,
    end_by_hand,
    found_after_all,
    late_capture,
    late_hold,
    late_hold_elsewhere,
    names,
    offered,
    offered_by_charge,
    open_charges,
    say,
    second_hold,
    started,
    take,
)
from tests.till import MERCHANT, Till, pass_time


@pytest.fixture(autouse=True)
def flows(till: Till) -> None:
    """What makes moves, as flows that do nothing: each test calls the operation itself."""
    for process in (RELEASE_PROCESS, moves.ASK_PROCESS):
        drawn = bpmn(start(), end(), path("start", "end"), process=process)
        with till.database.begin() as tx:
            deploy(tx, system(MERCHANT), [Upload(f"{process}.bpmn", drawn)], publish=True)


Make = Callable[[Till], tuple[str, str]]


@pytest.mark.parametrize("make", [second_hold, found_after_all])
def test_a_second_hold_is_given_back_and_the_first_is_captured(till: Till, make: Make) -> None:
    payment, attempt = make(till)
    assert offered(till)[0] == Offer(Move.VOID, "sandbox_b", 1000, "EUR", attempt)
    before = till.events(payment)
    voided = till.run("payment.void", payment, authorization=attempt).attempt
    assert amounts(till, payment) == ("requires_capture", 1000, 0)
    assert till.events(payment)[len(before) :] == ["payment.updated"]
    assert till.differences() == []
    (incident,) = till.incidents()
    assert (incident.status, incident.resolved_by) == ("resolved", "system")
    with till.database.begin() as tx:
        (said,) = tx.session.scalars(select(AuditEntry).where(AuditEntry.object_id == incident.id))
        assert (said.actor, said.action, said.facts) == ("system", "incident.repaired", {"void": voided})
    assert names(till) == []
    till.run("payment.capture", payment)
    assert amounts(till, payment) == ("succeeded", 0, 1000)
    assert till.differences() == []
    assert [charge["voided"] for charge in till.servers["sandbox_b"].charges()] == [1000]


def test_an_attempt_that_was_taken_to_be_without_effect_is_known_to_have_had_one_once_it_is_voided(till: Till) -> None:
    payment, attempt = found_after_all(till)
    voided = till.run("payment.void", payment, authorization=attempt).attempt
    (known,) = [one for one in till.attempts(payment) if one.id == attempt]
    assert known.evidence is not None
    assert (known.outcome, known.evidence["before"], known.evidence["void"]) == ("approved", "not_sent", voided)
    assert known.gateway_reference == till.servers["sandbox_b"].charge(attempt)["id"]
    till.run("payment.lookup", payment, attempt=attempt, again=True)
    assert [one.status for one in till.incidents()] == ["resolved"]


@pytest.mark.parametrize("make", [second_hold, late_hold])
def test_a_hold_is_voided_once_however_often_it_is_asked_for(till: Till, make: Make) -> None:
    payment, attempt = make(till)
    till.run("payment.void", payment, authorization=attempt)
    assert till.run("payment.void", payment, authorization=attempt).attempt == ""
    assert [one.operation for one in till.attempts(payment)].count("void") == 1


def test_what_is_open_of_one_hold_is_in_nobodys_way_at_the_other(till: Till) -> None:
    payment, attempt = second_hold(till)
    till.servers["sandbox_b"].fault("timeout_applied", "void")
    open_void = till.fails("payment.void", payment, authorization=attempt)
    assert open_void.code == "OUTCOME_UNKNOWN"
    assert names(till) == ["lookup", "close"], "it may have been voided"
    assert till.fails("payment.void", payment, authorization=attempt).facts["attempt"] == open_void.facts["attempt"]
    till.sandbox.fault("timeout_applied", "capture")
    capture = till.fails("payment.capture", payment, amount=400, final=False)
    assert capture.code == "OUTCOME_UNKNOWN"
    till.run("payment.lookup", payment, attempt=open_void.facts["attempt"])
    assert [one.status for one in till.incidents()] == ["resolved"]
    till.run("payment.lookup", payment, attempt=capture.facts["attempt"])
    till.run("payment.void", payment)
    assert till.status(payment) == ("succeeded", "remainder_released")
    assert till.differences() == []


def test_an_unknown_capture_of_the_payments_own_hold_does_not_block_the_void_of_the_other(till: Till) -> None:
    payment, attempt = second_hold(till)
    till.sandbox.fault("timeout_applied", "capture")
    capture = till.fails("payment.capture", payment)
    till.run("payment.void", payment, authorization=attempt)
    assert till.status(payment) == ("processing", "outcome_unknown")
    till.run("payment.lookup", payment, attempt=capture.facts["attempt"])
    assert amounts(till, payment) == ("succeeded", 0, 1000)
    assert till.differences() == []


def test_a_refused_void_leaves_the_incident_open_and_is_offered_again(till: Till) -> None:
    payment, attempt = second_hold(till)
    effect = till.begin("payment.void", payment, "void#1", authorization=attempt)
    with pytest.raises(OperationError, match="VOID_DECLINED"):
        till.finish(effect, GatewayResult(Outcome.DECLINED), payment, "void#1")  # type: ignore[arg-type]
    assert names(till) == ["void", "lookup", "close"]
    assert amounts(till, payment) == ("requires_capture", 1000, 0)
    assert till.differences() == []


def test_a_second_hold_that_ran_out_by_itself_is_gone_and_that_is_a_success(till: Till) -> None:
    payment, attempt = second_hold(till)
    pass_time(till, days=8)
    assert till.run("payment.void", payment, authorization=attempt).attempt == till.attempt(payment, "void").id
    assert till.attempt(payment, "void").outcome == "declined"
    assert [one.status for one in till.incidents()] == ["resolved"]
    assert till.differences() == []


def test_a_crash_after_the_void_was_sent_voids_once(till: Till) -> None:
    payment, attempt = second_hold(till)
    effect = till.begin("payment.void", payment, "void#1", authorization=attempt)
    effect.call()  # type: ignore[union-attr]
    voided = till.run("payment.void", payment, "void#1", authorization=attempt).attempt
    assert till.servers["sandbox_b"].times_received("void", voided) == 1
    assert [one.status for one in till.incidents()] == ["resolved"]
    assert till.differences() == []


def test_only_an_authorization_of_the_payment_is_given_back_by_its_name(till: Till) -> None:
    payment, _ = second_hold(till)
    till.run("payment.capture", payment, amount=400, final=False)
    _, foreign = till.create(), till.attempt(payment, "capture").id
    for wrong in (foreign, "att_nobody"):
        with pytest.raises(AttemptNotFound):
            till.run("payment.void", payment, authorization=wrong)


def test_by_the_name_of_its_own_authorization_the_payment_gives_back_what_it_holds(till: Till) -> None:
    payment, _ = second_hold(till)
    own = till.attempts(payment)[-1].id
    till.run("payment.void", payment, authorization=own)
    assert till.status(payment) == ("processing", "authorization_released")
    assert names(till) == ["void", "lookup", "close"], "the other hold is still there"
    assert till.differences() == []


def test_what_is_not_known_yet_is_not_voided_and_what_had_no_effect_needs_no_void(till: Till) -> None:
    payment = till.create("pm_card_timeout_lost")
    attempt = till.fails("payment.authorize", payment, gateway="sandbox_a").facts["attempt"]
    assert till.fails("payment.void", payment, authorization=attempt).code == "OUTCOME_UNKNOWN"
    declined = till.create("pm_card_stolen")
    attempt = till.fails("payment.authorize", declined, gateway="sandbox_a").facts["attempt"]
    assert till.run("payment.void", declined, authorization=attempt).attempt == ""


def test_a_flow_that_was_started_for_one_authorization_voids_no_other(till: Till) -> None:
    """A diagram of the merchant's own may not know the variable, and would give back the hold that is needed."""
    payment, attempt = second_hold(till)
    take(till, Move.VOID)
    (flow,) = started(till, RELEASE_PROCESS)
    with till.database.begin() as tx:
        tx.execute(update(Payment).values(instance_id=flow.id))
    with pytest.raises(InvalidParameters, match="pass it on"):
        till.run("payment.void", payment)
    assert amounts(till, payment) == ("requires_capture", 1000, 0)
    till.run("payment.void", payment, authorization=attempt)
    assert till.differences() == []


def test_the_hold_of_a_payment_that_has_ended_is_given_back_and_told(till: Till) -> None:
    payment, attempt = late_hold(till)
    assert offered(till)[0] == Offer(Move.VOID, "sandbox_a", 1000, "EUR", attempt)
    take(till, Move.VOID)
    before = till.events(payment)
    till.run("payment.void", payment, authorization=attempt)
    assert amounts(till, payment) == ("canceled", 0, 0)
    assert till.events(payment)[len(before) :] == ["payment.updated"]
    assert [one.status for one in till.incidents()] == ["resolved"]
    assert till.differences() == []


def test_what_was_captured_after_the_end_is_refunded(till: Till) -> None:
    payment = late_capture(till)
    capture = till.attempt(payment, "capture").id
    assert offered(till)[0] == Offer(Move.REFUND, "sandbox_a", 1000, "EUR", capture)
    with pytest.raises(MoveNotLegal):
        take(till, Move.REFUND)  # a refund has a request of its own
    refund = till.refund(payment)
    assert names(till) == ["lookup", "close"], "it is on its way back"
    till.run("refund.send", refund)
    assert till.get_refund(refund).status == "succeeded"
    assert till.status(payment) == ("canceled", "")
    assert till.differences() == []


def offered_gateway(till: Till) -> str:
    return next(one.gateway for found in offered_by_charge(till).values() for one in found if one.move == Move.VOID)


def test_of_a_charge_with_two_references_none_is_offered_to_be_voided(till: Till) -> None:
    payment = till.create()
    first = till.begin("payment.authorize", payment, "authorize#1", gateway="sandbox_a")
    till.run("payment.authorize", payment, "authorize#1", gateway="sandbox_a")
    other = GatewayResult(Outcome.APPROVED, gateway_reference="ch_other", amount=Money(1000, "EUR"))
    till.finish(first, other, payment, "authorize#1")  # type: ignore[arg-type]
    assert names(till) == ["lookup", "close"]


@pytest.mark.parametrize("make", [second_hold, found_after_all, late_hold])
def test_a_second_charge_of_the_same_attempt_is_not_dealt_with_by_the_void_of_the_first(till: Till, make: Make) -> None:
    payment, attempt = make(till)
    say(till, payment, attempt, "ch_other")
    first = till.servers[offered_gateway(till)].charge(attempt)["id"]
    by_charge = {charge: [one.move for one in found] for charge, found in offered_by_charge(till).items()}
    assert by_charge == {first: [Move.VOID, Move.LOOKUP, Move.CLOSE], "ch_other": [Move.LOOKUP, Move.CLOSE]}
    till.run("payment.void", payment, authorization=attempt)
    assert till.attempt(payment, "void").charge == first
    assert open_charges(till) == ["ch_other"]
    assert till.differences() == []


def test_what_the_gateway_says_while_a_hold_is_being_voided_does_not_change_which_one_is_meant(till: Till) -> None:
    payment, attempt = found_after_all(till)
    effect = till.begin("payment.void", payment, "void#1", authorization=attempt)
    say(till, payment, attempt, "ch_other")
    till.finish(effect, effect.call(), payment, "void#1")  # type: ignore[union-attr, arg-type]
    assert amounts(till, payment) == ("requires_capture", 1000, 0)
    assert open_charges(till) == ["ch_other"]
    assert till.differences() == []


def test_the_own_hold_of_a_payment_that_has_ended_is_no_move_of_an_incident_about_another_charge(till: Till) -> None:
    payment = till.create(capture_method="manual")
    own = till.run("payment.authorize", payment, gateway="sandbox_a").attempt
    say(till, payment, own, "ch_other")
    end_by_hand(till)
    assert names(till) == ["lookup", "close"]
    till.run("payment.void", payment, authorization=own)
    assert amounts(till, payment) == ("canceled", 0, 0)
    assert open_charges(till) == ["ch_other"]


def test_a_hold_that_the_payment_counted_on_until_it_ran_out_is_in_the_ledger_once(till: Till) -> None:
    payment = till.create(capture_method="manual")
    first = till.run("payment.authorize", payment, gateway="sandbox_a").attempt
    pass_time(till, days=8)
    with till.database.begin() as tx:
        service.transition(tx, lock_payment(tx, MERCHANT, payment), "expired", "", till.actor)
    late_hold_elsewhere(till, payment)
    till.run("payment.void", payment, authorization=first)
    assert till.attempt(payment, "void").gateway == "sandbox_a"
    assert amounts(till, payment) == ("expired", 1000, 0)
    assert till.ledger_problems() == []


def test_two_people_who_click_at_once_start_one_flow(till: Till) -> None:
    payment, attempt = second_hold(till)

    def click(name: str) -> str:
        try:
            return take(till, Move.VOID, name).attempt
        except MoveNotLegal as refused:
            return str(refused.extra["moves"])

    with ThreadPoolExecutor(6) as people:
        said = sorted(people.map(click, [f"person{number}" for number in range(6)]))
    assert said == ["['lookup', 'close']"] * 5 + [attempt]
    (flow,) = started(till, RELEASE_PROCESS)
    assert (flow.subject, flow.variables) == (payment, {"payment": payment, "authorization": attempt})
    assert flow.created_by.startswith("usr_person")
    with till.database.begin() as tx:
        (said_so,) = tx.session.scalars(select(AuditEntry).where(AuditEntry.action == "incident.move_taken"))
        assert said_so.facts == {"move": "void", "attempt": attempt, "gateway": "sandbox_b", "instance": flow.id}


def test_the_gateway_is_asked_again_and_its_word_is_shown_and_changes_nothing_that_is_resolved(till: Till) -> None:
    payment, attempt = found_after_all(till)
    take(till, Move.LOOKUP)
    assert names(till) == ["void", "close"], "it is being asked"
    (flow,) = started(till, moves.ASK_PROCESS)
    assert flow.variables == {"payment": payment, "attempt": attempt}
    result = till.run("payment.lookup", payment, attempt=attempt, again=True)
    assert (result.resolution, result.said) == ("absent", "approved")
    with till.database.begin() as tx:
        ended = tx.session.get_one(Instance, flow.id)
        ended.ended_at, ended.variables = tx.now(), {**ended.variables, "said": result.said}
    (_, again, _) = offered(till)
    assert (again.move, again.said, again.asked_at is not None) == (Move.LOOKUP, "approved", True)


def test_news_that_an_asker_hears_wake_the_flow_that_waits_for_them(till: Till) -> None:
    payment = till.create("pm_card_timeout_applied")
    attempt = till.fails("payment.authorize", payment, gateway="sandbox_a").facts["attempt"]
    till.run("payment.lookup", payment, attempt=attempt, again=True)
    (message,) = till.messages("gateway.event")
    assert (message.correlation, message.variables["outcome"]) == (attempt, "approved")


def test_only_operators_of_the_merchant_make_moves(till: Till) -> None:
    second_hold(till)
    for role in set(Role) - {Role.OPERATOR}:
        with pytest.raises(Forbidden):
            take(till, Move.VOID, role=role)
    (incident,) = till.incidents()
    stranger = replace(till.person("olga", Role.OPERATOR), merchant_id="mer_other")
    with till.database.begin() as tx:
        tx.session.add(Merchant(id="mer_other", name="Other", settings={}, created_at=tx.now()))
    with till.database.begin() as tx, pytest.raises(NotFound):
        moves.take(tx, stranger, incident.id, Move.VOID)
    assert started(till, RELEASE_PROCESS) == []


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"source": "engine", "kind": "call_failed"}, ["retry"]),
        ({"kind": "parked"}, ["retry"]),
        ({"status": "resolved"}, []),
        ({"kind": "restored", "details": {}}, ["close"]),
        ({"kind": "flow_ended", "details": {"held": 0}}, ["cancel", "close"]),
        ({"kind": "request_unheard", "details": {}}, ["cancel", "close"]),
        ({"kind": "unwatched", "details": {"attempt": "same"}}, ["lookup", "close"]),
        ({"details": {"attempt": "same", "outcome": "declined"}}, ["lookup", "close"]),
    ],
)
def test_each_kind_of_incident_has_its_moves(till: Till, changed: dict[str, object], expected: list[str]) -> None:
    _, attempt = second_hold(till)
    with till.database.begin() as tx:
        incident = tx.session.scalars(select(Incident)).one()
        for name, value in changed.items():
            setattr(incident, name, value if value != {"attempt": "same"} else {"attempt": attempt})
        if incident.details.get("attempt") == "same":
            incident.details = {**incident.details, "attempt": attempt}
    assert names(till) == expected


def test_what_has_ended_is_not_canceled(till: Till) -> None:
    second_hold(till)
    with till.database.begin() as tx:
        tx.execute(update(Incident).values(kind="flow_ended", details={}))
    end_by_hand(till)
    assert names(till) == ["close"]
