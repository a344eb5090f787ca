"""Risk facts, ranking, review limits: what decision tables and people judge by."""

from datetime import timedelta

import pytest

from app.engine.models import Task
from app.payments import held
from app.payments.queries import find_payment
from app.payments.reviewing import NotReviewed
from app.payments.risk import reference_amount, risk_facts
from tests.till import MERCHANT, Till


def test_velocity_counts_this_card_and_this_customer_and_not_the_payment_itself(till: Till) -> None:
    customer = {"id": "c1", "country": "DE"}
    declined = till.create("pm_card_stolen", 500, customer=customer)
    till.fails("payment.authorize", declined, gateway="sandbox_a")
    till.create("pm_card_stolen", 700, customer=customer)
    till.create("pm_card_visa", 900, currency="USD", customer=customer)
    facts = till.run("risk.facts", till.create("pm_card_stolen", 100, customer=customer))
    assert (facts.card_payments_1h, facts.card_declines_24h) == (2, 1)
    assert (facts.customer_payments_24h, facts.customer_amount_24h) == (3, 1200)
    assert (facts.customer_is_new, facts.customer_country, facts.amount_reference) == (True, "DE", 100)


def test_payments_judged_in_one_transaction_are_counted_as_each_alone_would_be(till: Till) -> None:
    till.captured(customer={"id": "c1"})
    customers: list[dict[str, str]] = [{"id": "c1"}, {"id": "c1"}, {"id": "c2"}, {}]
    payments = [till.create("pm_card_visa", 100 * place, customer=one) for place, one in enumerate(customers, start=1)]
    alone = [till.run("risk.facts", payment) for payment in payments]
    with till.database.begin() as tx:
        held.take_up(tx, payments)
        together = [risk_facts(tx, find_payment(tx, MERCHANT, payment)) for payment in payments]
    assert together == alone
    assert [facts.customer_payments_24h for facts in together] == [2, 2, 0, 0]


def test_velocity_forgets(till: Till) -> None:
    till.create()
    till.clock.advance(timedelta(hours=2))
    assert till.run("risk.facts", till.create()).card_payments_1h == 0


def test_a_customer_who_has_paid_before_is_not_new(till: Till) -> None:
    till.captured(customer={"id": "c1"})
    assert till.run("risk.facts", till.create(customer={"id": "c1"})).customer_is_new is False
    assert till.run("risk.facts", till.create()).customer_is_new is True


@pytest.mark.parametrize(
    ("minor", "currency", "reference"), [(1000, "JPY", 100000), (1234, "KWD", 123), (1235, "KWD", 124), (7, "EUR", 7)]
)
def test_amounts_are_compared_as_if_all_had_two_decimals(minor: int, currency: str, reference: int) -> None:
    assert reference_amount(minor, currency) == reference


def test_a_risk_judgement_is_kept_with_the_payment(till: Till) -> None:
    payment = till.create()
    rules = [{"rule": "velocity", "sentence": "3 payments in an hour"}]
    till.run("risk.record", payment, score=80, outcome="review", rules=rules)
    assert till.payment(payment).risk == {"score": 80, "outcome": "review", "rules": rules}
    till.run("risk.record", payment, score=1, outcome="normal", compared_amount=72, compared_currency="EUR")
    assert (till.payment(payment).risk or {})["compared"] == {"amount": 72, "currency": "EUR"}


def test_preferred_gateways_come_first_and_unknown_ones_are_left_out(till: Till) -> None:
    payment = till.create()
    assert till.run("routing.rank", payment).gateways == ["sandbox_a", "sandbox_b"]
    assert till.run("routing.rank", payment, preferred=["nobody", "sandbox_b"]).gateways == ["sandbox_b", "sandbox_a"]


def test_a_merchants_own_gateways_are_the_only_ones(till: Till) -> None:
    payment = till.create()
    till.configure(gateways=["sandbox_b"])
    assert till.run("routing.rank", payment, preferred=["sandbox_a"]).gateways == ["sandbox_b"]
    till.configure(gateways=["elsewhere"])
    assert till.fails("routing.rank", payment).code == "NO_ELIGIBLE_GATEWAY"


def test_a_second_person_is_needed_above_the_merchants_limit(till: Till) -> None:
    till.configure(review_limit={"EUR": 1000})
    payment = till.create(amount=1001)
    assert till.run("review.limits", payment).second_person is True
    assert till.run("review.limits", payment, amount=1000, currency="EUR").second_person is False
    unlimited = till.run("review.limits", payment, amount=10**9, currency="USD")
    assert (unlimited.second_person, unlimited.limit) == (False, None)


def test_who_asked_for_a_payment_does_not_count_as_its_reviewer(till: Till) -> None:
    till.configure(review_limit={})
    till.actor = till.person("ada")
    payment = till.create()
    assert till.run("review.limits", payment).asked_by == ["usr_ada"]
    till.run("payment.authorize", payment, gateway="sandbox_a")
    till.run("payment.transition", payment, to="requires_review")
    till.decide(payment, "ada", "approve")
    with pytest.raises(NotReviewed, match="other than who asked"):
        till.run("payment.transition", payment, to="requires_capture")
    till.decide(payment, "bob", "approve")
    assert till.run("payment.transition", payment, to="requires_capture").status == "requires_capture"


def test_escalated_tasks_are_seen_by_more_people_and_sooner(till: Till) -> None:
    payment = till.payment(till.create())
    with till.database.begin() as tx:
        task = Task(
            id="tsk_1", merchant_id=MERCHANT, instance_id=payment.instance_id, process="card-payment",
            element="review", node="review#1", name="Review", subject=payment.id, status="open",
            candidate_groups=["reviewer"], excluded=[], form_id="f", facts={}, priority=50, created_at=tx.now(),
        )  # fmt: skip
        tx.session.add(task)
    till.run("review.escalate", payment.id, groups=["operator"], priority=90)
    with till.database.begin() as tx:
        found = tx.session.get_one(Task, "tsk_1")
    assert (found.candidate_groups, found.priority) == (["reviewer", "operator"], 90)
