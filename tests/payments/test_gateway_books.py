"""Our books against a gateway's: what is found, what nobody can know yet, and what is no difference."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, update

from app.gateways.port import BookedCharge, Capability, CouldNotAsk, Void
from app.gateways.sandbox_books import booked
from app.payments.gateway_books import EVER, BooksUnreadable, Comparison, compare
from app.payments.models import Attempt
from tests.till import Till


class Shown:
    """A gateway of which only the books matter; `stops` after so many charges."""

    name = "sandbox_a"
    capabilities = frozenset({Capability.BOOKS})

    def __init__(self, charges: list[BookedCharge], stops: int | None = None) -> None:
        self.charges = charges
        self.stops = stops
        self.since: datetime | None = None

    def books(self, since: datetime) -> Iterator[BookedCharge]:
        self.since = since
        for number, charge in enumerate(self.charges):
            if number == self.stops:
                raise CouldNotAsk("The line went dead")
            yield charge


def charges(till: Till) -> list[BookedCharge]:
    return [booked(charge) for charge in till.sandbox.charges()]


def compared(
    till: Till, shown: Shown, days: int | None = None, progress: Callable[[Comparison], None] = lambda _: None
) -> Comparison:
    gateway: Any = shown
    return compare(till.database, gateway, days, progress)


def found(comparison: Comparison) -> list[tuple[str, str, int | None, int | None]]:
    return [(one.subject, one.what, one.ours, one.theirs) for one in comparison.differences]


@pytest.mark.parametrize(
    ("column", "theirs", "excused"),
    [
        ("refunded", 300, True),
        ("refunded", 100, True),
        ("refunded", 301, False),
        ("captured", 2000, False),
        ("captured", 700, False),
        ("disputed", 300, False),
    ],
)
def test_a_refund_under_way_excuses_a_refund_of_its_amount_and_nothing_else(
    till: Till, column: str, theirs: int, excused: bool
) -> None:
    payment = till.captured(amount=1000)
    till.begin("refund.send", till.refund(payment, 300))
    (charge,) = till.sandbox.charges()
    comparison = compared(till, Shown([booked({**charge, column: theirs})]))
    told, other = comparison.passing, comparison.differences
    told, other = (told, other) if excused else (other, told)
    assert [(one.what, one.theirs) for one in told] == [(column, theirs)]
    assert other == []


def test_an_authorization_under_way_excuses_one_charge_of_its_amount(till: Till) -> None:
    till.fails("payment.authorize", till.create("pm_card_timeout_applied"), gateway="sandbox_a")
    (charge,) = charges(till)
    comparison = compared(till, Shown([charge]))
    assert [(one.what, one.may_go) for one in comparison.passing] == [("authorized", "its outcome is not known yet")]
    assert comparison.differences == []
    comparison = compared(till, Shown([replace(charge, captured=1000)]))
    assert [one.what for one in comparison.differences] == ["captured"]


def test_a_key_we_do_not_know_is_a_difference_and_names_the_payment_it_is_for(till: Till) -> None:
    strange = BookedCharge("ch_9", "att_9", "pay_9", "EUR", 1000, 0, 0, 0, 0)
    comparison = compared(till, Shown([strange]))
    assert found(comparison) == [("att_9", "authorized", 0, 1000)]
    assert comparison.differences[0].payment == "pay_9"


def test_what_a_gateway_does_not_list_is_a_difference(till: Till) -> None:
    payment = till.captured(amount=1000)
    key = till.attempt(payment, "authorize").id
    assert found(compared(till, Shown([]))) == [(key, "authorized", 1000, 0), (key, "captured", 1000, 0)]


def test_a_key_that_is_listed_twice_has_had_its_effect_twice(till: Till) -> None:
    till.captured(amount=1000)
    (charge,) = charges(till)
    twice = compared(till, Shown([charge, replace(charge, charge="ch_2")]))
    assert found(twice) == [(charge.key, "authorized", 0, 1000), (charge.key, "captured", 0, 1000)]


def test_ours_is_the_charge_that_we_know_whatever_else_carries_its_key(till: Till) -> None:
    till.captured(amount=1000)
    (charge,) = charges(till)
    other = replace(charge, charge="ch_2", captured=0)
    both = compared(till, Shown([other, charge]))
    assert found(both) == [(charge.key, "authorized", 0, 1000)]


def test_another_charge_of_the_same_key_does_not_stand_for_ours(till: Till) -> None:
    till.captured(amount=1000)
    (charge,) = charges(till)
    other = compared(till, Shown([replace(charge, charge="ch_2")]))
    assert found(other) == [
        (charge.key, "authorized", 0, 1000),
        (charge.key, "captured", 0, 1000),
        (charge.key, "authorized", 1000, 0),
        (charge.key, "captured", 1000, 0),
    ]


@pytest.mark.parametrize("voided", [0, 1000])
def test_a_void_that_found_no_hold_does_not_tell_who_gave_it_back(till: Till, voided: int) -> None:
    payment = till.create()
    till.run("payment.authorize", payment, gateway="sandbox_a")
    (charge,) = charges(till)
    reference = till.payment(payment).gateway_reference
    till.gateways.get("sandbox_a").void(Void("att_by_hand", reference))
    till.run("payment.void", payment)
    assert till.attempt(payment, "void").outcome == "declined"
    assert compared(till, Shown([replace(charge, voided=voided)])).found == []


def test_what_was_not_listed_is_read_in_parts_after_one_scan_of_the_attempts(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.payments.gateway_books._BATCH", 2)
    keys = {till.attempt(till.captured(amount=1000), "authorize").id for _ in range(3)}
    scans: list[str] = []

    def watch(connection: Any, cursor: Any, statement: str, *_: object) -> None:
        if "attempts.begun_at >=" in statement:
            scans.append(statement)

    with till.database.begin() as tx:
        event.listen(tx.session.connection().engine, "before_cursor_execute", watch)
    comparison = compared(till, Shown([]))
    assert {one.subject for one in comparison.differences} == keys
    assert len(scans) == 1


def test_another_currency_is_a_difference(till: Till) -> None:
    till.captured(amount=1000)
    (charge,) = charges(till)
    told = compared(till, Shown([replace(charge, currency="USD")]))
    assert [one.what for one in told.differences] == ["currency (EUR, USD)"]


def test_what_the_gateway_cannot_tell_is_neither_compared_nor_summed(till: Till) -> None:
    payment = till.create()
    till.run("payment.authorize", payment, gateway="sandbox_a")
    till.run("payment.void", payment)
    (charge,) = charges(till)
    comparison = compared(till, Shown([replace(charge, voided=None)]))
    assert comparison.found == []
    assert {total.what: (total.ours, total.theirs) for total in comparison.totals()}["voided"] == (0, 0)


def test_charges_of_others_are_counted_and_no_difference(till: Till) -> None:
    till.captured(amount=1000)
    comparison = compared(till, Shown([BookedCharge("ch_7"), *charges(till), BookedCharge("ch_8")]))
    assert (comparison.found, comparison.foreign, comparison.read) == ([], 2, 3)


@pytest.mark.parametrize(("minutes", "missed"), [(-10, False), (4, False), (6, True)])
def test_at_the_edge_of_the_period_clocks_may_differ(till: Till, minutes: int, missed: bool) -> None:
    payment = till.captured(amount=1000)
    key = till.attempt(payment, "authorize").id
    listed = charges(till)
    with till.database.begin() as tx:
        begun = tx.now() - timedelta(days=30) + timedelta(minutes=minutes)
        tx.execute(update(Attempt).where(Attempt.id == key).values(begun_at=begun))
    unlisted = compared(till, Shown([]), days=30)
    assert bool(unlisted.found) is missed
    assert compared(till, Shown(listed), days=30).found == [], "whenever it began, a charge that is listed is known"


def test_the_gateway_is_asked_for_the_period_and_without_one_for_everything(till: Till) -> None:
    shown = Shown([])
    compared(till, shown)
    assert shown.since == EVER
    comparison = compared(till, shown, days=2)
    assert shown.since == comparison.since
    with till.database.begin() as tx:
        assert timedelta(0) <= tx.now() - timedelta(days=2) - comparison.since < timedelta(minutes=1)


def test_what_is_done_while_the_books_are_read_is_no_difference(till: Till) -> None:
    payment = till.create()
    till.run("payment.authorize", payment, gateway="sandbox_a")
    before = charges(till)

    class Reading(Shown):
        def books(self, since: datetime) -> Iterator[BookedCharge]:
            till.clock.advance(timedelta(seconds=1))
            till.run("payment.capture", payment)
            till.captured(amount=700)
            return super().books(since)

    comparison = compared(till, Reading(before))
    assert comparison.differences == []
    assert {(one.what, one.ours, one.may_go) for one in comparison.passing} == {
        ("captured", 1000, "it was done while the books were read"),
        ("authorized", 700, "it was done while the books were read"),
        ("captured", 700, "it was done while the books were read"),
    }


def test_many_charges_are_read_in_parts_and_none_is_lost(till: Till) -> None:
    till.captured(amount=1000)
    strange = [BookedCharge(f"ch_{n}", f"att_{n}", "", "EUR", 1, 0, 0, 0, 0) for n in range(250)]
    parts: list[int] = []
    shown = Shown([*strange, *charges(till)])
    comparison = compared(till, shown, progress=lambda told: parts.append(told.read))
    assert parts == [100, 200, 251]
    assert [one.subject for one in comparison.differences] == [charge.key for charge in strange]
    totals = {total.what: (total.ours, total.theirs) for total in comparison.totals()}
    assert totals["authorized"] == (1000, 1250)


@pytest.mark.parametrize("stops", [0, 1, 150])
def test_books_that_end_half_way_are_not_compared(till: Till, stops: int) -> None:
    strange = [BookedCharge(f"ch_{n}", f"att_{n}", "", "EUR", 0, 0, 0, 0, 0) for n in range(200)]
    with pytest.raises(BooksUnreadable, match="The line went dead"):
        compared(till, Shown(strange, stops))
