"""One card payment through everything: the flow, the gateway's books, ours."""

from tests.house import House


def test_a_plain_card_is_paid_at_once(house: House) -> None:
    payment_id = house.pay("pm_card_visa", 1250)
    house.run()

    payment = house.payment(payment_id)
    assert (payment.status, payment.amount_captured) == ("succeeded", 1250)
    assert house.outcomes(payment_id) == [
        ("authorize", "sandbox_a", "approved"),
        ("capture", "sandbox_a", "approved"),
    ]
    (charge,) = house.charges()
    assert (charge["authorized"], charge["captured"], charge["reference"]) == (1250, 1250, payment_id)
    assert house.instance(payment_id).status == "completed"
