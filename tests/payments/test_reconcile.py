"""Our books against a gateway's: what nobody knows yet excuses no more than itself."""

from typing import Any

import pytest

from app import books
from tests.till import Till


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
    compared = _compared(till, {**charge, column: theirs})
    found, other = (compared.undecided, compared.differences) if excused else (compared.differences, compared.undecided)
    assert [(one.what, one.theirs) for one in found] == [(column, theirs)]
    assert other == []


def test_an_authorization_under_way_excuses_one_charge_of_its_amount(till: Till) -> None:
    till.fails("payment.authorize", till.create("pm_card_timeout_applied"), gateway="sandbox_a")
    (charge,) = till.sandbox.charges()
    compared = _compared(till, charge)
    assert [one.what for one in compared.undecided] == ["authorized"]
    assert compared.differences == []
    compared = _compared(till, {**charge, "captured": 1000})
    assert [one.what for one in compared.differences] == ["captured"]


def _compared(till: Till, charge: dict[str, Any]) -> books.Comparison:
    with till.database.begin() as tx:
        return books.compare(tx, "sandbox_a", [charge])
