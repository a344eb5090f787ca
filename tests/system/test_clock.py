"""The database's clock steps back by minutes under payments in every kind of wait: late is all that anything may be."""

from datetime import timedelta

from tests.house import House


def test_a_clock_that_goes_back_delays_and_breaks_nothing(house: House) -> None:
    waiting = {
        method: house.pay(f"pm_card_{method}") for method in ("timeout_applied", "timeout_lost", "3ds", "pending")
    }
    house.run()
    untouched = house.pay("pm_card_visa")
    house.clock.advance(timedelta(minutes=-4))

    new = house.pay("pm_card_visa")
    house.run()
    assert house.payment(new).status == "succeeded"
    (asked,) = [charge for charge in house.charges() if charge["reference"] == waiting["3ds"]]
    house.a.authenticate(asked["id"])
    house.until(waiting["3ds"], "succeeded")
    house.later(minutes=5)
    for payment_id in (untouched, waiting["timeout_applied"], waiting["pending"]):
        house.until(payment_id, "succeeded")
    assert house.until(waiting["timeout_lost"], "failed").status_reason == "not_charged"
    house.check_books()
